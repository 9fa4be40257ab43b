"""Spot against its perpetual on practice: in the end both legs or none, whatever went wrong."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec
import pytest

from config.documents.scenario import LatePush, LostAck, LostRequest, RefusedOp
from config.errors import GateRefused
from strategies.basis.threshold import Act
from tests.live_nodes.basis.basis_nodes import FULL, NONE, at_venue, basis_node, ends_at, want
from tests.live_nodes.practice.still_market import SPOT
from tests.live_nodes.stage import ACCOUNT, Stage, stage
from tests.strategies.basis.test_decide import rules
from tests.strategies.basis.test_policy import saved, stump

TWO_LEG: dict[str, Any] = {"budget": 1500, "deadline": "20s"}
"""Half a second of one leg alone, then it is chased, a second, then it is cut.

The perpetual's order arrives first (``after=0``), that for coins second.
"""


def add(st: Stage, fault: Any) -> None:
    st.call(lambda: st.faults.add(type(fault).__name__, fault))


def test_both_legs_are_opened_and_closed_with_the_fee_paid_in_coins(tmp_path: Path) -> None:
    """0.060061 bought, 0.000060061 the fee: 0.060000 and a part of a lot, which stays."""
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        want(desk, Act.OPEN)
        ends_at(desk, st, FULL)
        want(desk, Act.CLOSE)
        ends_at(desk, st, NONE)
        assert len(st.orders()) == 4
        assert not desk.halted()


def test_coins_whose_cost_the_wallet_does_not_show_yet_are_no_equity(tmp_path: Path) -> None:
    """Another pair's share of the budget would grow by them."""
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, LatePush(topic="wallet", by=D(3), times=100))
        want(desk, Act.OPEN)
        desk.until(lambda: desk.strategy.ended, "both legs")
        gate, market = desk.live.risk._context.gate, desk.strategy.market
        assert D(99_990) < desk.do(desk.strategy.equity) < D(100_000)
        assert D(96_990) < desk.do(market.free_cash) < D(97_000)
        assert D(96_990) < desk.do(gate.account.free_cash) < D(97_000)
        desk.wait(1.0)
        assert max(row.equity for row in desk.journal.equity_since(0)) < D(100_001)


def test_a_leg_is_no_larger_than_a_part_of_the_levels_read(tmp_path: Path) -> None:
    """Of two levels of 1.5 a hundredth: 0.030."""
    with stage() as st, basis_node(st, tmp_path, levels=2, max_of_book=0.01) as desk:
        want(desk, Act.OPEN)
        ends_at(desk, st, (D("0.030000"), D("-0.030")))


@pytest.mark.parametrize("after", [0, 1])
def test_a_leg_refused_for_good_closes_the_other(tmp_path: Path, after: int) -> None:
    """The perpetual, then the coins: what was bought of them is sold again."""
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, RefusedOp(ret_code=110007, message="ab not enough", op="order.create", after=after))
        want(desk, Act.OPEN)
        ends_at(desk, st, NONE, cut="refused")
        assert st.sent() == 3


@pytest.mark.parametrize("after", [0, 1])
def test_a_lost_answer_of_a_leg_changes_nothing(tmp_path: Path, after: int) -> None:
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, LostAck(op="order.create", after=after))
        want(desk, Act.OPEN)
        ends_at(desk, st, FULL)
        assert st.sent() == 2


@pytest.mark.parametrize("after", [0, 1])
def test_a_leg_that_never_arrived_leaves_none(tmp_path: Path, after: int) -> None:
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        add(st, LostRequest(op="order.create", after=after))
        want(desk, Act.OPEN)
        ends_at(desk, st, NONE, cut="budget")


def test_coins_of_which_half_are_offered_cut_the_perpetual_to_match(tmp_path: Path) -> None:
    """0.030 offered, 0.00003 the fee: of 0.029970 bought 0.029 are kept, and a part for fees."""
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG, max_of_book=10.0) as desk:
        offer(st, "0.030000")
        desk.until(lambda: SPOT not in st.market.changed, "the thin book")
        want(desk, Act.OPEN)
        ends_at(desk, st, (D("0.029029"), D("-0.029")), cut="budget")


def offer(st: Stage, quantity: str) -> None:
    """Leave one offer of coins."""

    whole = st.market.set_bid

    def only_perpetuals(key: Any, *bid: Any) -> None:
        if key != SPOT:
            whole(key, *bid)

    def thin() -> None:
        st.market.books[SPOT] = (st.market.books[SPOT][0], [(D("50000.1"), D(quantity))])
        st.market.set_bid = only_perpetuals  # type: ignore[method-assign]
        st.market.changed.add(SPOT)

    st.call(thin)


