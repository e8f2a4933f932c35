package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"sort"
	"time"
	"unsafe"
)

// Bound is a run on the same tensors again and again, without allocation: Put new values into the inputs, Run, Get the outputs.
type Bound struct {
	exec    *Exec
	slots   *slots
	object  *object
	outputs []*Tensor
}

// Bind prepares a run on these tensors. They may be closed afterwards by whoever does not write them any more.
func (e *Exec) Bind(inputs map[string]*Tensor) (*Bound, error) {
	p, err := e.acquire()
	if err != nil {
		return nil, err
	}
	defer e.release()
	own := newSlots(len(e.session.inputs), len(e.session.outputs))
	if err := lend(e.session.inputs, inputs, own.inputs); err != nil {
		own.free()
		return nil, err
	}
	defer unlend(e.session.inputs, inputs)
	parents := []*object{e.object}
	for _, name := range e.session.inputs {
		parents = append(parents, inputs[name].object)
	}
	b := &Bound{exec: e, slots: own, outputs: make([]*Tensor, len(e.session.outputs))}
	b.object = newObject("Bound", p, func(unsafe.Pointer) { own.free() }, parents...)
	for i := range b.outputs { // borrowed: their memory is a copy that belongs to the slots
		b.outputs[i] = &Tensor{object: newObject("Tensor of a Bound that has not run", nil, func(unsafe.Pointer) {}, b.object)}
	}
	runtime.SetFinalizer(b, (*Bound).Close)
	return b, nil
}

// Close gives the bound run up, and its outputs.
func (b *Bound) Close() {
	for _, t := range b.outputs {
		t.close()
	}
	b.object.close()
}

// Run runs on what the tensors hold now.
func (b *Bound) Run() error {
	if _, err := b.object.acquire(); err != nil {
		return err
	}
	defer b.object.release()
	if err := b.exec.enter("Exec"); err != nil {
		return err
	}
	defer b.exec.leave()
	if err := b.slots.run((*C.mcomp_exec)(b.object.pointer)); err != nil {
		return err
	}
	for i, t := range b.outputs {
		if p := b.slots.copies[i]; t.pointer != unsafe.Pointer(p) {
			t.mu.Lock()
			t.pointer, t.kind = unsafe.Pointer(p), "Tensor"
			t.mu.Unlock()
			t.look(&b.slots.views[i])
		}
	}
	return nil
}

// Output is an output by name, nil if there is none: the same tensor each time, with the values of the last run. It belongs to the Bound.
func (b *Bound) Output(name string) *Tensor {
	for i, n := range b.exec.session.outputs {
		if n == name {
			return b.outputs[i]
		}
	}
	return nil
}

// BenchResult is times of one run, measured around the bound call.
type BenchResult struct {
	Runs                int
	Mean, P50, P90, P99 time.Duration
	PerSecond           float64
}

// Bench runs for a tenth of the duration to warm up, then for the duration, and tells the times.
func (e *Exec) Bench(inputs map[string]*Tensor, d time.Duration) (BenchResult, error) {
	b, err := e.Bind(inputs)
	if err != nil {
		return BenchResult{}, err
	}
	defer b.Close()
	var times []time.Duration
	loop := func(d time.Duration, record bool) error {
		for start := time.Now(); ; {
			t := time.Now()
			if err := b.Run(); err != nil {
				return err
			}
			now := time.Now()
			if record {
				times = append(times, now.Sub(t))
			}
			if now.Sub(start) >= d {
				return nil
			}
		}
	}
	if err := loop(d/10, false); err != nil {
		return BenchResult{}, err
	}
	if err := loop(d, true); err != nil {
		return BenchResult{}, err
	}
	sort.Slice(times, func(i, k int) bool { return times[i] < times[k] })
	var sum time.Duration
	for _, t := range times {
		sum += t
	}
	n := len(times)
	at := func(q float64) time.Duration { return times[int(q*float64(n-1))] }
	mean := sum / time.Duration(n)
	return BenchResult{n, mean, at(0.5), at(0.9), at(0.99), float64(n) / sum.Seconds()}, nil
}
