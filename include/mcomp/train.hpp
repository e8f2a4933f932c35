/* mcomp/train.hpp - C++ objects for training, pruning and distillation (mcomp/trainer.h, pruner.h, distiller.h, build.h). mcomp.hpp includes it,
 * and has what holds for all of them. */
#ifndef MCOMP_TRAIN_HPP
#define MCOMP_TRAIN_HPP

#include <mcomp/mcomp.hpp>

namespace mcomp {

class Trainer : public Handle<mcomp_trainer, mcomp_trainer_destroy> {
public:
    using Handle::Handle;
    /* What it throws ends the training after a checkpoint was written. */
    using Progress = std::function<void(const mcomp_train_event &)>;

    Trainer(const Context &ctx, const Graph &g, const TrainerOptions &options = {})
        : Handle(detail::make(mcomp_trainer_destroy, mcomp_trainer_create, ctx.get(), g.get(), &options)) {}
    Trainer(const Context &ctx, const Graph &g, const TrainerOptions &options, Progress progress)
        : Handle(open(ctx, g, options, std::make_shared<Progress>(std::move(progress)))) {}
    /* One batch; the mean of its loss, of the weights before the update. */
    float step(const Views &inputs, TensorView target)
    {
        float loss = 0;
        detail::call(mcomp_trainer_step, &loss, get(), static_cast<int32_t>(inputs.size()), detail::pointers(inputs).data(), target.get());
        return loss;
    }
    /* valid nullptr: a tenth of train. */
    mcomp_train_result fit(Dataset &train, Dataset *valid = nullptr)
    {
        mcomp_train_result r{};
        r.size = sizeof r;
        detail::call(mcomp_trainer_fit, &r, get(), train.get(), valid ? valid->get() : nullptr);
        return r;
    }
    Graph graph() const { return Graph(detail::make(mcomp_graph_destroy, mcomp_trainer_graph, get())); }
    void save(const std::string &path) const { detail::call(mcomp_trainer_save, get(), path.c_str()); }
    void load(const std::string &path) { detail::call(mcomp_trainer_load, get(), path.c_str()); }
    mcomp_trainer_info info() const { return detail::info<mcomp_trainer_info>(mcomp_trainer_info_get, get()); }

private:
    static Handle open(const Context &ctx, const Graph &g, TrainerOptions o, const std::shared_ptr<Progress> &progress)
    {
        o.progress_payload = progress.get();
        o.progress = [](void *p, const mcomp_train_event *e) { return detail::guard(1, [&] { (*static_cast<Progress *>(p))(*e); }); };
        return Handle(detail::make(mcomp_trainer_destroy, mcomp_trainer_create, ctx.get(), g.get(), &o), progress);
    }
};

struct QatResults {
    Graph graph;
    mcomp_qat_result qat;
    mcomp_train_result training; /* steps 0 where nothing was trained */
};
/* Quantization-aware training with the scheme and the rules of q. c: of a float model; nullptr: g is quantized already. */
inline QatResults quantize_aware(Quantizer &q, const Graph &g, const Calibrator *c, Dataset &train, Dataset *valid = nullptr, const TrainerOptions &training = {},
                                 const QatOptions &options = {})
{
    mcomp_graph *out = nullptr;
    QatResults r{Graph(nullptr), {}, {}};
    r.qat.size = sizeof r.qat;
    r.training.size = sizeof r.training;
    detail::call(mcomp_quantizer_train, &out, &r.qat, &r.training, q.get(), g.get(), c ? c->get() : nullptr, train.get(), valid ? valid->get() : nullptr, &training, &options);
    r.graph = Graph(out);
    return r;
}

class Pruner : public Handle<mcomp_pruner, mcomp_pruner_destroy> {
public:
    using Handle::Handle;
    Pruner(const Context &ctx, const Graph &g, const PrunerOptions &options = {})
        : Handle(detail::make(mcomp_pruner_destroy, mcomp_pruner_create, ctx.get(), g.get(), &options)) {}
    struct Results {
        mcomp_prune_result pruning;
        mcomp_train_result training; /* steps 0 where nothing was trained */
    };
    /* Once. train nullptr: nothing is trained. A target that is missed throws; graph() is then the nearest model. */
    Results run(Dataset *train, Dataset *valid = nullptr, const TrainerOptions &options = {})
    {
        Results r{};
        r.pruning.size = sizeof r.pruning;
        r.training.size = sizeof r.training;
        detail::call(mcomp_pruner_run, &r.pruning, &r.training, get(), train ? train->get() : nullptr, valid ? valid->get() : nullptr, &options);
        return r;
    }
    Graph graph() const { return Graph(detail::make(mcomp_graph_destroy, mcomp_pruner_graph, get())); }
    std::vector<mcomp_prune_site> sites() const
    {
        int64_t n = 0;
        detail::call(mcomp_pruner_site_count, get(), &n);
        std::vector<mcomp_prune_site> out;
        for (int64_t i = 0; i < n; i++) out.push_back(detail::info<mcomp_prune_site>(mcomp_pruner_site_get, get(), i));
        return out;
    }
};

class Distiller : public Handle<mcomp_distiller, mcomp_distiller_destroy> {
public:
    using Handle::Handle;
    Distiller(const Context &ctx, const Graph &teacher, const DistillerOptions &options = {})
        : Handle(detail::make(mcomp_distiller_destroy, mcomp_distiller_create, ctx.get(), teacher.get(), &options)) {}
    /* Opened for the teacher, with the rows of the student's training data. */
    void teach(Dataset &data) { detail::call(mcomp_distiller_teach, get(), data.get()); }
    /* The distiller must outlive the trainer. */
    void attach(Trainer &t) { detail::call(mcomp_distiller_attach, get(), t.get()); }
    /* "teacher:layers=0+2+4,..."; data: for vocab, opened for the teacher. The tokenizer is empty where it stays the same. */
    std::pair<Graph, Tokenizer> cut(const std::string &spec, Dataset *data = nullptr)
    {
        mcomp_graph *g = nullptr;
        mcomp_tokenizer *t = nullptr;
        detail::call(mcomp_distiller_cut, &g, &t, get(), spec.c_str(), data ? data->get() : nullptr);
        return {Graph(g), Tokenizer(t)};
    }
    struct Results {
        mcomp_train_result student, control; /* control: steps 0 where there is none */
    };
    /* valid nullptr: a tenth of train. */
    Results fit(const Graph &student, const TrainerOptions &options, Dataset &train, Dataset *valid = nullptr)
    {
        Results r{};
        r.student.size = r.control.size = sizeof r.student;
        detail::call(mcomp_distiller_fit, &r.student, &r.control, get(), student.get(), &options, train.get(), valid ? valid->get() : nullptr);
        return r;
    }
    Graph student() const { return Graph(detail::make(mcomp_graph_destroy, mcomp_distiller_graph, get(), 0)); }
    Graph control() const { return Graph(detail::make(mcomp_graph_destroy, mcomp_distiller_graph, get(), 1)); }
    mcomp_distiller_info info() const { return detail::info<mcomp_distiller_info>(mcomp_distiller_info_get, get()); }
};

/* Sets epochs, batch and lr to what suits a fresh model of this kind. */
inline void build_training(TrainerOptions &options, const std::string &spec) { detail::call(mcomp_build_training, &options, spec.c_str()); }
/* true if this kind takes token ids, false if it takes numbers. */
inline bool build_is_text(const std::string &spec)
{
    int32_t text = 0;
    detail::call(mcomp_build_is_text, spec.c_str(), &text);
    return text == 1;
}

} // namespace mcomp

#endif
