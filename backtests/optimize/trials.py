"""Trials of a study: one candidate screened, or run event by event, in a worker process.

A worker reads data once and keeps it. Workers are spawned: a forked engine deadlocks.
"""

from __future__ import annotations

import hashlib
import inspect
import multiprocessing
import os
import platform
import signal
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import replace
from functools import cache, cached_property, partial
from importlib.metadata import version
from itertools import batched, chain
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from actors import measures
from actors.measures import DAY
from backtests.engine.build import strategies_of
from backtests.engine.feed import FeedSlice
from backtests.optimize.judge import Bar, stopped_at
from backtests.results.curves import EquityCurve
from backtests.results.figures import RunBooks, column, curves, figures, money
from backtests.run import Prepared, engine_version, prepare, run
from backtests.screening.screen import Market, screen_document
from backtests.studies.search_space import settings
from backtests.studies.splits import Span
from backtests.studies.trial_ledger import candidate_of
from backtests.variants import stress_rows
from catalog.storage.store import Catalog
from config.catalogs import place_of
from config.components import resolve
from config.errors import DeskError, DocumentErrors, InputError, UnreachableError
from config.load import varied, with_params
from config.reading import digest
from config.resolved import Resolved
from config.shipped import ROOT

Floats = NDArray[np.float64]
STRESS = ("name", "sharpe", "return_pct", "max_drawdown", "trades")
"""What is kept of each stressed run."""


class Outcome(NamedTuple):
    """What became of a trial: daily returns over the window and figures, or why there are none.

    One that was stopped has the returns until then, without figures.
    """

    returns: Floats | None = None
    figures: dict[str, Any] = {}  # noqa: RUF012 (never changed)
    why: str = ""
    name: str = ""
    """Of a screened candidate, its `identity`."""


class _Stopped(Exception):
    """A run is over before its end; the returns until then."""


class Variant(NamedTuple):
    """A candidate's document, and all its values as `Resolved.complete` has them."""

    document: Any
    complete: dict[str, Any]


def variant(base: Resolved, candidate: Mapping[str, Any]) -> Variant:
    """Return the base document with a candidate's values.

    Raises DocumentErrors where a component refuses them.
    """
    found = with_params(base, candidate)
    if found is None:
        resolved, problems = varied(base, settings(candidate))
        if resolved is None or problems:
            raise DocumentErrors(problems)
        found = resolved.document, resolved.complete
    return Variant(*found)


def identity(found: Resolved | Variant) -> str:
    """Return the hash under which the ledger knows a backtest: values, data, code, engine."""
    document = found.document
    sources = _sources(document)
    data = _data_hash(place_of(document.catalog))
    return candidate_of(found.complete, " ".join([data, engine_version(), *sources]))


@cache
def _data_hash(catalog: str) -> str:
    return Catalog(catalog).data_hash()


@cache
def code() -> str:
    """Return the hash of all code that a backtest may run, but a strategy's own and the engine's.

    It is not part of the identity: what mended code runs again is no new candidate.
    """
    found = hashlib.sha256()
    for room in ("actors", "backtests", "catalog", "config", "strategies"):
        for file in sorted((ROOT / room).rglob("*.py")):
            found.update(file.read_bytes())
    return found.hexdigest()


def provenance(resolved: Resolved) -> dict[str, str]:
    """Return hashes of the data and of all code that a backtest runs on, the engine's version."""
    document = resolved.document
    sources = _sources(document)
    return {
        "data": _data_hash(place_of(document.catalog)),
        "code": digest({"perpdesk": code(), "strategies": sources}),
        "engine": engine_version(),
    }


def made_of(base: Resolved) -> dict[str, str]:
    """Return all that a trial's outcome depends on but for its values, by name."""
    found = {name: version(name) for name in ("numpy", "numba", "pyarrow", "scipy")}
    return provenance(base) | found | {"Python": platform.python_version()}


def _sources(document: Any) -> list[str]:
    classes: list[Any] = [resolve(s.use, document.allow) for s in document.strategies.values()]
    return [_source(cls) for cls in classes]


@cache
def _source(cls: Any) -> str:
    """Return the hash of a strategy's own code and that of its bases; not of the engine's."""
    found = hashlib.sha256()
    for base in cls.__mro__:
        file = None if base.__module__.startswith(("builtins", "nautilus")) else _file(base)
        if file is not None:
            found.update(file.read_bytes())
    return found.hexdigest()


def _file(cls: type) -> Path | None:
    try:
        return Path(inspect.getfile(cls))
    except (TypeError, OSError):
        return None


def by_day(ends: NDArray[np.int64], returns: Floats, window: Span) -> Floats:
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
            return Outcome(why=str(error))
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
        rows = [{key: row[key] for key in STRESS} for row in stress_rows(prepared, base)]
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


_trials: Trials


def _begin(base: Resolved) -> None:
    global _trials
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears Ctrl-C, and ends workers
    parent = multiprocessing.parent_process()
    assert parent is not None

    def end_with_parent() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()
    _trials = Trials(base)


