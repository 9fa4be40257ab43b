"""Lines of a live console: one an order and fill, none for what only re-prices an execution."""

from types import SimpleNamespace

from nautilus_trader.model.events import OrderCanceled, OrderFilled, OrderInitialized, OrderRejected

from live_nodes.node.report import ExecutionLines

A, B = "AUSDT-LINEAR.BYBIT", "BUSDT-LINEAR.BYBIT"


def event(kind: type, name: str = A, **fields: object):
    class Played(kind):  # The engine's events need two dozen fields each.
        instrument_id = SimpleNamespace(value=name)
        due_post_only = fields.get("post_only", False)
        reason = fields.get("reason", "")

    return Played.__new__(Played)


def test_an_execution_has_a_line_when_it_begins_and_for_each_fill():
    lines = ExecutionLines()
    first, second = (
        SimpleNamespace(tags=["decision=rev@1"]),
        SimpleNamespace(tags=["decision=rev@2"]),
    )
    made = event(OrderInitialized)
    assert not lines.repeats(made, first)
    assert lines.repeats(event(OrderCanceled), first)
    assert lines.repeats(event(OrderRejected, post_only=True), first)
    assert lines.repeats(event(OrderRejected, reason="[post_only] it would have taken"), first)
    assert lines.repeats(made, first)
    assert not lines.repeats(event(OrderFilled), first)
    assert not lines.repeats(event(OrderRejected), first)
    assert not lines.repeats(event(OrderInitialized, B), first)
    assert not lines.repeats(made, second)
