"""Faults of a scalper's links and orders on practice, one after the other in one node."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal as D
from typing import Any

import pytest

import live_nodes.reconcile.venue_books
from config.documents.scenario import (
    Fault,
    Freeze,
    Kill,
    LostAck,
    LostFill,
    LostRequest,
    RefusedOp,
)
from tests.live_nodes.scalped.scalper_nodes import (
    HELD,
    add,
    begins,
    enters,
    leaves,
    opened_early,
    report,
    scalper_node,
)
from tests.live_nodes.stage import Desk, Stage, stage

ENTER = {"op": "order.create-batch"}
"""An entry carries its attached stop, which goes by a request of its own."""
STOP: dict[str, Any] = {"op": "order.create"}
TAKE = STOP | {"after": 1}
CANCEL = {"op": "order.cancel"}
FATAL = {"ret_code": 110007, "message": "ab not enough for new order"}
BUSY = {"ret_code": 10006, "message": "Too many visits"}
PASSED = "expect Falling, but trigger_price[49800.0] >= current[49800.0]??LastPrice"
FILL = {"channel": "private", "after": 1, "seconds": D(3)}
"""From the second push of a fill on: its execution is told, the order's end is not."""
SENT = {"channel": "trade", "topic": "order.create*", "after": 1, "seconds": D(3)}
"""From the stop's request on."""

ENTRY: dict[str, tuple[Fault | None, D | None]] = {
    "none": (None, HELD),
    "answer of the entry lost": (LostAck(**ENTER), HELD),
    "answer of the stop lost": (LostAck(**STOP), HELD),
    "answer of the take-profit lost": (LostAck(**TAKE), HELD),
    "entry lost": (LostRequest(**ENTER), D(0)),
    "stop lost": (LostRequest(**STOP), HELD),
    "take-profit lost": (LostRequest(**TAKE), HELD),
    "entry refused": (RefusedOp(**ENTER, **FATAL), D(0)),
    "stop refused": (RefusedOp(**STOP, **FATAL), D(0)),
    "stop passed": (RefusedOp(**STOP, ret_code=110093, message=PASSED), D(0)),
    "stop refused for now": (RefusedOp(**STOP, **BUSY), HELD),
    "take-profit refused": (RefusedOp(**TAKE, **FATAL), HELD),
    "fill not told": (LostFill(), HELD),
    "private link frozen in the fill": (Freeze(**FILL), HELD),
    "private link killed in the fill": (Kill(**FILL), HELD),
    "trade link frozen with the stop": (Freeze(**SENT), None),
    "trade link killed with the stop": (Kill(**SENT), None),
    "public link killed": (Kill(channel="public", seconds=D(3)), HELD),
    "public link frozen": (Freeze(channel="public", seconds=D(3)), HELD),
}
EXIT: dict[str, Fault] = {
    "answer of the exit lost": LostAck(**STOP),
    "exit lost": LostRequest(**STOP),
    "exit refused": RefusedOp(**STOP, **FATAL),
    "exit refused for now": RefusedOp(**STOP, **BUSY),
    "answer of a cancel lost": LostAck(**CANCEL),
    "cancel lost": LostRequest(**CANCEL),
    "cancel refused for now": RefusedOp(**CANCEL, **BUSY, times=2),
    "private link frozen in the exit's fill": Freeze(**FILL),
    "private link killed in the exit's fill": Kill(**FILL),
    "trade link frozen before the exit": Freeze(channel="trade", seconds=D(3)),
    "trade link killed before the exit": Kill(channel="trade", seconds=D(3)),
}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Stage]]:
    """Return a scalper and its exchange that many faults follow each other at."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_nodes.reconcile.venue_books, "UNANSWERED_NS", 7_000_000_000)
        with stage() as st, scalper_node(st, tmp_path_factory.mktemp("scalper")) as desk:
            yield desk, st


SLOW = {
    "entry lost",
    "stop lost",
    "take-profit lost",
    "private link killed in the fill",
    "exit lost",
    "private link killed in the exit's fill",
}


def table(faults: dict[str, Any]) -> list[Any]:
    return [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in faults]


@pytest.mark.parametrize("name", table(ENTRY))
def test_an_entry_ends_in_a_whole_bracket_or_nothing(scene: tuple[Desk, Stage], name: str) -> None:
    desk, st = scene
    fault, held = ENTRY[name]
    since = begins(desk, st, fault)
    took = enters(desk, st, held)
    report(st, name, since, took)
    leaves(desk, st)


@pytest.mark.parametrize("name", table(EXIT))
def test_nothing_opens_before_an_exit_has_left_nothing(
    scene: tuple[Desk, Stage], name: str
) -> None:
    desk, st = scene
    since = begins(desk, st)
    enters(desk, st)
    add(st, EXIT[name])
    desk.strategy.leaves = True
    desk.until(lambda: st.position() == 0, "the exit")
    desk.strategy.leaves = False
    took = enters(desk, st)
    report(st, name, since, took)
    assert opened_early(st, since) == []
    leaves(desk, st)
