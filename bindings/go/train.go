package mcomp

// #include "calls.h"
import "C"

import (
	"runtime"
	"runtime/cgo"
	"unsafe"
)

// EventKind is what a TrainEvent tells of.
type EventKind int32

const (
	EventStep       EventKind = iota // after an update
	EventValidation                  // Metric and MetricName are set
	EventCheckpoint                  // Path is set
	EventPlan                        // the memory is known, nothing ran yet
)

// TrainEvent is what a progress function sees.
type TrainEvent struct {
	Kind                              EventKind
	Epoch, Step, TotalSteps           int64   // the first two from 1
	Loss                              float64 // mean since the last event
	LR, SamplesPerSecond, SecondsLeft float64
	Metric                            float64
	MetricName, Path                  string
	PeakBytes                         uint64 // of the step's plan and all variables
}

// BuildTraining is the options that suit a fresh model of this kind (Context.Build): epochs, batch and rate.
func BuildTraining(spec string) (o TrainerOptions, err error) {
	m := new(memory)
	defer m.free()
	c, err := DefaultTrainerOptions().c(m)
	if err != nil {
		return o, err
	}
	s := m.text(spec)
	if m.failed != nil {
		return o, m.failed
	}
	if err := m.check(C.go_mcomp_build_training(m.error(), c, s), "mcomp_build_training"); err != nil {
		return o, err
	}
	o.from(c)
	return o, nil
}

// BuildIsText says whether a kind of fresh model takes ids of tokens, else it takes numbers.
func BuildIsText(spec string) (bool, error) {
	m, text := new(memory), new(C.int32_t)
	defer m.free()
	s := m.text(spec)
	if m.failed != nil {
		return false, m.failed
	}
	err := m.check(C.go_mcomp_build_is_text(m.error(), s, text), "mcomp_build_is_text")
	return *text == 1, err
}

// Trainer trains a clone of a graph. One call at a time.
type Trainer struct {
	*object
	alone
	ctx   *Context
	names []string
}

// NewTrainer makes a trainer of a clone of the graph. Options start with DefaultTrainerOptions or BuildTraining. Progress is optional, one
// function at most: an error that it returns ends the training with ErrCancelled, after a checkpoint was written, and is its Cause.
func (g *Graph) NewTrainer(options TrainerOptions, progress ...func(TrainEvent) error) (*Trainer, error) {
	names, err := g.inputNames()
	if err != nil {
		return nil, err
	}
	ctx, err := g.ctx.acquire()
	if err != nil {
		return nil, err
	}
	defer g.ctx.release()
	var handle cgo.Handle
	if len(progress) > 0 {
		handle = cgo.NewHandle(progress[0])
	}
	drop := func() {
		if handle != 0 {
			handle.Delete()
		}
	}
	var p *C.mcomp_trainer
	err = g.do("mcomp_trainer_create", func(m *memory, graph *C.mcomp_graph) C.int32_t {
		o, err := options.c(m)
		if m.failed = err; err != nil {
			return 0
		}
		return C.mcgo_trainer_create(m.error(), &p, (*C.mcomp_context)(ctx), graph, o, C.uintptr_t(handle), flag(handle != 0))
	})
	if err != nil {
		drop()
		return nil, err
	}
	t := &Trainer{ctx: g.ctx, names: names}
	t.object = newObject("Trainer", unsafe.Pointer(p), func(p unsafe.Pointer) {
		C.mcomp_trainer_destroy((*C.mcomp_trainer)(p))
		drop()
	}, g.ctx.object)
	runtime.SetFinalizer(t, (*Trainer).Close)
	return t, nil
}

// Close gives the trainer up.
func (t *Trainer) Close() { t.close() }

func (t *Trainer) do(call string, f func(m *memory, t *C.mcomp_trainer) C.int32_t) error {
	p, err := t.acquire()
	if err != nil {
		return err
	}
	defer t.release()
	if err := t.enter(t.kind); err != nil {
		return err
	}
	defer t.leave()
	m := new(memory)
	defer m.free()
	return m.check(f(m, (*C.mcomp_trainer)(p)), call)
}

