package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Session is a graph made ready to run: immutable, shared by goroutines. The graph may be closed or changed afterwards.
type Session struct {
	*object
	inputs, outputs []string
}

// NewSession compiles the graph.
func (g *Graph) NewSession(options SessionOptions) (*Session, error) {
	var p *C.mcomp_session
	ctx, err := g.ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer g.ctx.release()
	err = g.do("mcomp_session_create", func(m *memory, graph *C.mcomp_graph) C.int32_t {
		o, err := options.c(m)
		if m.failed = err; err != nil {
			return 0
		}
		return C.go_mcomp_session_create(m.error(), &p, (*C.mcomp_context)(ctx), graph, o)
	})
	if err != nil {
		return nil, err
	}
	s := &Session{object: newObject("Session", unsafe.Pointer(p), func(p unsafe.Pointer) { C.mcomp_session_destroy((*C.mcomp_session)(p)) }, g.ctx.object)}
	for i := C.int32_t(0); i < C.mcomp_session_n_inputs(p); i++ {
		s.inputs = append(s.inputs, C.GoString(C.mcomp_session_input_name(p, i)))
	}
	for i := C.int32_t(0); i < C.mcomp_session_n_outputs(p); i++ {
		s.outputs = append(s.outputs, C.GoString(C.mcomp_session_output_name(p, i)))
	}
	runtime.SetFinalizer(s, (*Session).Close)
	return s, nil
}

// Close gives the session up; execs made from it keep what they need.
func (s *Session) Close() { s.close() }

// InputNames lists the inputs in order.
func (s *Session) InputNames() []string { return append([]string{}, s.inputs...) }

// OutputNames lists the outputs in order.
func (s *Session) OutputNames() []string { return append([]string{}, s.outputs...) }

// Plans is the number of plans compiled so far, by shape.
func (s *Session) Plans() int {
	p, err := s.acquire()
	if err != nil {
		return 0
	}
	defer s.release()
	return int(C.mcomp_session_plans((*C.mcomp_session)(p)))
}

// Exec is one caller's working memory: one a goroutine. A second call while one runs is ErrBusy.
type Exec struct {
	*object
	alone
	session *Session
	slots   *slots
}

// slots is C memory of one run: the error record, and pointers to inputs, outputs and their copies. It lives as long as its object.
type slots struct {
	failure         *C.mcgo_error
	inputs, outputs []*C.mcomp_tensor
	copies          []*C.mcomp_tensor
	views           []C.mcgo_view // of the copies
}

func newSlots(n, out int) *slots {
	list := func(n int) []*C.mcomp_tensor {
		return unsafe.Slice((**C.mcomp_tensor)(C.calloc(C.size_t(n+1), C.size_t(unsafe.Sizeof((*C.mcomp_tensor)(nil))))), n+1)[: n : n+1]
	}
	views := unsafe.Slice((*C.mcgo_view)(C.calloc(C.size_t(out+1), C.sizeof_mcgo_view)), out+1)[: out : out+1]
	return &slots{(*C.mcgo_error)(C.calloc(1, C.sizeof_mcgo_error)), list(n), list(out), list(out), views}
}

// first is a call, since cgo checks (and allocates for it) what is written as an element.
func first[T any](list []T) *T { return &list[:1][0] }

func (s *slots) free() {
	for i, t := range s.copies {
		C.mcomp_tensor_destroy(t)
		s.copies[i] = nil
	}
	for _, list := range [][]*C.mcomp_tensor{s.inputs, s.outputs, s.copies} {
		C.free(unsafe.Pointer(first(list)))
	}
	C.free(unsafe.Pointer(first(s.views)))
	C.free(unsafe.Pointer(s.failure))
}

func (s *slots) run(e *C.mcomp_exec) error {
	status := C.mcgo_exec_run(s.failure, unsafe.Pointer(e), C.int32_t(len(s.inputs)), first(s.inputs), C.int32_t(len(s.outputs)), first(s.outputs), first(s.copies), first(s.views))
	if status < 0 || s.failure.cause != 0 {
		return failure(status, s.failure, "mcomp_exec_run")
	}
	return nil
}

