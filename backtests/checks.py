"""Check that a catalog has what a backtest needs, for `perpdesk validate` and before a run."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from catalog.instruments import ACCOUNT_COIN
from config.catalogs import url_of
from config.components import misplaced, resolve, resolve_or_none
from config.documents import Backtest, Market
from config.durations import HOUR_NS, MINUTE_NS, interval_ns, minute_text
from config.errors import InputError, Problem, some_of
from config.load import check_setting, examine
from config.params import check_params, complete_params
from config.resolved import Resolved
from config.shipped import file_of
from config.universe import select, sold_short
from config.validate import register_check, register_remarks

if TYPE_CHECKING:
    from catalog.storage.index import CatalogIndex

TICKS_SLACK_NS = 5 * MINUTE_NS
"""What books and quotes may lack at either end of a window."""
TICKS: tuple[Market, ...] = ("book", "quotes")
"""What `venue.market: auto` prefers to candles, the finest first."""
FIXED = ("kind", "name", "extends", "description", "catalog", "window", "report", "slice_days")
"""What no study may vary: results would not be of the same data, or are the same."""
DataProblem = tuple[tuple[str, ...], str]
"""Path in the document, and the error there."""
Span = tuple[int, int]
ALL_TIME: Span = (0, 2**63)


def register() -> None:
    """Add the check and the remark to `config.validate`."""
    register_check("backtest", check)
    register_remarks("backtest", market_taken)
    register_check("study", check_study)


def check(resolved: Resolved) -> list[Problem]:
    """Return what the document's catalog lacks; empty while there is no catalog."""
    document, catalog = resolved.document, _catalog(resolved.document)
    found = [] if catalog is None else lacking(document, catalog)
    return [resolved.problem(path, words) for path, words in found]


def check_study(resolved: Resolved) -> list[Problem]:
    """Return what is wrong with a study's backtest, and with the paths that it searches."""
    from backtests.studies.search_space import check_paths
    from strategies.engine_class import engine_class
    from strategies.rebalance.rebalancer import Rebalancer

    study = resolved.document
    if not file_of(study.backtest).is_file():
        return [resolved.problem(("backtest",), f"there is no file {study.backtest}")]
    base, problems = examine(study.backtest)
    if base is None or problems:
        return problems
    if not isinstance(base.document, Backtest):
        text = f"must be the path of a backtest, {study.backtest} is of kind {base.kind}"
        return [resolved.problem(("backtest",), text)]
    found = []
    for key, component in base.document.strategies.items() if study.screens else ():
        cls = engine_class(resolve(component.use, base.document.allow))
        if component.enabled and not issubclass(cls, Rebalancer):
            text = (
                f"strategies.{key} of {study.backtest} does not rank a panel, and a screen knows "
                "nothing else: set stages.screen: false"
            )
            found.append(resolved.problem(("backtest",), text))
    for path, dimension in study.search.items():
        if (part := path.partition(".")[0]) in (*FIXED, "venue"):
            text = f"a study varies what strategies and guards do, none of {', '.join(FIXED)}"
            if part == "venue":
                text = (
                    "costs and fills are the market's: a search would choose low ones, see --stress"
                )
            found.append(resolved.problem(("search", path), text))
            continue
        try:
            check_paths(base, {path: dimension})
        except InputError as error:
            found.append(resolved.problem(("search", path), str(error)))
            continue
        found.extend(_wrong_values(resolved, base, path))
    return found


def _wrong_values(resolved: Resolved, base: Resolved, path: str) -> Iterator[Problem]:
    """Yield what no draw may be: the first wrong end of a range, each wrong value of a choice."""
    from backtests.studies.search_space import settings, value_at

    dimension = resolved.document.search[path]
    kind = next(k for k in ("int", "float", "choice") if getattr(dimension, k) is not None)
    ends = value_at(dimension, 0.0), value_at(dimension, 1.0)
    for place, value in enumerate(dimension.choice or ends):
        wrong = check_setting(base, *settings({path: value}))
        for one in wrong:
            there = resolved.problem(("search", path, kind, place), one.message, one.suggestion)
            yield replace(there, path=there.path + one.path)
        if wrong and kind != "choice":
            return


def market_taken(resolved: Resolved) -> list[str]:
    """Return what `venue.market: auto` takes of a catalog with books or quotes, and why."""
    document, catalog = resolved.document, _catalog(resolved.document)
    if catalog is None or document.venue.market != "auto" or not any(map(catalog.coverage, TICKS)):
        return []
    market, why = settled_market(document, catalog, _traded(document, catalog))
    return [f"venue.market auto takes {market}{': ' * bool(why)}{why}"]


def _catalog(document: Backtest) -> CatalogIndex | None:
    from catalog.storage.index import CatalogIndex
    from catalog.storage.versions import current_version

    missing = not url_of(document.catalog) and current_version(Path(document.catalog)) is None
    return None if missing else CatalogIndex(document.catalog)


