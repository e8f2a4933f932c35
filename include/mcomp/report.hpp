/* mcomp/report.hpp - C++ objects for reports and costs (mcomp/report.h). mcomp.hpp includes it, and has what holds for all of them. */
#ifndef MCOMP_REPORT_HPP
#define MCOMP_REPORT_HPP

#include <mcomp/mcomp.hpp>

namespace mcomp {

class Report : public Handle<mcomp_report, mcomp_report_destroy> {
public:
    using Handle::Handle;
    explicit Report(const Context &ctx) : Handle(detail::make(mcomp_report_destroy, mcomp_report_create, ctx.get())) {}
    void add(const std::string &json, const std::string &name)
    {
        detail::call(mcomp_report_add, get(), json.data(), static_cast<uint64_t>(json.size()), name.c_str());
    }
    void add_file(const std::string &path) { detail::call(mcomp_report_add_file, get(), path.c_str()); }
    /* "html" or "md". */
    std::string text(const std::string &format = "html")
    {
        const char *p = nullptr;
        uint64_t n = 0;
        detail::call(mcomp_report_text, &p, &n, get(), format.c_str());
        return std::string(p, static_cast<size_t>(n));
    }
    void save(const std::string &path, const std::string &format = "html", bool overwrite = false)
    {
        detail::call(mcomp_report_save, get(), path.c_str(), format.c_str(), static_cast<int32_t>(overwrite));
    }
    bool check(const std::string &expression)
    {
        int32_t holds = 0;
        detail::call(mcomp_report_check, &holds, get(), expression.c_str());
        return holds != 0;
    }
};

struct CostOptions : Options<mcomp_cost_options, mcomp_cost_options_init> {
    void set(const std::string &key, double value) { detail::call(mcomp_cost_set, static_cast<mcomp_cost_options *>(this), key.c_str(), value); }
};

inline mcomp_cost_result cost(const CostOptions &o)
{
    mcomp_cost_result r{};
    r.size = sizeof r;
    detail::call(mcomp_cost_compute, &r, static_cast<const mcomp_cost_options *>(&o));
    return r;
}

inline std::string cost_json(const CostOptions &o)
{
    uint64_t n = 0;
    std::string text(16384, '\0');
    detail::call(mcomp_cost_json, &text[0], &n, static_cast<uint64_t>(text.size()), static_cast<const mcomp_cost_options *>(&o));
    text.resize(static_cast<size_t>(n) - 1);
    return text;
}

} // namespace mcomp

#endif
