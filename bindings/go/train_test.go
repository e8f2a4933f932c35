package mcomp

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// rows are n samples of 6 numbers and their class: 0, 1 or 2, by two planes.
func rows(n int) (x []float32, y []int64) {
	state := uint32(7)
	for i := 0; i < n; i++ {
		var r [6]float32
		for k := range r {
			state = state*1664525 + 1013904223
			r[k] = float32(state>>8)/(1<<23) - 1
		}
		class := int64(0)
		if r[0]+r[1] > 0.2 {
			class++
		}
		if r[2] > 0 {
			class++
		}
		x, y = append(x, r[:]...), append(y, class)
	}
	return x, y
}

func classifier(t testing.TB, ctx *Context) *Graph {
	g := must[*Graph](t)(ctx.Build("mlp:layers=1,hidden=16,dropout=0", BuildOptions{Features: 6, Classes: 3}))
	t.Cleanup(g.Close)
	return g
}

func labelled(t testing.TB, g *Graph, n int) *Dataset {
	x, y := rows(n)
	d := must[*Dataset](t)(g.NewDataset(int64(n), func(i int64) (Sample, error) {
		v, err := FromSlice(x[i*6:i*6+6], 1, 6)
		return Sample{Inputs: map[string]*Tensor{"input": v}, Label: y[i]}, err
	}))
	t.Cleanup(d.Close)
	return d
}

func trainer(t testing.TB, g *Graph, o TrainerOptions, progress ...func(TrainEvent) error) *Trainer {
	tr := must[*Trainer](t)(g.NewTrainer(o, progress...))
	t.Cleanup(tr.Close)
	return tr
}

// logits are the outputs on the first 50 rows.
func logits(t testing.TB, g *Graph) []float32 {
	x, _ := rows(50)
	in := must[*Tensor](t)(FromSlice(x, 50, 6))
	defer in.Close()
	out := must[map[string]*Tensor](t)(exec(t, g).Run(map[string]*Tensor{"input": in}))
	defer out["logits"].Close()
	return must[[]float32](t)(Values[float32](out["logits"]))
}

func TestTrainSteps(t *testing.T) {
	g := classifier(t, context(t))
	before := logits(t, g)
	o := DefaultTrainerOptions()
	if o.Batch != 32 || o.WeightDecay >= 0 || o.ClipNorm != 1 || o.Epochs != 3 {
		t.Fatalf("%+v", o)
	}
	o.LR = 0.05
	tr := trainer(t, g, o)
	xs, ys := rows(64)
	x, y := must[*Tensor](t)(FromSlice(xs, 64, 6)), must[*Tensor](t)(FromSlice(ys, 64))
	step := func(tr *Trainer) float32 { return must[float32](t)(tr.Step(map[string]*Tensor{"input": x}, y)) }
	first, last := step(tr), float32(0)
	for i := 0; i < 29; i++ {
		last = step(tr)
	}
	if !(last < 0.5*first) {
		t.Fatalf("%v, then %v", first, last)
	}
	if info := must[TrainerInfo](t)(tr.Info()); info.Steps != 30 || info.Parameters != 6*16+16+16*3+3 {
		t.Fatalf("%+v", info)
	}
	if !reflect.DeepEqual(logits(t, g), before) || reflect.DeepEqual(logits(t, must[*Graph](t)(tr.Graph())), before) {
		t.Fatal("the graph was trained, or its clone was not")
	}
	path := filepath.Join(t.TempDir(), "a.ckpt")
	ok(t, tr.Save(path))
	other := trainer(t, g, o)
	ok(t, other.Load(path))
	if a, b := step(tr), step(other); a != b {
		t.Fatalf("%v and %v after loading", a, b)
	}
	data := must[[]byte](t)(os.ReadFile(path))
	ok(t, os.WriteFile(path, data[:len(data)-100], 0o600))
	if err := other.Load(path); !errors.Is(err, ErrFormat) {
		t.Fatal(err)
	}
	for name, target := range map[string]*Tensor{"nil": nil, "other length": must[*Tensor](t)(FromSlice(ys[:3], 3)), "other type": x} {
		if _, err := tr.Step(map[string]*Tensor{"input": x}, target); err == nil {
			t.Errorf("a target was taken: %s", name)
		}
	}
	if _, err := tr.Step(nil, y); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
}