def lacking(document: Backtest, catalog: CatalogIndex) -> Iterator[DataProblem]:
    """Yield what the document needs and the catalog lacks."""
    there = catalog.intervals()
    has = f"{document.catalog} has {', '.join(there) or 'none'}"
    chosen = document.venue.execution_interval
    if chosen != "auto" and chosen not in there:
        hint = catalog.resample_hint(str(chosen))
        yield ("venue", "execution_interval"), f"no {chosen} candles: {has}{hint}"
    needed: dict[str, str] = {} if chosen == "auto" else {str(chosen): "orders fill on"}
    parameters = _parameters(document)
    traded = _traded(document, catalog)
    market, _ = settled_market(document, catalog, traded)
    if market != "candles":
        yield from _without_ticks(document, catalog, market, traded)
    yield from _settled_otherwise(document, catalog, traded)
    for key, params in parameters.items():
        if market == "candles" and _asks_for_no_candles(document, catalog, key):
            yield (
                ("strategies", key, "use"),
                "names no interval in history_needed: a backtest feeds a strategy the candles of "
                'those intervals and nothing else; return {"1h": 1}, for instance',
            )
        if _reads_books(document, key):
            yield from _unread(document, catalog, key, market)
        interval = params.get("interval")
        if interval is not None and interval not in there:
            hint = catalog.resample_hint(str(interval))
            yield ("strategies", key, "params", "interval"), f"no {interval} candles: {has}{hint}"
        elif interval is not None:
            needed[str(interval)] = f"strategies.{key} ranks"
        wrong = sold_short(document, key, _ids_of(document, catalog, key))
        if wrong:
            yield ("strategies", key, *(("params", "side") if "side" in params else ())), wrong
    universe = set(select(sorted(catalog.instruments), document.universe))
    series = {
        interval: [
            (span.first - interval_ns(interval), span.last)
            for name, span in catalog.coverage("bars", interval).items()
            if name in universe
        ]
        for interval in there
    }
    if not universe or (market != "candles" and not needed):
        # The catalog's own check lists names that match nothing.
        return
    if not any(series.values()):
        yield ("universe",), f"no instrument of the universe has candles in {document.catalog}"
        return
    spans = [span for several in series.values() for span in several]
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    yield from _beyond(document, "the data of the universe", first, last)
    for interval, use in needed.items():
        if interval in there:
            yield from _outside(document, interval, use, series[interval], (first, last))


def _reads_books(document: Backtest, key: str) -> bool:
    found: bool = resolve(document.strategies[key].use, document.allow).Config.needs_books
    return found


def _unread(
    document: Backtest, catalog: CatalogIndex, key: str, market: Market
) -> Iterator[DataProblem]:
    """Yield what is missing of the books and trades that a strategy reads."""
    place, known = ("strategies", key, "use"), catalog.coverage("trades")
    if market != "book":
        yield (
            place,
            f"reads order books, and this run is on {market}: give a catalog with books of all "
            "its instruments (perpdesk record, catalog demo --books), and venue.market: auto",
        )
        return
    untraded = [name for name in _ids_of(document, catalog, key) if name not in known]
    if untraded:
        words = f"reads trades, and {document.catalog} has none of {some_of(untraded)}"
        yield place, f"{words}: import them, or leave them out (universe.exclude)"


def settled_market(
    document: Backtest, catalog: CatalogIndex, traded: Collection[str]
) -> tuple[Market, str]:
    """Return what orders meet, and why nothing finer.

    `auto` is the finest that all have throughout the window.
    """
    venue, lacks = document.venue, list[str]()
    if venue.market != "auto":
        return venue.market, ""
    for name in ("fills", "execution_interval"):
        if getattr(venue, name) != type(venue).model_fields[name].default:
            return "candles", f"venue.{name} asks for them"
    for kind in TICKS if traded else ():
        lack = next(filter(None, (_lack(document, catalog, kind, name) for name in traded)), "")
        if not lack:
            return kind, "; ".join(lacks)
        lacks.append(lack)
    return "candles", "; ".join(lacks)


def _lack(document: Backtest, catalog: CatalogIndex, kind: Market, name: str) -> str:
    """Return what an instrument's ticks lack in the window, empty for nothing."""
    window, span, what = document.window, catalog.coverage(kind).get(name), f"{kind} of {name}"
    if span is None:
        return f"no {what}"
    if span.first > window.start_ns + TICKS_SLACK_NS:
        return f"{what} only from {minute_text(span.first)} UTC"
    if span.last < window.end_ns - TICKS_SLACK_NS:
        return f"{what} only until {minute_text(span.last)} UTC"
    return "" if _is_whole(document, catalog, kind, name) else f"{what} with a hole of over an hour"


