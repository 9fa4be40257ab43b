"""Nodes that hold spot bitcoin against its perpetual on practice, when a test says so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal as D
from pathlib import Path
from typing import Any

from strategies.basis.threshold import Act
from strategies.basis.trader import BasisTrader
from strategies.basis_arbitrage import BasisConfig
from tests.live_nodes.stage import ACCOUNT, NAME, Desk, Stage, desk_node
from tests.live_nodes.two_leg_nodes import Recorded, both_end_at

PAIR = "BTCUSDT-SPOT.BYBIT"
VALUE = 3000
"""USDT a leg: 0.060 bitcoin at 50,000."""
FULL = D("0.060000"), D("-0.060")
NONE = D(0), D(0)


class BasisByHand(Recorded, BasisTrader):
    """Basis whose policy is what the test wants at the next looks; at first nothing."""

    Config = BasisConfig
    wants = Act.HOLD

    def _may_act(self, *args: Any) -> bool:
        return True

    def _wish(self, *args: Any) -> Act:
        # Once, as a basis that is there for a moment.
        wanted, self.wants = self.wants, Act.HOLD
        return wanted


class BasisAtOnce(BasisByHand):
    """Basis that opens as soon as it may."""

    def _wish(self, *args: Any) -> Act:
        return Act.OPEN


class BasisLeaving(BasisByHand):
    """Basis that closes once the start is over, as volatility is known again."""

    def _wish(self, pair: Any, *args: Any) -> Act:
        return Act.CLOSE if pair.past.volatility.weight > 0.5 else Act.HOLD


def basis_params(legs: tuple[str, str] = (PAIR, NAME), **params: Any) -> dict[str, Any]:
    return {
        "pairs": [list(legs)],
        # Planned to be closed so far below that opening pays.
        "threshold": {"open_bps": 0, "close_bps": -500},
        "half_life": "1s",
        "look": "50ms",
        "max_position": VALUE,
        "execution": {"tactic": "taker"},
    } | params


@contextmanager
def basis_node(st: Stage, folder: Path, *, on_stop: str = "keep", **params: Any) -> Iterator[Desk]:
    """Run a node of one pair until the block ends."""
    watch = {"throttle": params.pop("throttle")} if "throttle" in params else {}
    use = "tests.live_nodes.basis.basis_nodes:BasisByHand"
    hand = {"hand": {"use": use, "params": basis_params(**params)}}
    document = {"universe": {"instruments": (PAIR, NAME)}, "strategies": hand, "on_stop": on_stop}
    with desk_node(st, folder=folder, watch=watch, **document) as desk:
        past = desk.strategy._pairs[0]
        desk.until(lambda: past.past.volatility.weight > 0.5, "a half-life")
        yield desk


def want(desk: Desk, act: Act) -> None:
    """Let the policy want something at the next look."""
    desk.do(lambda: setattr(desk.strategy, "wants", act))


def coins(st: Stage) -> D:
    """Return the bitcoin in the wallet in whole lots."""
    balance = st.call(lambda: st.exchange._state.account(ACCOUNT).coin("BTC").balance)
    return balance // D("0.000001") * D("0.000001")


def at_venue(st: Stage) -> tuple[D, D]:
    """Return the coins and the perpetual's position at the exchange."""
    return coins(st), st.position("BTCUSDT")


def ends_at(desk: Desk, st: Stage, *held: tuple[D, D], cut: str | None = "") -> None:
    """Wait until all is done, with one of these positions at the exchange and in the book."""
    both_end_at(desk, st, (PAIR, NAME), at_venue, held, cut)
