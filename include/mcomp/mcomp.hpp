/* mcomp/mcomp.hpp - the C API as C++17 objects: what <mcomp/mcomp.h> says of a function holds for the member that calls it.
 *
 * Ownership. An object owns one C handle, is moved and never copied, and destroys the handle with itself; get() lends it to C functions,
 * release() gives it away, and the constructor from a pointer (where there is one) takes one over. As in C, what is made from a context must go before it, and
 * an Exec before its Session: declared in the order of making, they go in the right one. Not so the graph a session, trainer or
 * calibrator was made from, which may go at once. A TensorView, a Span, a `const char *`, and the strings in the structs that info() and
 * the like return, are borrowed: they live as long as the object they came from is neither changed nor destroyed.
 * Errors. What fails throws Error, which holds a copy of the error record made in the same call. What a callback throws ends the call
 * that runs it and comes out of that call.
 * Threads. As in C: Context is safe for all threads; Graph (unless edited) and Session are shared; every other object is for one call at
 * a time. Callbacks run in the thread that made the call.
 * Options are the C structs, filled with the defaults: `mcomp::SessionOptions o; o.threads = 2;`. The library copies their strings. */
#ifndef MCOMP_MCOMP_HPP
#define MCOMP_MCOMP_HPP

#include <mcomp/handle.hpp>
#include <mcomp/tensor.hpp>

