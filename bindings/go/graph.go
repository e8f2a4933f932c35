package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// Graph is a model. Many goroutines may read one; edits need it for themselves alone.
type Graph struct {
	*object
	ctx *Context
}

// Port is an input or output of a model.
type Port struct {
	Name    string
	DType   DType
	Shape   []int64  // -1 where the axis is free; nil when the rank is unknown
	Symbols []string // names of free axes, "" elsewhere
}

// Unsupported is an operator that cannot be run.
type Unsupported struct{ Node, Op, Why string }

// makeGraph runs make, which calls C with the context (and before, another object, or nil) held.
func makeGraph(ctx *Context, call string, before *object, make func(m *memory, ctx *C.mcomp_context, before unsafe.Pointer, out **C.mcomp_graph) C.int32_t) (*Graph, error) {
	c, err := ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer ctx.release()
	var b unsafe.Pointer
	if before != nil {
		if b, err = before.acquire(); err != nil {
			return nil, err
		}
		defer before.release()
	}
	m := new(memory)
	defer m.free()
	var p *C.mcomp_graph
	status := make(m, (*C.mcomp_context)(c), b, &p)
	if err := m.check(status, call); err != nil {
		if p != nil {
			C.mcomp_graph_destroy(p)
		}
		return nil, err
	}
	g := &Graph{newObject("Graph", unsafe.Pointer(p), func(p unsafe.Pointer) { C.mcomp_graph_destroy((*C.mcomp_graph)(p)) }, ctx.object), ctx}
	runtime.SetFinalizer(g, (*Graph).Close)
	return g, nil
}

// Load loads an ONNX file. Its weights stay mapped: the file must not change while the graph lives.
func (ctx *Context) Load(path string) (*Graph, error) {
	return makeGraph(ctx, "mcomp_graph_load", nil, func(m *memory, c *C.mcomp_context, _ unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		text := m.text(path)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_load(m.error(), out, c, text)
	})
}

// LoadWith loads ONNX or safetensors; the latter needs an architecture: LoadOptions{Arch: "bert"}.
func (ctx *Context) LoadWith(path string, options LoadOptions) (*Graph, error) {
	return makeGraph(ctx, "mcomp_graph_load_with", nil, func(m *memory, c *C.mcomp_context, _ unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		text := m.text(path)
		o, err := options.c(m)
		if m.failed = err; err != nil {
			return 0
		}
		return C.go_mcomp_graph_load_with(m.error(), out, c, text, o)
	})
}

// LoadBytes loads an ONNX model from memory, which is copied.
func (ctx *Context) LoadBytes(data []byte) (*Graph, error) {
	return makeGraph(ctx, "mcomp_graph_load_memory", nil, func(m *memory, c *C.mcomp_context, _ unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		var p unsafe.Pointer
		if len(data) > 0 {
			p = unsafe.Pointer(&data[0])
		}
		return C.go_mcomp_graph_load_memory(m.error(), out, c, p, C.uint64_t(len(data)))
	})
}

// Clone is another graph; weights are shared until one of them changes.
func (g *Graph) Clone() (*Graph, error) {
	return makeGraph(g.ctx, "mcomp_graph_clone", g.object, func(m *memory, _ *C.mcomp_context, from unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		return C.go_mcomp_graph_clone(m.error(), out, (*C.mcomp_graph)(from))
	})
}

// Close gives the graph up.
func (g *Graph) Close() { g.close() }

// do holds the graph while f calls C; f's status is checked.
func (g *Graph) do(call string, f func(m *memory, g *C.mcomp_graph) C.int32_t) error {
	p, err := g.acquire()
	if err != nil {
		return err
	}
	defer g.release()
	m := new(memory)
	defer m.free()
	return m.check(f(m, (*C.mcomp_graph)(p)), call)
}

// Save writes ONNX, or safetensors where the path ends so.
func (g *Graph) Save(path string, options SaveOptions) error {
	return g.do("mcomp_graph_save", func(m *memory, p *C.mcomp_graph) C.int32_t {
		text := m.text(path)
		o, err := options.c(m)
		if m.failed = err; err != nil {
			return 0
		}
		return C.go_mcomp_graph_save(m.error(), p, text, o)
	})
}

// Info counts and measures the model.
func (g *Graph) Info() (info GraphInfo, err error) {
	err = g.do("mcomp_graph_info_get", func(m *memory, p *C.mcomp_graph) C.int32_t {
		c := new(C.mcomp_graph_info)
		c.size = C.uint32_t(unsafe.Sizeof(*c))
		status := C.go_mcomp_graph_info_get(m.error(), p, c)
		info.from(c)
		return status
	})
	return info, err
}