def _is_whole(document: Backtest, catalog: CatalogIndex, kind: str, name: str) -> bool:
    """Whether a window's days of ticks follow each other without a long hole."""
    window, files = document.window, catalog.manifest.files
    days = [files[path] for path in catalog.paths(kind, "", name)]
    return all(
        later.first - day.last <= HOUR_NS
        for day, later in pairwise(days)
        if day.last < window.end_ns and later.first > window.start_ns
    )


def _without_ticks(
    document: Backtest, catalog: CatalogIndex, market: Market, traded: list[str]
) -> Iterator[DataProblem]:
    """Yield what is missing of the books or quotes that orders meet."""
    kind = {"book": "order book", "quotes": "quotes"}[market]
    spans = catalog.coverage(market)
    missing = [name for name in traded if name not in spans]
    if missing:
        other = "book" if market == "quotes" else "quotes"
        candles = (("candles", "bars", interval) for interval in catalog.intervals())
        fits = (
            f"set venue.market to {name}, which it has of all"
            for name, *series in ((other, other, ""), *candles)
            if catalog.coverage(*series).keys() >= set(traded)
            and not any(_reads_books(document, key) for key in _parameters(document))
        )
        advice = next(fits, "import them, or leave them out (universe.exclude)")
        words = f"{document.catalog} has no {kind} of {some_of(missing)}"
        yield ("venue", "market"), f"{words}: {advice}"
    found = [spans[name] for name in traded if name in spans]
    if not found:
        return
    first, last = min(span.first for span in found), max(span.last for span in found)
    yield from _beyond(document, f"the {kind} of the universe", first, last, TICKS_SLACK_NS)


def _beyond(
    document: Backtest, what: str, first: int, last: int, slack: int = 0, known: Span = ALL_TIME
) -> Iterator[DataProblem]:
    """Yield the ends of the window, as far as data are known, that lie beyond those of some."""
    if max(document.window.start_ns, known[0]) < first - slack:
        yield ("window", "start"), f"{what} begin {minute_text(first)} UTC"
    if min(document.window.end_ns, known[1]) > last + slack:
        yield ("window", "end"), f"{what} end {minute_text(last)} UTC"


def _outside(
    document: Backtest, interval: str, use: str, spans: list[Span], known: Span
) -> Iterator[DataProblem]:
    if not spans:
        yield ("universe",), f"no instrument of it has {interval} candles, which {use}"
        return
    what = f"the {interval} candles of the universe, which {use},"
    first, last = min(begin for begin, _ in spans), max(end for _, end in spans)
    # One candle may be missing at either end: candles need not start or close with the window.
    yield from _beyond(document, what, first, last, interval_ns(interval), known)


def _traded(document: Backtest, catalog: CatalogIndex) -> list[str]:
    ids = (_ids_of(document, catalog, key) for key in _parameters(document))
    return sorted({name for some in ids for name in some})


def _parameters(document: Backtest) -> dict[str, dict[str, Any]]:
    """Return the parameters of each enabled strategy; faulty ones are reported elsewhere."""
    found = {}
    for key, component in document.strategies.items():
        cls: Any = resolve_or_none(component.use, document.allow)
        if cls is None or misplaced(cls, component.use, "strategies"):
            continue
        if component.enabled and not check_params(cls.Config, component.params):
            found[key] = complete_params(cls, component.params)
    return found


def _settled_otherwise(
    document: Backtest, catalog: CatalogIndex, traded: list[str]
) -> Iterator[DataProblem]:
    """Yield one line with everything traded that settles in another coin than the account's."""
    infos, by_coin = catalog.instruments, dict[str, list[str]]()
    for name in traded:
        coin = infos[name].settle
        if coin != ACCOUNT_COIN:
            by_coin.setdefault(coin, []).append(name)
    if by_coin:
        parts = [
            f"{', '.join(names)} settle{'s' * (len(names) == 1)} in {coin}"
            for coin, names in by_coin.items()
        ]
        them = "it" if sum(map(len, by_coin.values())) == 1 else "them"
        yield (
            ("universe",),
            f"{', '.join(parts)}, the account is in {ACCOUNT_COIN}: leave {them} out "
            "(universe.exclude)",
        )


def _asks_for_no_candles(document: Backtest, catalog: CatalogIndex, key: str) -> bool:
    component = document.strategies[key]
    cls = resolve(component.use, document.allow)
    ids = _ids_of(document, catalog, key)
    # A pure class has an interval among its parameters.
    if not ids or not hasattr(cls, "history_needed"):
        return False
    from backtests.engine.build import strategy_config
    from strategies.exits import no_exits

    with no_exits():
        return not cls(strategy_config(key, component, document, ids)).history_needed()


def _ids_of(document: Backtest, catalog: CatalogIndex, key: str) -> list[str]:
    return select(catalog.instruments, document.universe, document.strategies[key])
