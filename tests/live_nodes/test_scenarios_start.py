"""Faults at a start, and what our node does about them."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from config.errors import GateRefused
from tests.live_nodes.by_hand import BTC_ID
from tests.live_nodes.stage import Stage, desk_node, stage
from tests.waiting import slack

MANUAL = "by-hand"


def refusal(st: Stage, **settings: Any) -> tuple[str, float]:
    """Start our node, which must be refused; return why, and after how many seconds."""
    began = time.monotonic()
    with pytest.raises(GateRefused) as refused, desk_node(st, **settings):
        pass
    return str(refused.value), time.monotonic() - began


# An error on open orders is taken for an empty account (live.md 4.5) ------------------------------


@pytest.mark.parametrize(
    "question", [pytest.param(n, marks=[pytest.mark.slow] * (n not in (0, 2, 6))) for n in range(8)]
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


def test_a_rate_limit_at_the_start_is_waited_out_within_its_bound() -> None:
    """Recovery asks for the open orders first."""
    with stage() as st:
        st.play("orders_hidden_at_start", times=5)
        with desk_node(st) as desk:
            assert sum("waits: " in line for line in desk.said) == 1
        st.play("orders_hidden_at_start", times=10_000)
        why, _ = refusal(st, gates={"connect_timeout": 1.0})
        assert re.search("gate recovery: .*code 10006.; see what else uses this key", why), why


# A failed connect leaves a zombie (live.md 4.6) ---------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "gates", "words", "within"),
    [
        ({"ret_code": 10001, "message": "not today"}, {}, "gate venue.*not today", 5),
        # Our own question for the perpetuals comes first: only the adapter is refused.
        ({"after": 1}, {"connect_timeout": 3.0}, "gate links", 8),
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


@pytest.mark.parametrize("link", ["private", "trade"])
def test_our_node_refuses_to_start_on_a_refused_login(link: str) -> None:
    with stage() as st:
        st.play("login_refused", f"{link}_login")
        why, seconds = refusal(st, gates={"connect_timeout": 8.0})
        assert f"gate links: login: {link}" in why
        assert seconds < slack(12)
        assert st.sent() == 0


# What a killed node left behind comes back to its owner -------------------------------------------


def test_our_node_takes_back_its_position_cancels_leftovers_and_keeps_the_traders_order() -> None:
    with stage() as st:
        # A position of 0.020 and two orders; meanwhile 0.004 more was filled; one order by hand.
        st.order("Buy", "0.020", None, "n1-hand-abc-1")
        st.order("Buy", "0.010", "49000", "n1-hand-abc-2", reduce_only=False)
        st.order("Buy", "0.010", "49999.9", "n1-hand-abc-3")
        st.hit("Sell", "49999.9", "1.504")
        st.order("Buy", "0.005", "48000", MANUAL)
        with desk_node(st) as desk:
            assert desk.strategy.net() == st.position() == desk.strategy.holding(BTC_ID)
            assert list(st.open_orders()) == [MANUAL]
            assert desk.strategy.orders_under_way() == []
            assert any("foreign order" in line and MANUAL in line for line in desk.said)
