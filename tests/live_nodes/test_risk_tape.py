"""Guards say the same live, on a tape of that, and in a backtest of the same market."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec

from actors.desk.build import guards_of
from actors.desk.guard import GuardActor
from config.documents import Node
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.practice.still_market import BTC
from tests.live_nodes.stage import Desk, Stage, desk_node, stage
from tests.live_nodes.tapes import Records, by_engine, by_guard
from tests.live_nodes.test_risk_live import RISK

EVERY = RISK | {"every": 0.05}
GUARDS: dict[str, Any] = {
    "tape": {"use": "tests.live_nodes.tapes:Records"},
    "tiers": {
        "use": "actors.guards.drawdown_tiers:DrawdownTiers",
        "params": {"tiers": [{"at": 0.0003, "size": 0.5}, {"at": 0.0006, "size": 0.25}]},
    },
    "max": {
        "use": "actors.guards.max_drawdown:MaxDrawdown",
        "params": {"limit_currency": 90.0, "action": "halt_entries", "release": "1s"},
    },
    "daily": {
        "use": "actors.guards.daily_loss:DailyLoss",
        "params": {"limit_currency": 120.0, "action": "reduce_only"},
    },
    "symbol": {
        "use": "actors.guards.symbol_loss:SymbolLoss",
        "params": {"limit_currency": 60.0, "action": "shrink", "release": "recovered"},
    },
    "losses": {
        "use": "actors.guards.consecutive_losses:ConsecutiveLosses",
        "params": {"losses": 2, "release": "1s"},
    },
    "trades": {"use": "actors.guards.trades_per_day:TradesPerDay", "params": {"limit": 5}},
    "pause": {
        "use": "actors.guards.cooldown:Cooldown",
        "params": {"after_trade": "500ms", "after_loss": "1s"},
    },
    "rate": {
        "use": "actors.guards.order_rate:OrderRate",
        "params": {"count": 2, "window": "1s", "release": "500ms"},
    },
    "jump": {
        "use": "actors.guards.price_jump:PriceJump",
        "params": {"limit_pct": 0.004, "window": "2s", "release": "1s", "action": "shrink"},
    },
    "position": {
        "use": "actors.guards.position_cap:PositionCap",
        "params": {"limit_pct": 0.0605, "release": "recovered"},
    },
    "funding": {"use": "actors.guards.funding_window:FundingWindow"},
}


REST = [("wait", "")] * 5
COURSE = [
    # Through tiers and the symbol's limit, and back.
    *(("trade", "0.120"), ("price", "49700.0"), ("price", "49400.0"), ("price", "50000.0")),
    # Two round trips that lose their fees, with orders that come too soon and too often.
    *(("close", ""), ("trade", "0.050"), ("trade", "-0.080"), *REST, ("trade", "0.050")),
    *(("close", ""), ("trade", "0.050"), *REST, ("trade", "0.030"), ("trade", "0.020")),
    *(("trade", "0.010"), ("trade", "0.010"), ("close", ""), *REST, ("trade", "-0.119")),
    # The position grows above its cap of 6.05 %; the day's limit, and the peak's.
    *(("price", "50800.0"), ("price", "51300.0"), ("trade", "-0.050"), ("price", "50600.0")),
    *(("close", ""), ("trade", "0.050")),
]
"""What is done at the exchange, four times a second, and with how much."""


def moved(st: Stage, price: str) -> None:
    """Let the exchange's bitcoin jump, mark and book together."""
    st.call(lambda: st.market.move(BTC, D(price), st.server.venue.clock_ms()))


def mark_of(desk: Desk) -> D | None:
    return desk.live.risk.desk._account.price("BTCUSDT-LINEAR.BYBIT")


def without_operator(node: Node) -> dict[str, GuardActor]:
    """Return fresh guards of the document."""
    return {key: guard for key, guard in guards_of(node).items() if key != "tape"}


def test_a_tape_of_a_live_node_brings_the_same_verdicts_by_guards_and_in_the_engine(
    tmp_path: Path,
) -> None:
    chance = random.Random(5)
    with (
        stage() as st,
        desk_node(st, folder=tmp_path, risk=EVERY, actors=GUARDS) as desk,
    ):
        recorder = desk.live.risk.guards["tape"]
        assert isinstance(recorder, Records)
        strategy = desk.strategy
        for what, number in COURSE:
            held = st.position()
            if what == "price":
                moved(st, number)
            elif what == "close" and held:
                strategy.market_order(SELL if held > 0 else BUY, f"{abs(held):f}", reduce_only=True)
            elif what == "trade":
                strategy.market_order(SELL if number.startswith("-") else BUY, number.lstrip("-"))
            desk.wait(chance.uniform(0.15, 0.35))
        desk.wait(1.2)
        tape = recorder.recording.tape()
        lived = {key: [v for *_, v in desk.journal.verdicts_of(key)] for key in GUARDS}
        failed = [g.failed for g in desk.live.risk.guards.values() if g.failed]
        node = desk.node
    assert failed == []
    del lived["tape"]
    # Most of them had something to say, and several times.
    said = {key: len(found) for key, found in lived.items() if found}
    assert len(said) >= 7, said
    assert sum(said.values()) > 20, said
    kinds = Counter(type(seen).__name__ for seen in tape)
    assert kinds["Snapshot"] > 50
    assert (
        min(
            kinds[name]
            for name in (
                "OrderRequested",
                "FillEvent",
                "RoundTripEvent",
                "VenueResponse",
                "Refused",
            )
        )
        > 0
    )
    fresh = without_operator(node)
    assert {key: by_guard(key, g.guard, tape) for key, g in fresh.items()} == lived
    assert by_engine(fresh, tape) == lived
    # To the bit, as they stand in the journal.
    played = by_engine(without_operator(node), tape)
    for key, found in lived.items():
        assert [msgspec.json.encode(v) for v in played[key]] == [
            msgspec.json.encode(v) for v in found
        ]
