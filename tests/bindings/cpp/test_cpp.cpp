/* test_cpp.cpp - mcomp.hpp: every class once, ownership, errors, and what callbacks throw. */
#include <unistd.h>

#include <cmath>
#include <cstdlib>
#include <fstream>
#include <mcomp/mcomp.hpp>
#include <stdexcept>
#include <string>

#include "second.h"

#include <check.h> /* last: it defines fail() */

using namespace mcomp;

static_assert(!std::is_copy_constructible_v<Context> && std::is_nothrow_move_constructible_v<Context>, "handles move");
static_assert(!std::is_copy_constructible_v<Exec> && std::is_move_assignable_v<Exec> && std::is_move_assignable_v<Dataset>, "handles move");
static_assert(std::is_nothrow_copy_constructible_v<Error>, "an error can be copied while it flies");

namespace {

/* A folder that goes with the test. */
struct Folder {
    std::string path = std::string(std::getenv("TMPDIR") ? std::getenv("TMPDIR") : "/tmp") + "/mcomp_cpp_XXXXXX";
    Folder() { ck_assert_ptr_nonnull(mkdtemp(path.data())); }
    ~Folder() { ck_assert_int_eq(std::system(("rm -r '" + path + "'").c_str()), 0); }
    std::string operator/(const char *name) const { return path + "/" + name; }
};

/* relu(x @ w + b), w[i][k] = i - k, b = 1: ones give 29 21 13 5. */
Graph tiny(const Context &ctx)
{
    Graph g = Graph::create(ctx, "tiny");
    std::vector<float> w;
    for (int i = 0; i < 32; i++) w.push_back(static_cast<float>(i / 4 - i % 4));
    g.add_input("x", MCOMP_F32, {"batch", 8});
    g.add_constant("w", Tensor::of<float>({8, 4}, w));
    g.add_constant("b", Tensor::of<float>({4}, {1, 1, 1, 1}));
    g.add_node("MatMul", "mm", {"x", "w"}, {"m"});
    g.add_node("Add", "add", {"m", "b"}, {"s"});
    g.add_node("Relu", "relu", {"s"}, {"y"});
    g.add_output("y");
    g.finish();
    return g;
}

Tensor ones() { return Tensor::of<float>({1, 8}, std::vector<float>(8, 1)); }

void right(TensorView y)
{
    const std::vector<float> want{29, 21, 13, 5};
    ck_assert(y.elements<float>().copy() == want);
}

void right_without_copy(TensorView y)
{
    const Span<const float> v = y.elements<float>();
    ck_assert(v.size() == 4 && v[0] == 29 && v[1] == 21 && v[2] == 13 && v[3] == 5);
}

/* What f throws must be an Error of this code, with something to read. */
template <class F> Error fails(int32_t code, F &&f)
{
    try {
        f();
    } catch (const Error &e) {
        ck_assert_msg(e.code() == code && e.message()[0], "%s instead of %s", e.what(), mcomp_status_name(code));
        ck_assert_msg(std::string(e.what()).find(e.name()) == 0, "%s", e.what());
        return e;
    }
    ck_abort_msg("nothing was thrown instead of %s", mcomp_status_name(code));
}

Dataset numbers(const Context &ctx, const Graph &g, int64_t n)
{
    return {ctx, g, n, [](int64_t i, std::vector<Tensor> &in) {
                std::vector<float> v;
                for (int k = 0; k < 16; k++) v.push_back(static_cast<float>(std::sin(static_cast<double>(i * 16 + k))));
                in[0] = Tensor::of<float>({1, 16}, v);
                return v[0] > 0 ? int64_t{1} : int64_t{0};
            }};
}

Graph mlp(const Context &ctx)
{
    BuildOptions o;
    o.features = 16;
    o.classes = 2;
    return Graph::build(ctx, "mlp:hidden=16", o);
}

} // namespace

