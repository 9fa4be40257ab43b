"""A decision is held against what is held after it, and what is missing is told with its reason."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from config.errors import DeskError
from live_nodes.node.report import RunReport, misses, outcome_line, raise_left
from strategies.messages import Decision, Target

A, B, C = "A-LINEAR.BYBIT", "B-LINEAR.BYBIT", "C-LINEAR.BYBIT"


def decision(*targets: Target) -> Decision:
    return Decision(
        strategy="rev", ts=1, data_ts=0, kind="rebalance", equity="100", targets=targets
    )


@pytest.mark.parametrize(
    ("target", "order", "held", "missed"),
    [
        ("10", "10", "10", False),
        ("10", "10", "4", True),
        ("-10", "-10", "0", True),
        # Less than the smallest order (2) apart: nothing could be sent for it.
        ("10", "10", "9", False),
        # A position that should be gone is one, however small.
        ("0", "-10", "1", True),
        # No order was wanted: what others did is not this decision's.
        ("10", "0", "4", False),
    ],
)
def test_a_position_is_missed_when_another_order_could_mend_it(
    target: str, order: str, held: str, missed: bool
) -> None:
    wanted = decision(Target(instrument=A, target=target, order=order))
    found = misses(wanted, {A: D(held)}, lambda name: D(2), {})
    assert bool(found) is missed


def test_the_line_names_what_is_missing_and_why() -> None:
    wanted = decision(
        Target(instrument=A, target="10", order="10"),
        Target(instrument=B, target="-3", order="-3"),
        Target(instrument=C),
    )
    found = misses(wanted, {B: D(-3)}, lambda name: D(1), {A: "ab not enough for new order"})
    assert outcome_line(wanted, found) == (
        "rev: rebalance carried out, 1 of 2 positions where wanted; "
        "A-LINEAR.BYBIT holds 0, wanted 10 (ab not enough for new order)"
    )


def test_a_run_that_did_not_do_what_it_was_to_fails_the_command() -> None:
    raise_left(RunReport(outcome="ran once"))
    with pytest.raises(DeskError, match="not where the decision wanted it: A holds 0, wanted 1"):
        raise_left(RunReport(outcome="ran once", missed=["A holds 0, wanted 1"]))
    with pytest.raises(DeskError, match="nothing was decided: no candle"):
        raise_left(RunReport(outcome="waits", reason="no candle has closed at the data time"))
    with pytest.raises(DeskError, match="after the stop: order x is still open"):
        raise_left(RunReport(left=["order x is still open"]))
    # A node that was stopped in between goes on at the next start.
    raise_left(RunReport(outcome="stopped", missed=["A holds 0, wanted 1"]))
