"""Looks at a spot pair and its perpetual as the strategy has them, from a catalog, without engine.

A look is taken at a message of either book, not more often than the strategy's ``look``. Messages
come in the engine's order: by time, then by instrument. Times are UNIX nanoseconds (UTC).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from decimal import Decimal
from heapq import merge
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from actors.measures import Floats, Integers
from backtests.checks import settled_market
from backtests.engine.build import strategy_config
from catalog.storage.store import Catalog
from catalog.tops import Levels, StoredBook
from config.components import resolve
from config.documents import Backtest
from config.durations import DAY_NS, HOUR_NS, duration_ns
from config.errors import InputError
from config.universe import select
from strategies.basis.decide import quantity_seen, room, size
from strategies.basis.edge import BPS, Book, Costs, Funding, Rates
from strategies.basis.features import FEATURES, Past, look
from strategies.basis_arbitrage import BasisArbitrage, BasisConfig
from strategies.sizing.rounding import Lot
from strategies.tactics.two_leg import NONE, Legs

STEP = 5_000
"""Looks between two signs of progress."""


class Settled(NamedTuple):
    """A settlement of funding: rate of value, positive when longs pay, and the mark price."""

    ts: int
    rate: Decimal
    mark: Decimal | None
    """None where the catalog has no mark price: it is then settled at the book's mid."""


class Tape(NamedTuple):
    """Both books at each of T looks, and the funding of the perpetual."""

    ts: Integers
    levels: Floats
    """Of shape (T, 4, depth, 2): bids and asks of the spot pair, then of the perpetual, each the
    best first, with price and size. Levels that are not there have a price of NaN."""
    settled: tuple[Settled, ...]
    """From two days before the first look on."""
    predicted: tuple[Integers, Floats, Integers]
    """Times of predictions, rates, and when they are settled."""

    def books(self, place: int) -> tuple[Book, Book]:
        """Return the books of the spot pair and of the perpetual at a look."""
        sides = [[(p, s) for p, s in side if p == p] for side in self.levels[place].tolist()]
        return Book(*sides[:2]), Book(*sides[2:])

    def known_funding(self) -> Iterator[Funding]:
        """Yield the funding known at each look; what comes at the time of a look comes after it."""
        settled = [(ts, float(rate), None) for ts, rate, _ in self.settled]
        # Not as lists: there may be ten predictions a second.
        predicted = (
            (int(t), float(r), int(due)) for t, r, due in zip(*self.predicted, strict=True)
        )
        events = merge(settled, predicted, key=itemgetter(0))
        rates, event = Rates(), next(events, None)
        for now in map(int, self.ts):
            while event is not None and event[0] < now:
                rates.add(*event)
                event = next(events, None)
            yield rates.known


def tape_of(pair: Pair) -> Tape:
    """Read the looks of a pair's window.

    Where a book's last message is older than ``max_age`` nothing is seen.
    """
    look_ns, max_age_ns = duration_ns(pair.rules.look), duration_ns(pair.rules.max_age)
    last, found = pair.start - look_ns, []
    edges = [*range(pair.start, pair.end, HOUR_NS if pair.kind == "book" else 7 * DAY_NS), pair.end]
    # The engine sorts by time, and at one time takes instruments in the order of their ids.
    legs = sorted(pair.legs)
    for begin, *parts in zip(edges, *(_messages(pair, leg, edges) for leg in legs), strict=False):
        ts, levels = _looks(parts, look_ns, max_age_ns, last, begin)
        last = int(ts[-1]) if len(ts) else last
        found.append((ts, levels))
    perp = pair.legs[1]
    tickers = pair.catalog.series("tickers", "", perp, pair.start - DAY_NS, pair.end)
    columns = ("ts", "funding_rate", "next_funding_ts")
    told, rate, due = (tickers.column(name).to_numpy() for name in columns)
    is_known = ~np.isnan(rate) & (due > 0)
    predicted = told[is_known], rate[is_known], due[is_known]
    ts, levels = map(np.concatenate, zip(*found, strict=True))
    return Tape(ts, levels, _settled(pair), predicted)


def _looks(
    parts: list[Levels], look_ns: int, max_age_ns: int, last: int, begin: int
) -> tuple[Integers, Floats]:
    """Return times and levels of looks from ``begin`` on; the perpetual's part comes first."""
    ts = np.concatenate([part.ts for part in parts])
    order = np.argsort(ts, kind="stable")
    ts, owner = ts[order], np.repeat([0, 1], [len(part.ts) for part in parts])[order]
    rows = [np.cumsum(owner == leg) - 1 for leg in (0, 1)]
    known = (rows[0] >= 0) & (rows[1] >= 0) & (ts >= begin)
    for part, row in zip(parts, rows, strict=True):
        if len(part.ts):
            bid, ask = part.bids[:, 0, 0], part.asks[:, 0, 0]
            known &= ((bid > 0.0) & (bid < ask))[row] & (ts - part.ts[row] <= max_age_ns)
    looks = _throttled(ts, known, look_ns, last)
    perp, spot = ((part, row[looks]) for part, row in zip(parts, rows, strict=True))
    sides = [side[row] for part, row in (spot, perp) for side in (part.bids, part.asks)]
    return ts[looks], np.stack(sides, axis=1)


