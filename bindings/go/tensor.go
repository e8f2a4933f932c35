package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// DType is an element type; the values are those of ONNX.
type DType int32

func (d DType) String() string { return dtypes[d].name }

// Element is a Go type that tensors hold as it is. float16 and bfloat16 are uint16, float8 is uint8, bool is bool.
type Element interface {
	float32 | float64 | int8 | int16 | int32 | int64 | uint8 | uint16 | uint32 | uint64 | bool
}

func dtypeOf[T Element]() DType {
	var v T
	switch any(v).(type) {
	case float32:
		return F32
	case float64:
		return F64
	case int8:
		return I8
	case int16:
		return I16
	case int32:
		return I32
	case int64:
		return I64
	case uint8:
		return U8
	case uint16:
		return U16
	case uint32:
		return U32
	case uint64:
		return U64
	}
	return Bool
}

// Tensor is an array in C memory, row-major. Write it in one goroutine at a time.
type Tensor struct {
	*object
	dtype DType
	shape []int64
	bytes uint64
	data  unsafe.Pointer
}

// NewTensor makes a tensor of zeros.
func NewTensor(dtype DType, shape ...int64) (*Tensor, error) {
	m := new(memory)
	var p *C.mcomp_tensor
	status := C.go_mcomp_tensor_create(m.error(), &p, C.int32_t(dtype), C.int32_t(len(shape)), int64s(shape))
	if err := m.check(status, "mcomp_tensor_create"); err != nil {
		return nil, err
	}
	return newTensor(p, nil), nil
}

// FromSlice makes a tensor with a copy of the values.
func FromSlice[T Element](values []T, shape ...int64) (*Tensor, error) {
	t, err := NewTensor(dtypeOf[T](), shape...)
	if err != nil {
		return nil, err
	}
	if err := Put(t, values); err != nil {
		t.Close()
		return nil, err
	}
	return t, nil
}

// LoadNpy reads a .npy file.
func LoadNpy(path string) (*Tensor, error) {
	m := new(memory)
	defer m.free()
	text := m.text(path)
	if m.failed != nil {
		return nil, m.failed
	}
	var p *C.mcomp_tensor
	if err := m.check(C.go_mcomp_tensor_load_npy(m.error(), &p, text), "mcomp_tensor_load_npy"); err != nil {
		return nil, err
	}
	return newTensor(p, nil), nil
}

// newTensor takes over a C tensor; view tells what it is, nil: not known yet.
func newTensor(p *C.mcomp_tensor, view *C.mcgo_view) *Tensor {
	if view == nil {
		view = new(C.mcgo_view)
		C.mcgo_look(p, view)
	}
	held := &struct { // one allocation, apart from the Tensor: what has a finalizer must not point to itself
		object
		dims [MaxRank]int64
	}{object: object{pointer: unsafe.Pointer(p), users: 1, kind: "Tensor", destroy: destroyTensor}}
	t := &Tensor{object: &held.object, shape: held.dims[:0]}
	t.look(view)
	runtime.SetFinalizer(t, (*Tensor).Close)
	return t
}

func destroyTensor(p unsafe.Pointer) { C.mcomp_tensor_destroy((*C.mcomp_tensor)(p)) }

func (t *Tensor) look(view *C.mcgo_view) {
	t.dtype, t.bytes, t.data = DType(view.dtype), uint64(view.bytes), view.data
	t.shape = t.shape[:0]
	if view.rank > 0 {
		t.shape = append(t.shape, unsafe.Slice((*int64)(unsafe.Pointer(view.dims)), int(view.rank))...)
	}
}

// Close frees the elements, once no call uses them.
func (t *Tensor) Close() {
	runtime.SetFinalizer(t, nil) // else each tensor of a run waits for two collections
	t.close()
}

func (t *Tensor) acquire() (unsafe.Pointer, error) {
	if t == nil {
		return (*object)(nil).acquire()
	}
	return t.object.acquire()
}

// DType is the element type.
func (t *Tensor) DType() DType { return t.dtype }

// Shape is a copy of the sizes.
func (t *Tensor) Shape() []int64 { return append([]int64{}, t.shape...) }

// SaveNpy writes a .npy file.
func (t *Tensor) SaveNpy(path string, overwrite bool) error {
	p, err := t.acquire()
	if err != nil {
		return err
	}
	defer t.release()
	m := new(memory)
	defer m.free()
	text := m.text(path)
	if m.failed != nil {
		return m.failed
	}
	return m.check(C.go_mcomp_tensor_save_npy(m.error(), (*C.mcomp_tensor)(p), text, flag(overwrite)), "mcomp_tensor_save_npy")
}

// fits says whether values of type T are what the tensor holds, bit for bit.
func fits[T Element](t *Tensor) error {
	want := dtypeOf[T]()
	switch {
	case want == t.dtype, want == U16 && (t.dtype == F16 || t.dtype == BF16), want == U8 && dtypes[t.dtype].bits == 8:
		return nil
	}
	return refuse(ErrDtype, "Tensor", "holds %v, not %v", t.dtype, want)
}

// elements is the tensor's memory; the caller holds the tensor.
func elements[T Element](t *Tensor) []T {
	var v T
	if t.bytes == 0 {
		return nil
	}
	return unsafe.Slice((*T)(t.data), t.bytes/uint64(unsafe.Sizeof(v)))
}

// Put writes all elements. It allocates nothing.
func Put[T Element](t *Tensor, values []T) error { return move(t, values, true) }

// Get reads all elements into values. It allocates nothing.
func Get[T Element](t *Tensor, values []T) error { return move(t, values, false) }

func move[T Element](t *Tensor, values []T, in bool) error {
	if _, err := t.acquire(); err != nil {
		return err
	}
	defer t.release()
	if err := fits[T](t); err != nil {
		return err
	}
	own := elements[T](t)
	if len(own) != len(values) {
		return refuse(ErrShape, "Tensor", "has %d elements of shape %v, the slice has %d", len(own), t.shape, len(values))
	}
	if in {
		copy(own, values)
	} else {
		copy(values, own)
	}
	return nil
}

// Values is a copy of the elements.
func Values[T Element](t *Tensor) ([]T, error) {
	if _, err := t.acquire(); err != nil {
		return nil, err
	}
	defer t.release()
	if err := fits[T](t); err != nil {
		return nil, err
	}
	return append([]T{}, elements[T](t)...), nil
}
