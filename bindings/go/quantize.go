package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Calibrator looks at a model's activations. One call at a time.
type Calibrator struct {
	*object
	alone
	names []string
}

// NewCalibrator makes a calibrator of the model.
func (g *Graph) NewCalibrator() (*Calibrator, error) {
	ports, err := g.Inputs()
	if err != nil {
		return nil, err
	}
	ctx, err := g.ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer g.ctx.release()
	var p *C.mcomp_calibrator
	err = g.do("mcomp_calibrator_create", func(m *memory, graph *C.mcomp_graph) C.int32_t {
		return C.go_mcomp_calibrator_create(m.error(), &p, (*C.mcomp_context)(ctx), graph)
	})
	if err != nil {
		return nil, err
	}
	c := &Calibrator{object: newObject("Calibrator", unsafe.Pointer(p), func(p unsafe.Pointer) { C.mcomp_calibrator_destroy((*C.mcomp_calibrator)(p)) }, g.ctx.object)}
	for _, port := range ports {
		c.names = append(c.names, port.Name)
	}
	runtime.SetFinalizer(c, (*Calibrator).Close)
	return c, nil
}

// Close gives the calibrator up.
func (c *Calibrator) Close() { c.close() }

func (c *Calibrator) do(call string, f func(m *memory, c *C.mcomp_calibrator) C.int32_t) error {
	p, err := c.acquire()
	if err != nil {
		return err
	}
	defer c.release()
	if err := c.enter(c.kind); err != nil {
		return err
	}
	defer c.leave()
	m := new(memory)
	defer m.free()
	return m.check(f(m, (*C.mcomp_calibrator)(p)), call)
}

// Feed feeds one sample, label -1: none. A sample with NaN or infinity anywhere is skipped and counted.
func (c *Calibrator) Feed(inputs map[string]*Tensor, label int64) error {
	s := newSlots(len(c.names), 0)
	defer s.free()
	if err := lend(c.names, inputs, s.inputs); err != nil {
		return err
	}
	defer unlend(c.names, inputs)
	return c.do("mcomp_calibrator_feed", func(m *memory, p *C.mcomp_calibrator) C.int32_t {
		return C.go_mcomp_calibrator_feed(m.error(), p, C.int32_t(len(c.names)), first(s.inputs), C.int64_t(label))
	})
}

// FeedDataset feeds every sample.
func (c *Calibrator) FeedDataset(d *Dataset) error {
	data, err := d.hold()
	if err != nil {
		return err
	}
	defer d.unhold()
	return c.do("mcomp_calibrator_feed_dataset", func(m *memory, p *C.mcomp_calibrator) C.int32_t {
		return C.go_mcomp_calibrator_feed_dataset(m.error(), p, data)
	})
}

// Save writes a .calib file.
func (c *Calibrator) Save(path string, overwrite bool) error {
	return c.do("mcomp_calibrator_save", func(m *memory, p *C.mcomp_calibrator) C.int32_t {
		text := m.text(path)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_calibrator_save(m.error(), p, text, flag(overwrite))
	})
}

// Info tells samples fed and skipped, and what they never reached.
func (c *Calibrator) Info() (info CalibrationInfo, err error) {
	err = c.do("mcomp_calibrator_info", func(m *memory, p *C.mcomp_calibrator) C.int32_t {
		r := new(C.mcomp_calibration_info)
		r.size = C.uint32_t(unsafe.Sizeof(*r))
		status := C.go_mcomp_calibrator_info(m.error(), p, r)
		info.from(r)
		return status
	})
	return info, err
}

func (d *Dataset) hold() (*C.mcomp_dataset, error) {
	p, err := d.acquire()
	if err != nil {
		return nil, err
	}
	if err := d.enter(d.kind); err != nil {
		d.release()
		return nil, err
	}
	return (*C.mcomp_dataset)(p), nil
}

func (d *Dataset) unhold() {
	d.leave()
	d.release()
}

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