namespace mcomp {

inline const char *version() noexcept { return mcomp_version_string(); }
inline uint32_t version_number() noexcept { return mcomp_version_number(); }
inline mcomp_machine_info machine() { return detail::info<mcomp_machine_info>(mcomp_machine_info_get); }

/* To end a long call, throw from progress, or call cancel() from another thread. */
struct Callbacks {
    std::function<void(const char *stage, double fraction)> progress;
    std::function<void(int32_t level, const char *text)> log;
};

class Context : public Handle<mcomp_context, mcomp_context_destroy> {
public:
    using Handle::Handle;
    explicit Context(const ContextOptions &options = {}) : Handle(detail::make(mcomp_context_destroy, mcomp_context_create, &options)) {}
    Context(const ContextOptions &options, Callbacks callbacks) : Handle(open(options, std::make_shared<Callbacks>(std::move(callbacks)))) {}
    void cancel() const noexcept { mcomp_context_cancel(get()); }
    void cancel_clear() const noexcept { mcomp_context_cancel_clear(get()); }
    int32_t threads() const noexcept { return mcomp_context_threads(get()); }
    void load_backend(const std::string &path) const { detail::call(mcomp_backend_load, get(), path.c_str()); }
    std::vector<mcomp_backend_info> backends() const
    {
        int32_t n = 0;
        detail::call(mcomp_backend_count, get(), &n);
        std::vector<mcomp_backend_info> out;
        for (int32_t i = 0; i < n; i++) out.push_back(detail::info<mcomp_backend_info>(mcomp_backend_info_get, get(), i));
        return out;
    }

private:
    static Handle open(ContextOptions o, const std::shared_ptr<Callbacks> &c)
    {
        if (c->progress) {
            o.progress_payload = c.get();
            o.progress = [](void *p, const char *stage, double fraction) {
                return detail::guard(1, [&] { static_cast<Callbacks *>(p)->progress(stage, fraction); });
            };
        }
        if (c->log) {
            o.log_payload = c.get();
            o.log = [](void *p, int32_t level, const char *text) {
                detail::guard(1, [&] { static_cast<Callbacks *>(p)->log(level, text); });
            };
        }
        return Handle(detail::make(mcomp_context_destroy, mcomp_context_create, &o), c);
    }
};

class Tokenizer : public Handle<mcomp_tokenizer, mcomp_tokenizer_destroy> {
public:
    using Handle::Handle;
    Tokenizer(const Context &ctx, const std::string &spec)
        : Handle(detail::make(mcomp_tokenizer_destroy, mcomp_tokenizer_create, ctx.get(), spec.c_str(), nullptr, nullptr, 0)) {}
    Tokenizer(const Context &ctx, const std::string &spec, const std::vector<std::string> &texts) : Handle(train(ctx, spec, texts)) {}
    /* Cuts as t, with the ids of `like`. */
    static Tokenizer renumber(const Tokenizer &t, const Tokenizer &like)
    {
        return Tokenizer(detail::make(mcomp_tokenizer_destroy, mcomp_tokenizer_renumber, t.get(), like.get()));
    }
    /* Another handle of the same vocabulary. */
    static Tokenizer share(const mcomp_tokenizer *t) { return Tokenizer(detail::make(mcomp_tokenizer_destroy, mcomp_tokenizer_share, t)); }
    /* special: with the special ids around it; max_length 0: not cut. */
    std::vector<int32_t> encode(const std::string &text, bool special = true, int64_t max_length = 0)
    {
        std::vector<int32_t> ids(text.size() + 16);
        const auto bytes = static_cast<int64_t>(text.size());
        for (;;) { /* a normal form may be longer than the text: once more with room for all */
            int64_t n = 0;
            const std::size_t room = ids.size();
            detail::call(mcomp_tokenizer_encode, get(), text.data(), bytes, special, max_length, static_cast<int64_t>(room), ids.data(), &n);
            ids.resize(static_cast<std::size_t>(n));
            if (ids.size() <= room) return ids;
        }
    }
    int64_t count() const noexcept { return mcomp_tokenizer_count(get()); }
    int64_t id(const std::string &token) const noexcept { return mcomp_tokenizer_id(get(), token.c_str()); } /* -1: none */
    const char *token(int64_t id) const noexcept { return mcomp_tokenizer_token(get(), id); }                /* nullptr: none */
    int64_t pad_id() const noexcept { return mcomp_tokenizer_pad_id(get()); }                                /* -1: none */
    void save(const std::string &path, bool overwrite = false) const { detail::call(mcomp_tokenizer_save, get(), path.c_str(), overwrite); }

private:
    static mcomp_tokenizer *train(const Context &ctx, const std::string &spec, const std::vector<std::string> &texts)
    {
        std::vector<int64_t> lengths;
        for (const std::string &t : texts) lengths.push_back(static_cast<int64_t>(t.size()));
        return detail::make(mcomp_tokenizer_destroy, mcomp_tokenizer_create, ctx.get(), spec.c_str(), detail::pointers(texts).data(), lengths.data(),
                            static_cast<int64_t>(texts.size()));
    }
};

/* A size, or the name of a free axis ("": free without a name). */
struct Axis {
    template <class I, class = std::enable_if_t<std::is_integral_v<I>>> Axis(I n) : size(static_cast<int64_t>(n)) {}
    Axis(const char *name) : symbol(name) {}
    int64_t size = -1;
    const char *symbol = nullptr;
};

struct UnsupportedNode {
    std::string node, op, why;
};

class Graph : public Handle<mcomp_graph, mcomp_graph_destroy> {
public:
    using Handle::Handle;
    /* ONNX; the file must not change while the graph lives. */
    static Graph load(const Context &ctx, const std::string &path) { return made(mcomp_graph_load, ctx.get(), path.c_str()); }
    /* ONNX or safetensors. */
    static Graph load(const Context &ctx, const std::string &path, const LoadOptions &options)
    {
        return made(mcomp_graph_load_with, ctx.get(), path.c_str(), &options);
    }
    static Graph load_memory(const Context &ctx, const void *data, uint64_t bytes) { return made(mcomp_graph_load_memory, ctx.get(), data, bytes); }
    /* A fresh model from a short description: "mlp:hidden=64". */
    static Graph build(const Context &ctx, const std::string &spec, const BuildOptions &options = {})
    {
        return made(mcomp_graph_build, ctx.get(), spec.c_str(), &options);
    }
    /* Empty, for add_*() and then finish(); opset 0: the newest. */
    static Graph create(const Context &ctx, const std::string &name, int32_t opset = 0) { return made(mcomp_graph_create, ctx.get(), name.c_str(), opset); }
    Graph clone() const { return made(mcomp_graph_clone, get()); }
    void save(const std::string &path, const SaveOptions &options = {}) const { detail::call(mcomp_graph_save, get(), path.c_str(), &options); }