func TestTrainOptions(t *testing.T) {
	ctx := context(t)
	g := classifier(t, ctx)
	if _, err := g.NewTrainer(TrainerOptions{}); err == nil {
		t.Fatal("options of zeros were taken") // they would silently train without decay, clipping and warm-up
	}
	o := DefaultTrainerOptions()
	o.Loss = "no-such-loss"
	if _, err := g.NewTrainer(o); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	fresh := must[TrainerOptions](t)(BuildTraining("mlp"))
	if fresh.Epochs == 0 || fresh.LR == 0 || fresh.Warmup != DefaultTrainerOptions().Warmup {
		t.Fatalf("%+v", fresh)
	}
	if _, err := BuildTraining("no-such-kind"); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	if must[bool](t)(BuildIsText("mlp")) || !must[bool](t)(BuildIsText("text-cnn")) {
		t.Fatal("kinds of text")
	}
}

func TestFitReportsAndGivesTheBestModel(t *testing.T) {
	g := classifier(t, context(t))
	var seen []TrainEvent
	o := DefaultTrainerOptions()
	o.LR, o.Epochs = 0.03, 8
	tr := trainer(t, g, o, func(e TrainEvent) error { seen = append(seen, e); return nil })
	r := must[TrainResult](t)(tr.Fit(labelled(t, g, 2000), nil))
	counts, best := map[EventKind]int64{}, 0.0
	for _, e := range seen {
		counts[e.Kind]++
		if e.Kind == EventValidation {
			best = math.Max(best, e.Metric)
			if e.MetricName != "accuracy" {
				t.Fatal(e.MetricName)
			}
		}
	}
	if seen[0].Kind != EventPlan || seen[0].PeakBytes == 0 || counts[EventValidation] != 8 || counts[EventStep] != r.Steps {
		t.Fatalf("%v %+v", counts, r)
	}
	if r.BestMetric != best || best < 0.85 || !(r.BestLo < best && best <= r.BestHi) || r.StoppedEarly {
		t.Fatalf("best %v: %+v", best, r)
	}
	_, y := rows(50)
	right := 0
	scores := logits(t, must[*Graph](t)(tr.Graph()))
	for i, want := range y {
		row, at := scores[i*3:i*3+3], 0
		for k := range row {
			if row[k] > row[at] {
				at = k
			}
		}
		if int64(at) == want {
			right++
		}
	}
	if right < 43 {
		t.Fatalf("%d of 50", right)
	}
}

func TestStopAndResumeGiveTheSameWeights(t *testing.T) {
	g := classifier(t, context(t))
	o := DefaultTrainerOptions()
	o.LR, o.Batch = 0.02, 16
	whole := trainer(t, g, o)
	must[TrainResult](t)(whole.Fit(labelled(t, g, 200), nil))
	o.Checkpoint = filepath.Join(t.TempDir(), "t.ckpt")
	mine := errors.New("enough")
	stopped := trainer(t, g, o, func(e TrainEvent) error {
		if e.Kind == EventStep && e.Step == 17 {
			return mine
		}
		return nil
	})
	r, err := stopped.Fit(labelled(t, g, 200), nil)
	if !errors.Is(err, ErrCancelled) || !errors.Is(err, mine) || r.Steps != 17 {
		t.Fatalf("%v %+v", err, r)
	}
	o.Resume = true
	resumed := trainer(t, g, o)
	must[TrainResult](t)(resumed.Fit(labelled(t, g, 200), nil))
	if a, b := logits(t, must[*Graph](t)(whole.Graph())), logits(t, must[*Graph](t)(resumed.Graph())); !reflect.DeepEqual(a, b) {
		t.Fatal("other weights after resuming")
	}
	panics := trainer(t, g, DefaultTrainerOptions(), func(TrainEvent) error { panic("boom") })
	var p *PanicError
	if _, err := panics.Fit(labelled(t, g, 50), nil); !errors.As(err, &p) || p.Value != "boom" {
		t.Fatal(err)
	}
}

