"""Compiled loops. Importing one of these modules compiles it, or loads what an earlier process compiled.

The first process on a machine compiles for about four seconds a module; later ones load in a tenth of a
second. numba itself takes half a second to import, so nothing outside the functions that price imports this.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from numba import njit

inline = njit(fastmath={"contract"}, error_model="numpy", forceinline=True)
"""For functions that kernels are made of; ``contract`` allows multiply-add in one instruction, no more."""


def kernel(signature: Any) -> Callable[[Callable[..., Any]], Any]:
    """Decorator: compiled for these argument types only, and kept on disk for later processes."""

    def compiled(function: Callable[..., Any]) -> Any:
        dispatcher = njit(cache=True, fastmath={"contract"}, error_model="numpy", nogil=True)(function)
        forget_older(Path(dispatcher.stats.cache_path), Path(__file__).parent)
        dispatcher.compile(signature)
        dispatcher.disable_compile()
        return dispatcher

    return compiled


def forget_older(cache: Path, sources: Path) -> None:
    """Remove from ``cache`` what was compiled before the newest of ``sources`` was written.

    numba looks only at the file a kernel stands in, and would miss a change in a file it inlines.
    """
    newest = max(source.stat().st_mtime for source in sources.glob("*.py"))
    for index in cache.glob("*.nbi"):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)
