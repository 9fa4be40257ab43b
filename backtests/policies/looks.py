"""Looks at a spot pair and its perpetual as the strategy has them, from a catalog, without engine.

A look is taken at a message of either book, not more often than the strategy's ``look``. Messages
come in the engine's order: by time, then by instrument. Times are UNIX nanoseconds (UTC).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from operator import itemgetter
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from backtests.checks import settled_market
from backtests.engine.build import strategy_config
from catalog.storage.store import Catalog
from catalog.tops import Levels, StoredBook
from config.components import resolve
from config.documents import Backtest
from config.durations import DAY_NS, HOUR_NS, duration_ns
from config.errors import InputError
from config.universe import select
from strategies.basis.decide import look, quantity_seen, room, size
from strategies.basis.edge import BPS, Book, Costs, Funding, Rates
from strategies.basis.features import FEATURES, Past
from strategies.basis_arbitrage import BasisArbitrage, BasisConfig
from strategies.sizing.rounding import Lot
from strategies.tactics.two_leg import NONE, Legs

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
STEP = 5_000


class Settled(NamedTuple):
    """A settlement of funding: rate of value, positive when longs pay, and the mark price."""

    ts: int
    rate: Decimal
    mark: Decimal | None
    """None where the catalog has no mark price: it is then settled at the book's mid."""


class Tape(NamedTuple):
    """Both books at each of T looks: levels of shape (T, depth, 2), price and size, the best first.

    Levels that are not there have a price of NaN.
    """

    ts: Integers
    spot_bids: Floats
    spot_asks: Floats
    perp_bids: Floats
    perp_asks: Floats
    settled: tuple[Settled, ...]
    """From two days before the first look on."""
    predicted: tuple[tuple[int, float, int], ...]
    """Tickers with a predicted rate: time, rate, when it is settled."""

    def books(self, place: int) -> tuple[Book, Book]:
        """Return the books of the spot pair and of the perpetual at a look."""
        bids, asks, perp_bids, perp_asks = (_shown(side[place]) for side in self[1:5])
        return Book(bids, asks), Book(perp_bids, perp_asks)

    def known_funding(self) -> Iterator[Funding]:
        """Yield the funding known at each look; what comes at the time of a look comes after it."""
        settled = [(ts, float(rate), None) for ts, rate, _ in self.settled]
        told = deque(sorted([*settled, *self.predicted], key=itemgetter(0)))
        rates = Rates()
        for now in map(int, self.ts):
            while told and told[0][0] < now:
                rates.add(*told.popleft())
            yield rates.known

    def cut(self, start: int, end: int) -> Tape:
        """Return the looks with start <= ts < end."""
        chosen = slice(*np.searchsorted(self.ts, [start, end]))
        return self._replace(**{n: getattr(self, n)[chosen] for n in Tape._fields[:5]})


def _shown(levels: Floats) -> tuple[tuple[float, float], ...]:
    return tuple((price, size) for price, size in levels.tolist() if price == price)


def tape_of(
    catalog: Catalog,
    spot: str,
    perp: str,
    start: int,
    end: int,
    *,
    look_ns: int,
    max_age_ns: int,
    kind: str = "quotes",
    depth: int = 1,
) -> Tape:
    """Read the looks of a window; ``kind`` is quotes or book, ``depth`` counts levels of books.

    Where a book's last message is older than ``max_age_ns`` nothing is seen.
    """
    reader = _quotes if kind == "quotes" else _Books(catalog, depth).read
    found: list[list[NDArray[Any]]] = []
    standing: dict[str, Levels] = {}
    last = start - look_ns
    step = HOUR_NS if kind == "book" else 7 * DAY_NS
    edges = [*range(start, end, step), end]
    for begin, until in pairwise(edges):
        parts = []
        # The engine sorts by time, and at one time takes instruments in the order of their ids.
        for name in sorted((spot, perp)):
            part = reader(catalog, name, begin, until, begin == start)
            if name in standing:
                part = _after(standing[name], part)
            parts.append(part)
            if len(part.ts):
                standing[name] = Levels._make(column[-1:] for column in part)
        picked, last = _pick(parts, look_ns, max_age_ns, last, begin)
        found.append(picked)
    ts, *sides = map(np.concatenate, zip(*found, strict=True))
    del found
    # By id the perpetual comes first.
    perp_bids, perp_asks, spot_bids, spot_asks = sides
    tickers = catalog.series("tickers", "", perp, start - DAY_NS, end)
    told = (tickers.column(n).to_pylist() for n in ("ts", "funding_rate", "next_funding_ts"))
    return Tape(
        ts,
        spot_bids,
        spot_asks,
        perp_bids,
        perp_asks,
        settled=_settled(catalog, perp, start, end),
        predicted=tuple(one for one in zip(*told, strict=True) if one[1] == one[1] and one[2] > 0),
    )


def _after(last: Levels, part: Levels) -> Levels:
    """Return a part with the last row before it."""
    ts = np.concatenate([last.ts, part.ts])
    sides = [np.concatenate(pair) for pair in ((last.bids, part.bids), (last.asks, part.asks))]
    return Levels(ts, sides[0], sides[1])


def _pick(
    parts: list[Levels], look_ns: int, max_age_ns: int, last: int, begin: int
) -> tuple[list[NDArray[Any]], int]:
    """Return time, and bids and asks of both instruments, at each look; and the last one's time."""
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
    last = int(ts[looks[-1]]) if len(looks) else last
    columns: list[NDArray[Any]] = [ts[looks]]
    for part, row in zip(parts, rows, strict=True):
        columns += [part.bids[row[looks]], part.asks[row[looks]]]
    return columns, last


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


