"""Fees that rise, and a margin mode that is switched, at the exchange while a node runs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from decimal import Decimal as D
from pathlib import Path

import pytest

from actors.records.rows import FillRow
from config.documents import Fees
from live_nodes.node import fee_watch
from live_nodes.practice.exchange.model import FeeRates
from live_nodes.practice.wire import server
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import ACCOUNT, Stage, desk_node, stage

TESTED = {"fees": {"linear": {"maker": "0.0002", "taker": "0.00055"}}}


@pytest.fixture
def st() -> Iterator[Stage]:
    with stage() as found:
        yield found


def charge(st: Stage, maker: str, taker: str) -> None:
    account = st.exchange._state.account(ACCOUNT)
    rates = FeeRates(D(maker), D(taker))
    st.call(lambda: setattr(account, "spec", replace(account.spec, linear_fees=rates)))


def test_a_fill_that_pays_more_than_tested_stops_entries_until_the_fees_agree_again(
    st: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fee_watch, "AGAIN_S", 0.2)
    with desk_node(st, folder=tmp_path, expected=TESTED) as desk:
        desk.filled(BUY)
        desk.wait(1.0)
        assert not desk.halted()
        charge(st, "0.002", "0.0055")
        desk.filled(BUY)
        assert "node.fees" in desk.denied()
        desk.until(lambda: "node.fees" in desk.halted(), "the halt")
        desk.wait(1.0)
        assert "node.fees" in desk.halted()
        desk.filled(SELL, "0.020", reduce_only=True)
        charge(st, "0.0002", "0.00055")
        desk.until(lambda: not desk.halted(), "the end of the halt")
        desk.filled(BUY)
        alerts = (tmp_path / "alerts.jsonl").read_text()
    assert "taker 0.0055 (must be: at most maker 0.0002 taker 0.00055)" in alerts
    assert "fees agree with expected.fees again" in alerts


def test_a_dear_fill_is_alerted_also_where_the_venues_rates_are_as_tested(
    st: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with desk_node(st, folder=tmp_path, expected=TESTED) as desk:
        rates = st.exchange.fees
        charge(st, "0.002", "0.0055")
        monkeypatch.setattr(st.exchange, "fees", lambda *_: FeeRates(D("0.0002"), D("0.00055")))
        assert rates(ACCOUNT, BTC).taker == D("0.0055")
        desk.filled(BUY)
        desk.until(lambda: any("again" in line for line in desk.said), "the venue's answer")
        alerts = (tmp_path / "alerts.jsonl").read_text()
    assert "paid 0.005500 of its value as taker, more than expected.fees (0.00055)" in alerts


def test_fees_that_rise_without_a_fill_stop_entries_when_they_are_asked_for(
    st: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fee_watch, "EVERY_S", 0.2)
    with desk_node(st, expected=TESTED) as desk:
        desk.wait(1.0)
        assert not desk.halted()
        charge(st, "0.0002", "0.0006")
        desk.until(lambda: "node.fees" in desk.halted(), "the halt")
        said = desk.denied()
    assert (
        "the account's fees are too high: linear: BTCUSDT-LINEAR.BYBIT maker 0.0002 taker" in said
    )
    assert "taker 0.0006 (must be: at most maker 0.0002 taker 0.00055)" in said


@pytest.mark.parametrize(
    ("instrument", "fee", "coin", "liquidity", "kind", "dear"),
    [
        # 0.010123 at 50,000 are 506.15: a taker pays 0.27838250, a maker 0.10123.
        ("BTCUSDT-LINEAR.BYBIT", "0.27838250", "USDT", "TAKER", "Trade", False),
        ("BTCUSDT-LINEAR.BYBIT", "0.27838251", "USDT", "TAKER", "Trade", False),
        ("BTCUSDT-LINEAR.BYBIT", "0.27838252", "USDT", "TAKER", "Trade", True),
        ("BTCUSDT-LINEAR.BYBIT", "0.27838250", "USDT", "MAKER", "Trade", True),
        ("BTCUSDT-LINEAR.BYBIT", "0.9", "MNT", "TAKER", "Trade", False),
        ("BTCUSDT-LINEAR.BYBIT", "0.9", "USDT", "TAKER", "BustTrade", False),
        # In coins 0.00000556765, rounded up to 0.00000557.
        ("BTCUSDT-SPOT.BYBIT", "0.00000557", "BTC", "TAKER", "Trade", False),
        ("BTCUSDT-SPOT.BYBIT", "0.00000558", "BTC", "TAKER", "Trade", True),
    ],
)
def test_a_fee_is_too_high_beyond_the_venues_rounding(
    instrument: str, fee: str, coin: str, liquidity: str, kind: str, dear: bool
) -> None:
    fill = FillRow(
        instrument=instrument, ts=0, strategy="a", side="BUY", quantity=D("0.010123"),
        price=D(50_000), fee=D(fee), fee_coin=coin, liquidity=liquidity, kind=kind,
    )  # fmt: skip
    assert bool(fee_watch.overcharge(fill, Fees(maker=D("0.0002"), taker=D("0.00055")))) is dear
    assert fee_watch.overcharge(fill, None) == ""


def test_a_margin_mode_that_is_switched_stops_entries_until_it_is_switched_back(
    st: Stage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In isolated margin each position is liquidated alone, which no guard measures."""
    monkeypatch.setattr(fee_watch, "EVERY_S", 0.2)
    monkeypatch.setattr(fee_watch, "AGAIN_S", 0.2)
    path = "/v5/account/info"
    answer = server.HANDLERS[path]
    with desk_node(st, folder=tmp_path, expected=TESTED) as desk:
        desk.filled(BUY)
        desk.wait(1.0)
        assert not desk.halted()
        with monkeypatch.context() as switched:
            isolated = {"marginMode": "ISOLATED_MARGIN"}
            switched.setitem(server.HANDLERS, path, lambda *asked: answer(*asked) | isolated)  # type: ignore[arg-type]
            desk.until(lambda: "node.margin" in desk.halted(), "the halt")
            assert "node.margin" in desk.denied()
            desk.filled(SELL, reduce_only=True)
        desk.until(lambda: not desk.halted(), "the end of the halt")
        desk.filled(BUY)
        alerts = (tmp_path / "alerts.jsonl").read_text()
    assert "margin mode is isolated (must be: cross)" in alerts
