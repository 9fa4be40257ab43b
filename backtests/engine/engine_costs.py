"""Fixes two slow spots of nautilus_trader 1.231.0 that grow with the square of closed positions.

Both fixes hold for the length of a run and leave every balance and fill identical
(tests/backtests/test_engine_costs.py compares runs with and without). Delete this file once the
engine has fixed them itself.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import nautilus_trader.portfolio.portfolio as portfolio_module
from nautilus_trader.analysis.analyzer import PortfolioAnalyzer


@contextmanager
def mended() -> Iterator[Callable[[], None]]:
    """Run the engine without these two costs; yield a function to call after each slice.

    ``PortfolioAnalyzer.record_trade`` concatenates a pandas series per closed position. Our figures
    come from fills, so nothing is recorded.

    On netting venues the Portfolio unpickles every earlier snapshot of a re-opened position at each
    update. A snapshot is immutable bytes and only read, so each is unpickled once. The yielded
    function forgets the snapshots, which keeps memory flat.
    """
    seen: dict[bytes, Any] = {}

    def loads_once(data: bytes) -> Any:
        found = seen.get(data)
        if found is None:
            found = seen[data] = pickle.loads(data)
        return found

    def record_nothing(self: Any, *args: Any, **kwargs: Any) -> None:
        """Stand in for record_trade."""

    once = SimpleNamespace(loads=loads_once, dumps=pickle.dumps)
    with (
        patch.object(PortfolioAnalyzer, "record_trade", record_nothing),
        patch.object(portfolio_module, "pickle", once),
    ):
        yield seen.clear
