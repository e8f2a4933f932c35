"""Handles: who keeps a C object alive, and what closing means.

A `Raw` is one C object. It is destroyed when nobody uses it any more: neither its Python object, nor a call that is running in
some thread, nor a C object made from it. So `close()` in one thread while another is inside a call cannot pull the memory
away from it, and objects may be closed in any order. The count of users is our own, since the garbage collector finalizes the
members of a cycle in any order, and C wants children destroyed before their parents."""
import ctypes
import threading

from . import errors
from ._lib import check, lib


class Raw:
    """One C object: pointer, destroy function, the Raws it was made from, and Python objects C holds pointers to."""

    __slots__ = ("pointer", "keep", "_destroy", "_parents", "_users", "_once")

    def __init__(self, create, destroy, arguments, parents=(), keep=(), accept=()):
        self._once = []
        pointer = ctypes.c_void_p()
        status = getattr(lib, create)(ctypes.byref(pointer), *arguments)
        if not (pointer and status in accept):  # codes with which there is an object all the same
            check(status, create)
        self.pointer, self.keep, self._parents = pointer, keep, parents
        self._destroy = getattr(lib, destroy)
        self._users = [None]  # append and pop of a list are atomic
        for p in parents:
            p._users.append(None)
        self._once = [pointer]

    def _release(self):
        self._users.pop()
        if self._users:
            return
        try:
            pointer = self._once.pop()
        except IndexError:
            return
        self._destroy(pointer)
        for p in self._parents:
            p._release()

    def __del__(self):
        if self._once:
            self._release()


class Handle:
    """Base of all objects of the library. Use it in a `with` statement, call `close()`, or leave it to the garbage collector."""

    _raw = None

    def _open(self):
        """The Raw, held by the caller for the length of its C call."""
        raw = self._raw
        if raw is None:
            raise errors.ClosedError(f"this {type(self).__name__} is closed")
        return raw

    @property
    def closed(self):
        return self._raw is None

    def close(self):
        """Gives the object up; using it afterwards raises ClosedError. Closing twice is fine. Memory is freed once no
        call that is running and no object made from this one needs it."""
        self._raw = None

    def __enter__(self):
        self._open()
        return self

    def __exit__(self, *exc):
        self.close()

    def __copy__(self):
        raise TypeError(f"a {type(self).__name__} cannot be copied")

    def __deepcopy__(self, memo):
        raise TypeError(f"a {type(self).__name__} cannot be copied")

    def __reduce__(self):
        raise TypeError(f"a {type(self).__name__} cannot be pickled")


class Exclusive(Handle):
    """A handle for one call at a time. A second call, from another thread or from a callback of the first, is a BusyError."""

    def __init__(self):
        self._lock = threading.Lock()

    def _alone(self):
        return Alone(self)


class Alone:
    """`with handle._alone() as raw:` the handle's Raw, nobody else inside."""

    __slots__ = ("handle",)

    def __init__(self, handle):
        self.handle = handle

    def __enter__(self):
        raw = self.handle._open()
        if not self.handle._lock.acquire(blocking=False):
            raise busy(self.handle)
        return raw

    def __exit__(self, *exc):
        self.handle._lock.release()


def busy(handle):
    return errors.BusyError(f"this {type(handle).__name__} is in use by a call that has not returned", hint="one object a thread")