START_TEST(tensors)
{
    Tensor t(MCOMP_I64, {2, 3});
    ck_assert(t.elements<int64_t>().size() == 6 && t.elements<int64_t>()[5] == 0 && t.view().shape().copy() == std::vector<int64_t>({2, 3}));
    fails(MCOMP_DTYPE, [&] { t.elements<float>(); });
    fails(MCOMP_SHAPE, [&] { Tensor::of<float>({3}, {1, 2}); });
    fails(MCOMP_SHAPE, [&] { Tensor(MCOMP_F32, {-1}); });
    float memory[4] = {1, 2, 3, 4};
    const Tensor w = Tensor::wrap(MCOMP_F32, {4}, memory, sizeof memory);
    ck_assert_ptr_eq(w.raw(), memory);
    fails(MCOMP_ARGUMENT, [&] { Tensor::wrap(MCOMP_F32, {5}, memory, sizeof memory); });
    const Folder dir;
    w.view().save_npy(dir / "a.npy");
    fails(MCOMP_PATH, [&] { w.view().save_npy(dir / "a.npy"); });
    ck_assert(Tensor::load_npy(dir / "a.npy").elements<float>().copy() == std::vector<float>({1, 2, 3, 4}));
    ck_assert(dtype("<f4") == MCOMP_F32 && std::string(dtype_name(MCOMP_I8)) == "int8" && t.view().count() == 6);
    ck_assert(Tensor::of<bool>({2}, {true, false}).elements<bool>()[0]);
}
END_TEST

