/* mcomp/recipe.hpp - C++ object for recipes (mcomp/recipe.h). mcomp.hpp includes it, and has what holds for all of them. */
#ifndef MCOMP_RECIPE_HPP
#define MCOMP_RECIPE_HPP

#include <mcomp/mcomp.hpp>

namespace mcomp {

using RecipeOptions = Options<mcomp_recipe_options, mcomp_recipe_options_init>;
using RecipeRunOptions = Options<mcomp_recipe_run_options, mcomp_recipe_run_options_init>;

class Recipe : public Handle<mcomp_recipe, mcomp_recipe_destroy> {
public:
    using Handle::Handle;
    /* A recipe with errors in it does not throw: ask for errors(). */
    static Recipe load(const std::string &path, const RecipeOptions &options = {}) { return open(mcomp_recipe_load, path.c_str(), &options); }
    /* folder: what paths are relative to; empty: the working folder. */
    static Recipe parse(const std::string &text, const std::string &folder = "", const RecipeOptions &options = {})
    {
        return open(mcomp_recipe_parse, text.data(), static_cast<uint64_t>(text.size()), nullptr, folder.c_str(), &options);
    }
    /* At most 20, the first ones; their texts live as long as the recipe. */
    std::vector<mcomp_recipe_error> errors() const
    {
        int32_t n = 0;
        detail::call(mcomp_recipe_error_count, get(), &n, nullptr);
        std::vector<mcomp_recipe_error> out;
        for (int32_t i = 0; i < n; i++) out.push_back(detail::info<mcomp_recipe_error>(mcomp_recipe_error_get, get(), i));
        return out;
    }
    /* With every default written out. */
    std::string explain()
    {
        const char *text = nullptr;
        detail::call(mcomp_recipe_explain, &text, get());
        return text;
    }
    /* Runs it; the text of run.json. A missed target throws, too: its run.json lies in options.out. */
    std::string run(const Context &ctx, const RecipeRunOptions &options)
    {
        const char *json = nullptr;
        detail::call(mcomp_recipe_run, &json, get(), ctx.get(), &options);
        return json;
    }
    /* JSON Schema of all recipes. */
    static std::string schema()
    {
        uint64_t n = 0;
        detail::call(mcomp_recipe_schema, &n, nullptr, uint64_t{0});
        std::string text(static_cast<size_t>(n), '\0');
        detail::call(mcomp_recipe_schema, &n, &text[0], n);
        text.pop_back(); /* NUL */
        return text;
    }

private:
    template <class F, class... A> static Recipe open(F f, A... a)
    {
        mcomp_recipe *r = nullptr;
        const int32_t status = f(&r, a...);
        if (status < 0 && status != MCOMP_RECIPE) throw Error(status);
        return Recipe(r);
    }
};

} // namespace mcomp

#endif
