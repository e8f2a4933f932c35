"""The generated declarations are those of the headers: bytes, functions, struct layouts, codes."""
import ctypes
import re
import subprocess
import sys

import mcomp
import pytest
from conftest import ROOT
from mcomp import _ffi, _lib, errors


def test_generated_file_is_current():
    r = subprocess.run([sys.executable, str(ROOT / "bindings/generate.py"), "--check"], capture_output=True, text=True)
    assert r.returncode == 0, r.stdout + r.stderr


def test_generator_refuses_what_it_does_not_understand(tmp_path):
    sys.path.insert(0, str(ROOT / "bindings"))
    import generate
    h = generate.Headers()
    for text in ("int32_t mcomp_f(mcomp_graph *g);", "MCOMP_API size_t mcomp_f(mcomp_graph *g);", "typedef struct mcomp_s { int x : 3; } mcomp_s;"):
        (tmp_path / "a.h").write_text(text)
        with pytest.raises(SystemExit):
            h.read(tmp_path / "a.h")


def test_every_public_function_is_declared_and_there():
    rows = [line.split("\t") for line in (ROOT / "docs/symbols.tsv").read_text().splitlines()[1:]]
    names = {r[0] for r in rows if not r[4]}
    assert names == set(_ffi.FUNCTIONS)
    for name in names:
        f = getattr(_lib.lib, name)
        assert not isinstance(f, _lib.Missing) and f.argtypes is not None
        result, parameters = _ffi.FUNCTIONS[name]
        assert f.restype is result and list(f.argtypes) == parameters


def test_struct_layouts_are_those_of_c():
    text = "".join(p.read_text() for p in (ROOT / "tests/abi").glob("layout*.c"))
    size = dict(re.findall(r"PIN_SIZE\((\w+), (\d+)\)", text))
    pins = {}
    for struct, member, offset in re.findall(r"PIN\((\w+), (\w+), (\d+)\)", text):
        pins.setdefault(struct, {})[member] = int(offset)
    structs = {n: t for n, t in vars(_ffi).items() if isinstance(t, type) and issubclass(t, ctypes.Structure) and t is not ctypes.Structure}
    assert len(structs) >= 15 and set(structs) <= set(size)
    for name, t in structs.items():
        assert ctypes.sizeof(t) == int(size[name]), name
        assert {n: getattr(t, n).offset for n, _ in t._fields_} == pins[name], name


def test_one_exception_class_a_status_code():
    codes = {value: name for name, (value, _, _) in _ffi.STATUS.items() if value}
    assert {c: cls.name for c, cls in errors._by_code.items()} == codes
    for code, cls in errors._by_code.items():
        assert _lib.quick.mcomp_status_name(code).decode() == cls.name
        assert _lib.quick.mcomp_status_exit_code(code) == cls.exit_code
        assert issubclass(cls, mcomp.Error) and getattr(mcomp, cls.__name__) is cls and cls.__doc__


def test_versions_agree():
    version = re.search(r"version: '([\d.]+)'", (ROOT / "meson.build").read_text())[1]
    assert mcomp.__version__ == version == mcomp.version()


def test_an_older_library_says_what_is_missing():
    with pytest.raises(mcomp.UnsupportedError, match="mcomp_new_thing"):
        _lib.Missing("mcomp_new_thing")(1, 2)


def test_everything_public_is_documented():
    for name in mcomp.__all__:
        thing = getattr(mcomp, name)
        if not callable(thing):
            continue
        assert thing.__doc__, name
