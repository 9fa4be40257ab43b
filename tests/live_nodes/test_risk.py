"""What a node's stop waits for: no engine."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from actors.closing.facts import ClosingState
from live_nodes.node.risk import NodeRisk
from strategies.messages import Action, Verdict
from strategies.verdicts import VerdictBoard


@pytest.mark.parametrize(
    ("said", "memory", "closing"),
    [
        ((), ClosingState(), False),
        ((("desk", Action.HALT_ENTRIES),), ClosingState(halts={"desk": 1}), False),
        # Said, and the closer has not looked yet.
        ((("desk", Action.FLATTEN),), ClosingState(), True),
        ((("desk", Action.FLATTEN),), ClosingState(flatten={"desk": 1}), True),
        ((("desk", Action.FLATTEN),), ClosingState(flatten={"desk": 1}, flat=True), False),
        (
            (("desk", Action.FLATTEN), ("strategy:a", Action.FLATTEN)),
            ClosingState(flatten={"desk": 1}, flat=True),
            True,
        ),
        # Taken back, and the closer has not looked yet.
        ((), ClosingState(flatten={"desk": 1}), False),
    ],
)
def test_a_stop_waits_for_a_flatten_that_stands_and_is_not_done(
    said: tuple[tuple[str, Action], ...], memory: ClosingState, closing: bool
) -> None:
    board = VerdictBoard()
    for scope, action in said:
        board.observe(Verdict(action=action, scope=scope, guard="g"))
    closing_is: Any = NodeRisk.closing
    node = SimpleNamespace(
        closer=SimpleNamespace(memory=memory), desk=SimpleNamespace(verdicts=board)
    )
    assert closing_is.fget(node) is closing
    node.closer = None
    assert closing_is.fget(node) is False
