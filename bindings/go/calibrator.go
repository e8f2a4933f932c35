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
	return g.calibrator("mcomp_calibrator_create", func(m *memory, ctx *C.mcomp_context, graph *C.mcomp_graph, out **C.mcomp_calibrator) C.int32_t {
		return C.go_mcomp_calibrator_create(m.error(), out, ctx, graph)
	})
}

// LoadCalibrator reads a .calib file of this model, to feed it more and to quantize with it.
func (g *Graph) LoadCalibrator(path string) (*Calibrator, error) {
	return g.calibrator("mcomp_calibrator_load", func(m *memory, ctx *C.mcomp_context, graph *C.mcomp_graph, out **C.mcomp_calibrator) C.int32_t {
		text := m.text(path)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_calibrator_load(m.error(), out, ctx, graph, text)
	})
}

// LoadCalibrator reads a .calib file without its model, to merge it and to look at it.
func (ctx *Context) LoadCalibrator(path string) (*Calibrator, error) {
	c, err := ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer ctx.release()
	m := new(memory)
	defer m.free()
	text := m.text(path)
	if m.failed != nil {
		return nil, m.failed
	}
	var p *C.mcomp_calibrator
	if err := m.check(C.go_mcomp_calibrator_load(m.error(), &p, (*C.mcomp_context)(c), nil, text), "mcomp_calibrator_load"); err != nil {
		return nil, err
	}
	return newCalibrator(ctx, p), nil
}

func (g *Graph) calibrator(call string, make func(*memory, *C.mcomp_context, *C.mcomp_graph, **C.mcomp_calibrator) C.int32_t) (*Calibrator, error) {
	names, err := g.inputNames()
	if err != nil {
		return nil, err
	}
	ctx, err := g.ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer g.ctx.release()
	var p *C.mcomp_calibrator
	err = g.do(call, func(m *memory, graph *C.mcomp_graph) C.int32_t { return make(m, (*C.mcomp_context)(ctx), graph, &p) })
	if err != nil {
		return nil, err
	}
	c := newCalibrator(g.ctx, p)
	c.names = names
	return c, nil
}

// newCalibrator takes over a C calibrator; the caller holds the context.
func newCalibrator(ctx *Context, p *C.mcomp_calibrator) *Calibrator {
	c := &Calibrator{object: newObject("Calibrator", unsafe.Pointer(p), func(p unsafe.Pointer) { C.mcomp_calibrator_destroy((*C.mcomp_calibrator)(p)) }, ctx.object)}
	runtime.SetFinalizer(c, (*Calibrator).Close)
	return c
}

// Close gives the calibrator up.
func (c *Calibrator) Close() { c.close() }

func (c *Calibrator) acquire() (unsafe.Pointer, error) {
	if c == nil {
		return (*object)(nil).acquire()
	}
	return c.object.acquire()
}

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

// Merge adds the sketches of another calibrator of the same model (ErrData if it is of another).
func (c *Calibrator) Merge(other *Calibrator) error {
	p, err := other.acquire()
	if err != nil {
		return err
	}
	defer other.release()
	if other == c {
		return refuse(ErrArgument, c.kind, "cannot be merged with itself")
	}
	if err := other.enter(other.kind); err != nil {
		return err
	}
	defer other.leave()
	return c.do("mcomp_calibrator_merge", func(m *memory, into *C.mcomp_calibrator) C.int32_t {
		return C.go_mcomp_calibrator_merge(m.error(), into, (*C.mcomp_calibrator)(p))
	})
}

// CalibratedRange is the range of one tensor.
type CalibratedRange struct {
	Tensor string
	Lo, Hi float64
}

// Ranges are those of every tensor by a rule: "minmax", "average", "percentile", "kl", "mse".
func (c *Calibrator) Ranges(rule string) ([]CalibratedRange, error) {
	info, err := c.Info()
	if err != nil {
		return nil, err
	}
	out := make([]CalibratedRange, info.Tensors)
	err = c.do("mcomp_calibrator_range", func(m *memory, p *C.mcomp_calibrator) C.int32_t {
		text := m.text(rule)
		if m.failed != nil {
			return 0
		}
		var name *C.char
		var lo, hi C.double
		for i := range out {
			if status := C.go_mcomp_calibrator_range(m.error(), p, C.int64_t(i), text, &name, &lo, &hi); status < 0 {
				return status
			}
			out[i] = CalibratedRange{C.GoString(name), float64(lo), float64(hi)}
		}
		return 0
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}
