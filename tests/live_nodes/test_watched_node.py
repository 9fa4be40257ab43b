"""A node that trades at the exchange, and the watch that puts right what the engine gets wrong."""

from __future__ import annotations

from decimal import Decimal as D

from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.events import OrderRejected

from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.stage import Desk, desk_node, stage
from tests.waiting import slack


def give_up(desk: Desk, name: object) -> None:
    """Let the engine give an order up, as it does after enough questions that failed."""
    strategy = desk.strategy
    order = strategy.cache.order(name)
    now = strategy.clock.timestamp_ns()
    strategy.msgbus.send(
        "ExecEngine.process",
        OrderRejected(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            account_id=strategy.cache.account_for_venue(order.instrument_id.venue).id,
            reason="UNKNOWN",
            event_id=UUID4(),
            ts_event=now,
            ts_init=now,
        ),
    )


def test_what_the_engine_gets_wrong_is_put_right_while_the_node_runs() -> None:
    with stage() as st, desk_node(st) as desk:
        strategy, journal = desk.strategy, desk.journal
        # A ghost: locally rejected, live at the venue (live.md 4.4).
        st.play("ghost_order", "answer", "push")
        ghost = strategy.limit(BUY, "49000")
        desk.until(lambda: ghost.value in st.open_orders(), "the order")
        give_up(desk, ghost)
        desk.until(lambda: strategy.status(ghost) == "REJECTED", "the rejection")
        row = journal.order(ghost.value)
        assert row is not None
        assert (row.status, row.final) == ("UNKNOWN", False)
        desk.until(lambda: desk.counted("ghost_order_cancelled"), "the sweep")
        assert st.open_orders() == {}
        row = journal.order(ghost.value)
        assert row is not None
        assert (row.status, row.final) == ("CANCELED", True)
        # A fill whose pushes were lost (live.md 4.10), long before the engine's own check (30 s).
        st.play("fill_lost")
        lost = strategy.market(BUY, "0.010")
        seconds = desk.until(lambda: strategy.net() == D("0.010"), "the fill")
        assert seconds < slack(8)
        assert strategy.status(lost) == "FILLED"
        desk.until(lambda: desk.counted("unknown_fill_repaired"), "the end of the repair")
        # While it was missing, the position was not what our books held.
        desk.until(lambda: "node.position" in desk.halted(), "the halt")
        desk.until(lambda: not desk.halted(), "agreement")
        assert journal.explained() == {"BTCUSDT-LINEAR.BYBIT": D("0.010")}
        # A manual trade: the engine gives it to the strategy (live.md 4.11), the watch objects.
        st.order("Sell", "0.004")
        desk.until(lambda: "node.position" in desk.halted(), "the halt")
        entry = strategy.market(BUY, "0.010")
        desk.until(lambda: strategy.status(entry) == "DENIED", "the denial")
        assert "our orders made 0.010" in strategy.reasons(entry)[0]
        way_out = strategy.market(SELL, "0.002")
        desk.until(lambda: strategy.status(way_out) == "FILLED", "the exit")
        st.order("Buy", "0.004")
        desk.until(lambda: "node.position" not in desk.halted(), "the release")
        again = strategy.market(BUY, "0.010")
        desk.until(lambda: strategy.status(again) == "FILLED", "the entry")
        assert st.position() == strategy.net() == D("0.018")
        assert journal.unsettled() == []
