"""Guards say the same again when what a live node showed them is replayed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

from actors.desk.build import guards_of
from actors.desk.guard import SEEN, GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import Input
from strategies.messages import Verdict
from strategies.state import StateStore
from tests.actors.tiny_guards import Table
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.documents import guard
from tests.live_nodes.odd_guards import Counts
from tests.live_nodes.stage import desk_node, stage
from tests.live_nodes.test_risk_live import RISK

GUARDS: dict[str, Any] = {
    "tape": {"use": "tests.live_nodes.test_risk_tape:Records"},
    "tiers": guard(
        "drawdown_tiers:DrawdownTiers",
        tiers=[{"at": 0.0003, "size": 0.5}, {"at": 0.0006, "size": 0.25}],
    ),
    "max": guard(
        "max_drawdown:MaxDrawdown", limit_currency=90.0, action="halt_entries", release="1s"
    ),
    "daily": guard("daily_loss:DailyLoss", limit_currency=120.0, action="reduce_only"),
    "symbol": guard(
        "symbol_loss:SymbolLoss", limit_currency=60.0, action="shrink", release="recovered"
    ),
    "losses": guard("consecutive_losses:ConsecutiveLosses", losses=2, release="1s"),
    "trades": guard("trades_per_day:TradesPerDay", limit=5),
    "pause": guard("cooldown:Cooldown", after_trade="500ms", after_loss="1s"),
    "rate": guard("order_rate:OrderRate", count=2, window="1s", release="500ms"),
    "jump": guard(
        "price_jump:PriceJump", limit_pct=0.004, window="2s", release="1s", action="shrink"
    ),
    "position": guard("position_cap:PositionCap", limit_pct=0.0605, release="recovered"),
    "funding": guard("funding_window:FundingWindow"),
}
SHOWN = ("OrderRequested", "FillEvent", "RoundTripEvent", "VenueResponse", "Refused")


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


class Records(GuardActor):
    """Measures nothing; `tape` keeps each input in order, None where the desk publishes."""

    Config: ClassVar[type[GuardParams]] = GuardParams

    def __init__(self, key: str, params: GuardParams) -> None:
        super().__init__(key, Counts(params))
        self.tape: list[Input | None] = []

    def attach(self, desk: RiskDesk, store: StateStore | None = None) -> None:
        super().attach(desk, store)
        real = desk.publish

        def publish() -> None:
            self.tape.append(None)
            real()

        desk.publish = publish  # type: ignore[method-assign]

    def observe(self, seen: Input) -> None:
        self.tape.append(seen)
        super().observe(seen)


def replayed(guards: dict[str, GuardActor], tape: list[Input | None]) -> dict[str, list[Verdict]]:
    """Return what fresh guards publish on a tape, without engine, node or state."""
    table = Table(*guards.values())
    said: dict[str, list[Verdict]] = {key: [] for key in guards}
    for key, found in said.items():
        table.bus.subscribe(f"verdicts.{key}", found.append)
    for seen in tape:
        if seen is not None:
            table.bus.publish(SEEN, seen)
            continue
        for made in guards.values():
            made.publish()
    return said


def test_a_tape_of_a_live_node_brings_the_same_verdicts_again(tmp_path: Path) -> None:
    chance = random.Random(5)
    risk = RISK | {"every": 0.05}
    with stage() as st, desk_node(st, folder=tmp_path, risk=risk, actors=GUARDS) as desk:
        recorder = desk.live.risk.guards["tape"]
        assert isinstance(recorder, Records)
        strategy = desk.strategy
        for what, number in COURSE:
            held = st.position()
            if what == "price":
                st.move(number)
            elif what == "close" and held:
                strategy.market_order(SELL if held > 0 else BUY, f"{abs(held):f}", reduce_only=True)
            elif what == "trade":
                strategy.market_order(SELL if number.startswith("-") else BUY, number.lstrip("-"))
            desk.wait(chance.uniform(0.15, 0.35))
        desk.wait(1.2)
        tape = list(recorder.tape)
        keys = GUARDS.keys() - {"tape"}
        lived = {key: [v for *_, v in desk.journal.verdicts_of(key)] for key in keys}
        assert [g.failed for g in desk.live.risk.guards.values() if g.failed] == []
        node = desk.node
    # Most of them had something to say, and several times.
    said = {key: len(found) for key, found in lived.items() if found}
    assert len(said) >= 7, said
    assert sum(said.values()) > 20, said
    kinds = Counter(type(seen).__name__ for seen in tape)
    assert kinds["Snapshot"] > 50
    assert min(kinds[name] for name in SHOWN) > 0
    fresh = {key: made for key, made in guards_of(node).items() if key != "tape"}
    assert replayed(fresh, tape) == lived