@njit(cache=True)
def _throttled(ts, known, look_ns, last):
    found = np.empty(len(ts), np.int64)
    count = 0
    for event in range(len(ts)):
        if known[event] and ts[event] - last >= look_ns:
            found[count] = event
            count += 1
            last = ts[event]
    return found[:count]


def _messages(pair: Pair, leg: str, edges: list[int]) -> Iterator[Levels]:
    """Yield a leg's book after each message, by stretches; the newest of before comes first."""
    book, catalog, depth = StoredBook(), pair.catalog, pair.depth
    part = Levels(np.empty(0, np.int64), *np.empty((2, 0, depth, 2)))
    for begin, until in pairwise(edges):
        newest = Levels._make(column[-1:] for column in part)
        if begin > pair.start:
            rows = catalog.series(pair.kind, "", leg, begin - 1, until - 1)
        else:
            rows = catalog.series(pair.kind, "", leg, begin, until - 1)
            rows = pa.concat_tables([_standing(pair, leg), rows]).combine_chunks()
        part = newest
        if rows.num_rows:
            read = book.levels(rows, depth) if pair.kind == "book" else _quoted(rows, begin)
            part = Levels._make(map(np.concatenate, zip(newest, read, strict=True)))
        if pair.kind == "quotes":
            part = _after_trades(part, catalog.series("trades", "", leg, begin - 1, until - 1))
        yield part


def _standing(pair: Pair, leg: str) -> pa.Table:
    """Return the rows of what stands at the window's start."""
    if pair.kind == "book":
        return pair.catalog.book_at(leg, pair.start)
    quotes = pair.catalog.series("quotes", "", leg, pair.start - DAY_NS, pair.start)
    return quotes.slice(max(quotes.num_rows - 1, 0))


def _quoted(rows: pa.Table, begin: int) -> Levels:
    ts, *columns = (rows.column(n).to_numpy() for n in ("ts", "bid", "bid_size", "ask", "ask_size"))
    sides = np.stack(columns, axis=1).reshape(-1, 2, 1, 2)
    return Levels(np.maximum(ts, begin), sides[:, 0], sides[:, 1])


def _after_trades(quotes: Levels, trades: pa.Table) -> Levels:
    """Return the quotes, and after each trade the standing one once more.

    As in `backtests.engine.tick_feed`, which shows them so to the engine.
    """
    traded = np.unique(trades.column("ts"))
    places = np.searchsorted(quotes.ts, traded, side="left") - 1
    times = np.concatenate([traded[places >= 0], quotes.ts])
    order = np.argsort(times, kind="stable")
    rows = np.concatenate([places[places >= 0], np.arange(len(quotes.ts))])[order]
    return Levels(times[order], quotes.bids[rows], quotes.asks[rows])


def _settled(pair: Pair) -> tuple[Settled, ...]:
    """Return settlements with the mark prices at which a backtest on ticks settles them."""
    catalog, perp, start = pair.catalog, pair.legs[1], pair.start
    table = catalog.series("funding", "", perp, start - 2 * DAY_NS, pair.end)
    interval = next(iter(catalog.intervals("mark")), "")
    marks = catalog.series("mark", interval, perp, start - 3 * DAY_NS, pair.end)
    stamps, closes = (marks.column(name).to_pylist() for name in ("ts", "close"))
    found = []
    for ts, rate in zip(*(table.column(name).to_pylist() for name in ("ts", "rate")), strict=True):
        row = bisect_right(stamps, ts) - 1
        is_marked = row >= 0 and stamps[row] >= ts - DAY_NS
        mark = Decimal(repr(closes[row])) if is_marked else None
        found.append(Settled(ts, Decimal(repr(rate)), mark))
    return tuple(found)


class Pair(NamedTuple):
    """A spot pair and its perpetual, as one document trades them."""

    catalog: Catalog
    rules: BasisConfig
    legs: tuple[str, str]
    lots: tuple[Lot, Lot]
    fees: tuple[Decimal, Decimal]
    """Takers', fractions of value."""
    equity: Decimal
    start: int
    end: int
    kind: str

    @property
    def depth(self) -> int:
        """Levels a side that are read."""
        return self.rules.levels if self.kind == "book" else 1

    @property
    def costs(self) -> Costs:
        """Expected costs of a round trip."""
        spot, perp = map(float, self.fees)
        return Costs(spot, perp, self.rules.slippage_bps)

    def goal(self, equity: float, books: tuple[Book, Book], past: Past) -> Legs:
        """Return the quantities of an entry."""
        spot, perp = books
        return size(
            self.rules,
            equity,
            spot.mid,
            past.volatility.a_minute_bps,
            min(spot.displayed, perp.displayed),
            room(self.rules, equity, equity, ()),
            1.0,
            self.lots,
            float(self.fees[0]),
        )


