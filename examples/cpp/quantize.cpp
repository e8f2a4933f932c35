/* quantize.cpp - a model made small from C++: load, calibrate, quantize, save, run, compare.
 *
 *   c++ -std=c++17 quantize.cpp $(pkg-config --cflags --libs libmcomp) -o quantize      (docs/cpp.md)
 *   ./quantize model.onnx calib.npz model.int8.onnx     a model and samples for it, as docs/data.md describes them
 *   ./quantize model.int8.onnx                          needs no files: a fresh model and made-up samples */
#include <mcomp/mcomp.hpp>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>

namespace {

/* A fresh network on rows of 16 numbers, for the form without files. */
mcomp::Graph build(const mcomp::Context &ctx)
{
    mcomp::BuildOptions options;
    options.features = 16;
    options.classes = 4;
    return mcomp::Graph::build(ctx, "mlp:hidden=64", options);
}

mcomp::Dataset make_up(const mcomp::Context &ctx, const mcomp::Graph &model)
{
    return {ctx, model, 64, [](int64_t index, std::vector<mcomp::Tensor> &inputs) {
                inputs[0] = mcomp::Tensor(MCOMP_F32, {1, 16});
                const auto x = inputs[0].elements<float>();
                for (size_t i = 0; i < x.size(); i++) x[i] = std::sin(static_cast<float>(index) + 3.0f * static_cast<float>(i));
                return int64_t{-1}; /* no label */
            }};
}

/* The largest difference of the first outputs, relative to the largest value there. */
double difference(mcomp::Exec &a, mcomp::Exec &b, mcomp::Dataset &data, int64_t samples)
{
    double largest = 0, worst = 0;
    for (int64_t i = 0; i < samples; i++) {
        const mcomp::Views inputs = data.at(i).inputs;
        const auto x = a.run(inputs)[0].elements<float>(), y = b.run(inputs)[0].elements<float>();
        for (size_t k = 0; k < x.size(); k++) {
            largest = std::fmax(largest, std::fabs(x[k]));
            worst = std::fmax(worst, std::fabs(x[k] - y[k]));
        }
    }
    return largest > 0 ? worst / largest : worst;
}

void quantize(const char *model_path, const char *samples, const char *out_path)
{
    mcomp::Context ctx;
    mcomp::Graph model = model_path ? mcomp::Graph::load(ctx, model_path) : build(ctx);
    mcomp::Dataset data = samples ? mcomp::Dataset(ctx, model, samples) : make_up(ctx, model);

    mcomp::Calibrator calibrator(ctx, model);
    calibrator.feed(data);
    mcomp::QuantizerOptions options;
    options.scheme = "int8";
    mcomp::Quantizer quantizer(ctx, options);
    mcomp::SaveOptions replace;
    replace.overwrite = 1;
    quantizer.apply(model, &calibrator, &data).save(out_path, replace);

    int integer = 0;
    const auto nodes = quantizer.nodes();
    for (const mcomp_quantized_node &n : nodes) integer += n.quantized;
    std::printf("%s: scheme %s, %d of %zu nodes on integers, calibrated on %lld samples\n", out_path, quantizer.scheme(), integer, nodes.size(),
                static_cast<long long>(calibrator.info().samples));

    const mcomp::Graph small = mcomp::Graph::load(ctx, out_path);
    mcomp::Session before(ctx, model), after(ctx, small);
    mcomp::Exec a(before), b(after);
    const int64_t compared = std::min<int64_t>(data.size(), 16);
    std::printf("output %s: largest difference over %lld samples %.2f %%\n", after.output_names()[0].c_str(), static_cast<long long>(compared),
                100 * difference(a, b, data, compared));
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 2 && argc != 4) {
        std::fprintf(stderr, "usage: quantize [MODEL.onnx DATA] OUT.onnx\n");
        return 1;
    }
    try {
        quantize(argc == 4 ? argv[1] : nullptr, argc == 4 ? argv[2] : nullptr, argv[argc - 1]);
        return 0;
    } catch (const mcomp::Error &e) {
        std::fprintf(stderr, "quantize: %s\n", e.what());
        return e.exit_code();
    }
}
