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

Kernel = TypeVar("Kernel", bound=Callable[..., Any])


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
    try:
        dispatcher = numba.njit(nogil=True, error_model="numpy", cache=True)(kernel)
    except RuntimeError:  # "cannot cache function: no locator available"
        dispatcher = numba.njit(nogil=True, error_model="numpy")(kernel)
    cache = getattr(dispatcher, "_cache", None)  # absent when the JIT is off
    if cache is not None:
        cache._cache_file._source_stamp = _SOURCES
    return cast(Kernel, dispatcher)
