"""A scalper that is killed while it enters or protects ends with a whole bracket at the venue."""

from __future__ import annotations

import random
import signal

import msgspec
import pytest

from strategies.scalping.trader import STATE, Saved
from tests.live_nodes.killing import KEY, Ground, KilledNode
from tests.live_nodes.test_kill_protection import faults_of

PARAMS = {
    "protection": {"atr": 2, "least_bps": 500, "time_stop": None},
    "execution": {"tactic": "taker"},
    "max_weight": 0.05,
}
LIFE = ("--for", "15s")
"""Two seconds until the volatility is known; then it enters in four instruments at once."""


def scalper(ground: Ground) -> KilledNode:
    use = "tests.live_nodes.scalpers:ScalpAtOnce"
    return ground.node(strategies={KEY: {"use": use, "params": PARAMS}}, on_stop="keep")


def wrong_after(node: KilledNode) -> list[str]:
    """Return what is wrong with positions and brackets at the exchange, and in the books."""
    books = node.from_copy(
        lambda journal: {row.instrument: row.quantity for row in journal.holdings()}, {}
    )
    held = {name: quantity for name, quantity in books.items() if quantity}
    wrong = faults_of(node, whole=True)
    if held != node.positions():
        wrong.append(f"the books have {held}")
    raw = node.from_copy(lambda journal: journal.load_state(KEY, STATE), None)
    learned = msgspec.json.decode(raw or b"{}", type=Saved).learned
    if len(learned) != 4:
        wrong.append(f"what it learned is kept of {sorted(learned)}")
    return wrong


def killed(node: KilledNode, **how: object) -> None:
    """Kill a node, and start it again for long enough."""
    assert node.run(*LIFE, **how).signal == signal.SIGKILL  # type: ignore[arg-type]
    again = node.run(*LIFE)
    assert again.code == 0, again.said


@pytest.mark.parametrize("number", [1, 3, 7])
def test_a_killed_scalper_has_its_position_and_bracket_as_the_venue(
    ground: Ground, number: int
) -> None:
    node = scalper(ground)
    killed(node, fatal=("trade: sent submit_order", number))
    assert wrong_after(node) == []


@pytest.mark.kill
@pytest.mark.parametrize("seed", range(6))
def test_a_scalper_may_be_killed_at_any_moment(ground: Ground, seed: int) -> None:
    node = scalper(ground)
    killed(node, seconds=random.Random(seed).uniform(4.0, 14.0))
    assert wrong_after(node) == []