def _quotes(catalog: Catalog, name: str, begin: int, until: int, is_first: bool) -> Levels:
    """Return quotes with begin <= ts < until; of the first stretch also the standing one.

    As in `backtests.engine.tick_feed`, a trade shows the standing quote once more.
    """
    rows = catalog.series("quotes", "", name, begin if is_first else begin - 1, until - 1)
    if is_first:
        before = catalog.series("quotes", "", name, begin - DAY_NS, begin)
        if before.num_rows:
            standing = before.slice(before.num_rows - 1)
            place = standing.column_names.index("ts")
            rows = pa.concat_tables([standing.set_column(place, "ts", pa.array([begin])), rows])
    ts, *columns = (rows.column(n).to_numpy() for n in ("ts", "bid", "bid_size", "ask", "ask_size"))
    traded = np.unique(catalog.series("trades", "", name, begin - 1, until - 1).column("ts"))
    places = np.searchsorted(ts, traded, side="left") - 1
    times = np.concatenate([traded[places >= 0], ts])
    order = np.argsort(times, kind="stable")
    again = np.concatenate([places[places >= 0], np.arange(len(ts))])[order]
    bid, bid_size, ask, ask_size = (column[again] for column in columns)
    sides = [np.stack(pair, axis=1)[:, None] for pair in ((bid, bid_size), (ask, ask_size))]
    return Levels(times[order], sides[0], sides[1])


class _Books:
    """Replays both books, stretch by stretch."""

    def __init__(self, catalog: Catalog, depth: int) -> None:
        self._depth = depth
        self._books: dict[str, StoredBook] = {}

    def read(self, catalog: Catalog, name: str, begin: int, until: int, is_first: bool) -> Levels:
        book = self._books.setdefault(name, StoredBook())
        rows = catalog.series("book", "", name, begin if is_first else begin - 1, until - 1)
        if is_first:
            rows = pa.concat_tables([catalog.book_at(name, begin), rows]).combine_chunks()
        if not rows.num_rows:
            nothing = np.empty((0, self._depth, 2))
            return Levels(np.empty(0, np.int64), nothing, nothing)
        return book.levels(rows, self._depth)


def _settled(catalog: Catalog, perp: str, start: int, end: int) -> tuple[Settled, ...]:
    """Return settlements with the mark prices at which a backtest on ticks settles them."""
    table = catalog.series("funding", "", perp, start - 2 * DAY_NS, end)
    intervals = catalog.intervals("mark")
    marks = (
        catalog.series("mark", intervals[0], perp, start - 3 * DAY_NS, end) if intervals else None
    )
    found = []
    for ts, rate in zip(
        table.column("ts").to_pylist(), table.column("rate").to_pylist(), strict=True
    ):
        mark = None
        if marks is not None and marks.num_rows:
            closes = marks.column("ts").to_numpy()
            row = int(np.searchsorted(closes, ts, side="right")) - 1
            if row >= 0 and closes[row] >= ts - DAY_NS:
                mark = Decimal(repr(marks.column("close")[row].as_py()))
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
    def costs(self) -> Costs:
        """Expected costs of a round trip."""
        spot, perp = map(float, self.fees)
        return Costs(spot, perp, self.rules.slippage_bps)

    def tape(self) -> Tape:
        """Read the looks of the window."""
        rules = self.rules
        return tape_of(
            self.catalog,
            *self.legs,
            self.start,
            self.end,
            look_ns=duration_ns(rules.look),
            max_age_ns=duration_ns(rules.max_age),
            kind=self.kind,
            depth=rules.levels if self.kind == "book" else 1,
        )

    def goal(self, equity: float, books: tuple[Book, Book], past: Past) -> Legs:
        """Return the quantities of an entry."""
        spot, perp = books
        return size(
            self.rules,
            equity,
            spot.mid,
            past.mid.a_minute_bps,
            min(spot.displayed, perp.displayed),
            room(self.rules, equity, ()),
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
    """What T looks tell a policy while flat, and what being in the position is then worth.

    In basis points of what the spot leg costs: ``cost`` of a round trip at once, ``change`` of what
    closing brings until the next look, with the funding of the time between; the last has none.
    """

    ts: Integers
    features: Floats
    """Of shape (T, 16), in the order of `FEATURES`."""
    cost: Floats
    change: Floats
    margin: Floats
    """By how much an entry's edge would exceed the least one if the basis at its exit were zero."""
    allowed: NDArray[np.bool_]
    """Whether an entry has a size and all features are known."""

    def part(self, first: int, after: int) -> Looks:
        """Return the looks from one place to before another."""
        return Looks._make(column[first:after] for column in self)


def looks_of(tape: Tape, pair: Pair, step: Callable[[int], None] = lambda done: None) -> Looks:
    """Return what the strategy sees while flat, with the equity of the start.

    ``step`` is called now and then with how many looks are done.
    """
    count, rules = len(tape.ts), pair.rules
    found, prices = np.empty((count, len(FEATURES))), np.empty((count, 4))
    margin, sized, past = np.empty(count), np.zeros(count, np.bool_), Past()
    for place, funding in enumerate(tape.known_funding()):
        now, books = int(tape.ts[place]), tape.books(place)
        goal = pair.goal(float(pair.equity), books, past)
        quantity = quantity_seen(goal, pair.lots, books[0].mid)
        seen = look(rules, pair.costs, books, quantity, past, funding, now, exit_bps=0.0)
        past, found[place], prices[place] = seen.past, seen.features, seen.prices
        margin[place] = seen.edge.net_bps - rules.min_edge_bps
        if not rules.funding_alone:
            margin[place] = min(margin[place], seen.edge.locked_bps)
        sized[place] = goal != NONE
        if place % STEP == 0:
            step(place)
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
    return Looks(tape.ts, found, cost, change, margin, allowed)
