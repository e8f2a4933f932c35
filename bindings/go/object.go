package mcomp

import (
	"sync"
	"unsafe"
)

// object is one C object. It is destroyed when nobody uses it any more: neither its owner, nor a call that is running in some goroutine,
// nor an object made from it. So Close in one goroutine cannot pull the memory away from another, and objects close in any order.
type object struct {
	mu      sync.Mutex
	pointer unsafe.Pointer
	users   int
	closed  bool
	kind    string
	destroy func(unsafe.Pointer)
	parents []*object
}

// newObject takes over a C object; the caller holds the parents (acquire) while it calls.
func newObject(kind string, pointer unsafe.Pointer, destroy func(unsafe.Pointer), parents ...*object) *object {
	for _, p := range parents {
		p.mu.Lock()
		p.users++
		p.mu.Unlock()
	}
	return &object{pointer: pointer, users: 1, kind: kind, destroy: destroy, parents: parents}
}

// acquire holds the object for the length of a call.
func (o *object) acquire() (unsafe.Pointer, error) {
	if o == nil {
		return nil, &Error{Code: ErrArgument, Message: "a nil object of package mcomp"}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		return nil, &Error{Code: ErrArgument, Where: o.kind, Message: ErrClosed.Error(), Cause: ErrClosed}
	}
	o.users++
	return o.pointer, nil
}

func (o *object) release() {
	o.mu.Lock()
	o.users--
	last := o.users == 0
	o.mu.Unlock()
	if !last {
		return
	}
	o.destroy(o.pointer)
	for _, p := range o.parents {
		p.release()
	}
}

// close gives the owner's share up, once.
func (o *object) close() {
	if o == nil {
		return
	}
	o.mu.Lock()
	was := o.closed
	o.closed = true
	o.mu.Unlock()
	if !was {
		o.release()
	}
}

// alone guards an object that takes one call at a time.
type alone struct{ busy sync.Mutex }

func (a *alone) enter(kind string) error {
	if !a.busy.TryLock() {
		return refuse(ErrBusy, kind, "in use by a call that has not returned")
	}
	return nil
}

func (a *alone) leave() { a.busy.Unlock() }
