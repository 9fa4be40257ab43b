"""Run linear algebra on one thread."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, wraps
from typing import Any


def on_one_thread[**P, R](function: Callable[P, R]) -> Callable[P, R]:
    """Return the function, run without the threads of the linear algebra library.

    On matrices of some hundred rows they cost more than they save, seconds where others use the
    processor too, and their number would decide the last bits of a result.
    """

    @wraps(function)
    def alone(*args: P.args, **kwargs: P.kwargs) -> R:
        with _threads().limit(limits=1):
            return function(*args, **kwargs)

    return alone


@cache
def _threads() -> Any:
    import sklearn.covariance  # noqa: F401 - it loads a library of its own.
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
