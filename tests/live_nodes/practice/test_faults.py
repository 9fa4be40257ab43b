"""Faults act when they should, on what they should, as often as they should."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from config.documents import Scenario
from config.documents.scenario import Fault
from config.load import load
from live_nodes.practice.faults import FaultEffect, Faults

SCENARIOS = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))
READ: TypeAdapter[Fault] = TypeAdapter(Fault)


class Clock:
    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds

    def ms(self) -> int:
        return 1_000_000 + round(self.seconds * 1_000)


@pytest.fixture
def clock() -> Clock:
    return Clock()


def faults(clock: Clock, seed: int = 0, **given: dict[str, Any]) -> Faults:
    read = {name: READ.validate_python(fault) for name, fault in given.items()}
    return Faults(read, seed, clock.ms, clock)


def sent(faults: Faults, topic: str, number: int, channel: Any = "private") -> list[Any]:
    return [
        (delay, message["n"]) for delay, message in faults.on_push(channel, topic, {"n": number})
    ]


def test_without_faults_everything_is_as_it_was(clock: Clock) -> None:
    calm = faults(clock)
    assert sent(calm, "order", 1) == [(0.0, 1)]
    assert calm.on_http("GET", "/v5/market/time", None) is None
    assert calm.on_op("order.create", "main") is None
    assert [calm.link(channel) for channel in ("public", "private", "trade")] == ["open"] * 3
    assert calm.now_ms() == clock.ms()


def test_a_message_is_dropped_after_so_many_and_so_often(clock: Clock) -> None:
    lossy = faults(clock, lost={"model": "drop", "topic": "order", "after": 1, "times": 2})
    reply = [sent(lossy, "order", n) for n in range(5)]
    assert reply == [[(0.0, 0)], [], [], [(0.0, 3)], [(0.0, 4)]]
    assert lossy.report()["lost"]["hits"] == 2
    assert sent(lossy, "execution", 9) == [(0.0, 9)]


def test_messages_are_delayed_doubled_and_swapped(clock: Clock) -> None:
    assert sent(faults(clock, a={"model": "delay", "by": 0.5}), "order", 1) == [(0.5, 1)]
    assert sent(faults(clock, a={"model": "duplicate"}), "order", 1) == [(0.0, 1), (0.0, 1)]
    swapping = faults(clock, a={"model": "reorder", "topic": "order"})
    assert sent(swapping, "order", 1) == []
    assert sent(swapping, "wallet", 7) == [(0.0, 7)]
    assert sent(swapping, "order", 2) == [(0.0, 2), (0.0, 1)]
    assert sent(swapping, "order", 3) == [(0.0, 3)]


def test_late_pushes_are_private_only(clock: Clock) -> None:
    late = faults(clock, a={"model": "late_push", "by": 2, "seconds": 60})
    assert sent(late, "publicTrade.BTCUSDT", 1, "public") == [(0.0, 1)]
    assert sent(late, "order", 1) == [(2.0, 1)]


def test_a_sequence_gap_takes_a_delta_and_never_a_snapshot(clock: Clock) -> None:
    gap = faults(clock, a={"model": "sequence_gap"})
    topic = "orderbook.50.BTCUSDT"
    snapshot, delta = {"type": "snapshot", "n": 1}, {"type": "delta", "n": 2}
    assert gap.on_push("public", topic, snapshot) == [(0.0, snapshot)]
    assert gap.on_push("public", topic, delta) == []
    assert gap.on_push("public", topic, delta) == [(0.0, delta)]


def test_a_lost_fill_is_on_no_topic_while_other_orders_are(clock: Clock) -> None:
    lossy = faults(clock, a={"model": "lost_fill"})

    def order(name: str, filled: str) -> dict[str, Any]:
        return {"data": [{"orderId": name, "cumExecQty": filled}]}

    execution = {"data": [{"orderId": "A", "execQty": "1"}]}
    assert lossy.on_push("private", "order", order("A", "0")) != []
    assert lossy.on_push("private", "execution", execution) == []
    assert lossy.on_push("private", "order", order("A", "1")) == []
    assert lossy.on_push("private", "order", order("B", "0.5")) != []


def test_a_fault_of_an_operation_strikes_rest_and_link_and_no_other_operation(clock: Clock) -> None:
    lossy = faults(clock, a={"model": "lost_ack", "op": "order.create", "times": 2})
    lost = FaultEffect(execute=True, silent=True)
    assert lossy.on_op("order.cancel", "main") is None
    assert lossy.on_op("order.create", "main") == lost
    assert lossy.on_http("GET", "/v5/order/create", "main") is None
    assert lossy.on_http("POST", "/v5/order/create", "main") == lost


def test_links_are_killed_or_frozen_for_their_time(clock: Clock) -> None:
    cut: list[str] = []
    down = faults(
        clock,
        a={"model": "kill", "channel": "trade", "at": 2, "seconds": 8},
        b={"model": "freeze", "channel": "public", "at": 2, "seconds": 5},
    )
    down.on_kill = cut.append
    seen = []
    for seconds in (0, 2, 2, 7, 10):
        clock.seconds = seconds
        down.poll()
        seen.append([down.link(channel) for channel in ("trade", "public", "private")])
    assert cut == ["trade"]
    assert seen == [
        ["open", "open", "open"],
        ["killed", "frozen", "open"],
        ["killed", "frozen", "open"],
        ["killed", "open", "open"],
        ["open", "open", "open"],
    ]


def test_a_link_can_be_cut_once_by_the_nth_operation(clock: Clock) -> None:
    cut: list[str] = []
    down = faults(
        clock, a={"model": "kill", "channel": "trade", "topic": "order.create", "after": 2}
    )
    down.on_kill = cut.append
    for op in ("order.create", "order.cancel", "order.create"):
        down.on_op(op, "main")
    assert cut == []
    down.on_op("order.create", "main")
    assert cut == ["trade"]
    assert down.link("trade") == "open"


def test_maintenance_ends(clock: Clock) -> None:
    closed = faults(clock, a={"model": "maintenance", "seconds": 20})
    closed.poll()
    assert closed.link("private") == "killed"
    clock.seconds = 20
    assert closed.link("private") == "open"
    assert closed.on_http("GET", "/v5/market/time", None) is None


def test_the_clock_can_be_ahead_for_a_while_and_symbols_halted(clock: Clock) -> None:
    odd = faults(
        clock,
        a={"model": "clock_skew", "by": -1.5, "seconds": 9},
        b={"model": "halt", "symbol": "BTCUSDT", "seconds": 3},
    )
    odd.poll()
    assert odd.now_ms() == clock.ms() - 1_500
    assert odd.halted() == {("linear", "BTCUSDT")}
    clock.seconds = 9
    assert odd.now_ms() == clock.ms()
    assert odd.halted() == frozenset()


def test_a_fault_of_one_account_leaves_the_others_alone(clock: Clock) -> None:
    lossy = faults(clock, a={"model": "drop", "account": "main"})
    assert lossy.on_push("private", "order", {}, "second") == [(0.0, {})]
    assert lossy.on_push("private", "order", {}, "main") == []


def test_the_admin_can_end_faults(clock: Clock) -> None:
    lossy = faults(clock, a={"model": "drop", "seconds": 60}, b={"model": "duplicate"})
    lossy.remove("a")
    assert list(lossy.report()) == ["b"]
    with pytest.raises(KeyError):
        lossy.remove("a")
    lossy.clear()
    assert sent(lossy, "order", 1) == [(0.0, 1)]


@given(
    seed=st.integers(0, 2**32),
    times=st.integers(1, 20),
    probability=st.decimals("0.05", "1", places=2),
    count=st.integers(1, 60),
)
def test_faults_replay_alike_and_never_act_more_often_than_they_may(
    seed: int, times: int, probability: Decimal, count: int
) -> None:
    def run() -> list[bool]:
        fault = {"model": "drop", "times": times, "probability": probability}
        lossy = faults(Clock(), seed, a=fault)
        return [sent(lossy, "order", n) == [] for n in range(count)]

    first = run()
    assert first == run()
    assert sum(first) <= times
    if probability == 1:
        assert sum(first) == min(times, count)


@pytest.mark.parametrize("file", SCENARIOS, ids=lambda file: file.stem)
def test_shipped_scenarios_are_well(file: Path, clock: Clock) -> None:
    document = load(file).document
    assert isinstance(document, Scenario)
    assert document.name == file.stem
    Faults(document.faults, document.seed, clock.ms, clock).poll()
