package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Quantizer turns a graph into a quantized one. One call at a time.
type Quantizer struct {
	*object
	alone
	ctx *Context
}

// NewQuantizer makes a quantizer; the zero options choose the scheme by measured error.
func (ctx *Context) NewQuantizer(options QuantizerOptions) (*Quantizer, error) {
	c, err := ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer ctx.release()
	m := new(memory)
	defer m.free()
	o, err := options.c(m)
	if err != nil {
		return nil, err
	}
	var p *C.mcomp_quantizer
	if err := m.check(C.go_mcomp_quantizer_create(m.error(), &p, (*C.mcomp_context)(c), o), "mcomp_quantizer_create"); err != nil {
		return nil, err
	}
	q := &Quantizer{object: newObject("Quantizer", unsafe.Pointer(p), func(p unsafe.Pointer) { C.mcomp_quantizer_destroy((*C.mcomp_quantizer)(p)) }, ctx.object), ctx: ctx}
	runtime.SetFinalizer(q, (*Quantizer).Close)
	return q, nil
}

// Close gives the quantizer up.
func (q *Quantizer) Close() { q.close() }

func (q *Quantizer) do(call string, f func(m *memory, q *C.mcomp_quantizer) C.int32_t) error {
	p, err := q.acquire()
	if err != nil {
		return err
	}
	defer q.release()
	if err := q.enter(q.kind); err != nil {
		return err
	}
	defer q.leave()
	m := new(memory)
	defer m.free()
	return m.check(f(m, (*C.mcomp_quantizer)(p)), call)
}

// SetRule is for nodes whose name or operator matches the pattern: key "precision" ("float", "int8", "int8-dynamic") or "range". Later
// rules win.
func (q *Quantizer) SetRule(pattern, key, value string) error {
	return q.do("mcomp_quantizer_set_rule", func(m *memory, p *C.mcomp_quantizer) C.int32_t {
		a, k, v := m.text(pattern), m.text(key), m.text(value)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_quantizer_set_rule(m.error(), p, a, k, v)
	})
}

// Apply gives the quantized graph. calibrator (may be nil): needed by static schemes. samples (may be nil): what "auto" measures on.
func (q *Quantizer) Apply(g *Graph, calibrator *Calibrator, samples *Dataset) (*Graph, error) {
	var c *C.mcomp_calibrator
	var d *C.mcomp_dataset
	if calibrator != nil {
		p, err := calibrator.acquire()
		if err != nil {
			return nil, err
		}
		defer calibrator.release()
		if err := calibrator.enter(calibrator.kind); err != nil {
			return nil, err
		}
		defer calibrator.leave()
		c = (*C.mcomp_calibrator)(p)
	}
	if samples != nil {
		p, err := samples.hold()
		if err != nil {
			return nil, err
		}
		defer samples.unhold()
		d = p
	}
	if g == nil {
		return nil, refuse(ErrArgument, "Graph", "is nil")
	}
	p, err := q.acquire()
	if err != nil {
		return nil, err
	}
	defer q.release()
	if err := q.enter(q.kind); err != nil {
		return nil, err
	}
	defer q.leave()
	return makeGraph(q.ctx, "mcomp_quantizer_apply", g.object, func(m *memory, _ *C.mcomp_context, from unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		return C.go_mcomp_quantizer_apply(m.error(), out, (*C.mcomp_quantizer)(p), (*C.mcomp_graph)(from), c, d)
	})
}

// Nodes tells what the last Apply did, node by node.
func (q *Quantizer) Nodes() (out []QuantizedNode, err error) {
	err = q.do("mcomp_quantizer_node", func(m *memory, p *C.mcomp_quantizer) C.int32_t {
		n, c := new(C.int32_t), new(C.mcomp_quantized_node)
		status := C.go_mcomp_quantizer_node_count(m.error(), p, n)
		for i := C.int32_t(0); status >= 0 && i < *n; i++ {
			c.size = C.uint32_t(unsafe.Sizeof(*c))
			if status = C.go_mcomp_quantizer_node(m.error(), p, i, c); status >= 0 {
				var node QuantizedNode
				node.from(c)
				out = append(out, node)
			}
		}
		return status
	})
	return out, err
}
