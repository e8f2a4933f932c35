package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"unsafe"
)

// Tokenizer turns texts into ids. One call at a time.
type Tokenizer struct {
	*object
	alone
}

// NewTokenizer makes a tokenizer of a vocab.txt, a tokenizer.json or "bytes"; of texts also: "chars", "train:wordpiece,8000",
// "train:bpe,8000". texts may be nil for the first three. docs/tokenizers.md of libmcomp tells of each.
func (ctx *Context) NewTokenizer(spec string, texts []string) (*Tokenizer, error) {
	c, err := ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer ctx.release()
	m := new(memory)
	defer m.free()
	s := m.text(spec)
	if m.failed != nil {
		return nil, m.failed
	}
	var p *C.mcomp_tokenizer
	var list **C.char
	var lengths *C.int64_t
	if texts != nil {
		list, lengths = m.bytes(texts)
	}
	status := C.go_mcomp_tokenizer_create(m.error(), &p, (*C.mcomp_context)(c), s, list, lengths, C.int64_t(len(texts)))
	if err := m.check(status, "mcomp_tokenizer_create"); err != nil {
		return nil, err
	}
	return newTokenizer(p), nil
}

// newTokenizer takes over a C tokenizer, which needs no context.
func newTokenizer(p *C.mcomp_tokenizer) *Tokenizer {
	t := &Tokenizer{object: newObject("Tokenizer", unsafe.Pointer(p), func(p unsafe.Pointer) { C.mcomp_tokenizer_destroy((*C.mcomp_tokenizer)(p)) })}
	runtime.SetFinalizer(t, (*Tokenizer).Close)
	return t
}

// bytes is texts in C memory with their lengths: any byte may be in them.
func (m *memory) bytes(texts []string) (**C.char, *C.int64_t) {
	total := 1
	for _, t := range texts {
		total += len(t)
	}
	keep := func(n int, size uintptr) unsafe.Pointer {
		p := C.calloc(C.size_t(n), C.size_t(size))
		m.lent = append(m.lent, p)
		return p
	}
	block := unsafe.Slice((*byte)(keep(total, 1)), total)
	pointers := unsafe.Slice((**C.char)(keep(len(texts)+1, unsafe.Sizeof((*C.char)(nil)))), len(texts)+1)
	lengths := unsafe.Slice((*C.int64_t)(keep(len(texts)+1, 8)), len(texts)+1)
	at := 0
	for i, t := range texts {
		pointers[i], lengths[i] = (*C.char)(unsafe.Pointer(&block[at])), C.int64_t(len(t))
		at += copy(block[at:], t)
	}
	return first(pointers), first(lengths)
}

// Close gives the tokenizer up.
func (t *Tokenizer) Close() { t.close() }

func (t *Tokenizer) acquire() (unsafe.Pointer, error) {
	if t == nil {
		return (*object)(nil).acquire()
	}
	return t.object.acquire()
}

// EncodeOptions say how: the zero value puts the special ids around the text, and cuts nothing.
type EncodeOptions struct {
	NoSpecial bool
	MaxLength int64 // 0: not cut
}

// Encode gives the ids of a text.
func (t *Tokenizer) Encode(text string, options EncodeOptions) ([]int32, error) {
	p, err := t.acquire()
	if err != nil {
		return nil, err
	}
	defer t.release()
	if err := t.enter(t.kind); err != nil {
		return nil, err
	}
	defer t.leave()
	m, n := new(memory), new(C.int64_t)
	raw := append([]byte(text), 0)
	for ids := make([]int32, len(text)+16); ; ids = make([]int32, *n) { // a normal form may be longer than the text: once more with room for all
		status := C.go_mcomp_tokenizer_encode(m.error(), (*C.mcomp_tokenizer)(p), (*C.char)(unsafe.Pointer(&raw[0])), C.int64_t(len(text)),
			flag(!options.NoSpecial), C.int64_t(options.MaxLength), C.int64_t(len(ids)), (*C.int32_t)(unsafe.Pointer(&ids[0])), n)
		if err := m.check(status, "mcomp_tokenizer_encode"); err != nil {
			return nil, err
		}
		if int(*n) <= len(ids) {
			return ids[:*n], nil
		}
	}
}

// Len is the number of rows that an embedding table needs: 1 + the highest id. 0 for a closed tokenizer.
func (t *Tokenizer) Len() int64 {
	p, err := t.acquire()
	if err != nil {
		return 0
	}
	defer t.release()
	return int64(C.mcomp_tokenizer_count((*C.mcomp_tokenizer)(p)))
}

// ID is the id of a token, -1 if there is none.
func (t *Tokenizer) ID(token string) int64 {
	p, err := t.acquire()
	if err != nil {
		return -1
	}
	defer t.release()
	m := new(memory)
	defer m.free()
	text := m.text(token)
	if m.failed != nil {
		return -1
	}
	return int64(C.mcomp_tokenizer_id((*C.mcomp_tokenizer)(p), text))
}

// Token is the token of an id, "" if there is none.
func (t *Tokenizer) Token(id int64) string {
	p, err := t.acquire()
	if err != nil {
		return ""
	}
	defer t.release()
	return C.GoString(C.mcomp_tokenizer_token((*C.mcomp_tokenizer)(p), C.int64_t(id)))
}

// PadID is the id that fills up, -1 if there is none.
func (t *Tokenizer) PadID() int64 {
	p, err := t.acquire()
	if err != nil {
		return -1
	}
	defer t.release()
	return int64(C.mcomp_tokenizer_pad_id((*C.mcomp_tokenizer)(p)))
}

// Save writes a tokenizer.json, which the Hugging Face tokenizers library reads as well.
func (t *Tokenizer) Save(path string, overwrite bool) error {
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
	return m.check(C.go_mcomp_tokenizer_save(m.error(), (*C.mcomp_tokenizer)(p), text, flag(overwrite)), "mcomp_tokenizer_save")
}
