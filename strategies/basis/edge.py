"""Edge of buying spot and selling the perpetual short: prices of a quantity, fees, funding. Pure.

All edges are basis points of what the spot leg costs. Nothing is borrowed, so borrowing costs none.
Prices are in the settlement currency, quantities in base coin, times UNIX nanoseconds (UTC).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from config.durations import HOUR_NS

BPS = 1e4
Levels = Sequence[tuple[float, float]]
"""Prices of a side of a book with the sizes displayed there, the best first."""
NEVER = 2**63 - 1
USUAL_NS = 8 * HOUR_NS
"""Interval of a perpetual of which one settlement is known."""


class Book(NamedTuple):
    """Both sides of an instrument's book; quotes have one level a side."""

    bids: Levels
    asks: Levels

    @property
    def is_whole(self) -> bool:
        """Whether both sides are there and do not cross."""
        return bool(self.bids and self.asks) and 0.0 < self.bids[0][0] < self.asks[0][0]

    @property
    def mid(self) -> float:
        """Mid price."""
        return (self.bids[0][0] + self.asks[0][0]) / 2

    @property
    def spread_bps(self) -> float:
        """Spread, basis points of the mid."""
        return (self.asks[0][0] - self.bids[0][0]) / self.mid * BPS

    @property
    def displayed(self) -> float:
        """Size that the thinner side displays, base coin."""
        return min(sum(size for _, size in side) for side in self)

    def near(self, within_bps: float) -> tuple[float, float]:
        """Return the values displayed by bids and by asks within basis points of the mid."""
        reach = self.mid * within_bps / BPS
        lowest, highest = self.mid - reach, self.mid + reach
        return (
            sum(price * size for price, size in self.bids if price >= lowest),
            sum(price * size for price, size in self.asks if price <= highest),
        )


class Prices(NamedTuple):
    """Average prices at which a quantity of both legs is bought and sold now."""

    spot_buy: float
    spot_sell: float
    perp_buy: float
    perp_sell: float

    @property
    def basis_bps(self) -> float:
        """Basis that opening locks in: the perpetual is sold above what spot costs."""
        return (self.perp_sell - self.spot_buy) / self.spot_buy * BPS

    @property
    def exit_bps(self) -> float:
        """Basis that closing pays: the perpetual is bought back above what spot brings."""
        return (self.perp_buy - self.spot_sell) / self.spot_sell * BPS


def executable(levels: Levels, quantity: float) -> float:
    """Return the average price of taking a quantity from a side, NaN from an empty one.

    What the levels do not display counts at the last of them.

    Examples
    --------
    >>> executable([(100.0, 1.0), (101.0, 5.0)], 2.0)
    100.5
    """
    if not levels:
        return math.nan
    best, size = levels[0]
    if quantity <= size:
        return best
    left, paid = quantity, 0.0
    for price, size in levels:
        taken = min(left, size)
        paid += taken * price
        left -= taken
        if left <= 0.0:
            break
    return (paid + left * levels[-1][0]) / quantity


def prices_of(spot: Book, perp: Book, quantity: float) -> Prices:
    """Return the prices at which a quantity of both legs is bought and sold now."""
    return Prices(
        executable(spot.asks, quantity),
        executable(spot.bids, quantity),
        executable(perp.asks, quantity),
        executable(perp.bids, quantity),
    )


def best_prices(spot: Book, perp: Book) -> Prices:
    """Return the prices of the smallest quantity: none is bought or sold at better ones."""
    return Prices(spot.asks[0][0], spot.bids[0][0], perp.asks[0][0], perp.bids[0][0])


class Funding(NamedTuple):
    """Funding of a perpetual, as known at a moment.

    ``rate`` is the newest settled one, ``next_rate`` that predicted of the next settlement or else
    the same; fractions of value, positive when longs pay. ``next_ns`` is when that is settled, and
    others follow each ``interval_ns``; an interval of zero: none.
    """

    rate: float = 0.0
    next_rate: float = 0.0
    next_ns: int = 0
    interval_ns: int = 0

    def due(self, now: int) -> int:
        """Return when the next settlement is after a moment; ``next_ns`` may have passed."""
        passed = now - self.next_ns
        return self.next_ns if passed < 0 else now + self.interval_ns - passed % self.interval_ns

    def hours_left(self, now: int) -> float:
        """Return the hours until the next settlement; zero without any."""
        return (self.due(now) - now) / 3.6e12 if self.interval_ns else 0.0

    def settlements(self, now: int, until: int) -> int:
        """Return how many settlements a position has that is open from ``now`` to ``until``.

        One at ``now`` is over; one at ``until`` counts.
        """
        if not self.interval_ns:
            return 0
        first = self.due(now)
        return 0 if until < first else (until - first) // self.interval_ns + 1

    def expected_bps(self, now: int, until: int) -> float:
        """Return what the short is expected to receive until then; negative is paid."""
        return self.settlements(now, until) * self.next_rate * BPS

    def awaited_since(self, now: int, horizon_ns: int) -> int:
        """Return since when a short must be held to expect funding within the horizon of its entry.

        `NEVER` where none is expected or it is paid.
        """
        return self.due(now) - horizon_ns if self.interval_ns and self.next_rate > 0.0 else NEVER