// Inputs lists the inputs in the model's order.
func (g *Graph) Inputs() ([]Port, error) {
	info, err := g.Info()
	if err != nil {
		return nil, err
	}
	return g.ports("mcomp_graph_input", info.NInputs, func(m *memory, p *C.mcomp_graph, i C.int32_t, c *C.mcomp_port_info) C.int32_t {
		return C.go_mcomp_graph_input(m.error(), p, i, c)
	})
}

func (g *Graph) inputNames() ([]string, error) {
	ports, err := g.Inputs()
	names := make([]string, len(ports))
	for i, p := range ports {
		names[i] = p.Name
	}
	return names, err
}

// Outputs lists the outputs in the model's order.
func (g *Graph) Outputs() ([]Port, error) {
	info, err := g.Info()
	if err != nil {
		return nil, err
	}
	return g.ports("mcomp_graph_output", info.NOutputs, func(m *memory, p *C.mcomp_graph, i C.int32_t, c *C.mcomp_port_info) C.int32_t {
		return C.go_mcomp_graph_output(m.error(), p, i, c)
	})
}

func (g *Graph) ports(call string, n int32, get func(*memory, *C.mcomp_graph, C.int32_t, *C.mcomp_port_info) C.int32_t) ([]Port, error) {
	out := make([]Port, n)
	for i := range out {
		err := g.do(call, func(m *memory, p *C.mcomp_graph) C.int32_t {
			c := new(C.mcomp_port_info)
			c.size = C.uint32_t(unsafe.Sizeof(*c))
			status := get(m, p, C.int32_t(i), c)
			if status < 0 {
				return status
			}
			out[i] = Port{Name: C.GoString(c.name), DType: DType(c.dtype)}
			for k := 0; k < int(c.rank); k++ {
				out[i].Shape = append(out[i].Shape, int64(c.dims[k]))
				out[i].Symbols = append(out[i].Symbols, C.GoString(c.symbols[k]))
			}
			if c.rank == 0 {
				out[i].Shape = []int64{}
			}
			return status
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Nodes lists the nodes of the main graph in execution order.
func (g *Graph) Nodes() ([]NodeInfo, error) {
	info, err := g.Info()
	if err != nil {
		return nil, err
	}
	out := make([]NodeInfo, info.NNodes)
	err = g.do("mcomp_graph_node", func(m *memory, p *C.mcomp_graph) C.int32_t {
		c := new(C.mcomp_node_info)
		for i := range out {
			c.size = C.uint32_t(unsafe.Sizeof(*c))
			if status := C.go_mcomp_graph_node(m.error(), p, C.int64_t(i), c); status < 0 {
				return status
			}
			out[i].from(c)
		}
		return 0
	})
	return out, err
}

// Unsupported lists operators that cannot be run, subgraphs included.
func (g *Graph) Unsupported() ([]Unsupported, error) {
	var out []Unsupported
	h := cgo.NewHandle(&out)
	defer h.Delete()
	err := g.do("mcomp_graph_unsupported", func(m *memory, p *C.mcomp_graph) C.int32_t {
		return C.mcgo_graph_unsupported(m.error(), p, C.uintptr_t(h))
	})
	return out, err
}

//export goUnsupported
func goUnsupported(handle C.uintptr_t, node, op, why *C.char) {
	var err error
	defer keep(&err)
	out := cgo.Handle(handle).Value().(*[]Unsupported)
	*out = append(*out, Unsupported{C.GoString(node), C.GoString(op), C.GoString(why)})
}

// Metadata is a copy of the metadata properties.
func (g *Graph) Metadata() (map[string]string, error) {
	p, err := g.acquire()
	if err != nil {
		return nil, err
	}
	defer g.release()
	out, m := map[string]string{}, new(memory)
	var key, value *C.char
	for i := C.int64_t(0); C.go_mcomp_graph_meta_at(m.error(), (*C.mcomp_graph)(p), i, &key, &value) == 0; i++ {
		out[C.GoString(key)] = C.GoString(value)
	}
	return out, nil
}

// SetMetadata sets a metadata property.
func (g *Graph) SetMetadata(key, value string) error {
	return g.do("mcomp_graph_set_meta", func(m *memory, p *C.mcomp_graph) C.int32_t {
		k, v := m.text(key), m.text(value)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_set_meta(m.error(), p, k, v)
	})
}

// Expose makes an inner value an output too.
func (g *Graph) Expose(value string) error {
	return g.do("mcomp_graph_expose", func(m *memory, p *C.mcomp_graph) C.int32_t {
		v := m.text(value)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_expose(m.error(), p, v)
	})
}

// FixInput fixes an input to a constant and folds what follows from it.
func (g *Graph) FixInput(name string, value *Tensor) error {
	t, err := value.acquire()
	if err != nil {
		return err
	}
	defer value.release()
	return g.do("mcomp_graph_fix_input", func(m *memory, p *C.mcomp_graph) C.int32_t {
		n := m.text(name)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_graph_fix_input(m.error(), p, n, (*C.mcomp_tensor)(t))
	})
}