def _made_of(base: Resolved) -> dict[str, str]:
    """Return what this worker is made of, its data as its trials read them."""
    return made_of(base) | {"data": _trials.catalog.data_hash()}


def screen(candidate: Mapping[str, Any]) -> Outcome:
    """Screen a candidate, in a worker."""
    return _trials.screen(candidate)


def full(candidate: Mapping[str, Any], bars: Sequence[Bar] = ()) -> Outcome:
    """Run a candidate event by event, in a worker."""
    return _trials.full(candidate, bars)


def stressed(candidate: Mapping[str, Any]) -> Outcome:
    """Run a candidate under worse conditions, in a worker."""
    return _trials.stressed(candidate)


def _measured[T](work: Callable[..., T], *arguments: Any) -> tuple[T, int]:
    """Return what the work returns, and the bytes of memory that this worker then takes."""
    import psutil

    return work(*arguments), psutil.Process().memory_info().rss


def _each[T](work: Callable[[Any], T], items: tuple[Any, ...]) -> list[T]:
    return [work(item) for item in items]


class Pool(Executor):
    """Runs functions of a module on a study's data, in other processes."""

    replaced = 0

    def map[T](  # type: ignore[override]
        self, work: Callable[[Any], T], items: Iterable[Any], chunksize: int = 1
    ) -> Iterator[T]:
        """Yield what becomes of each item, in their order."""
        chunks = [self.submit(_each, work, chunk) for chunk in batched(items, chunksize)]
        return chain.from_iterable(chunk.result() for chunk in chunks)


class Workers(Pool):
    """Processes that run trials; one that takes more than so many MB is replaced after its trial.

    A pool of processes can't end one of them by its memory: each has a pool of its own here, and a
    thread that feeds it. `wanted` is what each must be made of, as `made_of` has it.
    """

    def __init__(self, base: Resolved, count: int, most_mb: int, wanted: dict[str, str]) -> None:
        self._base, self._most, self._wanted = base, most_mb * 2**20, wanted
        self._threads = ThreadPoolExecutor(count)
        self._own, self._lock = threading.local(), threading.Lock()
        self._pools, self._over = set[ProcessPoolExecutor](), False
        self.replaced = 0

    def submit[T](self, work: Callable[..., T], /, *arguments: Any) -> Future[T]:  # type: ignore[override]
        """Let the next free worker do something."""
        return self._threads.submit(self._run, work, *arguments)

    def pids(self) -> list[int]:
        """Return the ids of the processes."""
        return [pid for pool in self._pools for pid in pool._processes or ()]

    def kill(self) -> None:
        """End all at once, whatever they do."""
        with self._lock:
            self._over = True
            processes = [p for pool in self._pools for p in (pool._processes or {}).values()]
        self._threads.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """End all once their work is done."""
        self._threads.shutdown(wait, cancel_futures=cancel_futures)
        for pool in self._pools:
            pool.shutdown(wait)

    def _run[T](self, work: Callable[..., T], *arguments: Any) -> T:
        with self._lock:
            if self._over:
                raise BrokenProcessPool
            begun = None
            pool: ProcessPoolExecutor | None = getattr(self._own, "pool", None)
            if pool is None:
                spawn = multiprocessing.get_context("spawn")
                pool = ProcessPoolExecutor(1, spawn, initializer=_begin, initargs=(self._base,))
                self._own.pool = pool
                self._pools.add(pool)
                begun = pool.submit(_made_of, self._base)
            asked = pool.submit(_measured, work, *arguments)
        if begun is not None:
            self._refuse_other(begun.result())
        done, size = asked.result()
        if size > self._most:
            pool.shutdown()
            with self._lock:
                self._pools.discard(pool)
                self._own.pool = None
                self.replaced += 1
        return done

    def _refuse_other(self, found: dict[str, str]) -> None:
        other = [name for name, value in self._wanted.items() if found.get(name) != value]
        if other:
            raise InputError(
                f"a worker process has another {', another '.join(other)} than the study began "
                "with: its trials would not be those of the others; the same command goes on once "
                "all have the same"
            )


@contextmanager
def workers(
    base: Resolved, count: int | str, most_mb: int, wanted: dict[str, str] | None = None
) -> Iterator[Pool]:
    """Spawn workers for trials of a document; they end with the block, or with this process.

    `count` is how many, or the address of a Dask scheduler whose workers spawn them. They are
    refused where they are not made of what is `wanted`, by default what this process is made of.
    """
    wanted = wanted or made_of(base)
    if isinstance(count, str):
        from backtests.optimize.cluster import cluster

        with cluster(base, count, most_mb, wanted) as theirs:
            yield theirs
        return
    pool = Workers(base, count, most_mb, wanted)
    try:
        yield pool
    except BaseException as error:
        pool.kill()
        if isinstance(error, BrokenProcessPool):
            raise DeskError(
                "a worker process was ended from outside, often for lack of memory: the same "
                "command goes on with what is left; give it fewer --workers"
            ) from error
        raise
    pool.shutdown()
