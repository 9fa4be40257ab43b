"""The order flow of the demo's books: invented books and trades of perpetuals and spot pairs.

Every coin has a latent price V, and its perpetual a basis B on top of it::

    dV = volatility dW + impact of each trade (permanent, grows with the root of its size)
    dB = -reversion * (B - lean) dt + noise dW + 15 % of the impact (with the sign turned for the
         trades of the pair);  lean = -2 * price * (funding - usual funding)

so trades move prices for good, perpetual and spot follow one coin, and the basis comes back within
minutes, faster against an unusual funding rate. W of different coins are correlated.

Each book is a queue at every tick. Orders and cancels come as Poisson processes:

- limit orders at a rate a side, a geometric number of ticks behind V (+ B), some far behind;
- market orders, a little more often towards the latent price, within ten ticks of the best;
- cancels, of any resting lot at one rate, so the depth has a mean;
- sizes are log-normal.

Ten times a second quotes that the latent price has passed are taken (by arbitrage, without impact)
or withdrawn, one as often as the other: who rests too long is picked off. A book never crosses.
Each change of a book is one message. A trade is stamped a microsecond before the message of what it
took, so it stands at a price of the book that was shown. Every five minutes a message has the whole
book.

Planted events, one at a time in a book, are told of in `Planted`: a ``spoof`` (a large order near
the best that is cancelled before it trades), an ``iceberg`` (a level that refills as it is taken),
a ``sweep`` (one order through many levels), ``large_trades`` (orders ten times as large, mostly of
one side) and a ``momentum`` burst (two and a half times as many orders, four of five of one side).

Prices and sizes are whole ticks and lots. May import: config, numpy, numba.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from catalog.demo.universe import Purpose, stream

Integers = NDArray[np.int64]
Floats = NDArray[np.float64]

STEP_S = 0.1
"""Time between two moves of the latent prices."""
CHUNK_S = 600
"""Time simulated at once."""
SNAPSHOT_S = 300
GRID = 1 << 16
"""Ticks of a book's array; the first price is in the middle."""
SPOOF, ICEBERG, SWEEP, LARGE_TRADES, MOMENTUM = range(5)
KINDS = ("spoof", "iceberg", "sweep", "large_trades", "momentum")
LASTS_S = ((2.0, 8.0), (30.0, 90.0), (0.1, 0.1), (5.0, 10.0), (30.0, 60.0))
"""Shortest and longest time of each kind."""
EVERY_S = 120.0
"""A book has one planted event in so many seconds."""
USUAL_FUNDING = 0.0001
_CLAMP = 0.0005
_FUNDING_MEMORY_S = 1800.0
_MARK_MEMORY_S = 300.0
_SHARED = 0.6
"""Correlation of two coins."""
_REVERSION = math.log(2) / 300
"""Half of a basis is gone in five minutes."""
_BASIS_SPREAD = 0.001
"""Standard deviation of the basis, as a share of the price."""
_MOST_ROWS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class CoinSpec:
    """One coin: first price and tick in USDT, lot in coins, and what its books are like."""

    name: str
    price: float
    tick: str
    lot: str
    volatility: float
    """Standard deviation of a day's log return without the impact of trades."""
    size: float
    """Median limit order, lots; market orders have two thirds of it."""
    behind: float
    """Mean distance of most limit orders from the latent price, ticks."""
    rate: float
    """Limit orders a second and side in the perpetual; 0.3 market orders for one of these."""
    spot: bool

    @property
    def first_tick(self) -> int:
        """Ticks of the first price, which is in the middle of a book's array."""
        return round(self.price / float(self.tick))


COINS = (
    CoinSpec(
        name="BTC", price=16500.0, tick="0.5", lot="0.001", volatility=0.016, size=120.0,
        behind=8.0, rate=10.0, spot=True,
    ),
    CoinSpec(
        name="ETH", price=1200.0, tick="0.05", lot="0.01", volatility=0.02, size=150.0, behind=8.0,
        rate=9.0, spot=True,
    ),
    CoinSpec(
        name="SOL", price=20.0, tick="0.005", lot="0.1", volatility=0.03, size=400.0, behind=3.0,
        rate=7.0, spot=False,
    ),
)  # fmt: skip
"""Ticks of BTC and ETH are small, that of SOL is large: queues are long there."""
_SPOT_SHARE = 0.5
"""Orders of a spot pair for one of the perpetual."""
_MARKET_SHARE = 0.3
_CANCELS_A_SECOND = 0.08
_IMPACT = 0.4
"""Ticks that a market order of median size moves the latent price, at BTC's tick and volatility."""