START_TEST(graph_and_run)
{
    const Context ctx;
    ck_assert_str_eq(version(), mcomp_version_string());
    ck_assert_uint_eq(version_number(), mcomp_version_number());
    ck_assert_int_ge(machine().cpus, 1);
    ck_assert(ctx.threads() >= 1 && !ctx.backends().empty());
    const Folder dir;
    Graph built = tiny(ctx);
    built.set_metadata("key", "value");
    built.save(dir / "a.onnx");
    fails(MCOMP_PATH, [&] { built.save(dir / "a.onnx"); });
    const Graph g = Graph::load(ctx, dir / "a.onnx");
    std::ifstream file(dir / "a.onnx", std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
    ck_assert_int_eq(Graph::load_memory(ctx, bytes.data(), bytes.size()).info().n_nodes, 3);
    ck_assert(g.inputs().size() == 1 && g.inputs()[0].dims[0] == -1 && std::string(g.inputs()[0].symbols[0]) == "batch");
    ck_assert(std::string(g.outputs()[0].name) == "y" && g.nodes().size() == 3 && std::string(g.nodes()[0].op) == "MatMul");
    ck_assert(g.constants().size() == 2 && g.unsupported().empty() && g.warnings().empty());
    ck_assert_str_eq(g.metadata("key"), "value");
    ck_assert_ptr_null(g.metadata("none"));
    ck_assert(g.metadata().back().first == "key" && g.metadata().back().second == "value" && !g.opsets().empty() && g.opsets()[0].second >= 7);
    SessionOptions o;
    o.profile = 1;
    const Session s(ctx, g.clone(), o);
    ck_assert(s.n_inputs() == 1 && s.input_names() == std::vector<std::string>{"x"} && s.output_names() == std::vector<std::string>{"y"});
    Exec e(s);
    const Tensor x = ones();
    right(e.run({x})[0]);
    right(e.run(Views{x})[0]);
    ck_assert(s.plans() == 1 && e.plan().n_steps > 0 && !e.kernels().empty());
    Graph two = g.clone();
    two.expose("m");
    two.fix_input("x", x);
    const Session fixed(ctx, two);
    Exec f(fixed);
    ck_assert(f.run({}).size() == 2);
    right(f.run({})[0]);
}
END_TEST

START_TEST(runs_allocate_nothing)
{
    const Context ctx;
    const Session s(ctx, tiny(ctx));
    Exec e(s);
    const Tensor x = ones();
    const Views in{x};
    e.run({x});
    const long before = allocations();
    for (int i = 0; i < 100; i++) {
        right_without_copy(e.run({x})[0]);
        right_without_copy(e.run(in)[0]);
    }
    ck_assert_int_eq(allocations(), before);
}
END_TEST

START_TEST(attributes)
{
    const Context ctx;
    Graph g = Graph::create(ctx, "attributes");
    g.add_input("x", MCOMP_F32, {2, 3});
    g.add_node("Softmax", "s", {"x"}, {"a"});
    g.set_int("s", "axis", 0);
    g.add_node("Transpose", "t", {"a"}, {"b"});
    g.set_ints("t", "perm", {1, 0});
    g.add_node("LeakyRelu", "l", {"b"}, {"c"});
    g.set_float("l", "alpha", 0.5f);
    g.add_node("Gelu", "g", {"c"}, {"y"});
    g.set_string("g", "approximate", "tanh");
    g.add_output("y");
    g.finish();
    const Session s(ctx, g);
    Exec e(s);
    ck_assert(e.run({Tensor(MCOMP_F32, {2, 3})})[0].shape().copy() == std::vector<int64_t>({3, 2}));
}
END_TEST

START_TEST(errors)
{
    const Context ctx;
    const Error e = fails(MCOMP_PATH, [&] { Graph::load(ctx, "/no/such/model.onnx"); });
    ck_assert_str_eq(e.name(), "PATH");
    ck_assert_int_eq(e.exit_code(), 2);
    ck_assert_msg(std::string(e.what()).find("/no/such/model.onnx") != std::string::npos, "%s", e.what());
    const Error copy = e; /* nothing of it is lost with the record of the thread */
    fails(MCOMP_ARGUMENT, [&] { Graph::build(ctx, "no-such-kind"); });
    ck_assert_str_eq(copy.what(), e.what());
    const Session s(ctx, tiny(ctx));
    Exec x(s);
    fails(MCOMP_SHAPE, [&] { x.run({Tensor(MCOMP_F32, {1, 9})}); });
    fails(MCOMP_DTYPE, [&] { x.run({Tensor(MCOMP_I64, {1, 8})}); });
    fails(MCOMP_ARGUMENT, [&] { x.run({}); });
    right(x.run({ones()})[0]);
    ContextOptions o;
    o.threads = 1000000;
    fails(MCOMP_RANGE, [&] { Context bad(o); });
    Graph g = tiny(ctx);
    fails(MCOMP_ARGUMENT, [&] { g.expose("none"); });
}
END_TEST

START_TEST(ownership)
{
    Context ctx;
    Tensor a = ones(), b = std::move(a);
    ck_assert(!a && b);
    a = std::move(b);
    ck_assert(a && !b);
    const Tensor taken(a.release());
    ck_assert(taken && !a);
    Graph g = tiny(ctx);
    Session s(ctx, g);
    g = Graph(); /* the session has what it needs */
    Exec e(s);
    Session moved = std::move(s);
    Exec f = std::move(e);
    right(f.run({taken})[0]);
    Context &same = ctx;
    ctx = std::move(same);
    ck_assert(same.threads() >= 1);
}
END_TEST

START_TEST(quantize)
{
    const Context ctx;
    const Folder dir;
    const Graph g = mlp(ctx);
    Dataset d = numbers(ctx, g, 64);
    ck_assert(d.size() == 64 && d.at(3).label == (std::sin(48.0) > 0) && d.at(3).inputs[0].elements<float>()[1] == static_cast<float>(std::sin(49.0)));
    Calibrator c(ctx, g);
    c.feed(d);
    c.feed(d.at(0).inputs);
    ck_assert(c.info().samples == 65 && c.range(0, "minmax").lo < c.range(0, "minmax").hi);
    c.save(dir / "a.calib");
    Calibrator sum = Calibrator::load(ctx, &g, dir / "a.calib");
    sum.merge(c);
    ck_assert_int_eq(sum.info().samples, 130);
    ck_assert_int_eq(Calibrator::load(ctx, nullptr, dir / "a.calib").info().samples, 65);
    QuantizerOptions o;
    o.scheme = "int8";
    Quantizer q(ctx, o);
    const auto nodes_of_integers = [&] {
        int n = 0;
        for (const auto &node : q.nodes()) n += node.quantized;
        return n;
    };
    const Session small(ctx, q.apply(g, &sum, &d)), large(ctx, g);
    const int all = nodes_of_integers();
    ck_assert_str_eq(q.scheme(), "int8");
    Exec e(small), f(large);
    const Views in = d.at(5).inputs;
    ck_assert(std::fabs(e.run(in)[0].elements<float>()[0] - f.run(in)[0].elements<float>()[0]) < 0.1);
    q.set_rule(q.nodes()[0].node, "precision", "float");
    q.apply(g, &sum);
    ck_assert_int_eq(nodes_of_integers(), all - 1);
    Quantizer dynamic(ctx);
    dynamic.apply(g);
}
END_TEST

START_TEST(train)
{
    const Context ctx;
    const Folder dir;
    const Graph g = mlp(ctx);
    Dataset d = numbers(ctx, g, 200), v = numbers(ctx, g, 50);
    TrainerOptions o;
    build_training(o, "mlp");
    o.epochs = 4;
    o.lr = 0.01;
    int steps = 0;
    Trainer t(ctx, g, o, [&](const mcomp_train_event &e) { steps += e.kind == 0; });
    ck_assert(!build_is_text("mlp") && build_is_text("text-cnn"));
    const Tensor x(MCOMP_F32, {8, 16}), y(MCOMP_I64, {8});
    const float first = t.step({x}, y);
    ck_assert(t.step({x}, y) < first && t.info().steps == 2 && t.info().parameters > 0);
    t.save(dir / "a.ckpt");
    const mcomp_train_result r = t.fit(d, &v);
    ck_assert(r.epochs == 4 && r.best_metric > 0.9 && steps > 0);
    ck_assert_int_eq(t.graph().info().n_nodes, g.info().n_nodes);
    Trainer other(ctx, g, o);
    other.load(dir / "a.ckpt");
    ck_assert_int_eq(other.info().steps, 2);
    Trainer stopped(ctx, g, o, [](const mcomp_train_event &) { throw std::domain_error("enough"); });
    try {
        stopped.fit(d);
        ck_abort_msg("went on");
    } catch (const std::domain_error &e) {
        ck_assert_str_eq(e.what(), "enough");
    }
}
END_TEST

START_TEST(distil)
{
    const Context ctx;
    const Graph g = mlp(ctx);
    Dataset d = numbers(ctx, g, 200), v = numbers(ctx, g, 50);
    TrainerOptions o;
    o.epochs = 2;
    DistillerOptions how;
    how.alpha = 0.5;
    Distiller teacher(ctx, g, how);
    teacher.teach(d);
    ck_assert(teacher.info().samples == 200 && teacher.info().computed == 200);
    const Distiller::Results r = teacher.fit(g, o, d, &v);
    ck_assert(r.student.epochs == 2 && r.control.epochs == 2);
    ck_assert(teacher.student().info().n_nodes == g.info().n_nodes && teacher.control().info().n_nodes == g.info().n_nodes);
    try {
        teacher.cut("teacher:layers=0");
        ck_abort_msg("an mlp has no layers to cut");
    } catch (const Error &e) {
        ck_assert_int_eq(e.code(), MCOMP_UNSUPPORTED);
    }
    Dataset part = numbers(ctx, g, 200);
    part.split(true);
    ck_assert(part.size() > 5 && part.size() < 60);
    Trainer t(ctx, g, o);
    teacher.attach(t);
    ck_assert(t.fit(d, &v).epochs == 2);
}
END_TEST

START_TEST(prune)
{
    const Context ctx;
    const Graph g = mlp(ctx);
    Dataset d = numbers(ctx, g, 200), v = numbers(ctx, g, 50);
    TrainerOptions o;
    o.epochs = 2;
    PrunerOptions how;
    how.pattern = "ffn";
    Pruner p(ctx, g, how);
    ck_assert(!p.sites().empty() && p.sites()[0].sparsity == 0.0);
    const Pruner::Results r = p.run(&d, &v, o);
    ck_assert(r.training.epochs == 2 && r.pruning.equivalence_samples == 8 && p.sites()[0].kept < p.sites()[0].pieces);
    ck_assert(p.graph().info().parameters < g.info().parameters);
    ck_assert(Pruner(ctx, g, how).run(nullptr, &v).training.steps == 0);
}
END_TEST

START_TEST(quantize_while_training)
{
    const Context ctx;
    const Graph g = mlp(ctx);
    Dataset d = numbers(ctx, g, 200), v = numbers(ctx, g, 50);
    Calibrator c(ctx, g);
    c.feed(d);
    Quantizer q(ctx);
    TrainerOptions o;
    o.epochs = 2;
    const QatResults r = quantize_aware(q, g, &c, d, &v, o);
    ck_assert(r.qat.trained == 1 && r.qat.weights > 0 && r.qat.learned_scales > 0 && r.training.epochs == 2);
    QatOptions fixed;
    fixed.scales = MCOMP_QAT_SCALES_FIXED;
    ck_assert(quantize_aware(q, r.graph, nullptr, d, &v, o, fixed).qat.learned_scales == 0);
}
END_TEST

START_TEST(tokenizer)
{
    const Context ctx;
    const Folder dir;
    Tokenizer t(ctx, "train:bpe,300", {"the cat sat on the mat", "the dog"});
    const auto ids = t.encode("the cat");
    ck_assert(!ids.empty() && ids[0] < t.count() && t.id(t.token(ids[0])) == ids[0] && t.token(1000000) == nullptr);
    t.save(dir / "tokenizer.json");
    ck_assert(Tokenizer(ctx, dir / "tokenizer.json").encode("the cat") == ids);
    ck_assert(Tokenizer::share(t.get()).encode("the cat") == ids);
    ck_assert(Tokenizer(ctx, "bytes").encode(std::string("a\0b", 3), false).size() == 3);
    BuildOptions o;
    o.vocab = t.count();
    o.classes = 2;
    o.length = 8;
    const Graph g = Graph::build(ctx, "text-cnn", o);
    std::ofstream(dir / "a.tsv") << "text\tlabel\nthe cat\tcats\nthe dog\tdogs\n";
    DatasetOptions with;
    with.tokenizer_handle = t.get();
    Dataset d(ctx, g, dir / "a.tsv", with);
    ck_assert(d.has_labels() && d.label_names() == std::vector<std::string>({"cats", "dogs"}) && d.tokenizer().count() == t.count());
    ck_assert(d.at(0).inputs[0].elements<int64_t>()[0] == ids[0]);
    fails(MCOMP_DATA, [&] { d.targets(0, 8); });
    fails(MCOMP_DATA, [&] { d.expected(0, 0); });
}
END_TEST

/* Exceptions cross C as what they are, nested calls included, and leave nothing behind for later calls. */
START_TEST(callbacks_throw)
{
    int lines = 0;
    ContextOptions o;
    bool stop = true;
    const Context ctx(o, Callbacks{[&](const char *, double) { if (stop) throw std::length_error("stop"); }, [&](int32_t, const char *) { lines++; }});
    const Graph g = mlp(ctx);
    Dataset bad(ctx, g, 4, [&](int64_t i, std::vector<Tensor> &) -> int64_t {
        fails(MCOMP_PATH, [&] { Graph::load(ctx, "/no/such/file"); }); /* a call within the call */
        throw std::out_of_range("sample " + std::to_string(i));
    });
    for (int k = 0; k < 2; k++) try {
            bad.at(2);
            ck_abort_msg("nothing was thrown");
        } catch (const std::out_of_range &e) {
            ck_assert_str_eq(e.what(), "sample 2");
        }
    Dataset none(ctx, g, 4, [](int64_t, std::vector<Tensor> &) { return int64_t{-1}; });
    fails(MCOMP_DATA, [&] { none.at(0); });
    Dataset more(ctx, g, 4, [](int64_t, std::vector<Tensor> &in) {
        in.resize(3);
        return int64_t{-1};
    });
    fails(MCOMP_DATA, [&] { more.at(0); });
    Dataset d = numbers(ctx, g, 16);
    Calibrator c(ctx, g);
    try {
        c.feed(d);
        ck_abort_msg("nothing was thrown");
    } catch (const std::length_error &e) {
        ck_assert_str_eq(e.what(), "stop");
    }
    stop = false;
    Calibrator again(ctx, g);
    again.feed(d);
    ctx.cancel();
    fails(MCOMP_CANCELLED, [&] { again.feed(d); });
    ctx.cancel_clear();
    again.feed(d);
    ck_assert_int_eq(lines, 0);
}
END_TEST

START_TEST(report)
{
    const Context ctx;
    const Folder dir;
    Report r(ctx);
    r.add("{\"before\": {\"bytes\": 400}, \"after\": {\"bytes\": 100}}", "a run");
    ck_assert(r.check("size_ratio == 4") && !r.check("bytes > 100") && r.text("md").find("4.00") != std::string::npos);
    r.save(dir / "r.html");
    fails(MCOMP_PATH, [&] { r.save(dir / "r.html"); });
    fails(MCOMP_FORMAT, [&] { r.add("[", "x"); });
    CostOptions o;
    o.instances = 8;
    o.set("usd_per_hour", 3.06);
    ck_assert(cost(o).monthly_before == 8 * 3.06 * 730 && cost_json(o).find("17870.4") != std::string::npos);
    fails(MCOMP_RANGE, [&] { o.set("instances", 0.5); });
}
END_TEST

/* Two translation units with the header link, and an Error of one is caught in the other. */
START_TEST(two_files)
{
    fails(MCOMP_PATH, [] { load_in_second("/no/such/file"); });
}
END_TEST

int main()
{
    Suite *suite = suite_create("cpp");
    TCase *c = tcase_create("cpp");
    for (const TTest *t : {tensors, graph_and_run, runs_allocate_nothing, attributes, errors, ownership, quantize, train, distil, prune, quantize_while_training, tokenizer, report, callbacks_throw, two_files})
        tcase_add_test(c, t);
    suite_add_tcase(suite, c);
    SRunner *r = srunner_create(suite);
    srunner_set_tap(r, "-");
    srunner_run_all(r, CK_SILENT);
    const int failed = srunner_ntests_failed(r);
    srunner_free(r);
    return failed ? 1 : 0;
}