def pair_of(document: Backtest) -> Pair:
    """Return the pair of a document's basis arbitrage.

    Raises InputError without one, with several pairs, or where the market is of candles.
    """
    catalog = Catalog(Path(document.catalog))
    ids = select(sorted(catalog.instruments), document.universe)
    keys = [
        key
        for key, component in document.strategies.items()
        if component.enabled and issubclass(resolve(component.use, document.allow), BasisArbitrage)
    ]
    if not keys:
        raise InputError(f"{document.name}: no strategy of it is a basis arbitrage")
    key = keys[0]
    rules = strategy_config(key, document.strategies[key], document, ids)
    assert isinstance(rules, BasisConfig)
    if len(rules.pairs) > 1:
        raise InputError(
            f"{document.name}: strategies.{key}.params.pairs has {len(rules.pairs)} pairs, and a "
            f"policy learns from one: --set strategies.{key}.params.pairs=[[SPOT, PERPETUAL]]"
        )
    (legs,) = rules.pairs
    kind, why = settled_market(document, catalog, list(legs))
    if kind == "candles":
        raise InputError(
            f"{document.name}: looks are at quotes or books: {why or 'there are none'}"
        )
    lots = [
        Lot(*(Decimal(step) for step in (info.lot, info.min_qty, info.min_notional)))
        for info in (catalog.instruments[leg] for leg in legs)
    ]
    fees, window = document.venue.fees, document.window
    return Pair(
        catalog,
        rules,
        legs,
        (lots[0], lots[1]),
        (fees.spot.taker, fees.linear.taker),
        document.venue.starting_balance,
        window.start_ns,
        window.end_ns,
        kind,
    )


class Looks(NamedTuple):
    """What a policy sees at T looks while flat, and what a position gains from each.

    In basis points of what the spot leg costs: ``cost`` of a round trip at once, ``change`` of what
    closing brings until the next look, with the funding of the time between; the last has none.
    """

    ts: Integers
    features: Floats
    """Of shape (T, 16), in the order of `FEATURES`."""
    cost: Floats
    change: Floats
    locked: Floats
    """Edge of an entry without funding, if the basis at its exit were zero."""
    margin: Floats
    """By how much an entry's edge would exceed the least one if the basis at its exit were zero."""
    allowed: NDArray[np.bool_]
    """Whether an entry has a size and all features are known."""
    awaited_since: Integers
    """Entries for funding from this time on are not closed yet (`decide.awaits_funding`)."""

    def part(self, first: int, after: int) -> Looks:
        """Return the looks from one place to before another."""
        return Looks._make(column[first:after] for column in self)


def looks_of(tape: Tape, pair: Pair, step: Callable[[int], None] = lambda done: None) -> Looks:
    """Return what the strategy sees while flat, with the equity of the start.

    ``step`` is called now and then with how many looks are done.
    """
    count, rules = len(tape.ts), pair.rules
    found, prices = np.empty((count, len(FEATURES))), np.empty((count, 4))
    locked, margin, sized = np.empty(count), np.empty(count), np.zeros(count, np.bool_)
    awaited, horizon, past = np.empty(count, np.int64), duration_ns(rules.horizon), Past()
    for place, funding in enumerate(tape.known_funding()):
        now, books = int(tape.ts[place]), tape.books(place)
        goal = pair.goal(float(pair.equity), books, past)
        quantity = quantity_seen(goal, pair.lots, books[0].mid)
        seen = look(rules, pair.costs, books, quantity, past, funding, now, exit_bps=0.0)
        past, found[place], prices[place] = seen.past, seen.features, seen.prices
        locked[place], margin[place] = seen.edge.locked_bps, seen.edge.net_bps - rules.min_edge_bps
        awaited[place] = funding.awaited_since(now, horizon)
        sized[place] = goal != NONE
        if place % STEP == 0:
            step(place)
    if not rules.funding_alone:
        margin = np.minimum(margin, locked)
    buy, sell, cover, short = prices.T
    costs = pair.costs
    closing = sell * (1 - costs.spot_fee) - cover * (1 + costs.perp_fee)
    opening = buy * (1 + costs.spot_fee) - short * (1 - costs.perp_fee)
    received = np.zeros(count)
    for ts, rate, mark in tape.settled:
        # Who holds the position just before the stamp pays or gets it.
        before = int(np.searchsorted(tape.ts, ts, side="left")) - 1
        if 0 <= before < count - 1:
            received[before] += float(rate) * (cover[before] if mark is None else float(mark))
    change = np.zeros(count)
    change[:-1] = (np.diff(closing) + received[:-1]) / buy[:-1] * BPS
    cost = (opening - closing) / buy * BPS + costs.slippage_bps
    allowed = sized & ~np.isnan(found).any(axis=1)
    return Looks(tape.ts, found, cost, change, locked, margin, allowed, awaited)