class Planted(NamedTuple):
    """A planted event: seconds since the beginning, side 1 (buys, bid) or -1, ticks and lots.

    ``price`` is that of a spoof or an iceberg, or of the last trade of a sweep; ``size`` what
    rested or traded in the event's name.
    """

    book: int
    kind: str
    start_ns: int
    end_ns: int
    side: int
    price: int
    size: int


class Chunk(NamedTuple):
    """What happened to a coin's books: columns of whole numbers, times in ns since the beginning.

    ``rows``: ts, seq, book, flags, side, price, size. ``trades``: ts, seq, book, price, size, side.
    ``seconds``, one row a second: seconds, mid of each book, last trade of each, then in ticks the
    index (the pair's mid) and the mark price (index plus mean basis), and the predicted funding.
    """

    rows: Integers
    trades: Integers
    seconds: Floats


class _State(NamedTuple):
    """Everything that moves, in arrays."""

    sizes: Integers
    """Lots by book, side (bid, ask) and tick."""
    best: Integers
    totals: Integers
    ids: Integers
    """By book: last update, last trade, last ts, last price traded."""
    latent: Floats
    """V, B in ticks; mean premium, funding; seconds since the beginning; steps; mean basis."""
    active: Integers
    """By book: planted event, its price, size, what is hidden; -1 for none."""
    plan: Floats
    """By event: book, kind, start, end, side."""
    result: Integers
    """By event: start ns, end ns, price, size."""
    rates: Floats
    """By book: limit orders a side, market orders, cancels of a lot, log of the size, behind."""
    coin: Floats
    """Price in ticks, moves of V and of B a step, impact, median order."""
    counts: Integers
    rows: Integers
    trades: Integers
    seconds: Floats
    random: NDArray[np.uint64]


def simulate(
    spec: CoinSpec, seed: int, index: int, seconds: int, every_s: float = EVERY_S
) -> tuple[Iterator[Chunk], list[Planted]]:
    """Simulate a coin's books; the perpetual is book 0, the spot pair book 1.

    The list of planted events, one in each ``every_s``, is filled as the chunks are taken; with
    infinity nothing is planted.
    """
    books = 1 + spec.spot
    rng = stream(seed, Purpose.ORDER_FLOW, index)
    planted: list[Planted] = []
    state = _begin(spec, rng, _plan(rng, books, seconds, every_s))
    common = stream(seed, Purpose.ORDER_FLOW_MARKET)

    def chunks() -> Iterator[Chunk]:
        for begin in range(0, seconds, CHUNK_S):
            length = min(CHUNK_S, seconds - begin)
            steps = round(length / STEP_S)
            moves = _SHARED * common.standard_normal(steps)
            moves += math.sqrt(1 - _SHARED**2) * rng.standard_normal(steps)
            state.counts[:3] = 0
            _run(state, moves)
            rows, trades, samples = (int(count) for count in state.counts[:3])
            if rows >= len(state.rows) - 1 or trades >= len(state.trades) - 1:
                raise OverflowError("more order flow in ten minutes than its arrays hold")
            yield Chunk(
                state.rows[:rows].copy(),
                state.trades[:trades].copy(),
                state.seconds[:samples].copy(),
            )
        for event, result in zip(state.plan, state.result.tolist(), strict=True):
            kind = int(event[1])
            # An iceberg that the price left behind has shown nothing.
            if result[1] and (kind != ICEBERG or result[3] > 3 * spec.size):
                places = (*result[:2], int(event[4]), *result[2:])
                planted.append(Planted(int(event[0]), KINDS[kind], *places))

    return chunks(), planted


