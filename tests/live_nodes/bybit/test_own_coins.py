"""What others' sales take of own coins, followed in the order of the executions."""

from __future__ import annotations

from decimal import Decimal as D

import pytest

from live_nodes.bybit.own_coins import taken_by_others


@pytest.mark.parametrize(
    ("spare", "moves", "taken"),
    [
        ("0", "", "0"),
        ("-0.5", "-0.5", "0.5"),
        ("-0.2", "-0.5 0.3", "0.5"),
        ("0.5", "-0.5 1", "0.5"),
        # What he bought first is what he sells first.
        ("-0.2", "0.3 -0.5", "0.2"),
        ("-0.4", "-0.5 0.3 -0.3 0.1", "0.5"),
        ("-0.6", "-0.5 0.3 -0.5 0.1", "0.7"),
        # Counted once: after 0.5 were taken, the same moves end at what is his.
        ("0.3", "-0.5 0.3", "0"),
        # Moved away without an execution: what he bought before goes first.
        ("0", "0.5", "0"),
        ("-0.2", "0.5", "0.2"),
    ],
)
def test_own_coins_are_bounded_by_the_least_that_the_wallet_had(
    spare: str, moves: str, taken: str
) -> None:
    assert taken_by_others(D(spare), [D(move) for move in moves.split()]) == D(taken)
