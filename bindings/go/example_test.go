package mcomp_test

import (
	"fmt"
	"log"
	"os"
	"path/filepath"

	"mcomp"
)

func check(err error) {
	if err != nil {
		log.Fatal(err)
	}
}

// A model is built, calibrated, quantized, saved, loaded and run.
func Example() {
	ctx, err := mcomp.NewContext(mcomp.ContextOptions{Threads: 1})
	check(err)
	defer ctx.Close()
	model, err := ctx.Build("mlp:hidden=32", mcomp.BuildOptions{Features: 16, Classes: 4}) // or ctx.Load("model.onnx")
	check(err)
	defer model.Close()
	ports, err := model.Inputs()
	check(err)
	input := ports[0].Name

	sample := func(i int64) (mcomp.Sample, error) {
		values := make([]float32, 16)
		for k := range values {
			values[k] = float32((int(i)+k)%5) / 5
		}
		x, err := mcomp.FromSlice(values, 1, 16)
		return mcomp.Sample{Inputs: map[string]*mcomp.Tensor{input: x}, Label: -1}, err
	}
	data, err := model.NewDataset(16, sample)
	check(err)
	defer data.Close()
	calibrator, err := model.NewCalibrator()
	check(err)
	defer calibrator.Close()
	check(calibrator.FeedDataset(data))
	quantizer, err := ctx.NewQuantizer(mcomp.QuantizerOptions{Scheme: "int8"})
	check(err)
	defer quantizer.Close()
	small, err := quantizer.Apply(model, calibrator, data)
	check(err)
	defer small.Close()
	dir, err := os.MkdirTemp("", "mcomp")
	check(err)
	defer os.RemoveAll(dir)
	check(small.Save(filepath.Join(dir, "model.int8.onnx"), mcomp.SaveOptions{}))

	loaded, err := ctx.Load(filepath.Join(dir, "model.int8.onnx"))
	check(err)
	defer loaded.Close()
	session, err := loaded.NewSession(mcomp.SessionOptions{})
	check(err)
	defer session.Close()
	exec, err := session.NewExec()
	check(err)
	defer exec.Close()
	s, err := sample(0)
	check(err)
	outputs, err := exec.Run(s.Inputs)
	check(err)
	for name, t := range outputs {
		fmt.Println(name, t.DType(), t.Shape())
		t.Close()
	}
	// Output: logits float32 [1 4]
}