// NewExec makes working memory for one caller.
func (s *Session) NewExec() (*Exec, error) {
	p, err := s.acquire()
	if err != nil {
		return nil, err
	}
	defer s.release()
	m := new(memory)
	var exec *C.mcomp_exec
	if err := m.check(C.go_mcomp_exec_create(m.error(), &exec, (*C.mcomp_session)(p)), "mcomp_exec_create"); err != nil {
		return nil, err
	}
	own := newSlots(len(s.inputs), len(s.outputs))
	e := &Exec{session: s, slots: own}
	e.object = newObject("Exec", unsafe.Pointer(exec), func(p unsafe.Pointer) {
		C.mcomp_exec_destroy((*C.mcomp_exec)(p))
		own.free()
	}, s.object)
	runtime.SetFinalizer(e, (*Exec).Close)
	return e, nil
}

// Close gives the working memory up.
func (e *Exec) Close() { e.close() }

// hold enters the exec for one call.
func (e *Exec) hold() (*C.mcomp_exec, error) {
	p, err := e.acquire()
	if err != nil {
		return nil, err
	}
	if err := e.enter("Exec"); err != nil {
		e.release()
		return nil, err
	}
	return (*C.mcomp_exec)(p), nil
}

func (e *Exec) unhold() {
	e.leave()
	e.release()
}

// lend puts the inputs' C tensors into list and holds them; give back with unlend.
func lend(names []string, inputs map[string]*Tensor, list []*C.mcomp_tensor) error {
	if len(inputs) != len(names) {
		for name := range inputs {
			if !contains(names, name) {
				return refuse(ErrArgument, "input "+name, "there is no such input; there are %q", names)
			}
		}
	}
	for i, name := range names {
		t, ok := inputs[name]
		var p unsafe.Pointer
		var failed error
		if !ok || t == nil {
			failed = refuse(ErrArgument, "input "+name, "is missing; there are %q", names)
		} else {
			p, failed = t.acquire()
		}
		if failed != nil {
			unlend(names[:i], inputs)
			return failed
		}
		list[i] = (*C.mcomp_tensor)(p)
	}
	return nil
}

func unlend(names []string, inputs map[string]*Tensor) {
	for _, name := range names {
		inputs[name].release()
	}
}

func contains(names []string, name string) bool {
	for _, n := range names {
		if n == name {
			return true
		}
	}
	return false
}

// Run runs once. The outputs are new tensors, yours to close.
func (e *Exec) Run(inputs map[string]*Tensor) (map[string]*Tensor, error) {
	p, err := e.hold()
	if err != nil {
		return nil, err
	}
	defer e.unhold()
	if err := lend(e.session.inputs, inputs, e.slots.inputs); err != nil {
		return nil, err
	}
	defer unlend(e.session.inputs, inputs)
	if err := e.slots.run(p); err != nil {
		return nil, err
	}
	out := make(map[string]*Tensor, len(e.session.outputs))
	for i, name := range e.session.outputs {
		out[name] = newTensor(e.slots.copies[i], &e.slots.views[i])
		e.slots.copies[i] = nil
	}
	return out, nil
}

// Explain lists every step of the plan of the last run; times are there with SessionOptions{Profile: true}.
func (e *Exec) Explain() ([]KernelInfo, error) {
	p, err := e.hold()
	if err != nil {
		return nil, err
	}
	defer e.unhold()
	m, n := new(memory), new(C.int32_t)
	if err := m.check(C.go_mcomp_exec_kernel_count(m.error(), p, n), "mcomp_exec_kernel_count"); err != nil {
		return nil, err
	}
	out, c := make([]KernelInfo, *n), new(C.mcomp_kernel_info)
	for i := range out {
		c.size = C.uint32_t(unsafe.Sizeof(*c))
		if err := m.check(C.go_mcomp_exec_kernel(m.error(), p, C.int32_t(i), c), "mcomp_exec_kernel"); err != nil {
			return nil, err
		}
		out[i].from(c)
	}
	return out, nil
}

// Plan tells the plan of the last run.
func (e *Exec) Plan() (info PlanInfo, err error) {
	p, err := e.hold()
	if err != nil {
		return info, err
	}
	defer e.unhold()
	m, c := new(memory), new(C.mcomp_plan_info)
	c.size = C.uint32_t(unsafe.Sizeof(*c))
	if err = m.check(C.go_mcomp_exec_plan_info(m.error(), p, c), "mcomp_exec_plan_info"); err == nil {
		info.from(c)
	}
	return info, err
}
