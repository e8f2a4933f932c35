package mcomp

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func ok(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func context(t testing.TB, callbacks ...Callbacks) *Context {
	ctx := must[*Context](t)(NewContext(ContextOptions{Threads: 1}, callbacks...))
	t.Cleanup(ctx.Close)
	return ctx
}

// tiny is relu(x @ w + b), w[i][k] = i - k, b = 1.
func tiny(t testing.TB, ctx *Context) *Graph {
	g := must[*Graph](t)(ctx.NewGraph("tiny", 0))
	t.Cleanup(g.Close)
	w := make([]float32, 32)
	for i := range w {
		w[i] = float32(i/4 - i%4)
	}
	ok(t, g.AddInput("x", F32, "batch", 8))
	ok(t, g.AddConstant("w", must[*Tensor](t)(FromSlice(w, 8, 4))))
	ok(t, g.AddConstant("b", must[*Tensor](t)(FromSlice([]float32{1, 1, 1, 1}, 4))))
	ok(t, g.AddNode("MatMul", "mm", []string{"x", "w"}, []string{"m"}, nil))
	ok(t, g.AddNode("Add", "add", []string{"m", "b"}, []string{"s"}, nil))
	ok(t, g.AddNode("Relu", "relu", []string{"s"}, []string{"y"}, nil))
	ok(t, g.AddOutput("y"))
	ok(t, g.Finish())
	return g
}

func ones(t testing.TB) *Tensor {
	x := must[*Tensor](t)(FromSlice([]float32{1, 1, 1, 1, 1, 1, 1, 1}, 1, 8))
	t.Cleanup(x.Close)
	return x
}

var want = []float32{29, 21, 13, 5}

func equal(t testing.TB, got *Tensor) {
	t.Helper()
	v := must[[]float32](t)(Values[float32](got))
	for i := range want {
		if len(v) != 4 || v[i] != want[i] {
			t.Fatalf("got %v, want %v", v, want)
		}
	}
}

func exec(t testing.TB, g *Graph) *Exec {
	s := must[*Session](t)(g.NewSession(SessionOptions{}))
	t.Cleanup(s.Close)
	e := must[*Exec](t)(s.NewExec())
	t.Cleanup(e.Close)
	return e
}

func TestRunSaveLoadInspect(t *testing.T) {
	ctx := context(t)
	g := tiny(t, ctx)
	path := filepath.Join(t.TempDir(), "a.onnx")
	ok(t, g.Save(path, SaveOptions{}))
	if err := g.Save(path, SaveOptions{}); !errors.Is(err, ErrPath) {
		t.Fatalf("overwritten: %v", err)
	}
	data := must[[]byte](t)(os.ReadFile(path))
	for _, h := range []*Graph{g, must[*Graph](t)(ctx.Load(path)), must[*Graph](t)(ctx.LoadBytes(data)), must[*Graph](t)(g.Clone())} {
		out := must[map[string]*Tensor](t)(exec(t, h).Run(map[string]*Tensor{"x": ones(t)}))
		equal(t, out["y"])
		in := must[[]Port](t)(h.Inputs())
		if len(in) != 1 || in[0].Name != "x" || in[0].DType != F32 || in[0].Shape[0] != -1 || in[0].Symbols[0] != "batch" || in[0].Shape[1] != 8 {
			t.Fatalf("%+v", in)
		}
		if n := must[[]NodeInfo](t)(h.Nodes()); len(n) != 3 || n[0].Op != "MatMul" || !n[0].Supported {
			t.Fatalf("%+v", n)
		}
	}
}

func TestErrors(t *testing.T) {
	ctx := context(t)
	_, err := ctx.Load("/no/such/model.onnx")
	var e *Error
	if !errors.Is(err, ErrPath) || errors.Is(err, ErrShape) || !errors.As(err, &e) || e.Name() != "PATH" || e.Call != "mcomp_graph_load" || e.Message == "" {
		t.Fatalf("%v %+v", err, e)
	}
	if _, err = ctx.Load("a\x00b"); !errors.Is(err, ErrArgument) {
		t.Fatal(err)
	}
	x := exec(t, tiny(t, ctx))
	bad := must[*Tensor](t)(NewTensor(F32, 1, 9))
	if _, err = x.Run(map[string]*Tensor{"x": bad}); !errors.Is(err, ErrShape) {
		t.Fatal(err)
	}
	for _, in := range []map[string]*Tensor{nil, {"x": nil}, {"x": bad, "z": bad}} {
		if _, err = x.Run(in); !errors.Is(err, ErrArgument) {
			t.Fatalf("%v: %v", in, err)
		}
	}
	x.Close()
	x.Close()
	if _, err = x.Run(map[string]*Tensor{"x": ones(t)}); !errors.Is(err, ErrClosed) {
		t.Fatal(err)
	}
	if err := Put(bad, []int32{1}); !errors.Is(err, ErrDtype) {
		t.Fatal(err)
	}
	if err := Put(bad, []float32{1}); !errors.Is(err, ErrShape) {
		t.Fatal(err)
	}
}

func TestClosedInAnyOrder(t *testing.T) {
	ctx := must[*Context](t)(NewContext(ContextOptions{Threads: 1}))
	g := tiny(t, ctx)
	s := must[*Session](t)(g.NewSession(SessionOptions{}))
	e := must[*Exec](t)(s.NewExec())
	ctx.Close()
	g.Close()
	s.Close()
	equal(t, must[map[string]*Tensor](t)(e.Run(map[string]*Tensor{"x": ones(t)}))["y"])
	e.Close()
}

func TestBoundAllocatesNothing(t *testing.T) {
	e := exec(t, tiny(t, context(t)))
	x := ones(t)
	b := must[*Bound](t)(e.Bind(map[string]*Tensor{"x": x}))
	defer b.Close()
	if _, err := Values[float32](b.Output("y")); err == nil {
		t.Fatal("values before the first run")
	}
	in, out := []float32{1, 1, 1, 1, 1, 1, 1, 1}, make([]float32, 4)
	step := func() {
		ok(t, Put(x, in))
		ok(t, b.Run())
		ok(t, Get(b.Output("y"), out))
	}
	step()
	if n := testing.AllocsPerRun(100, step); n != 0 {
		t.Fatalf("%v allocations a run", n)
	}
	equal(t, b.Output("y"))
	if _, err := e.Explain(); err != nil {
		t.Fatal(err)
	}
	if r := must[BenchResult](t)(e.Bench(map[string]*Tensor{"x": x}, 20*time.Millisecond)); r.Runs == 0 || r.P50 <= 0 || r.P99 < r.P50 {
		t.Fatalf("%+v", r)
	}
}

func TestGoroutinesAndCollector(t *testing.T) {
	g := tiny(t, context(t))
	s := must[*Session](t)(g.NewSession(SessionOptions{}))
	defer s.Close()
	var wait sync.WaitGroup
	for i := 0; i < 8; i++ {
		wait.Add(1)
		go func() {
			defer wait.Done()
			e, err := s.NewExec() // never closed: the collector's
			if err != nil {
				t.Error(err)
				return
			}
			for k := 0; k < 200; k++ {
				x, _ := FromSlice([]float32{1, 1, 1, 1, 1, 1, 1, 1}, 1, 8)
				out, err := e.Run(map[string]*Tensor{"x": x})
				if err != nil {
					t.Error(err)
					return
				}
				if v, _ := Values[float32](out["y"]); v[0] != 29 {
					t.Errorf("%v", v)
				}
				if k%64 == 0 {
					runtime.GC()
				}
			}
		}()
	}
	wait.Wait()
}

func TestCalibrateAndQuantize(t *testing.T) {
	ctx := context(t)
	g := must[*Graph](t)(ctx.Build("mlp:hidden=32", BuildOptions{Features: 16, Classes: 4}))
	name := must[[]Port](t)(g.Inputs())[0].Name
	fetch := func(i int64) (Sample, error) {
		v := make([]float32, 16)
		for k := range v {
			v[k] = float32((int(i)*7+k*3)%11)/5 - 1
		}
		x, err := FromSlice(v, 1, 16)
		return Sample{Inputs: map[string]*Tensor{name: x}, Label: -1}, err
	}
	d := must[*Dataset](t)(g.NewDataset(32, fetch))
	defer d.Close()
	c := must[*Calibrator](t)(g.NewCalibrator())
	defer c.Close()
	ok(t, c.FeedDataset(d))
	s, _ := fetch(3)
	ok(t, c.Feed(s.Inputs, -1))
	if info := must[CalibrationInfo](t)(c.Info()); info.Samples != 33 || info.Tensors == 0 {
		t.Fatalf("%+v", info)
	}
	q := must[*Quantizer](t)(ctx.NewQuantizer(QuantizerOptions{Scheme: "int8", Range: "minmax"}))
	defer q.Close()
	small := must[*Graph](t)(q.Apply(g, c, d))
	if n := must[[]QuantizedNode](t)(q.Nodes()); len(n) == 0 {
		t.Fatal("no nodes")
	}
	path := filepath.Join(t.TempDir(), "q.onnx")
	ok(t, small.Save(path, SaveOptions{}))
	e := exec(t, must[*Graph](t)(ctx.Load(path)))
	must[map[string]*Tensor](t)(e.Run(s.Inputs))
}

func TestCallbacksThatFail(t *testing.T) {
	g := tiny(t, context(t))
	mine := errors.New("mine")
	for _, fail := range []func() error{func() error { return mine }, func() error { panic("boom") }} {
		d := must[*Dataset](t)(g.NewDataset(4, func(i int64) (Sample, error) { return Sample{}, fail() }))
		c := must[*Calibrator](t)(g.NewCalibrator())
		err := c.FeedDataset(d)
		var p *PanicError
		if !errors.Is(err, ErrData) || !(errors.Is(err, mine) || errors.As(err, &p) && p.Value == "boom") {
			t.Fatalf("%v", err)
		}
		d.Close()
		c.Close()
	}
}

func TestCancel(t *testing.T) {
	ctx := context(t)
	g := tiny(t, ctx)
	x := ones(t)
	d := must[*Dataset](t)(g.FromSamples([]map[string]*Tensor{{"x": x}, {"x": x}}))
	c := must[*Calibrator](t)(g.NewCalibrator())
	ctx.Cancel()
	if err := c.FeedDataset(d); !errors.Is(err, ErrCancelled) {
		t.Fatal(err)
	}
	ctx.CancelClear()
	ok(t, c.FeedDataset(d))
	if ctx.Threads() != 1 {
		t.Fatal(ctx.Threads())
	}
}

func rss(t *testing.T) int {
	for _, line := range strings.Split(string(must[[]byte](t)(os.ReadFile("/proc/self/status"))), "\n") {
		if strings.HasPrefix(line, "VmRSS:") {
			return must[int](t)(strconv.Atoi(strings.Fields(line)[1]))
		}
	}
	t.Fatal("no VmRSS")
	return 0
}

func TestMemoryOf100000Runs(t *testing.T) {
	if os.Getenv("MCOMP_GO_RACE") != "" {
		t.Skip("the race detector's own memory grows")
	}
	e := exec(t, tiny(t, context(t)))
	in := map[string]*Tensor{"x": ones(t)}
	run := func(n int) {
		for i := 0; i < n; i++ {
			out, err := e.Run(in)
			ok(t, err)
			out["y"].Close()
		}
		debug.FreeOSMemory() // what the collector keeps for later use goes up and down by MiB
	}
	run(20000)
	before := rss(t)
	run(100000)
	if grown := rss(t) - before; grown > 1024 {
		t.Fatalf("grew by %d KiB", grown)
	}
}

func TestForgottenTensorsAreCollected(t *testing.T) {
	if os.Getenv("MCOMP_GO_RACE") != "" {
		t.Skip("the race detector's own memory grows")
	}
	before := rss(t)
	for i := 0; i < 400; i++ { // 400 MiB
		x := must[*Tensor](t)(NewTensor(F32, 1<<18))
		ok(t, Put(x, make([]float32, 1<<18)))
		if i%20 == 0 {
			runtime.GC()
		}
	}
	debug.FreeOSMemory()
	if grown := rss(t) - before; grown > 100<<10 {
		t.Fatalf("grew by %d KiB", grown)
	}
}

func BenchmarkRun(b *testing.B) {
	e := exec(b, tiny(b, context(b)))
	in := map[string]*Tensor{"x": ones(b)}
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		out, err := e.Run(in)
		ok(b, err)
		out["y"].Close()
	}
}

func BenchmarkBound(b *testing.B) {
	e := exec(b, tiny(b, context(b)))
	bound := must[*Bound](b)(e.Bind(map[string]*Tensor{"x": ones(b)}))
	defer bound.Close()
	b.ReportAllocs()
	for i := 0; i < b.N; i++ {
		ok(b, bound.Run())
	}
}
