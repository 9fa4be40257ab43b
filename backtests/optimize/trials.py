"""Trials of a study: one candidate screened, or run event by event; data are read once and kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import cached_property, partial
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from actors import measures
from actors.measures import DAY, Floats, Integers
from backtests.engine.build import strategies_of
from backtests.engine.feed import FeedSlice
from backtests.optimize.identity import Variant, identity, made_of, variant
from backtests.optimize.judge import FIGURES, Bar, stopped_at
from backtests.results.curves import EquityCurve
from backtests.results.figures import RunBooks, column, curves, figures, money
from backtests.run import Prepared, prepare, run
from backtests.screening.screen import Market, screen_document
from backtests.studies.search_space import settings
from backtests.studies.splits import Span
from backtests.variants import stress_rows
from catalog.storage.store import Catalog
from config.errors import DeskError, InputError, UnreachableError
from config.resolved import Resolved


class Outcome(NamedTuple):
    """What became of a trial: daily returns over the window and figures, or why there are none.

    One that was stopped has the returns until then, without figures.
    """

    returns: Floats | None = None
    figures: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    why: str = ""
    name: str = ""
    """Of a screened candidate, its `identity`."""
    ran: bool = True
    """Whether it began; else the document or the data refuse it: it has seen nothing of them."""


class _Stopped(Exception):
    """A run is over before its end; the returns until then."""


def by_day(ends: Integers, returns: Floats, window: Span) -> Floats:
    """Lay returns on the window's UTC days, zero where a curve has none; `ends` has one more."""
    first = window.start // DAY
    days = np.zeros((window.end - 1) // DAY - first + 1)
    days[(ends[1:] - 1) // DAY - first] = returns
    return days


def outcome_of(books: RunBooks, start: int, end: int) -> tuple[dict[str, Any], Floats]:
    """Return a run's figures, numbers alone, and its returns by UTC day, for the ledger."""
    lines = curves(books.tables["equity"], float(books.starting_equity), start, end)
    returns = by_day(lines.day_ends, lines.day_returns, Span(start, end))
    return figures(books, start, end), returns


class Trials:
    """Runs a base document's candidates; keeps the data that it has read."""

    def __init__(self, base: Resolved) -> None:
        self._base = base
        self._key: Any = None
        self._kept: tuple[Prepared, list[FeedSlice]] | None = None

    @cached_property
    def catalog(self) -> Catalog:
        """The base document's catalog, of one version for all trials."""
        return Catalog(self._base.document.catalog)

    @cached_property
    def _market(self) -> Market:
        return Market(self.catalog)

    def made_of(self) -> dict[str, str]:
        """Return what this process is made of, the data as its trials read them."""
        return made_of(self._base) | {"data": self.catalog.data_hash()}

    def screen(self, candidate: Mapping[str, Any]) -> Outcome:
        """Screen a candidate by the strategies' own functions."""
        return self._guarded(candidate, self._screened)

    def full(self, candidate: Mapping[str, Any], bars: Sequence[Bar] = ()) -> Outcome:
        """Run a candidate event by event; the figures are those of `perpdesk backtest`.

        It is stopped at the first bar that it does not reach.
        """
        return self._guarded(candidate, partial(self._run, bars=bars))

    def stressed(self, candidate: Mapping[str, Any]) -> Outcome:
        """Run a candidate again under worse conditions: ``stress`` in the figures, a row each.

        The returns are those of its closed trades as specified.
        """
        return self._guarded(candidate, self._stressed)

    def _guarded(self, candidate: Mapping[str, Any], work: Any) -> Outcome:
        try:
            outcome: Outcome = work(variant(self._base, candidate))
        except UnreachableError:
            raise
        except DeskError as error:
            return Outcome(why=str(error), ran=not isinstance(error, InputError))
        except Exception as error:
            error.add_note(f"candidate: {', '.join(settings(candidate))}")
            raise
        return outcome

    def _screened(self, found: Variant) -> Outcome:
        window = _window(found)
        total = np.zeros(0)
        for one in screen_document(found.document, self._market):
            days = by_day(*one.daily(one.earned.net), window)
            total = days if not len(total) else total + days
        sharpe = measures.sharpe(total, float(measures.YEAR_DAYS))
        return Outcome(total, {"sharpe": sharpe}, name=identity(found))

    def _run(self, found: Variant, bars: Sequence[Bar]) -> Outcome:
        prepared = prepare(found.document, self.catalog)
        # All that the data depend on: documents that differ elsewhere run on the same.
        feed = {k: v for k, v in found.complete.items() if k not in ("strategies", "actors")}
        asks = [
            (made.ids, made.config.instruments, made.funding_needed(), made.levels_needed())
            for made in strategies_of(found.document, list(prepared.market.ids)).values()
        ]
        key = repr((feed, sorted(prepared.intervals), prepared.market.ids, asks))
        if self._kept is None or key != self._key:
            self._kept = None  # first: two do not fit into memory
            self._kept, self._key = (prepared, list(prepared.feed.slices())), key
        first, slices = self._kept
        prepared = replace(prepared, feed=first.feed, market=first.market)
        window = _window(found)
        try:
            books = run(prepared, slices=iter(slices), watch=_watched(window, bars))
        except _Stopped as stopped:
            return Outcome(stopped.args[0])
        measured, returns = outcome_of(books, *window)
        return Outcome(returns, measured)

    def _stressed(self, found: Variant) -> Outcome:
        prepared = prepare(found.document, self.catalog)
        base = run(prepared)
        rows = [
            {key: row[key] for key in ("name", *FIGURES)} for row in stress_rows(prepared, base)
        ]
        for row in rows:
            # Such as entries a candle late where each candle has a decision.
            if rows[0]["trades"] and not row["trades"]:
                row["name"] += ": nothing was traded, no measure"
        trips, curve = base.tables["positions"], base.tables["equity"]
        returns = trade_returns(trips, curve, float(base.starting_equity))
        return Outcome(returns, {"stress": rows})


def trade_returns(trips: pa.Table, curve: pa.Table, opening: float) -> Floats:
    """Return the net profit of each closed trade over the equity that it was opened with."""
    equity = np.concatenate(([opening], column(curve, "equity")))
    before = np.searchsorted(column(curve, "ts"), column(trips, "ts_opened"), side="left")
    closed = ~column(trips, "open").astype(bool)
    earned: Floats = (money(trips, "net") / equity[before])[closed]
    return earned


def _watched(window: Span, bars: Sequence[Bar]) -> Callable[[EquityCurve], None] | None:
    """Return what stops a run at the first bar that it does not reach."""
    left = list(bars)

    def watch(curve: EquityCurve) -> None:
        while left and curve.last_ts >= (end := window.start + left[0].day * DAY):
            columns = curve.columns()
            table = pa.table({name: columns[name] for name in ("ts", "equity")})
            lines = curves(table, float(columns["equity"][0]), window.start, end)
            returns = by_day(lines.day_ends, lines.day_returns, Span(window.start, end))
            if stopped_at(returns, [left.pop(0)]):
                raise _Stopped(returns)

    return watch if left else None


def _window(found: Variant) -> Span:
    return Span(found.document.window.start_ns, found.document.window.end_ns)
