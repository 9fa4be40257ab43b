"""Faults at a start: on a plain node first, then handled by ours."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from config.errors import GateRefused
from tests.live_nodes.by_hand import BTC_ID
from tests.live_nodes.stage import Stage, desk_node, plain_node, stage
from tests.waiting import slack

OURS = ("n1-hand-abc-1", "n1-hand-abc-2")
MANUAL = "by-hand"


def refusal(st: Stage, **settings: Any) -> tuple[str, float]:
    """Start our node, which must be refused; return why, and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(GateRefused) as refused, desk_node(st, **settings):
        pass
    return str(refused.value), time.monotonic() - began


# An error on open orders is taken for an empty account (live.md 4.5) ------------------------------


@pytest.mark.slow
def test_a_plain_node_starts_without_the_orders_that_an_error_hid() -> None:
    with stage() as st:
        for name in OURS:
            st.order("Buy", "0.010", "49000", name)
        st.play("orders_hidden_at_start")
        with plain_node(st, engine={"open_check_interval_secs": None}) as plain:
            assert st.struck("question") == 1
            plain.wait(1)
            assert plain.strategy.cache.orders_open() == []
        assert len(st.open_orders()) == 2


@pytest.mark.parametrize(
    "question",
    [n if n in (0, 2, 6) else pytest.param(n, marks=pytest.mark.slow) for n in range(8)],
)
def test_our_node_knows_every_order_whichever_question_is_refused(question: int) -> None:
    with stage() as st:
        st.order("Buy", "0.010", "49000", MANUAL)
        st.play("orders_hidden_at_start", after=question)
        with desk_node(st) as desk:
            assert st.struck("question") == 1
            known = {o.client_order_id.value for o in desk.strategy.cache.orders_open()}
            assert known == {MANUAL}


def test_our_node_refuses_to_start_when_the_orders_stay_hidden() -> None:
    with stage() as st:
        st.order("Buy", "0.010", "49000", MANUAL)
        # Our own questions are answered, the adapter's (which name no openOnly) are not: as many
        # as its lists take are let through first.
        st.play("orders_hidden_at_start", times=10_000, after=2)
        why, seconds = refusal(st, gates={"reconcile_timeout": 2.0})
        assert "gate" in why
        assert "10006" in why
        assert seconds < slack(10)
        assert st.sent() == 0


# A failed connect leaves a zombie (live.md 4.6) ---------------------------------------------------


@pytest.mark.slow
def test_a_plain_node_that_cannot_connect_runs_on_as_a_zombie() -> None:
    with stage() as st:
        st.play("instruments_refused")
        with plain_node(st, start=False, timeout_connection=1.0) as plain:
            plain.wait(4.0)
            assert not plain.strategy.is_running
            assert plain.node.is_running()
            assert not plain.task.done()


@pytest.mark.parametrize(
    ("changes", "gates", "words", "within"),
    [
        ({"ret_code": 10001, "message": "not today"}, {}, "gate venue.*not today", 5),
        # Our own questions for the perpetuals come first: only the adapter is refused.
        ({"after": 2}, {"connect_timeout": 3.0}, "gate links", 8),
        pytest.param({}, {}, "Too many visits!", 30, marks=pytest.mark.slow),
    ],
)
def test_our_node_ends_when_the_venue_refuses_its_instruments(
    changes: dict[str, Any], gates: dict[str, Any], words: str, within: float
) -> None:
    with stage() as st:
        st.play("instruments_refused", **changes)
        why, seconds = refusal(st, gates=gates)
        assert re.search(words, why, re.DOTALL), why
        assert seconds < slack(within)


# A refused login starts strategies all the same (live.md 4.7) -------------------------------------


@pytest.mark.slow
def test_a_plain_node_starts_its_strategy_although_its_login_is_refused() -> None:
    with stage() as st:
        st.play("login_refused", "private_login")
        with plain_node(st) as plain:
            assert st.struck("private_login") > 0
            order = plain.strategy.limit(1, "49000")
            plain.until(lambda: st.open_orders(), "the order")
            plain.wait(1)
            # It rests at the venue, and no word of it will ever come.
            assert plain.strategy.status(order) == "SUBMITTED"


@pytest.mark.parametrize("link", ["private", "trade"])
def test_our_node_refuses_to_start_on_a_refused_login(link: str) -> None:
    with stage() as st:
        st.play("login_refused", f"{link}_login")
        why, seconds = refusal(st, gates={"connect_timeout": 8.0})
        assert f"gate links: login: {link}" in why
        assert seconds < slack(12)
        assert st.sent() == 0


# Clocks and closed exchanges ----------------------------------------------------------------------


@pytest.mark.slow
def test_a_plain_node_trades_on_a_clock_that_is_three_seconds_off() -> None:
    with stage() as st:
        st.play("clock_ahead")
        with plain_node(st) as plain:
            plain.filled(1)


def test_our_node_refuses_to_start_on_a_clock_that_is_three_seconds_off() -> None:
    with stage() as st:
        st.play("clock_ahead")
        why, seconds = refusal(st)
        assert re.search(r"gate clock: this machine's clock is (2\.9|3\.0)", why)
        assert seconds < slack(5)


# What a killed node left behind comes back to its owner -------------------------------------------


def leave_behind(st: Stage) -> None:
    """A position of 0.020, two orders; meanwhile 0.004 more was filled and a trader did one."""
    st.order("Buy", "0.020", None, "n1-hand-abc-1")
    st.order("Buy", "0.010", "49000", "n1-hand-abc-2", reduce_only=False)
    st.order("Buy", "0.010", "49999.9", "n1-hand-abc-3")
    st.hit("Sell", "49999.9", "1.504")
    st.order("Buy", "0.005", "48000", MANUAL)


@pytest.mark.slow
def test_a_plain_node_gives_what_it_left_to_nobody() -> None:
    with stage() as st:
        leave_behind(st)
        with plain_node(st) as plain:
            plain.until(lambda: len(plain.strategy.cache.orders_open()) == 3)
            assert plain.strategy.net() == st.position()
            owners = {str(o.strategy_id) for o in plain.strategy.cache.orders_open()}
            assert owners == {"EXTERNAL"}
            assert plain.strategy.position_ids() == {f"{BTC_ID}-EXTERNAL"}


def test_our_node_takes_back_its_position_cancels_leftovers_and_keeps_the_traders_order() -> None:
    with stage() as st:
        leave_behind(st)
        with desk_node(st) as desk:
            assert desk.strategy.net() == st.position() == desk.strategy.holding(BTC_ID)
            assert list(st.open_orders()) == [MANUAL]
            assert desk.strategy.orders_under_way() == []
            assert any("foreign order" in line and MANUAL in line for line in desk.said)
