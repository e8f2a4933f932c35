"""Texts to ids."""
import ctypes

import numpy as np

from . import errors
from ._handle import Exclusive, Raw
from ._lib import check, fspath, integer, lib, quick, text, utf8
from .context import default_context


def _raw(value, what):
    """A text as bytes: a str by its UTF-8 (lone surrogates of undecodable bytes go back to these), bytes as they are."""
    if isinstance(value, bytes):
        return value
    if not isinstance(value, str):
        raise errors.ArgumentError(f"must be a str or bytes, not {type(value).__name__}", where=what)
    return value.encode("utf-8", "surrogateescape")


class Tokenizer(Exclusive):
    """Tokenizer("vocab.txt"), Tokenizer("tokenizer.json"), Tokenizer("bytes"); made from texts: Tokenizer("train:wordpiece,8000", texts),
    Tokenizer("train:bpe,8000", texts), Tokenizer("chars", texts). docs/tokenizers.md tells of each. One call at a time."""

    def __init__(self, spec, texts=None, *, context=None):
        from os import PathLike, fspath as of
        super().__init__()
        n, pointers, lengths = 0, None, None
        if texts is not None:
            raw = [_raw(t, f"text {i}") for i, t in enumerate(texts)]
            n, pointers, lengths = len(raw), (ctypes.c_char_p * (len(raw) or 1))(*raw), (ctypes.c_int64 * (len(raw) or 1))(*map(len, raw))
        parent = (context or default_context())._open()
        spec = of(spec) if isinstance(spec, PathLike) else spec
        self._raw = Raw("mcomp_tokenizer_create", "mcomp_tokenizer_destroy", (parent.pointer, utf8(spec, "spec"), pointers, lengths, n), parents=(parent,))

    @classmethod
    def _share(cls, pointer):
        t = cls.__new__(cls)
        Exclusive.__init__(t)
        t._raw = Raw("mcomp_tokenizer_share", "mcomp_tokenizer_destroy", (pointer,))
        return t

    def renumbered(self, like):
        """A tokenizer that cuts texts as this one and gives every token the id that it has in `like`. WordPiece."""
        t = type(self).__new__(type(self))
        Exclusive.__init__(t)
        with self._alone() as handle, like._alone() as other:
            t._raw = Raw("mcomp_tokenizer_renumber", "mcomp_tokenizer_destroy", (handle.pointer, other.pointer))
        return t

    def encode(self, value, *, special=True, max_length=0):
        """Ids of a text as an int32 array, with the special ids around it, cut to max_length ids (0: not cut)."""
        raw, n = _raw(value, "text"), ctypes.c_int64()
        ids = np.empty(len(raw) + 16, np.int32)
        with self._alone() as handle:
            for _ in range(2):  # a normal form may be longer than the text: once more with room for all
                check(lib.mcomp_tokenizer_encode(handle.pointer, raw, len(raw), int(special), integer(max_length, "max_length"), len(ids),
                                                 ids.ctypes.data_as(ctypes.POINTER(ctypes.c_int32)), n), "mcomp_tokenizer_encode")
                if n.value <= len(ids):
                    break
                ids = np.empty(n.value, np.int32)
        return ids[:n.value].copy()

    def __len__(self):
        """Rows that an embedding table needs: 1 + the highest id."""
        return quick.mcomp_tokenizer_count(self._open().pointer)

    def id(self, token):
        """Id of a token, None if there is none."""
        i = quick.mcomp_tokenizer_id(self._open().pointer, utf8(token, "token"))
        return i if i >= 0 else None

    def token(self, i):
        """Token of an id, None if there is none."""
        return text(quick.mcomp_tokenizer_token(self._open().pointer, integer(i, "id")))

    @property
    def pad_id(self):
        i = quick.mcomp_tokenizer_pad_id(self._open().pointer)
        return i if i >= 0 else None

    def save(self, path, overwrite=False):
        """Writes a tokenizer.json, which the Hugging Face tokenizers library reads as well."""
        with self._alone() as handle:
            check(lib.mcomp_tokenizer_save(handle.pointer, fspath(path), int(bool(overwrite))), "mcomp_tokenizer_save")