class Rates:
    """Funding of one perpetual: its last two settlements, and what is predicted of the next."""

    def __init__(self) -> None:
        self.known = Funding()
        """Nothing before the first settlement or prediction."""
        self._settled: list[tuple[int, float]] = []
        self._predicted: tuple[int, float, int] | None = None

    def add(self, ts: int, rate: float, due: int | None = None) -> None:
        """Add a settlement, or the prediction of one that is ``due`` then.

        Settlements known already change nothing.
        """
        if due is not None:
            self._predicted = ts, rate, due
        elif not self._settled or ts > self._settled[-1][0]:
            self._settled = [*self._settled[-1:], (ts, rate)]
        self.known = self._funding()

    def lacks(self, ts: int) -> bool:
        """Whether a settlement until this time is due and missing."""
        settled = self._settled
        return len(settled) == 2 and 2 * settled[1][0] - settled[0][0] <= ts

    def _funding(self) -> Funding:
        settled, predicted = self._settled, self._predicted
        interval = settled[1][0] - settled[0][0] if len(settled) == 2 else USUAL_NS
        last, rate = settled[-1] if settled else (0, 0.0)
        if predicted is not None and predicted[0] >= last:
            _, following, due = predicted
            return Funding(rate if settled else following, following, due, interval)
        return Funding(rate, rate, last + interval, interval) if settled else Funding()


class Costs(NamedTuple):
    """What a round trip is expected to cost beside the basis.

    Fees are takers', fractions of value, of one fill each. ``slippage_bps`` is that of all four
    fills together, beyond the prices that the books display.
    """

    spot_fee: float
    perp_fee: float
    slippage_bps: float = 0.0

    @property
    def fees_bps(self) -> float:
        """Fees of four fills: both legs in, both legs out."""
        return 2 * (self.spot_fee + self.perp_fee) * BPS


class Edge(NamedTuple):
    """What opening now is expected to earn, part by part; basis points."""

    basis_bps: float
    exit_bps: float
    """Basis at which it is planned to be closed."""
    fees_bps: float
    slippage_bps: float
    funding_bps: float

    @property
    def locked_bps(self) -> float:
        """What is earned at the planned exit whatever funding does; negative: a loss locked in."""
        return self.basis_bps - self.exit_bps - self.fees_bps - self.slippage_bps

    @property
    def net_bps(self) -> float:
        """The edge, all in."""
        return self.locked_bps + self.funding_bps

    @property
    def for_funding(self) -> bool:
        """Whether basis and costs alone would lose, so that funding is the reason to open."""
        return self.locked_bps <= 0.0


def edge_of(
    basis_bps: float, exit_bps: float, costs: Costs, funding: Funding, now: int, horizon_ns: int
) -> Edge:
    """Return the edge of opening now at a basis, to be closed at another within a time.

    Examples
    --------
    >>> eight_hours = 8 * 3600 * 10**9
    >>> edge = edge_of(40.0, 0.0, Costs(0.001, 0.00055, 2.0),
    ...                Funding(0.0001, 0.0001, eight_hours, eight_hours), 0, eight_hours)
    >>> round(edge.locked_bps, 9), round(edge.net_bps, 9)
    (7.0, 8.0)
    """
    return Edge(
        basis_bps,
        exit_bps,
        costs.fees_bps,
        costs.slippage_bps,
        funding.expected_bps(now, now + horizon_ns),
    )


def gain_bps(spot_in: float, perp_in: float, prices: Prices) -> float:
    """Return what closing now gains on the entry's prices, before fees; basis points."""
    return (prices.spot_sell - spot_in + perp_in - prices.perp_buy) / spot_in * BPS
