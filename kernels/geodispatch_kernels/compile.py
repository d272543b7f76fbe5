"""The one place that decides how kernels are compiled.

nogil           a kernel in a thread stalls nobody else;
cache           a worker starts with machine code from disk, not with seconds of compiling;
error_model     numpy: no hidden branch for a division by zero;
no fastmath     the answers are exact, so the arithmetic may not be rearranged;
no parallel     two threads that enter a `parallel=True` kernel on the workqueue layer abort the process.

NUMBA_DISABLE_JIT=1 leaves every kernel a plain Python function: they are written so that both give the same answers,
which is why integers are widened with `int()` before arithmetic (NumPy's int32 scalars would wrap) and conditions are
joined with `&`, `|` and `!=`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
from numba.core import cgutils
from numba.extending import intrinsic, overload
from numpy.typing import NDArray

Kernel = TypeVar("Kernel", bound=Callable[..., Any])
Array = TypeVar("Array", bound=NDArray[Any])


def _sources_digest() -> str:
    digest = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(source.name.encode() + b"\0" + source.read_bytes() + b"\0")
    return digest.hexdigest()


_SOURCES = _sources_digest()


def compiled(kernel: Kernel) -> Kernel:
    """Compile a kernel on its first call, or load what an earlier process compiled.

    Edges: Numba notices a change in a kernel's own file only, but a kernel holds its callees' machine code too; so the
           cache of each is bound to the sources of all. Without a folder to cache in, the kernel is compiled anew.
    """
    return _compiled(kernel, forceinline=False)


def inlined(kernel: Kernel) -> Kernel:
    """As `compiled`, and each caller gets a copy: for what is called once a node, an edge or a row.

    A call of a kernel with a few arrays pushes 30 words, shape and strides of each; what inlining saves was measured.
    """
    return _compiled(kernel, forceinline=True)


def _compiled(kernel: Kernel, *, forceinline: bool) -> Kernel:
    try:
        dispatcher = numba.njit(nogil=True, error_model="numpy", forceinline=forceinline, cache=True)(kernel)
    except RuntimeError:  # "cannot cache function: no locator available"
        dispatcher = numba.njit(nogil=True, error_model="numpy", forceinline=forceinline)(kernel)
    cache = getattr(dispatcher, "_cache", None)  # absent when the JIT is off
    if cache is not None:
        cache._cache_file._source_stamp = _SOURCES
    return cast(Kernel, dispatcher)


def borrowed(array: Array) -> Array:
    """Return an array of the caller's as a view that counts no references.

    Each slice of an array, and each array handed to a function that is not inlined, otherwise adds and takes back a
    reference by two atomic operations: measured, almost half the time of a match.

    Wants:  an argument of the kernel that calls this. Whoever passed it in holds it until the kernel returns; an array
            that the kernel made itself would be freed at once.
    """
    return array


def _borrow(_typing_context: Any, array: Any) -> Any:
    structures: Any = cgutils  # which has no types

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        view = structures.create_struct_proxy(signature.args[0])(context, builder, value=values[0])
        view.meminfo = structures.get_null_value(view.meminfo.type)
        view.parent = structures.get_null_value(view.parent.type)
        return view._getvalue()

    return array(array), generate


_borrow_in_kernel: Any = intrinsic(_borrow)
overload(borrowed)(lambda array: lambda array: _borrow_in_kernel(array))
