"""Two nodes with one tag on two machines: each notices the other, and leaves its orders alone."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import live_nodes.node.live as live_node
import live_nodes.reconcile.recovery_rules as rules
from live_nodes.node.report import RunOptions
from live_nodes.node.stop import StopSignal
from tests.live_nodes.by_hand import BTC_ID, BUY, SELL
from tests.live_nodes.stage import NAME, Desk, desk_node, stage

OTHER = "is an order of another node with this node's tag"


def traded(desk: Desk, side: Any, quantity: str, **more: Any) -> str:
    """Trade on this node's own loop; return how its order ended."""
    name = desk.do(lambda: desk.strategy.market_order(side, quantity, **more))
    desk.until(lambda: desk.strategy.status(name) in ("FILLED", "DENIED"), "the end")
    return str(desk.strategy.status(name))


def test_each_opens_nothing_more_and_leaves_what_the_other_gave(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rules, "LATE_NS", 0)
    stops: list[StopSignal] = []

    class Kept(StopSignal):
        """Signals reach one loop of a process only."""

        def __init__(self, loop: Any) -> None:
            super().__init__(loop)
            stops.append(self)

    monkeypatch.setattr(live_node, "StopSignal", Kept)
    with stage() as st:
        with desk_node(st, folder=tmp_path / "first") as first:
            assert traded(first, BUY, "0.020") == "FILLED"
            # As from another machine, which no lock of this one's reaches.
            there = replace(st.where, http=st.where.http.replace("127.0.0.1", "localhost"))
            second = Desk(SimpleNamespace(where=there), tmp_path / "second", RunOptions())
            try:
                # It can't know yet: its journal could be one that was lost.
                assert any("node with tag n1 trades" in line for line in second.start().said)
                assert traded(second, BUY, "0.010") == "FILLED"
                exits = {"qty": "0.010", "reduce_only": True}
                rests = second.do(lambda: second.strategy.limit(SELL, "60000", **exits)).value
                second.until(lambda: rests in st.open_orders(), "the order")
                first.until(lambda: "node.tag" in first.halted(), "the first one's halt")
                first.until(lambda: first.counted("other_node") == 1, "the finding")
                first.until(lambda: first.counted("position_differs"), "the difference")
                # Neither the sweep nor the engine takes over what the second holds.
                engine = first.live.built.kernel.exec_engine
                engine._position_check_threshold_ns = 0
                look = first.loop.create_task(engine._check_positions_consistency())
                first.until(look.done, "the engine's check")
                assert first.strategy.holding(BTC_ID) == D("0.020")
                assert first.counted("position_differs_repaired") == 0
                assert first.do(first.strategy.orders_under_way) == []
                assert first.journal.order(rests) is None
                assert first.journal.explained() == {NAME: D("0.020")}
                assert traded(first, BUY, "0.010") == "DENIED"
                # Its exit tells the second, although it began before.
                assert traded(first, SELL, "0.020", reduce_only=True) == "FILLED"
                second.until(lambda: "node.tag" in second.halted(), "the second one's halt")
                assert traded(second, BUY, "0.010") == "DENIED"
                # What it took over at its start, when it could not know, is gone.
                second.until(lambda: second.strategy.holding(BTC_ID) == D("0.010"), "its own")
                for desk in (first, second):
                    assert any(OTHER in line for line in desk.said)
                    assert OTHER in (desk.folder / "alerts.jsonl").read_text()
                stops[0].request("over")
                first.until(first.task.done, "the stop")
                assert first.live.report.left == []
                assert list(st.open_orders()) == [rests]
            finally:
                stops[1].listen()
                second.stop()
                if not first.task.done():
                    stops[0].listen()
        # What the second made stays its own over a start of the first.
        with desk_node(st, folder=tmp_path / "first") as first:
            assert any("holds 0.010, our orders made 0.0" in line for line in first.said)
            assert any("foreign order" in line and rests in line for line in first.said)
            assert list(st.open_orders()) == [rests]
            assert "node.tag" not in first.halted()
