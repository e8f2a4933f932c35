package mcomp

// #include "calls.h"
import "C"

import (
	"errors"
	"fmt"
	"runtime/cgo"
	"strings"
	"unsafe"
)

// Code is a status code of the library, and an error to compare with: errors.Is(err, mcomp.ErrShape).
type Code int32

// Name is the code's name, "SHAPE".
func (c Code) Name() string {
	if t, ok := codeTexts[c]; ok {
		return t[0]
	}
	return "UNKNOWN"
}

func (c Code) Error() string {
	if t, ok := codeTexts[c]; ok {
		return t[1]
	}
	return fmt.Sprintf("unknown status %d", int32(c))
}

// ErrClosed is the cause of errors from objects that were closed.
var ErrClosed = errors.New("the object is closed")

// Error is a call that failed; get it with errors.As(err, &e) where e is a *mcomp.Error.
type Error struct {
	Code     Code
	Message  string // what and why, one line
	Where    string // file and offset, node, tensor, sample or parameter; may be empty
	Hint     string // what to do next; may be empty
	Call     string // the C function that failed; empty where the binding itself refused
	Argument int    // index of the bad argument of Call, counted from 1; 0 if none
	Cause    error  // what a callback returned or panicked with, or ErrClosed; may be nil
}

// Name is the code's name, "SHAPE".
func (e *Error) Name() string { return e.Code.Name() }

func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Name() + ": ")
	if e.Where != "" {
		b.WriteString(e.Where + ": ")
	}
	b.WriteString(e.Message)
	if e.Hint != "" {
		b.WriteString(" (" + e.Hint + ")")
	}
	return b.String()
}

// Is makes errors.Is(err, mcomp.ErrShape) true for errors of that code.
func (e *Error) Is(target error) bool {
	c, ok := target.(Code)
	return ok && c == e.Code
}

// Unwrap gives what a callback returned.
func (e *Error) Unwrap() error { return e.Cause }

// PanicError is what a callback panicked with, as the Cause of the Error of the call it interrupted.
type PanicError struct {
	Value any
	Stack string
}

func (p *PanicError) Error() string { return fmt.Sprintf("panic in a callback: %v", p.Value) }

func refuse(code Code, where, format string, a ...any) error {
	return &Error{Code: code, Where: where, Message: fmt.Sprintf(format, a...)}
}

// failure turns what a C call left into an error: nil when nothing went wrong.
func failure(status C.int32_t, e *C.mcgo_error, call string) error {
	if status >= 0 && e.cause == 0 {
		return nil
	}
	err := &Error{Code: Code(status), Call: call}
	if status < 0 && e.record.code == status {
		err.Message, err.Where, err.Hint = C.GoString(&e.record.message[0]), C.GoString(&e.record.where[0]), C.GoString(&e.record.hint[0])
		err.Argument = int(e.record.argument)
	} else {
		err.Message = Code(status).Error()
	}
	if e.cause != 0 {
		h := cgo.Handle(e.cause)
		err.Cause = h.Value().(error)
		h.Delete()
		e.cause = 0
		err.Message = err.Cause.Error()
		var code Code
		var inner *Error
		switch {
		case errors.As(err.Cause, &inner):
			err.Code, err.Where, err.Hint = inner.Code, inner.Where, inner.Hint
			err.Message = inner.Message
		case errors.As(err.Cause, &code):
			err.Code = code
		case status >= 0:
			err.Code = ErrData
		}
	}
	return err
}

// memory is what one call lends to C: strings, arrays and the error record; free when the call has returned.
type memory struct {
	record *C.mcgo_error
	lent   []unsafe.Pointer
	failed error
}

func (m *memory) error() *C.mcgo_error {
	if m.record == nil {
		m.record = new(C.mcgo_error)
	}
	return m.record
}

func (m *memory) check(status C.int32_t, call string) error {
	if m.failed != nil {
		return m.failed
	}
	return failure(status, m.error(), call)
}

// text is a C string; a NUL character inside fails the call. Check m.failed before it.
func (m *memory) text(s string) *C.char {
	if strings.IndexByte(s, 0) >= 0 {
		m.failed = refuse(ErrArgument, fmt.Sprintf("%q", s), "holds a NUL character")
	}
	p := C.CString(s)
	m.lent = append(m.lent, unsafe.Pointer(p))
	return p
}

// optional is a C string, or NULL for "".
func (m *memory) optional(s string) *C.char {
	if s == "" {
		return nil
	}
	return m.text(s)
}

// texts is an array of C strings in C memory: "" stays "" where empty is true, else it is NULL.
func (m *memory) texts(list []string, empty bool) **C.char {
	p := C.calloc(C.size_t(len(list)+1), C.size_t(unsafe.Sizeof((*C.char)(nil))))
	m.lent = append(m.lent, p)
	a := unsafe.Slice((**C.char)(p), len(list)+1)
	for i, s := range list {
		if empty {
			a[i] = m.text(s)
		} else {
			a[i] = m.optional(s)
		}
	}
	return (**C.char)(p)
}

func (m *memory) free() {
	for _, p := range m.lent {
		C.free(p)
	}
	m.lent = nil
}

func flag(b bool) C.int32_t {
	if b {
		return 1
	}
	return 0
}

func int64s(v []int64) *C.int64_t {
	if len(v) == 0 {
		return nil
	}
	return (*C.int64_t)(unsafe.Pointer(&v[0]))
}