def test_a_policy_trained_for_lower_fees_keeps_the_node_from_trading(tmp_path: Path) -> None:
    trained = msgspec.to_builtins(rules(look="50ms", half_life="1s"))
    where = saved(tmp_path / "policies", stump((0.0, 99.0)), params=trained)
    chosen = {"folder": str(where.parents[1]), "name": "demo", "version": "1"}
    with stage() as st:
        with (
            pytest.raises(GateRefused, match="fees of 4 bps a round trip, not 31"),
            basis_node(st, tmp_path, policy=chosen),
        ):
            pass
        assert not st.orders()


def test_one_leg_at_a_stop_is_completed_by_the_next_start(tmp_path: Path) -> None:
    rules = {"two_leg": {"budget": 1_000_000, "deadline": "10m"}}
    with stage() as st:
        with basis_node(st, tmp_path, throttle={"per_second": 0.01, "burst": 1}, **rules) as desk:
            want(desk, Act.OPEN)
            desk.until(lambda: NONE != at_venue(st) != FULL, "one leg")
        assert NONE != at_venue(st) != FULL
        assert not desk.strategy.ended
        with basis_node(st, tmp_path, **rules) as desk:
            desk.until(lambda: at_venue(st) == FULL, "both legs")
            ends_at(desk, st, FULL)
            assert desk.strategy.memory.trades
        assert st.sent() == 2


def test_what_is_open_at_a_stop_is_closed_by_the_next_start_when_the_policy_wants(
    tmp_path: Path,
) -> None:
    with stage() as st:
        with basis_node(st, tmp_path) as desk:
            want(desk, Act.OPEN)
            ends_at(desk, st, FULL)
            since = desk.strategy.memory.trades["BTCUSDT"].since
        with basis_node(st, tmp_path) as desk:
            assert desk.strategy.memory.trades["BTCUSDT"].since == since
            want(desk, Act.CLOSE)
            ends_at(desk, st, NONE)
            assert not desk.strategy.memory.trades


def test_a_flattening_stop_sells_the_coins_and_buys_the_perpetual_back(tmp_path: Path) -> None:
    with stage() as st:
        with basis_node(st, tmp_path, on_stop="flatten") as desk:
            want(desk, Act.OPEN)
            ends_at(desk, st, FULL)
        assert at_venue(st) == NONE
        assert "unfinished" not in desk.told()


@pytest.mark.parametrize("part", ["0.060", "0.030"])
def test_a_stranger_who_buys_the_perpetual_back(tmp_path: Path, part: str) -> None:
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        want(desk, Act.OPEN)
        ends_at(desk, st, FULL)
        desk.strategy.ended.clear()
        st.order("Buy", part)
        left = D("0.060") - D(part)
        ends_at(desk, st, (left, -left), cut="lost")


def test_coins_that_are_missing_in_the_wallet_cut_the_perpetual_and_halt(tmp_path: Path) -> None:
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        want(desk, Act.OPEN)
        ends_at(desk, st, FULL)
        desk.strategy.ended.clear()

        def take() -> None:
            st.exchange._state.account(ACCOUNT).coin("BTC").balance -= D("0.020")

        st.call(take)
        ends_at(desk, st, (D("0.040000"), D("-0.040")), cut="lost")
        assert "node.position" in desk.halted()
        want(desk, Act.CLOSE)
        desk.strategy.ended.clear()
        ends_at(desk, st, NONE)


def test_a_guard_that_flattens_closes_both_legs_and_keeps_out(tmp_path: Path) -> None:
    with stage() as st, basis_node(st, tmp_path, two_leg=TWO_LEG) as desk:
        want(desk, Act.OPEN)
        ends_at(desk, st, FULL)
        desk.strategy.ended.clear()
        desk.do(lambda: desk.live.risk.operator.halt("desk", "test"))
        ends_at(desk, st, NONE, cut=None)
        want(desk, Act.OPEN)
        desk.until(lambda: desk.strategy._refused["halted"], "the refusal")
        assert at_venue(st) == NONE


def test_funding_settled_while_open_is_received_and_moves_nothing(tmp_path: Path) -> None:
    with stage() as st, basis_node(st, tmp_path) as desk:
        known = desk.strategy._pairs[0].rates.known
        assert (known.next_rate, known.interval_ns) == (0.0001, 8 * 3600 * 10**9)
        want(desk, Act.OPEN)
        ends_at(desk, st, FULL)
        st.settle_funding("0.0005")
        desk.wait(2.2)
        assert at_venue(st) == FULL
        assert not desk.halted()
        want(desk, Act.CLOSE)
        desk.strategy.ended.clear()
        ends_at(desk, st, NONE)
        paid = [row for row in desk.fills() if row.kind == "Funding"]
        assert [row.fee for row in paid] == [D("-1.5")]
