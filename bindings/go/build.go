package mcomp

// #include "calls.h"
import "C"

import (
	"fmt"
	"sort"
	"unsafe"
)

// NewGraph makes an empty graph to build (opset 0: the newest): AddInput, AddConstant, AddNode, AddOutput, then Finish.
func (ctx *Context) NewGraph(name string, opset int) (*Graph, error) {
	return makeGraph(ctx, "mcomp_graph_create", nil, func(m *memory, c *C.mcomp_context, _ unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		n := m.text(name)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_create(m.error(), out, c, n, C.int32_t(opset))
	})
}

// Build makes a freshly initialised model from a short description: "mlp:hidden=64". See docs/training.md.
func (ctx *Context) Build(spec string, options BuildOptions) (*Graph, error) {
	return makeGraph(ctx, "mcomp_graph_build", nil, func(m *memory, c *C.mcomp_context, _ unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		s := m.text(spec)
		o, err := options.c(m)
		if m.failed = err; err != nil {
			return 0
		}
		return C.go_mcomp_graph_build(m.error(), out, c, s, o)
	})
}

// AddInput adds an input. shape: int, int64, or a string that names a free axis ("" a free axis without a name).
func (g *Graph) AddInput(name string, dtype DType, shape ...any) error {
	dims, symbols := make([]int64, len(shape)), make([]string, len(shape))
	for i, d := range shape {
		switch v := d.(type) {
		case int:
			dims[i] = int64(v)
		case int64:
			dims[i] = v
		case string:
			dims[i], symbols[i] = -1, v
		default:
			return refuse(ErrArgument, name, "an axis is an int or the name of a free one, not %T", d)
		}
	}
	return g.do("mcomp_graph_add_input", func(m *memory, p *C.mcomp_graph) C.int32_t {
		n, s := m.text(name), m.texts(symbols, false)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_add_input(m.error(), p, n, C.int32_t(dtype), C.int32_t(len(dims)), int64s(dims), s)
	})
}

// AddConstant adds a constant; the elements are copied.
func (g *Graph) AddConstant(name string, value *Tensor) error {
	t, err := value.acquire()
	if err != nil {
		return err
	}
	defer value.release()
	return g.do("mcomp_graph_add_constant", func(m *memory, p *C.mcomp_graph) C.int32_t {
		n := m.text(name)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_add_constant(m.error(), p, n, (*C.mcomp_tensor)(t))
	})
}

// Attributes of a node: int, int64, float32, float64, string, []int64.
type Attributes map[string]any

// AddNode adds an ONNX operator: inputs and outputs by value name ("" omits an optional one). attributes may be nil.
func (g *Graph) AddNode(op, name string, inputs, outputs []string, attributes Attributes) error {
	err := g.do("mcomp_graph_add_node", func(m *memory, p *C.mcomp_graph) C.int32_t {
		o, n, in, out := m.text(op), m.text(name), m.texts(inputs, true), m.texts(outputs, true)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_add_node(m.error(), p, o, n, C.int32_t(len(inputs)), in, C.int32_t(len(outputs)), out)
	})
	keys := make([]string, 0, len(attributes))
	for k := range attributes {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	for _, k := range keys {
		if err == nil {
			err = g.setAttribute(name, k, attributes[k])
		}
	}
	return err
}

func (g *Graph) setAttribute(node, key string, value any) error {
	return g.do("mcomp_graph_set_*", func(m *memory, p *C.mcomp_graph) C.int32_t {
		n, k := m.text(node), m.text(key)
		if m.failed != nil {
			return 0
		}
		switch v := value.(type) {
		case int:
			return C.go_mcomp_graph_set_int(m.error(), p, n, k, C.int64_t(v))
		case int64:
			return C.go_mcomp_graph_set_int(m.error(), p, n, k, C.int64_t(v))
		case float32:
			return C.go_mcomp_graph_set_float(m.error(), p, n, k, C.float(v))
		case float64:
			return C.go_mcomp_graph_set_float(m.error(), p, n, k, C.float(v))
		case string:
			s := m.text(v)
			if m.failed != nil {
				return 0
			}
			return C.go_mcomp_graph_set_string(m.error(), p, n, k, s)
		case []int64:
			return C.go_mcomp_graph_set_ints(m.error(), p, n, k, int64s(v), C.int64_t(len(v)))
		}
		m.failed = refuse(ErrUnsupported, fmt.Sprintf("%s.%s", node, key), "attributes are int, float, string or []int64, not %T", value)
		return 0
	})
}

// AddOutput makes a value an output.
func (g *Graph) AddOutput(value string) error {
	return g.do("mcomp_graph_add_output", func(m *memory, p *C.mcomp_graph) C.int32_t {
		v := m.text(value)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_add_output(m.error(), p, v)
	})
}

// Finish checks and infers shapes; to be called once, after building.
func (g *Graph) Finish() error {
	return g.do("mcomp_graph_finish", func(m *memory, p *C.mcomp_graph) C.int32_t { return C.go_mcomp_graph_finish(m.error(), p) })
}
