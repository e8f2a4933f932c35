// Package mcomp makes trained neural networks small and fast: ONNX and safetensors in, smaller ONNX out, and runs them. It is cgo on
// libmcomp, found by pkg-config; docs/go.md of libmcomp is the manual.
//
// Everything comes from a Context and is closed with Close, which may be called twice and in any order; the garbage collector closes what
// was forgotten. Errors are *Error, and errors.Is compares their codes: errors.Is(err, mcomp.ErrShape).
package mcomp

// #cgo pkg-config: libmcomp
// #include "calls.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"runtime/debug"
	"unsafe"
)

// Version is the version of the loaded library, "0.1.0".
func Version() string { return C.GoString(C.mcomp_version_string()) }

// Callbacks of a context; they run in the thread of the call that they report on.
type Callbacks struct {
	// Progress is called during long calls; fraction is 0..1, or negative where unknown. An error ends the call with ErrCancelled, and
	// is its Cause.
	Progress func(stage string, fraction float64) error
	// Log takes lines of level 0 (error) to 3 (debug).
	Log func(level int, text string)
}

// Context holds threads, limits and backends. Any number of goroutines may use one.
type Context struct{ *object }

// NewContext makes a context: mcomp.NewContext(mcomp.ContextOptions{Threads: 4}). Callbacks are optional, one at most.
func NewContext(options ContextOptions, callbacks ...Callbacks) (*Context, error) {
	m := new(memory)
	defer m.free()
	o, err := options.c(m)
	if err != nil {
		return nil, err
	}
	var handle cgo.Handle
	var calls Callbacks
	if len(callbacks) > 0 {
		calls = callbacks[0]
		handle = cgo.NewHandle(&calls)
	}
	drop := func() {
		if handle != 0 {
			handle.Delete()
		}
	}
	var p *C.mcomp_context
	status := C.mcgo_context_create(m.error(), &p, o, C.uintptr_t(handle), flag(calls.Progress != nil), flag(calls.Log != nil))
	if err := m.check(status, "mcomp_context_create"); err != nil {
		drop()
		return nil, err
	}
	ctx := &Context{newObject("Context", unsafe.Pointer(p), func(p unsafe.Pointer) {
		C.mcomp_context_destroy((*C.mcomp_context)(p))
		drop()
	})}
	runtime.SetFinalizer(ctx, (*Context).Close)
	return ctx, nil
}

// Close gives the context up. Its memory goes when the last object made from it is closed.
func (ctx *Context) Close() { ctx.close() }

// Cancel asks every long call of this context, whoever made it, to return ErrCancelled soon; calls made later too, until CancelClear. To
// cancel one call alone, give it a context of its own, or return an error from Progress.
func (ctx *Context) Cancel() {
	if p, err := ctx.acquire(); err == nil {
		C.mcomp_context_cancel((*C.mcomp_context)(p))
		ctx.release()
	}
}

// CancelClear takes Cancel back.
func (ctx *Context) CancelClear() {
	if p, err := ctx.acquire(); err == nil {
		C.mcomp_context_cancel_clear((*C.mcomp_context)(p))
		ctx.release()
	}
}

// Threads is the number of workers of the pool, 0 for a closed context.
func (ctx *Context) Threads() int {
	p, err := ctx.acquire()
	if err != nil {
		return 0
	}
	defer ctx.release()
	return int(C.mcomp_context_threads((*C.mcomp_context)(p)))
}

// Machine tells CPU, instruction set and memory.
func Machine() (MachineInfo, error) {
	var info MachineInfo
	m, c := new(memory), new(C.mcomp_machine_info)
	c.size = C.uint32_t(unsafe.Sizeof(*c))
	if err := m.check(C.go_mcomp_machine_info_get(m.error(), c), "mcomp_machine_info_get"); err != nil {
		return info, err
	}
	info.from(c)
	return info, nil
}

// LoadBackend loads a plugin by its absolute path.
func (ctx *Context) LoadBackend(path string) error {
	p, err := ctx.acquire()
	if err != nil {
		return err
	}
	defer ctx.release()
	m := new(memory)
	defer m.free()
	text := m.text(path)
	if m.failed != nil {
		return m.failed
	}
	return m.check(C.go_mcomp_backend_load(m.error(), (*C.mcomp_context)(p), text), "mcomp_backend_load")
}

// Backends lists those found, usable or refused.
func (ctx *Context) Backends() ([]BackendInfo, error) {
	p, err := ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer ctx.release()
	m, n := new(memory), new(C.int32_t)
	if err := m.check(C.go_mcomp_backend_count(m.error(), (*C.mcomp_context)(p), n), "mcomp_backend_count"); err != nil {
		return nil, err
	}
	list := make([]BackendInfo, *n)
	for i := range list {
		c := new(C.mcomp_backend_info)
		c.size = C.uint32_t(unsafe.Sizeof(*c))
		if err := m.check(C.go_mcomp_backend_info_get(m.error(), (*C.mcomp_context)(p), C.int32_t(i), c), "mcomp_backend_info_get"); err != nil {
			return nil, err
		}
		list[i].from(c)
	}
	return list, nil
}

// ---- callbacks: what they return or panic with waits for the end of the C call they interrupt ----

// keep is deferred in every exported callback with the place of its result.
func keep(err *error) {
	if v := recover(); v != nil {
		*err = &PanicError{Value: v, Stack: string(debug.Stack())}
	}
	if *err != nil {
		h := cgo.NewHandle(*err)
		if C.mcgo_keep(C.uintptr_t(h)) == 0 {
			h.Delete()
		}
	}
}

//export goProgress
func goProgress(handle C.uintptr_t, stage *C.char, fraction C.double) C.int32_t {
	var err error
	func() {
		defer keep(&err)
		err = cgo.Handle(handle).Value().(*Callbacks).Progress(C.GoString(stage), float64(fraction))
	}()
	return flag(err != nil)
}

//export goLog
func goLog(handle C.uintptr_t, level C.int32_t, text *C.char) {
	var err error
	defer keep(&err)
	cgo.Handle(handle).Value().(*Callbacks).Log(int(level), C.GoString(text))
}
