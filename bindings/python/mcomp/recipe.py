"""Recipes: what is to become of a model, in YAML, checked before anything runs."""
import ctypes
import json
import os
import typing

from . import _ffi, errors
from ._handle import Exclusive, Raw
from ._lib import check, fspath, lib, text, utf8
from ._records import options
from .context import default_context


class RecipeFault(typing.NamedTuple):
    """What is wrong at one place of a recipe. Line and column (in characters) count from 1."""
    file: str
    line: int
    column: int
    text: str
    hint: str
    source: str  #: the line of the recipe
    code: int    #: of an exception that says the same: RecipeError.code, LimitError.code ...


class Recipe(Exclusive):
    """A recipe that was read: Recipe.load("recipe.yaml"), Recipe.parse("version: 1 ...", folder="data"). One with errors in it is an
    object, too: `errors` lists them (the first 20), and what needs a right recipe raises RecipeError.

        recipe = mcomp.Recipe.load("recipe.yaml")
        for e in recipe.errors:
            print(f"{e.file}:{e.line}:{e.column}: error: {e.text}")
        print(recipe.explain())

    Keywords are the fields of mcomp_recipe_options: outside, no_files. One call at a time. docs/recipes.md."""

    def __init__(self):
        raise TypeError("Recipe.load or Recipe.parse makes a recipe")

    @classmethod
    def _read(cls, function, *arguments):
        r = cls.__new__(cls)
        Exclusive.__init__(r)
        r._raw = Raw(function, "mcomp_recipe_destroy", arguments, accept=(errors.RecipeError.code,))
        return r

    @classmethod
    def load(cls, path, **fields):
        """From a file; relative paths in it are relative to its folder."""
        return cls._read("mcomp_recipe_load", fspath(path), options(_ffi.mcomp_recipe_options, fields))

    @classmethod
    def parse(cls, value, *, name=None, folder=None, **fields):
        """From a str or bytes; relative paths in it are relative to `folder` (None: the working folder). name: for messages."""
        raw = value.encode() if isinstance(value, str) else value
        if not isinstance(raw, bytes):
            raise errors.ArgumentError(f"must be a str or bytes, not {type(value).__name__}", where="text")
        return cls._read("mcomp_recipe_parse", raw, len(raw), utf8(name, "name") if name is not None else None,
                         os.fsencode(folder) if folder is not None else None, options(_ffi.mcomp_recipe_options, fields))

    @property
    def errors(self):
        """What is wrong, a list of RecipeFault; empty: the recipe is right."""
        n, more = ctypes.c_int32(), ctypes.c_int32()
        out = []
        with self._alone() as raw:
            check(lib.mcomp_recipe_error_count(raw.pointer, n, more), "mcomp_recipe_error_count")
            for i in range(n.value):
                e = _ffi.mcomp_recipe_error(size=ctypes.sizeof(_ffi.mcomp_recipe_error))
                check(lib.mcomp_recipe_error_get(raw.pointer, i, e), "mcomp_recipe_error_get")
                out.append(RecipeFault(text(e.file), e.line, e.column, text(e.text), text(e.hint), text(e.source), e.code))
        return out

    def explain(self):
        """The recipe with every default written out, a recipe itself."""
        out = ctypes.c_char_p()
        with self._alone() as raw:
            check(lib.mcomp_recipe_explain(out, raw.pointer), "mcomp_recipe_explain")
            return text(out.value)

    def run(self, out, *, resume=False, overwrite=False, context=None):
        """Runs it into the folder `out`: model.onnx, run.json, report.html, the store. Returns what run.json holds, as a dict. Raises
        TargetMissedError when the target is missed (everything is written all the same), CancelledError after the context was cancelled; a later
        run with resume=True goes on from there."""
        o = options(_ffi.mcomp_recipe_run_options, {"resume": int(resume), "overwrite": int(overwrite)})
        o.out = os.fsencode(out)
        result = ctypes.c_char_p()
        parent = (context or default_context())._open()
        with self._alone() as raw:
            check(lib.mcomp_recipe_run(result, raw.pointer, parent.pointer, o), "mcomp_recipe_run")
            return json.loads(result.value)

    @staticmethod
    def schema():
        """JSON Schema of all recipes, as text: for editors."""
        n = ctypes.c_uint64()
        check(lib.mcomp_recipe_schema(n, None, 0), "mcomp_recipe_schema")
        buffer = ctypes.create_string_buffer(n.value)
        check(lib.mcomp_recipe_schema(n, buffer, n.value), "mcomp_recipe_schema")
        return text(buffer.value)