// Step trains on one batch and gives its mean loss, with the weights before the update.
func (t *Trainer) Step(inputs map[string]*Tensor, target *Tensor) (float32, error) {
	s := newSlots(len(t.names), 0)
	defer s.free()
	if err := lend(t.names, inputs, s.inputs); err != nil {
		return 0, err
	}
	defer unlend(t.names, inputs)
	want, err := target.acquire()
	if err != nil {
		return 0, err
	}
	defer target.release()
	loss := new(C.float)
	err = t.do("mcomp_trainer_step", func(m *memory, p *C.mcomp_trainer) C.int32_t {
		return C.go_mcomp_trainer_step(m.error(), loss, p, C.int32_t(len(t.names)), first(s.inputs), (*C.mcomp_tensor)(want))
	})
	return float32(*loss), err
}

// Fit trains on the samples of train; valid (nil: a tenth of train) chooses the best epoch. The result is also there, as far as it came, with
// ErrCancelled and ErrDiverged.
func (t *Trainer) Fit(train, valid *Dataset) (result TrainResult, err error) {
	data, err := train.hold()
	if err != nil {
		return result, err
	}
	defer train.unhold()
	var v *C.mcomp_dataset
	if valid != nil && valid != train {
		if v, err = valid.hold(); err != nil {
			return result, err
		}
		defer valid.unhold()
	}
	err = t.do("mcomp_trainer_fit", func(m *memory, p *C.mcomp_trainer) C.int32_t {
		r := new(C.mcomp_train_result)
		r.size = C.uint32_t(unsafe.Sizeof(*r))
		status := C.go_mcomp_trainer_fit(m.error(), r, p, data, v)
		result.from(r)
		return status
	})
	return result, err
}

// Graph is the model with the trained weights: those of the best epoch after Fit, the current ones after Step.
func (t *Trainer) Graph() (*Graph, error) {
	if _, err := t.acquire(); err != nil {
		return nil, err
	}
	defer t.release()
	if err := t.enter(t.kind); err != nil {
		return nil, err
	}
	defer t.leave()
	return makeGraph(t.ctx, "mcomp_trainer_graph", t.object, func(m *memory, _ *C.mcomp_context, from unsafe.Pointer, out **C.mcomp_graph) C.int32_t {
		return C.go_mcomp_trainer_graph(m.error(), out, (*C.mcomp_trainer)(from))
	})
}

// Save writes a checkpoint: everything that the rest of the training depends on.
func (t *Trainer) Save(path string) error {
	return t.do("mcomp_trainer_save", func(m *memory, p *C.mcomp_trainer) C.int32_t {
		text := m.text(path)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_trainer_save(m.error(), p, text)
	})
}

// Load goes back to a checkpoint that a trainer with the same model and options wrote; the trainer is unchanged when that fails.
func (t *Trainer) Load(path string) error {
	return t.do("mcomp_trainer_load", func(m *memory, p *C.mcomp_trainer) C.int32_t {
		text := m.text(path)
		if m.failed != nil {
			return 0
		}
		return C.go_mcomp_trainer_load(m.error(), p, text)
	})
}

// Info tells sizes and the updates so far.
func (t *Trainer) Info() (info TrainerInfo, err error) {
	err = t.do("mcomp_trainer_info_get", func(m *memory, p *C.mcomp_trainer) C.int32_t {
		c := new(C.mcomp_trainer_info)
		c.size = C.uint32_t(unsafe.Sizeof(*c))
		status := C.go_mcomp_trainer_info_get(m.error(), p, c)
		info.from(c)
		return status
	})
	return info, err
}

//export goTrainEvent
func goTrainEvent(handle C.uintptr_t, e *C.mcomp_train_event) C.int32_t {
	var err error
	func() {
		defer keep(&err)
		event := TrainEvent{
			Kind: EventKind(e.kind), Epoch: int64(e.epoch), Step: int64(e.step), TotalSteps: int64(e.total_steps), Loss: float64(e.loss), LR: float64(e.lr),
			SamplesPerSecond: float64(e.samples_per_second), SecondsLeft: float64(e.seconds_left), PeakBytes: uint64(e.peak_bytes),
		}
		switch event.Kind {
		case EventValidation:
			event.Metric, event.MetricName = float64(e.metric), C.GoString(e.metric_name)
		case EventCheckpoint:
			event.Path = C.GoString(e.path)
		}
		err = cgo.Handle(handle).Value().(func(TrainEvent) error)(event)
	}()
	return flag(err != nil)
}