func TestTrainerIsAlone(t *testing.T) {
	g := classifier(t, context(t))
	inside := make(chan bool)
	leave := make(chan bool)
	once := false
	tr := trainer(t, g, DefaultTrainerOptions(), func(TrainEvent) error {
		if !once {
			once = true
			inside <- true
			<-leave
		}
		return nil
	})
	d := labelled(t, g, 64)
	done := make(chan error)
	go func() {
		_, err := tr.Fit(d, nil)
		done <- err
	}()
	<-inside
	if _, err := tr.Info(); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	if _, err := tr.Graph(); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	tr.Close() // the call that runs keeps it
	close(leave)
	ok(t, <-done)
	if _, err := tr.Info(); !errors.Is(err, ErrClosed) {
		t.Error(err)
	}
}

func TestTokenizer(t *testing.T) {
	ctx := context(t)
	texts := []string{"the cat sat on the mat", "the dog", "a\x00b"}
	bpe := must[*Tokenizer](t)(ctx.NewTokenizer("train:bpe,300", texts))
	defer bpe.Close()
	ids := must[[]int32](t)(bpe.Encode("the cat", EncodeOptions{}))
	if len(ids) == 0 || int64(ids[0]) >= bpe.Len() || bpe.ID(bpe.Token(int64(ids[0]))) != int64(ids[0]) || bpe.Token(1<<40) != "" || bpe.ID("no such token") != -1 {
		t.Fatalf("%v of %d", ids, bpe.Len())
	}
	path := filepath.Join(t.TempDir(), "tokenizer.json")
	ok(t, bpe.Save(path, false))
	if err := bpe.Save(path, false); !errors.Is(err, ErrPath) {
		t.Fatal(err)
	}
	again := must[*Tokenizer](t)(ctx.NewTokenizer(path, nil))
	if got := must[[]int32](t)(again.Encode("the cat", EncodeOptions{})); !reflect.DeepEqual(got, ids) {
		t.Fatalf("%v, not %v", got, ids)
	}
	again.Close()
	if _, err := again.Encode("a", EncodeOptions{}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	piece := must[*Tokenizer](t)(ctx.NewTokenizer("train:wordpiece,100", texts))
	with, without := must[[]int32](t)(piece.Encode("cat", EncodeOptions{})), must[[]int32](t)(piece.Encode("cat", EncodeOptions{NoSpecial: true}))
	if len(with) != len(without)+2 || !reflect.DeepEqual(with[1:len(with)-1], without) || piece.PadID() < 0 {
		t.Fatalf("%v and %v", with, without)
	}
	if cut := must[[]int32](t)(piece.Encode("cat cat cat cat", EncodeOptions{MaxLength: 4})); len(cut) != 4 {
		t.Fatal(cut)
	}
	plain := must[*Tokenizer](t)(ctx.NewTokenizer("bytes", nil))
	if got := must[[]int32](t)(plain.Encode("a\x00b", EncodeOptions{NoSpecial: true})); len(got) != 3 {
		t.Fatal(got)
	}
	if got := must[[]int32](t)(plain.Encode("", EncodeOptions{NoSpecial: true})); len(got) != 0 {
		t.Fatal(got)
	}
	for _, spec := range []string{"/no/such/vocab.txt", "train:bpe,300", "a\x00b"} {
		if _, err := ctx.NewTokenizer(spec, nil); err == nil {
			t.Error(spec)
		}
	}
}

// From texts to a classifier: a tokenizer of the texts, a fresh model for it, a data file, a training.
func TestTrainOnTexts(t *testing.T) {
	ctx, dir := context(t), t.TempDir()
	var file strings.Builder
	var texts []string
	file.WriteString("text\tlabel\n")
	for i := 0; i < 60; i++ {
		text, label := "a small cat sleeps", "cats"
		if i%2 == 1 {
			text, label = "the big dog barks", "dogs"
		}
		texts = append(texts, text)
		file.WriteString(text + "\t" + label + "\n")
	}
	path := filepath.Join(dir, "train.tsv")
	ok(t, os.WriteFile(path, []byte(file.String()), 0o600))
	tok := must[*Tokenizer](t)(ctx.NewTokenizer("train:wordpiece,200", texts))
	const kind = "text-cnn:hidden=8"
	g := must[*Graph](t)(ctx.Build(kind, BuildOptions{Vocab: tok.Len(), Classes: 2, Length: 16, Pad: tok.PadID()}))
	d := must[*Dataset](t)(g.OpenDataset(path, DatasetOptions{}, tok))
	defer d.Close()
	valid := must[*Dataset](t)(g.OpenDataset(path, DatasetOptions{}, tok))
	defer valid.Close()
	n := tok.Len()
	tok.Close()
	if names := d.LabelNames(); !reflect.DeepEqual(names, []string{"cats", "dogs"}) {
		t.Fatal(names)
	}
	if own := must[*Tokenizer](t)(d.Tokenizer()); own.Len() != n {
		t.Fatal(own.Len())
	}
	o := must[TrainerOptions](t)(BuildTraining(kind))
	o.Epochs = 10
	tr := trainer(t, g, o)
	if _, err := tr.Fit(nil, d); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	if r := must[TrainResult](t)(tr.Fit(d, valid)); r.BestMetric < 0.99 {
		t.Fatalf("%+v", r)
	}
	numbers := labelled(t, classifier(t, ctx), 4)
	if own, err := numbers.Tokenizer(); own != nil || err != nil {
		t.Fatal(own, err)
	}
	if numbers.LabelNames() != nil {
		t.Fatal(numbers.LabelNames())
	}
}

func TestCalibratorsMerge(t *testing.T) {
	ctx := context(t)
	g := classifier(t, ctx)
	d := labelled(t, g, 40)
	a := must[*Calibrator](t)(g.NewCalibrator())
	ok(t, a.FeedDataset(d))
	path := filepath.Join(t.TempDir(), "a.calib")
	ok(t, a.Save(path, false))
	b := must[*Calibrator](t)(g.LoadCalibrator(path))
	ok(t, b.Merge(a))
	x, _ := rows(1)
	in := must[*Tensor](t)(FromSlice(x, 1, 6))
	ok(t, b.Feed(map[string]*Tensor{"input": in}, -1))
	alone := must[*Calibrator](t)(ctx.LoadCalibrator(path))
	ok(t, alone.Merge(b))
	for c, want := range map[*Calibrator]int64{a: 40, b: 81, alone: 121} {
		if info := must[CalibrationInfo](t)(c.Info()); info.Samples != want {
			t.Errorf("%d samples, not %d", info.Samples, want)
		}
	}
	ranges := must[[]CalibratedRange](t)(alone.Ranges("minmax"))
	if len(ranges) == 0 || ranges[0].Tensor == "" || !(ranges[0].Lo < ranges[0].Hi) {
		t.Fatalf("%+v", ranges)
	}
	if _, err := alone.Ranges("no-such-rule"); err == nil {
		t.Fatal("a rule that does not exist")
	}
	if err := a.Merge(a); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	if err := a.Merge(nil); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	other := must[*Calibrator](t)(tiny(t, ctx).NewCalibrator())
	if err := a.Merge(other); !errors.Is(err, ErrData) {
		t.Fatal(err)
	}
	if _, err := g.LoadCalibrator("/no/such/file.calib"); !errors.Is(err, ErrPath) {
		t.Fatal(err)
	}
	q := must[*Quantizer](t)(ctx.NewQuantizer(QuantizerOptions{Scheme: "int8"}))
	must[*Graph](t)(q.Apply(g, b, d))
	if _, err := q.Apply(nil, b, d); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
}