    mcomp_graph_info info() const { return detail::info<mcomp_graph_info>(mcomp_graph_info_get, get()); }
    std::vector<mcomp_port_info> inputs() const { return list<mcomp_port_info>(mcomp_graph_input, info().n_inputs); }
    std::vector<mcomp_port_info> outputs() const { return list<mcomp_port_info>(mcomp_graph_output, info().n_outputs); }
    std::vector<mcomp_node_info> nodes() const { return list<mcomp_node_info>(mcomp_graph_node, info().n_nodes); }
    std::vector<mcomp_constant_info> constants() const
    {
        std::vector<mcomp_constant_info> out;
        detail::call(mcomp_graph_constants, get(), [](void *p, const mcomp_constant_info *c) {
            detail::guard(0, [&] { static_cast<std::vector<mcomp_constant_info> *>(p)->push_back(*c); });
        }, &out);
        return out;
    }
    std::vector<UnsupportedNode> unsupported() const
    {
        std::vector<UnsupportedNode> out;
        detail::call(mcomp_graph_unsupported, get(), [](void *p, const char *node, const char *op, const char *why) {
            detail::guard(0, [&] { static_cast<std::vector<UnsupportedNode> *>(p)->push_back({node, op, why}); });
        }, &out);
        return out;
    }
    std::vector<std::string> warnings() const { return detail::texts(mcomp_graph_warning, get()); }
    const char *metadata(const std::string &key) const noexcept { return mcomp_graph_meta(get(), key.c_str()); } /* nullptr: absent */
    std::vector<std::pair<std::string, std::string>> metadata() const
    {
        std::vector<std::pair<std::string, std::string>> out;
        const char *key = nullptr, *value = nullptr;
        for (int64_t i = 0; mcomp_graph_meta_at(get(), i, &key, &value) == MCOMP_OK; i++) out.emplace_back(key, value);
        return out;
    }
    void set_metadata(const std::string &key, const std::string &value) { detail::call(mcomp_graph_set_meta, get(), key.c_str(), value.c_str()); }
    /* Domain and version, "" is ai.onnx. */
    std::vector<std::pair<std::string, int64_t>> opsets() const
    {
        std::vector<std::pair<std::string, int64_t>> out;
        const char *domain = nullptr;
        int64_t version = 0;
        for (int64_t i = 0; mcomp_graph_opset_at(get(), i, &domain, &version) == MCOMP_OK; i++) out.emplace_back(domain, version);
        return out;
    }
    void expose(const std::string &value) { detail::call(mcomp_graph_expose, get(), value.c_str()); }
    void fix_input(const std::string &input, TensorView t) { detail::call(mcomp_graph_fix_input, get(), input.c_str(), t.get()); }

    void add_input(const std::string &name, int32_t dtype, const std::vector<Axis> &axes)
    {
        std::vector<int64_t> dims;
        std::vector<const char *> symbols;
        for (const Axis &a : axes) {
            dims.push_back(a.size);
            symbols.push_back(a.symbol);
        }
        detail::call(mcomp_graph_add_input, get(), name.c_str(), dtype, static_cast<int32_t>(axes.size()), dims.data(), symbols.data());
    }
    void add_constant(const std::string &name, TensorView t) { detail::call(mcomp_graph_add_constant, get(), name.c_str(), t.get()); }
    void add_node(const std::string &op, const std::string &name, const std::vector<std::string> &inputs, const std::vector<std::string> &outputs)
    {
        const auto in = detail::pointers(inputs), out = detail::pointers(outputs);
        detail::call(mcomp_graph_add_node, get(), op.c_str(), name.c_str(), static_cast<int32_t>(in.size()), in.data(),
                     static_cast<int32_t>(out.size()), out.data());
    }
    void set_int(const std::string &node, const std::string &key, int64_t v) { detail::call(mcomp_graph_set_int, get(), node.c_str(), key.c_str(), v); }
    void set_float(const std::string &node, const std::string &key, float v) { detail::call(mcomp_graph_set_float, get(), node.c_str(), key.c_str(), v); }
    void set_string(const std::string &node, const std::string &key, const std::string &v)
    {
        detail::call(mcomp_graph_set_string, get(), node.c_str(), key.c_str(), v.c_str());
    }
    void set_ints(const std::string &node, const std::string &key, const std::vector<int64_t> &v)
    {
        detail::call(mcomp_graph_set_ints, get(), node.c_str(), key.c_str(), v.data(), static_cast<int64_t>(v.size()));
    }
    void add_output(const std::string &value) { detail::call(mcomp_graph_add_output, get(), value.c_str()); }
    void finish() { detail::call(mcomp_graph_finish, get()); }

private:
    template <class F, class... A> static Graph made(F f, A... a) { return Graph(detail::make(mcomp_graph_destroy, f, a...)); }
    template <class I, class N> std::vector<I> list(int32_t (*f)(const mcomp_graph *, N, I *), N n) const
    {
        std::vector<I> out;
        for (N i = 0; i < n; i++) out.push_back(detail::info<I>(f, get(), i));
        return out;
    }
};

/* One tensor an input of the model; label -1: none. */
struct Sample {
    Views inputs;
    int64_t label;
};

class Dataset : public Handle<mcomp_dataset, mcomp_dataset_destroy> {
public:
    /* Puts new tensors for sample `index` into inputs, in the model's order, and returns the label, -1: none. */
    using Fetch = std::function<int64_t(int64_t index, std::vector<Tensor> &inputs)>;

