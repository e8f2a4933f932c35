package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// Dataset is samples for calibration, one tensor an input of the model. One call at a time.
type Dataset struct {
	*object
	alone
}

// Sample is what a fetch function gives: one tensor an input by name, of the shape the model takes. The library copies them.
type Sample struct {
	Inputs map[string]*Tensor
	Label  int64 // class, -1: none
	Share  bool  // the tensors stay the caller's; else they are closed
}

// Fetch gives sample i; it may be called for any i, more than once. An error (or a panic) ends the call that asked, and is its Cause.
type Fetch func(i int64) (Sample, error)

type fetcher struct {
	fetch Fetch
	names []string
}

// OpenDataset opens a data argument as docs/data.md describes: "calib.npz@limit=100". For texts a tokenizer may be given, one at most, in
// place of options.Tokenizer; it may be closed afterwards.
func (g *Graph) OpenDataset(argument string, options DatasetOptions, tokenizer ...*Tokenizer) (*Dataset, error) {
	var t unsafe.Pointer
	if len(tokenizer) > 0 {
		var err error
		if t, err = tokenizer[0].acquire(); err != nil {
			return nil, err
		}
		defer tokenizer[0].release()
	}
	return g.dataset("mcomp_dataset_open", 0, func(m *memory, ctx *C.mcomp_context, p *C.mcomp_graph, out **C.mcomp_dataset) C.int32_t {
		a := m.text(argument)
		o, err := options.c(m)
		if m.failed = err; err != nil {
			return 0
		}
		o.tokenizer_handle = (*C.mcomp_tokenizer)(t)
		return C.go_mcomp_dataset_open(m.error(), out, ctx, p, a, o)
	})
}

// NewDataset makes a dataset of n samples from a function.
func (g *Graph) NewDataset(n int64, fetch Fetch) (*Dataset, error) {
	names, err := g.inputNames()
	if err != nil {
		return nil, err
	}
	f := &fetcher{fetch, names}
	h := cgo.NewHandle(f)
	d, err := g.dataset("mcomp_dataset_create", h, func(m *memory, ctx *C.mcomp_context, p *C.mcomp_graph, out **C.mcomp_dataset) C.int32_t {
		return C.mcgo_dataset_create(m.error(), out, ctx, p, C.int64_t(n), C.uintptr_t(h))
	})
	if err != nil {
		h.Delete()
	}
	return d, err
}

// FromSamples makes a dataset of tensors that stay the caller's, who keeps them until it is closed.
func (g *Graph) FromSamples(samples []map[string]*Tensor) (*Dataset, error) {
	return g.NewDataset(int64(len(samples)), func(i int64) (Sample, error) {
		return Sample{Inputs: samples[i], Label: -1, Share: true}, nil
	})
}

func (g *Graph) dataset(call string, handle cgo.Handle, make func(*memory, *C.mcomp_context, *C.mcomp_graph, **C.mcomp_dataset) C.int32_t) (*Dataset, error) {
	ctx, err := g.ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer g.ctx.release()
	var p *C.mcomp_dataset
	err = g.do(call, func(m *memory, graph *C.mcomp_graph) C.int32_t { return make(m, (*C.mcomp_context)(ctx), graph, &p) })
	if err != nil {
		return nil, err
	}
	d := &Dataset{object: newObject("Dataset", unsafe.Pointer(p), func(p unsafe.Pointer) {
		C.mcomp_dataset_destroy((*C.mcomp_dataset)(p))
		if handle != 0 {
			handle.Delete()
		}
	}, g.ctx.object)}
	runtime.SetFinalizer(d, (*Dataset).Close)
	return d, nil
}

// Close gives the dataset up.
func (d *Dataset) Close() { d.close() }

// Len is the number of samples.
func (d *Dataset) Len() int64 {
	p, err := d.acquire()
	if err != nil {
		return 0
	}
	defer d.release()
	return int64(C.mcomp_dataset_count((*C.mcomp_dataset)(p)))
}

// LabelNames are the names of the classes, from the model, the options or the data; nil where there are none.
func (d *Dataset) LabelNames() (names []string) {
	p, err := d.acquire()
	if err != nil {
		return nil
	}
	defer d.release()
	for i := C.int64_t(0); ; i++ {
		name := C.mcomp_dataset_label_name((*C.mcomp_dataset)(p), i)
		if name == nil {
			return names
		}
		names = append(names, C.GoString(name))
	}
}

// Tokenizer is what turns texts into ids here, given or trained on the texts; nil when nothing does. It is yours to close.
func (d *Dataset) Tokenizer() (*Tokenizer, error) {
	p, err := d.hold()
	if err != nil {
		return nil, err
	}
	defer d.unhold()
	t := C.mcomp_dataset_tokenizer(p)
	if t == nil {
		return nil, nil
	}
	var out *C.mcomp_tokenizer
	m := new(memory)
	if err := m.check(C.go_mcomp_tokenizer_share(m.error(), &out, t), "mcomp_tokenizer_share"); err != nil {
		return nil, err
	}
	return newTokenizer(out), nil
}

//export goFetch
func goFetch(handle C.uintptr_t, index C.int64_t, n C.int32_t, inputs **C.mcomp_tensor, label *C.int64_t) C.int32_t {
	var err error
	func() {
		defer keep(&err)
		err = cgo.Handle(handle).Value().(*fetcher).give(int64(index), unsafe.Slice(inputs, int(n)), label)
	}()
	if err != nil {
		return C.int32_t(ErrData)
	}
	return 0
}

// give copies a sample into new tensors, which are the library's.
func (f *fetcher) give(i int64, inputs []*C.mcomp_tensor, label *C.int64_t) (err error) {
	s, err := f.fetch(i)
	if err != nil {
		return err
	}
	if !s.Share {
		defer func() {
			for _, t := range s.Inputs {
				if t != nil {
					t.Close()
				}
			}
		}()
	}
	made := make([]*C.mcomp_tensor, 0, len(f.names))
	defer func() {
		if err != nil {
			for _, t := range made {
				C.mcomp_tensor_destroy(t)
			}
		}
	}()
	for _, name := range f.names {
		t := s.Inputs[name]
		if t == nil {
			return refuse(ErrData, "input "+name, "sample %d lacks it; the model takes %q", i, f.names)
		}
		c, err := t.copied()
		if err != nil {
			return err
		}
		made = append(made, c)
	}
	copy(inputs, made)
	*label = C.int64_t(s.Label)
	return nil
}

// copied is a C tensor of its own.
func (t *Tensor) copied() (*C.mcomp_tensor, error) {
	if _, err := t.acquire(); err != nil {
		return nil, err
	}
	defer t.release()
	m := new(memory)
	var p *C.mcomp_tensor
	status := C.go_mcomp_tensor_create(m.error(), &p, C.int32_t(t.dtype), C.int32_t(len(t.shape)), int64s(t.shape))
	if err := m.check(status, "mcomp_tensor_create"); err != nil {
		return nil, err
	}
	if t.bytes > 0 {
		copy(unsafe.Slice((*byte)(C.mcomp_tensor_data(p)), t.bytes), unsafe.Slice((*byte)(t.data), t.bytes))
	}
	return p, nil
}

func (d *Dataset) acquire() (unsafe.Pointer, error) {
	if d == nil {
		return (*object)(nil).acquire()
	}
	return d.object.acquire()
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
