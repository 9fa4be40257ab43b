"""The same course of a market, through a node at the practice exchange and through a backtest."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec

from actors.desk.build import guards_of
from actors.desk.guard import GuardActor
from actors.guards.core.snapshot import Snapshot
from strategies.messages import Action, Verdict, encode
from tests.builders_engine import Candles, Script, at, play, taker_fee, trading, venue
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.documents import guard
from tests.live_nodes.practice.still_market import StillMarket
from tests.live_nodes.stage import NAME, Desk, Stage, desk_document, desk_node, stage
from tests.live_nodes.test_risk_live import RISK

GUARDS: dict[str, Any] = {
    "tiers": guard(
        "drawdown_tiers:DrawdownTiers",
        tiers=[{"at": 0.0005, "size": 0.5}, {"at": 0.0015, "size": 0.25}],
    ),
    "today": guard("max_drawdown:MaxDrawdown", limit_pct=0.001, session="day", action="shrink"),
    "daily": guard("daily_loss:DailyLoss", limit_currency=250.0, action="flatten"),
    "symbol": guard(
        "symbol_loss:SymbolLoss", limit_currency=120.0, action="shrink", release="recovered"
    ),
    "profit": guard(
        "session_profit:SessionProfit", limit_currency=90.0, action="shrink", release="recovered"
    ),
    "losses": guard(
        "consecutive_losses:ConsecutiveLosses", losses=2, action="shrink", of="strategies"
    ),
    "trades": guard("trades_per_day:TradesPerDay", limit=4, action="shrink"),
    "cap": guard("position_cap:PositionCap", limit_pct=0.107, release="recovered"),
}
COURSE = [
    # A gain that is locked and given back.
    *(("trade", "0.100"), ("price", "51000"), ("price", "50000"), ("close", "")),
    # A short that loses through tiers, and comes back.
    *(("trade", "-0.200"), ("price", "50500"), ("price", "50900"), ("price", "50300")),
    # It grows above its cap; an entry beyond it is refused.
    *(("price", "50000"), ("trade", "-0.020"), ("close", ""), ("trade", "0.210")),
    *(("price", "51300"), ("trade", "0.010"), ("price", "50000"), ("close", "")),
    # The last one loses more than the day bears: all is closed, and stays so.
    *(("trade", "0.200"), ("price", "49500"), ("price", "48700"), ("trade", "0.010")),
]


def by_guard(said: list[Verdict]) -> list[tuple[Any, ...]]:
    """Return what does not depend on when it was said, as a journal has it."""
    said = [msgspec.json.decode(encode(v), type=Verdict) for v in said]
    return [
        (v.guard, v.scope, v.action.name, v.multiplier, v.measured, v.limit, v.reason)
        for v in sorted(said, key=lambda v: v.guard)
    ]


# -- at the practice exchange ----------------------------------------------------------------------


def lived(folder: Path) -> tuple[list[Verdict], int]:
    """Return what guards of a node said, and how many entries were refused."""
    with (
        stage() as st,
        desk_node(st, folder=folder, risk=RISK | {"every": 0.05}, actors=GUARDS) as desk,
    ):
        # Marks are what the test says, to the tick.
        st.call(
            lambda: setattr(st.market, "prices", lambda k, n: StillMarket.prices(st.market, k, n))
        )
        assert desk.live.risk is not None
        snapshots: list[object] = []
        desk.live.risk._kernel.msgbus.subscribe(
            "risk.seen", lambda seen: snapshots.append(seen) if isinstance(seen, Snapshot) else None
        )
        desk.until(lambda: price_of(desk) == D(50_000), "the mark")
        looked(desk, snapshots)
        for what, number in COURSE:
            done(st, desk, snapshots, what, number)
        desk.until(lambda: st.position() == 0, "flat")
        return (
            [v for v in reversed(desk.journal.verdicts()) if not v.guard.startswith("node.")],
            len([o for o in desk.journal.orders_since(0) if o.status == "DENIED"]),
        )


def done(st: Stage, desk: Desk, snapshots: list[object], what: str, number: str) -> None:
    """Do one thing and wait until the guards have seen all of it."""
    strategy = desk.strategy
    if what == "price":
        st.move(number)
        desk.until(lambda: price_of(desk) == D(number), "the price")
    else:
        quantity = -st.position() if what == "close" else D(number)
        order = strategy.market_order(
            BUY if quantity > 0 else SELL, f"{abs(quantity):f}", reduce_only=what == "close"
        )
        desk.until(lambda: strategy.status(order) in ("FILLED", "DENIED"), "the order")
        desk.until(lambda: worth(desk) == truth(st), "the wallet")
    looked(desk, snapshots)


def looked(desk: Desk, snapshots: list[object]) -> None:
    """Wait for two more looks."""
    before = len(snapshots)
    desk.until(lambda: len(snapshots) > before + 1, "a look")


def price_of(desk: Desk) -> D | None:
    return desk.live.risk._account.price(NAME)


def worth(desk: Desk) -> D | None:
    return desk.live.risk._account.worth()


def truth(st: Stage) -> D:
    return st.call(lambda: D(st.exchange.wallet("anna").equity))


# -- in a backtest ---------------------------------------------------------------------------------


def backtested() -> tuple[list[Verdict], int]:
    """Return what guards said in a backtest of the same fills and prices."""
    plan: dict[int, Any] = {}
    opens, closes = [50_000.0], [50_000.0]
    held, price = D(0), D(50_000)
    for hour, (what, number) in enumerate(COURSE, start=1):
        opened = price
        if what == "price":
            price = D(number)
        else:
            quantity = -held if what == "close" else D(number)
            # A taker pays or gets the touch.
            opened = price + (D("0.1") if quantity > 0 else D("-0.1"))
            plan[at(hour)] = trading(NAME, f"{quantity:f}", reduce_only=what == "close")
            held += quantity
        opens.append(float(opened))
        closes.append(float(price))
    # The close that the flatten asks for finds the last price's bid.
    opens.append(float(price - D("0.1")))
    closes.append(float(price))
    said: list[Verdict] = []
    script = Script(plan, "hand")
    guards: dict[str, GuardActor] = guards_of(desk_document(Path(), actors=GUARDS))
    play(
        {NAME: Candles(opens, closes)},
        script,
        document=venue(starting_balance=D(100_000), fees=taker_fee("0.00055")),
        facts={NAME: {"tick": "0.1"}},
        guards=guards,
        hear={"verdicts.*": said.append},
    )
    return said, len(script.denials)


def test_a_market_brings_the_same_verdicts_live_and_in_a_backtest(tmp_path: Path) -> None:
    live, refused_live = lived(tmp_path)
    test, refused_test = backtested()
    assert by_guard(live) == by_guard(test)
    assert refused_live == refused_test > 0
    assert {v.guard for v in test} == GUARDS.keys()
    assert max(v.action for v in test) == Action.FLATTEN