    /* A data argument: "calib.npz@limit=100". */
    Dataset(const Context &ctx, const Graph &g, const std::string &argument, const DatasetOptions &options = {})
        : Handle(detail::make(mcomp_dataset_destroy, mcomp_dataset_open, ctx.get(), g.get(), argument.c_str(), &options)),
          n_inputs_(g.info().n_inputs) {}
    Dataset(const Context &ctx, const Graph &g, int64_t samples, Fetch fetch)
        : Handle(open(ctx, g, samples, std::make_shared<Fetch>(std::move(fetch)))), n_inputs_(g.info().n_inputs) {}
    int64_t size() const noexcept { return mcomp_dataset_count(get()); }
    /* Valid until the next call. */
    Sample at(int64_t i)
    {
        std::vector<const mcomp_tensor *> in(static_cast<std::size_t>(n_inputs_));
        int64_t label = -1;
        detail::call(mcomp_dataset_get, get(), i, n_inputs_, in.data(), &label);
        return {Views(in.begin(), in.end()), label};
    }
    /* Keeps the part to train on, or the one to validate on. by: as that dataset of the same rows divides. */
    void split(bool validation, double fraction = 0.1, Dataset *by = nullptr)
    {
        detail::call(mcomp_dataset_split, get(), by ? by->get() : nullptr, validation ? 1 : 0, fraction);
    }
    bool has_labels() const noexcept { return mcomp_dataset_has_labels(get()) == 1; }
    std::vector<std::string> label_names() const { return detail::texts(mcomp_dataset_label_name, get()); }
    std::vector<std::string> warnings() const { return detail::texts(mcomp_dataset_warning, get()); }
    /* What turns texts into ids here; empty where nothing does. */
    Tokenizer tokenizer() const
    {
        const mcomp_tokenizer *t = mcomp_dataset_tokenizer(get());
        return t ? Tokenizer::share(t) : Tokenizer();
    }
    std::vector<int64_t> targets(int64_t i, int64_t ids)
    {
        std::vector<int64_t> out(static_cast<std::size_t>(ids));
        detail::call(mcomp_dataset_targets, get(), i, ids, out.data());
        return out;
    }
    TensorView expected(int64_t i, int32_t output)
    {
        const mcomp_tensor *t = nullptr;
        detail::call(mcomp_dataset_expected, get(), i, output, &t);
        return t;
    }

private:
    static Handle open(const Context &ctx, const Graph &g, int64_t samples, const std::shared_ptr<Fetch> &fetch)
    {
        return Handle(detail::make(mcomp_dataset_destroy, mcomp_dataset_create, ctx.get(), g.get(), samples, give, fetch.get()), fetch);
    }
    static int32_t give(void *fetch, int64_t index, int32_t n, mcomp_tensor **inputs, int64_t *label)
    {
        return detail::guard(MCOMP_DATA, [&] {
            std::vector<Tensor> made(static_cast<std::size_t>(n));
            *label = (*static_cast<Fetch *>(fetch))(index, made);
            bool whole = made.size() == static_cast<std::size_t>(n);
            for (const Tensor &t : made) whole = whole && t;
            if (!whole) throw Error(MCOMP_DATA, ("sample " + std::to_string(index)).c_str(), "the function did not give one tensor an input");
            for (Tensor &t : made) *inputs++ = t.release();
        });
    }
    int32_t n_inputs_ = 0;
};

class Session : public Handle<mcomp_session, mcomp_session_destroy> {
public:
    using Handle::Handle;
    Session(const Context &ctx, const Graph &g, const SessionOptions &options = {})
        : Handle(detail::make(mcomp_session_destroy, mcomp_session_create, ctx.get(), g.get(), &options)) {}
    int32_t n_inputs() const noexcept { return mcomp_session_n_inputs(get()); }
    std::vector<std::string> input_names() const { return detail::texts(mcomp_session_input_name, get()); }
    std::vector<std::string> output_names() const { return detail::texts(mcomp_session_output_name, get()); }
    int32_t plans() const noexcept { return mcomp_session_plans(get()); }
};

class Exec : public Handle<mcomp_exec, mcomp_exec_destroy> {
public:
    explicit Exec(const Session &s)
        : Handle(detail::make(mcomp_exec_destroy, mcomp_exec_create, s.get())), raw_(static_cast<std::size_t>(mcomp_session_n_outputs(s.get()))),
          outputs_(raw_.size(), nullptr) {}
    /* Inputs in the session's order. The outputs are the exec's, valid until its next run. */
    const Views &run(const Views &inputs) { return run(inputs.data(), inputs.size()); }
    const Views &run(std::initializer_list<TensorView> inputs) { return run(inputs.begin(), inputs.size()); }
    mcomp_plan_info plan() const { return detail::info<mcomp_plan_info>(mcomp_exec_plan_info, get()); }
    /* Placement of the plan of the last run. */
    std::vector<mcomp_kernel_info> kernels() const
    {
        int32_t n = 0;
        detail::call(mcomp_exec_kernel_count, get(), &n);
        std::vector<mcomp_kernel_info> out;
        for (int32_t i = 0; i < n; i++) out.push_back(detail::info<mcomp_kernel_info>(mcomp_exec_kernel, get(), i));
        return out;
    }

private:
    const Views &run(const TensorView *inputs, std::size_t n)
    {
        in_.clear();
        for (std::size_t i = 0; i < n; i++) in_.push_back(inputs[i].get());
        detail::call(mcomp_exec_run, get(), static_cast<int32_t>(n), in_.data(), static_cast<int32_t>(raw_.size()), raw_.data());
        for (std::size_t i = 0; i < raw_.size(); i++) outputs_[i] = raw_[i];
        return outputs_;
    }
    std::vector<const mcomp_tensor *> in_, raw_;
    Views outputs_;
};

class Calibrator : public Handle<mcomp_calibrator, mcomp_calibrator_destroy> {
public:
    using Handle::Handle;
    Calibrator(const Context &ctx, const Graph &g) : Handle(detail::make(mcomp_calibrator_destroy, mcomp_calibrator_create, ctx.get(), g.get())) {}
    /* A .calib file; g may be nullptr to merge and look only. */
    static Calibrator load(const Context &ctx, const Graph *g, const std::string &path)
    {
        return Calibrator(detail::make(mcomp_calibrator_destroy, mcomp_calibrator_load, ctx.get(), g ? g->get() : nullptr, path.c_str()));
    }
    void feed(const Views &inputs, int64_t label = -1)
    {
        detail::call(mcomp_calibrator_feed, get(), static_cast<int32_t>(inputs.size()), detail::pointers(inputs).data(), label);
    }
    void feed(Dataset &d) { detail::call(mcomp_calibrator_feed_dataset, get(), d.get()); }
    void merge(const Calibrator &other) { detail::call(mcomp_calibrator_merge, get(), other.get()); }
    void save(const std::string &path, bool overwrite = false) const { detail::call(mcomp_calibrator_save, get(), path.c_str(), overwrite); }
    mcomp_calibration_info info() const { return detail::info<mcomp_calibration_info>(mcomp_calibrator_info, get()); }
    /* Classes of the model that no sample had. */
    std::vector<int64_t> unseen() const
    {
        std::vector<int64_t> out;
        int64_t label = 0;
        while (detail::call(mcomp_calibrator_unseen, &label, get(), static_cast<int64_t>(out.size())), label >= 0) out.push_back(label);
        return out;
    }
    struct Range {
        const char *tensor;
        double lo, hi;
    };
    Range range(int64_t i, const std::string &rule) const
    {
        Range r{};
        detail::call(mcomp_calibrator_range, get(), i, rule.c_str(), &r.tensor, &r.lo, &r.hi);
        return r;
    }
};

class Quantizer : public Handle<mcomp_quantizer, mcomp_quantizer_destroy> {
public:
    using Handle::Handle;
    explicit Quantizer(const Context &ctx, const QuantizerOptions &options = {})
        : Handle(detail::make(mcomp_quantizer_destroy, mcomp_quantizer_create, ctx.get(), &options)) {}
    void set_rule(const std::string &pattern, const std::string &key, const std::string &value)
    {
        detail::call(mcomp_quantizer_set_rule, get(), pattern.c_str(), key.c_str(), value.c_str());
    }
    /* c: needed by static schemes; samples: what "auto" measures on. Either may be nullptr. */
    Graph apply(const Graph &g, const Calibrator *c = nullptr, Dataset *samples = nullptr)
    {
        return Graph(detail::make(mcomp_graph_destroy, mcomp_quantizer_apply, get(), g.get(), c ? c->get() : nullptr, samples ? samples->get() : nullptr));
    }
    /* What the last apply did. */
    std::vector<mcomp_quantized_node> nodes() const
    {
        int32_t n = 0;
        detail::call(mcomp_quantizer_node_count, get(), &n);
        std::vector<mcomp_quantized_node> out;
        for (int32_t i = 0; i < n; i++) out.push_back(detail::info<mcomp_quantized_node>(mcomp_quantizer_node, get(), i));
        return out;
    }
    const char *scheme() const noexcept { return mcomp_quantizer_scheme(get()); }
};

} // namespace mcomp

#include <mcomp/recipe.hpp>
#include <mcomp/report.hpp>
#include <mcomp/train.hpp>

#endif
