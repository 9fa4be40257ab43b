"""Pairs whose leg, or which themselves, are no longer traded when a node starts again."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path

import pytest

from config.documents.scenario import RefusedOp
from config.errors import DeskError, InputError
from strategies.hedged.book import PairBook
from tests.live_nodes.documents import BTC
from tests.live_nodes.documents import ETH as ETHER
from tests.live_nodes.hedged.pair_nodes import FULL, NONE, at_venue, ends_at, pairs_node
from tests.live_nodes.practice.still_market import ETH
from tests.live_nodes.stage import stage

COIN = "C00USDT-LINEAR.BYBIT"


def test_a_leg_delisted_while_the_node_is_off_is_forgotten_and_the_other_closed(
    tmp_path: Path,
) -> None:
    with stage(coins=1) as st:
        with pairs_node(st, tmp_path) as desk:
            desk.do(lambda: desk.strategy.decide(-2.5))
            ends_at(desk, st, FULL)
        with (
            pytest.raises(DeskError, match=f"gate owners: hand's {ETHER} -1: .*lack it"),
            pairs_node(st, tmp_path, legs=(BTC, COIN)),
        ):
            pass
        assert at_venue(st) == FULL
        st.delist(ETH)
        assert at_venue(st) == (FULL[0], D(0))
        place = r"scene: strategies.hand.params.pairs\[0\]\[1\]: "
        with (
            pytest.raises(InputError, match=f"{place}{ETHER} is not listed by the venue"),
            pairs_node(st, tmp_path),
        ):
            pass
        with pairs_node(st, tmp_path, legs=(BTC, COIN)) as desk:
            desk.until(lambda: at_venue(st) == NONE, "the other leg closed")
            # Two sweeps find the same on both sides: the settlement is known and halts nothing.
            desk.wait(2.2)
            assert desk.strategy.book == PairBook()
            assert desk.strategy.memory.trades == {}
            assert "forgotten, the other leg is closed" in desk.told()
            assert desk.live.strategies["hand"].verdicts.strictest.guard == ""
            assert not desk.counted("external_position")
        # Two entered, one closed.
        assert st.sent() == 3


def test_an_entry_under_way_of_a_pair_off_the_list_is_unwound_by_the_next_start(
    tmp_path: Path,
) -> None:
    with stage(coins=1) as st:
        with pairs_node(st, tmp_path) as desk:
            refused = RefusedOp(op="order.create", after=1, ret_code=10006, message="Too many")
            st.call(lambda: st.faults.add("refused", refused))
            desk.do(lambda: desk.strategy.decide(-2.5))
            desk.until(lambda: desk.strategy.book.positions.held(), "one leg")
        st.end_faults()
        assert NONE != at_venue(st) != FULL
        more = {"pairs": [[BTC, COIN]]}
        with pairs_node(st, tmp_path, legs=(BTC, ETHER, COIN), **more) as desk:
            desk.until(lambda: at_venue(st) == NONE, "the leg closed")
            desk.wait(1.0)
            assert desk.strategy.book == PairBook()
        # One entered, one refused, one closed.
        assert st.sent() == 3
