"""Nodes that trade a pair of bitcoin and ether on practice, when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import numpy as np

from strategies.hedged.trader import HedgedTrader
from strategies.hedged.views import Views
from strategies.pairs import PairsConfig
from tests.live_nodes.documents import BTC, ETH
from tests.live_nodes.stage import ACCOUNT, Desk, Stage, desk_node
from tests.live_nodes.two_leg_nodes import Recorded, both_end_at

PAIR = "BTCUSDT/ETHUSDT"
VALUE = 3000
"""USDT a leg: 0.060 bitcoin at 50,000 and 1.00 ether at 3,000."""
FULL = D("0.060"), D("-1.00")
NONE = D(0), D(0)


class PairsByHand(Recorded, HedgedTrader):
    """Pairs whose z-score the test sets; nothing is decided before it does."""

    Config = PairsConfig
    z = float("nan")

    def decide(self, z: float) -> None:
        """Decide now, as on a candle after which the pair has this z-score; negative buys."""
        self.z = z
        assert self.run_now(force=True)
        self.z = float("nan")

    def _act(self, views: Views, *args: Any, **named: Any) -> None:
        known = np.ones_like(views.z)
        found = views._replace(z=self.z * known, std=0.01 * known, beta=known)
        super()._act(found, *args, **named)


class PairsAtOnce(PairsByHand):
    """Pairs that enter on the first candle."""

    z = -2.5


class PairsLeaving(PairsByHand):
    """Pairs that leave on the first candle."""

    z = 0.0


def pairs_params(legs: tuple[str, str] = (BTC, ETH), **params: Any) -> dict[str, Any]:
    return {
        "pairs": [list(legs)],
        "hedge": {"model": "ratio", "z_lookback": 4},
        "max_leg": VALUE,
        "risk": None,
        "execution": {"tactic": "taker"},
    } | params


@contextmanager
def pairs_node(st: Stage, folder: Path, *, on_stop: str = "keep", **params: Any) -> Iterator[Desk]:
    """Run a node of one pair until the block ends."""
    watch = {"throttle": params.pop("throttle")} if "throttle" in params else {}
    use = "tests.live_nodes.hedged.pair_nodes:PairsByHand"
    hand = {"hand": {"use": use, "params": pairs_params(**params)}}
    universe = {"instruments": params.get("legs", (BTC, ETH))}
    document = {"universe": universe, "strategies": hand, "on_stop": on_stop, "watch": watch}
    with desk_node(st, folder=folder, **document) as desk:
        tops = desk.strategy.market.top_of_book
        desk.until(lambda: all(map(tops, desk.strategy.instrument_ids)), "the books")
        yield desk


def at_venue(st: Stage) -> tuple[D, D]:
    """Return the positions in both legs at the exchange."""
    return st.position("BTCUSDT"), st.position("ETHUSDT")


def ends_at(desk: Desk, st: Stage, *held: tuple[D, D], cut: str | None = "") -> None:
    """Wait until all is done, with one of these positions at the exchange and in the book."""
    both_end_at(desk, st, (BTC, ETH), at_venue, held, cut)
    pairs = [pair.held for pair in desk.strategy.book.pairs.values()] or [NONE]
    assert pairs == [at_venue(st)]


def unhedged(st: Stage) -> tuple[float, float]:
    """Return seconds and value-seconds that one leg stood without the other, by its executions.

    Beyond a fiftieth of a leg, as what lots leave over is hedged.
    """
    rows = st.call(lambda: st.exchange.executions(ACCOUNT))
    rows = [row for row in rows if row.exec_type != "Funding"]
    value, before, seconds, total = D(0), 0, 0.0, 0.0
    for row in sorted(rows, key=lambda row: (row.time_ms, row.seq)):
        passed = (row.time_ms - before) / 1000
        if abs(value) > VALUE / 50:
            seconds += passed
            total += passed * float(abs(value))
        value += (1 if row.side == "Buy" else -1) * row.qty * row.price
        before = row.time_ms
    return seconds, total
