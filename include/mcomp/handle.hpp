/* mcomp/handle.hpp - what the C++ objects of mcomp/mcomp.hpp are made of: errors, calls, handles, options. */
#ifndef MCOMP_HANDLE_HPP
#define MCOMP_HANDLE_HPP

#include <mcomp/mcomp.h>

#include <cstddef>
#include <cstdio>
#include <cstring>
#include <exception>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace mcomp {

/* A status below zero and its record. Copies allocate nothing. */
class Error : public std::exception {
public:
    /* Copies the record of the call that has just returned `status` on this thread. */
    explicit Error(int32_t status) noexcept
    {
        record_.size = sizeof record_;
        mcomp_error_get(&record_);
        if (record_.code != status) {
            record_ = mcomp_error{};
            record_.code = status;
            std::snprintf(record_.message, sizeof record_.message, "%s", mcomp_status_text(status));
        }
        compose();
    }
    Error(int32_t code, const char *where, const char *message) noexcept
    {
        record_.code = code;
        std::snprintf(record_.where, sizeof record_.where, "%s", where);
        std::snprintf(record_.message, sizeof record_.message, "%s", message);
        compose();
    }
    int32_t code() const noexcept { return record_.code; }
    const char *name() const noexcept { return mcomp_status_name(record_.code); } /* "SHAPE" */
    const char *where() const noexcept { return record_.where; }
    const char *message() const noexcept { return record_.message; }
    const char *hint() const noexcept { return record_.hint; }
    int32_t argument() const noexcept { return record_.argument; } /* of the C function, from 1; 0: none */
    int32_t exit_code() const noexcept { return mcomp_status_exit_code(record_.code); } /* the command's */
    const char *what() const noexcept override { return what_; }   /* "SHAPE: where: message (hint)" */

private:
    void compose() noexcept
    {
        const bool at = record_.where[0] != 0, more = record_.hint[0] != 0;
        std::snprintf(what_, sizeof what_, "%s: %s%s%s%s%s%s", name(), record_.where, at ? ": " : "", record_.message, more ? " (" : "",
                      record_.hint, more ? ")" : "");
    }
    mcomp_error record_{};
    char what_[sizeof(mcomp_error) + 32];
};

namespace detail {

/* What a callback threw waits here until the C call that it interrupted has returned, on the same thread. Calls nest. */
inline std::exception_ptr &pending() noexcept
{
    static thread_local std::exception_ptr p;
    return p;
}

template <class... P, class... A> void call(int32_t (*f)(P...), A... a)
{
    const std::exception_ptr outer = std::exchange(pending(), nullptr);
    const int32_t status = f(a...);
    const std::exception_ptr thrown = std::exchange(pending(), outer);
    if (thrown) std::rethrow_exception(thrown);
    if (status < 0) throw Error(status);
}

/* Runs the caller's function inside a callback of C. */
template <class F> int32_t guard(int32_t failed, F &&f) noexcept
{
    try {
        f();
        return MCOMP_OK;
    } catch (...) {
        if (!pending()) pending() = std::current_exception();
        return failed;
    }
}

template <class T, class F, class... A> T *make(void (*destroy)(T *), F f, A... a)
{
    T *p = nullptr;
    try {
        call(f, &p, a...);
    } catch (...) {
        destroy(p);
        throw;
    }
    return p;
}

template <class I, class F, class... A> I info(F f, A... a)
{
    I out{};
    out.size = sizeof out;
    call(f, a..., &out);
    return out;
}

template <class H, class I> std::vector<std::string> texts(const char *(*f)(const H *, I), const H *h)
{
    std::vector<std::string> out;
    for (I i = 0; const char *text = f(h, i); i++) out.emplace_back(text);
    return out;
}

inline std::vector<const char *> pointers(const std::vector<std::string> &strings)
{
    std::vector<const char *> out;
    for (const std::string &s : strings) out.push_back(s.c_str());
    return out;
}

inline const char *or_null(const std::string &s) { return s.empty() ? nullptr : s.c_str(); }

} // namespace detail

/* One C handle. `keep` is what its callbacks need: it goes after the handle. */
template <class T, void (*Destroy)(T *)> class Handle {
public:
    Handle() noexcept = default;
    explicit Handle(T *own, std::shared_ptr<void> keep = nullptr) noexcept : p_(own, Free{std::move(keep)}) {}
    T *get() const noexcept { return p_.get(); }
    T *release() noexcept { return p_.release(); }
    explicit operator bool() const noexcept { return p_ != nullptr; }

private:
    struct Free {
        std::shared_ptr<void> keep;
        void operator()(T *p) const noexcept { Destroy(p); }
    };
    std::unique_ptr<T, Free> p_;
};

template <class T, int32_t (*Init)(T *, uint32_t)> struct Options : T {
    Options() : T() { detail::call(Init, static_cast<T *>(this), static_cast<uint32_t>(sizeof(T))); }
};
using ContextOptions = Options<mcomp_context_options, mcomp_context_options_init>;
using LoadOptions = Options<mcomp_load_options, mcomp_load_options_init>;
using SaveOptions = Options<mcomp_save_options, mcomp_save_options_init>;
using BuildOptions = Options<mcomp_build_options, mcomp_build_options_init>;
using DatasetOptions = Options<mcomp_dataset_options, mcomp_dataset_options_init>;
using QatOptions = Options<mcomp_qat_options, mcomp_qat_options_init>;
using QuantizerOptions = Options<mcomp_quantizer_options, mcomp_quantizer_options_init>;
using SessionOptions = Options<mcomp_session_options, mcomp_session_options_init>;
using DistillerOptions = Options<mcomp_distiller_options, mcomp_distiller_options_init>;
using PrunerOptions = Options<mcomp_pruner_options, mcomp_pruner_options_init>;
using TrainerOptions = Options<mcomp_trainer_options, mcomp_trainer_options_init>;

} // namespace mcomp

#endif