def _begin(spec: CoinSpec, rng: np.random.Generator, plan: Floats) -> _State:
    books = 1 + spec.spot
    middle = spec.first_tick
    per_step = spec.volatility * middle * math.sqrt(STEP_S / 86_400)
    basis = _BASIS_SPREAD * middle * math.sqrt(2 * _REVERSION * STEP_S)
    impact = _IMPACT * per_step / (0.016 * 33_000 * math.sqrt(STEP_S / 86_400))
    share = np.array([1.0, _SPOT_SHARE])[:books]
    rates = np.column_stack(
        [
            spec.rate * share,
            _MARKET_SHARE * spec.rate * share,
            np.full(books, _CANCELS_A_SECOND / (spec.size * math.exp(0.5))),
            np.full(books, math.log(spec.size)),
            np.full(books, spec.behind),
        ]
    )
    rows = _MOST_ROWS
    state = _State(
        sizes=np.zeros((books, 2, GRID), np.int64),
        best=np.zeros((books, 2), np.int64),
        totals=np.zeros((books, 2), np.int64),
        ids=np.zeros((books, 4), np.int64),
        latent=np.array([GRID / 2, 0.0, 0.0, USUAL_FUNDING, 0.0, 0.0, 0.0]),
        active=np.full((books, 4), -1, np.int64),
        plan=plan,
        result=np.zeros((len(plan), 4), np.int64),
        rates=rates,
        coin=np.array([middle, per_step, basis, impact, float(spec.size)]),
        counts=np.zeros(4, np.int64),
        rows=np.empty((rows, 7), np.int64),
        trades=np.empty((rows // 4, 6), np.int64),
        seconds=np.empty((CHUNK_S, 2 * books + 4), np.float64),
        random=rng.integers(0, 2**63, 1, np.uint64),
    )
    _fill(state)
    return state


def _plan(rng: np.random.Generator, books: int, seconds: int, every_s: float) -> Floats:
    found = []
    for book in range(books):
        count = int(seconds // every_s)
        kinds = np.concatenate([rng.permutation(5) for _ in range(count // 5 + 1)])[:count]
        for place, kind in enumerate(kinds):
            low, high = LASTS_S[kind]
            lasts = rng.uniform(low, high)
            start = place * every_s + rng.uniform(5.0, every_s - 10.0 - lasts)
            side = rng.choice([-1.0, 1.0])
            found.append((book, kind, round(start, 1), round(start + lasts, 1), side))
    return np.array(sorted(found, key=lambda event: event[2]), np.float64).reshape(-1, 5)


_UNWRAPPED: dict[str, Any] = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
_inner = njit(cache=True, **_UNWRAPPED)
"""For functions that only compiled ones call, which take less time to compile."""
_BID, _ASK = 0, 1
# Plain numbers would be types of their own, and compile each function anew.
_NONE, _ONE, _REACH, _FAR = np.int64(0), np.int64(1), np.int64(10), np.int64(1 << 40)
_GOLDEN, _MIX_1, _MIX_2 = 0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB


@_inner
def _uniform(state: Any) -> float:
    """Draw from [0, 1) by SplitMix64, which compiles in no time."""
    state.random[0] += np.uint64(_GOLDEN)
    mixed = state.random[0]
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(_MIX_1)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(_MIX_2)
    mixed ^= mixed >> np.uint64(31)
    return float(mixed >> np.uint64(11)) / 9007199254740992.0


@_inner
def _normal(state: Any) -> float:
    radius = math.sqrt(-2.0 * math.log(1.0 - _uniform(state)))
    return radius * math.cos(2.0 * math.pi * _uniform(state))


@_inner
def _size(state: Any, book: int, share: float) -> int:
    return max(1, int(share * math.exp(state.rates[book, 3] + _normal(state))))


@njit(cache=True)
def _fill(state: Any) -> None:
    """Lay the first books."""
    for book in range(len(state.best)):
        for side in range(2):
            toward = -1 if side == _BID else 1
            for _ in range(int(state.rates[book, 0] / _CANCELS_A_SECOND)):
                tick = GRID // 2 + toward * (1 + _distance(state, book))
                size = _size(state, book, 1.0)
                state.sizes[book, side, tick] += size
                state.totals[book, side] += size
            state.best[book, side] = GRID // 2
            _find_best(state, book, side)


@_inner
def _distance(state: Any, book: int) -> int:
    behind = state.rates[book, 4]
    if _uniform(state) < 0.15:
        return int(_uniform(state) * 8 * behind)
    return int(-math.log(1.0 - _uniform(state)) * behind)


@_inner
def _find_best(state: Any, book: int, side: int) -> None:
    toward = -1 if side == _BID else 1
    tick = state.best[book, side]
    while state.sizes[book, side, tick] == 0:
        tick += toward
    state.best[book, side] = tick


@_inner
def _stamp(state: Any, book: int) -> int:
    """Return the time of the next message, a whole microsecond after the last."""
    ts = max(int(state.latent[4] * 1e6) * 1000, state.ids[book, 2] + 2000)
    state.ids[book, 2] = ts + 1000
    state.ids[book, 0] += 1
    return ts + 1000


@_inner
def _tell(state: Any, book: int, ts: int, flags: int, side: int, tick: int) -> None:
    """Write one level into the message of a time."""
    row = min(state.counts[0], len(state.rows) - 1)
    state.rows[row, 0] = ts
    state.rows[row, 1] = state.ids[book, 0]
    state.rows[row, 2] = book
    state.rows[row, 3] = flags
    state.rows[row, 4] = 1 if side == _BID else -1
    state.rows[row, 5] = tick
    state.rows[row, 6] = state.sizes[book, side, tick]
    state.counts[0] = row + 1


@_inner
def _change(state: Any, book: int, side: int, tick: int, lots: int) -> None:
    """Add lots to a level, or take them off, as one message."""
    _alter(state, book, side, tick, lots, _stamp(state, book))


@_inner
def _alter(state: Any, book: int, side: int, tick: int, lots: int, ts: int) -> None:
    state.sizes[book, side, tick] += lots
    state.totals[book, side] += lots
    if lots > 0:
        better = tick > state.best[book, side] if side == _BID else tick < state.best[book, side]
        if better:
            state.best[book, side] = tick
    elif state.totals[book, side] == 0:
        # Someone always quotes.
        tick += -5 if side == _BID else 5
        state.sizes[book, side, tick] = state.totals[book, side] = int(state.coin[4])
        state.best[book, side] = tick
        _tell(state, book, ts, _NONE, side, tick + (5 if side == _BID else -5))
    else:
        _find_best(state, book, side)
    _tell(state, book, ts, _NONE, side, tick)


@_inner
def _take(
    state: Any, book: int, sign: int, lots: int, levels: int, reach: int, impact: float
) -> int:
    """Let a market order take up to so many lots, levels and ticks; return what it took.

    It leaves a side's last lot.
    """
    side = _ASK if sign > 0 else _BID
    lots = min(lots, state.totals[book, side] - 1)
    if lots <= 0:
        return 0
    ts = _stamp(state, book)
    limit = state.best[book, side] + sign * reach
    taken = 0
    while lots > 0 and levels > 0:
        tick = state.best[book, side]
        if (tick - limit) * sign > 0:
            break
        levels -= 1
        hidden = 0
        iceberg = state.active[book, 0] >= 0 and state.active[book, 1] == tick
        iceberg = iceberg and state.plan[state.active[book, 0], 1] == ICEBERG
        if iceberg:
            hidden = state.active[book, 3]
        shown = state.sizes[book, side, tick]
        part = min(lots, shown + hidden)
        row = min(state.counts[1], len(state.trades) - 1)
        state.ids[book, 1] += 1
        state.trades[row, 0] = ts - 1000
        state.trades[row, 1] = state.ids[book, 1]
        state.trades[row, 2] = book
        state.trades[row, 3] = tick
        state.trades[row, 4] = part
        state.trades[row, 5] = sign
        state.counts[1] = row + 1
        state.ids[book, 3] = tick
        lots -= part
        taken += part
        left = shown - part
        if iceberg:
            event = state.active[book, 0]
            clip = state.active[book, 2]
            state.result[event, 3] += part
            # Taken in full, the level shows its next slice.
            refill = 0 if left > 0 else min(clip, shown + hidden - part)
            if left <= 0:
                state.active[book, 3] = shown + hidden - part - refill
                left = refill
        _alter(state, book, side, tick, left - shown, ts)
    push = impact * state.coin[3] * math.sqrt(taken / state.coin[4]) * sign
    state.latent[0] += push
    if len(state.best) == 2:
        state.latent[1] += 0.15 * push * (1.0 if book == 0 else -1.0)
    return taken


@_inner
def _free(state: Any, book: int, side: int, tick: int) -> int:
    """Return the lots of a level that may be cancelled: not those of a planted order."""
    size = state.sizes[book, side, tick]
    event = state.active[book, 0]
    if event >= 0 and state.active[book, 1] == tick and state.plan[event, 1] <= ICEBERG:
        own = _BID if state.plan[event, 4] > 0 else _ASK
        if own == side:
            size = max(0, size - state.active[book, 2])
    return size


@_inner
def _cancel(state: Any, book: int) -> None:
    """Cancel one resting order, any lot as likely as another."""
    at = _uniform(state) * (state.totals[book, 0] + state.totals[book, 1])
    side = _BID if at < state.totals[book, 0] else _ASK
    if side == _ASK:
        at -= state.totals[book, 0]
    toward = -1 if side == _BID else 1
    tick = state.best[book, side]
    while at >= state.sizes[book, side, tick]:
        at -= state.sizes[book, side, tick]
        tick += toward
    lots = min(_free(state, book, side, tick), _size(state, book, 1.0))
    if lots > 0 and state.totals[book, side] > lots:
        _change(state, book, side, tick, -lots)


@_inner
def _limit(state: Any, book: int, latent: float) -> None:
    side = _BID if _uniform(state) < 0.5 else _ASK
    distance = _distance(state, book)
    if side == _BID:
        tick = min(math.floor(latent - 0.3), state.best[book, _ASK] - 1) - distance
    else:
        tick = max(math.ceil(latent + 0.3), state.best[book, _BID] + 1) + distance
    _change(state, book, side, tick, _size(state, book, 1.0))


@_inner
def _market(state: Any, book: int, latent: float) -> None:
    middle = (state.best[book, _BID] + state.best[book, _ASK]) / 2
    buys = 0.5 + 0.1 * max(-1.0, min(1.0, (latent - middle) / 2))
    share, event = 2.0 / 3.0, state.active[book, 0]
    if event >= 0:
        sign = state.plan[event, 4]
        if state.plan[event, 1] == MOMENTUM:
            buys = 0.5 + 0.3 * sign
        elif state.plan[event, 1] == LARGE_TRADES:
            buys = 0.5 + 0.4 * sign
            share *= 10.0
    sign = 1 if _uniform(state) < buys else -1
    taken = _take(state, book, sign, _size(state, book, share), _FAR, _REACH, 1.0)
    if event >= 0 and state.plan[event, 1] >= LARGE_TRADES and sign == state.plan[event, 4]:
        state.result[event, 3] += taken


@_inner
def _requote(state: Any, book: int, latent: float) -> None:
    """Take or withdraw what the latent price has passed; icebergs are taken slice by slice."""
    for side in range(2):
        sign = -1 if side == _BID else 1
        for _ in range(100):
            tick = state.best[book, side]
            if (latent - tick) * sign <= 0.0:
                break
            lots = _free(state, book, side, tick)
            if lots < state.sizes[book, side, tick]:
                if _uniform(state) < 0.2:
                    _take(state, book, sign, state.sizes[book, side, tick], _ONE, _NONE, 0.0)
                break
            if _uniform(state) < 0.5:
                _take(state, book, sign, state.sizes[book, side, tick], _ONE, _NONE, 0.0)
            else:
                _change(state, book, side, tick, -lots)


@_inner
def _whole(state: Any, book: int) -> None:
    """Tell a whole book."""
    ts = _stamp(state, book)
    for side in range(2):
        toward = -1 if side == _BID else 1
        left, tick = state.totals[book, side], state.best[book, side]
        while left > 0:
            if state.sizes[book, side, tick] > 0:
                left -= state.sizes[book, side, tick]
                _tell(state, book, ts, _ONE, side, tick)
            tick += toward


@_inner
def _plant(state: Any, event: int) -> None:
    """Begin a planted event."""
    book, kind = int(state.plan[event, 0]), int(state.plan[event, 1])
    sign = int(state.plan[event, 4])
    side = _BID if sign > 0 else _ASK
    best, mean = state.best[book, side], int(state.coin[4])
    state.active[book, 0], state.active[book, 1] = event, -1
    if kind == SPOOF:
        distance = 2 + int(0.4 * state.rates[book, 4] + 3 * _uniform(state))
        tick, lots = best - sign * distance, mean * 30
        _change(state, book, side, tick, lots)
        state.active[book, 1], state.active[book, 2] = tick, lots
        state.result[event, 2], state.result[event, 3] = tick, lots
    elif kind == ICEBERG:
        _change(state, book, side, best, mean)
        state.active[book, 1], state.active[book, 2] = best, mean
        state.active[book, 3], state.result[event, 2] = 40 * mean, best
    elif kind == SWEEP:
        taken = _take(state, book, sign, _FAR, 8 + int(_uniform(state) * 8), _FAR, 1.0)
        state.result[event, 2], state.result[event, 3] = state.ids[book, 3], taken
    state.result[event, 0] = state.ids[book, 2] - 1000
    if kind >= LARGE_TRADES:
        state.result[event, 0] = int(state.latent[4] * 1e9)


@_inner
def _end(state: Any, book: int) -> None:
    """End a book's planted event; what still rests in its name is cancelled."""
    event = state.active[book, 0]
    kind, side = int(state.plan[event, 1]), _BID if state.plan[event, 4] > 0 else _ASK
    tick = state.active[book, 1]
    state.active[book, 0] = -1
    if kind <= ICEBERG and tick >= 0:
        lots = min(state.active[book, 2], state.sizes[book, side, tick])
        if 0 < lots < state.totals[book, side]:
            _change(state, book, side, tick, -lots)
    state.result[event, 1] = max(int(state.latent[4] * 1e9), state.ids[book, 2])


@_inner
def _events(state: Any) -> None:
    """Begin and end planted events at a step; a spoof flees when the best comes near."""
    now = state.latent[4]
    for book in range(len(state.best)):
        event = state.active[book, 0]
        if event < 0:
            continue
        kind = state.plan[event, 1]
        side = _BID if state.plan[event, 4] > 0 else _ASK
        near = abs(state.best[book, side] - state.active[book, 1]) <= 1
        used = kind == ICEBERG and state.active[book, 3] <= 0
        if now >= state.plan[event, 3] or (kind == SPOOF and near) or used:
            _end(state, book)
    while state.counts[3] < len(state.plan) and state.plan[state.counts[3], 2] <= now:
        _plant(state, state.counts[3])
        state.counts[3] += 1


@_inner
def _second(state: Any) -> None:
    """Note the middle prices and last trades; let funding follow the premium."""
    books, row = len(state.best), state.counts[2]
    for book in range(books):
        state.seconds[row, 1 + book] = (state.best[book, 0] + state.best[book, 1]) / 2
        state.seconds[row, 1 + books + book] = state.ids[book, 3]
    index = state.latent[0] if books == 1 else state.seconds[row, 2]
    basis = state.seconds[row, 1] - index
    state.latent[2] += (basis / state.coin[0] - state.latent[2]) / _FUNDING_MEMORY_S
    state.latent[6] += (basis - state.latent[6]) / _MARK_MEMORY_S
    lean = max(-_CLAMP, min(_CLAMP, USUAL_FUNDING - state.latent[2]))
    state.latent[3] = state.latent[2] + lean
    state.seconds[row, 0] = state.latent[4]
    state.seconds[row, 1 + 2 * books] = index
    state.seconds[row, 2 + 2 * books] = index + state.latent[6]
    state.seconds[row, 3 + 2 * books] = state.latent[3]
    state.counts[2] = row + 1


@njit(cache=True)
def _run(state: Any, moves: Any) -> None:
    """Simulate as many steps as there are moves of the latent price."""
    books = len(state.best)
    rates = np.zeros(3 * books)
    for move in moves:
        step = state.latent[5]
        if step % round(SNAPSHOT_S / STEP_S) == 0:
            for book in range(books):
                _whole(state, book)
        if step % round(1 / STEP_S) == 0:
            _second(state)
        lean = -2.0 * state.coin[0] * (state.latent[3] - USUAL_FUNDING)
        state.latent[0] += state.coin[1] * move
        state.latent[1] += -_REVERSION * STEP_S * (state.latent[1] - lean)
        state.latent[1] += state.coin[2] * _normal(state)
        _events(state)
        for book in range(books):
            _requote(state, book, state.latent[0] + (state.latent[1] if book == 0 else 0.0))
        until = (step + 1) * STEP_S
        while True:
            total = 0.0
            for book in range(books):
                event = state.active[book, 0]
                busy = 1.0
                if event >= 0 and state.plan[event, 1] == MOMENTUM:
                    busy = 2.5
                elif event >= 0 and state.plan[event, 1] == LARGE_TRADES:
                    busy = 2.0
                rates[3 * book] = 2 * state.rates[book, 0]
                rates[3 * book + 1] = busy * state.rates[book, 1]
                depth = state.totals[book, 0] + state.totals[book, 1]
                rates[3 * book + 2] = state.rates[book, 2] * depth
                total += rates[3 * book] + rates[3 * book + 1] + rates[3 * book + 2]
            state.latent[4] -= math.log(1.0 - _uniform(state)) / total
            if state.latent[4] >= until:
                break
            at, chosen = _uniform(state) * total, 0
            while at >= rates[chosen] and chosen < len(rates) - 1:
                at -= rates[chosen]
                chosen += 1
            book = chosen // 3
            latent = state.latent[0] + (state.latent[1] if book == 0 else 0.0)
            if chosen % 3 == 0:
                _limit(state, book, latent)
            elif chosen % 3 == 1:
                _market(state, book, latent)
            else:
                _cancel(state, book)
        state.latent[4] = until
        state.latent[5] = step + 1
