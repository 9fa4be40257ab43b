"""Guards say the same live and in a backtest of the same market, and again on a replayed tape."""

from __future__ import annotations

from decimal import Decimal as D
from pathlib import Path
from typing import Any

import msgspec

from actors.desk.build import guards_of
from actors.desk.guard import GuardActor
from actors.guards.core.snapshot import Input, Snapshot
from strategies.messages import Action, Verdict, encode
from tests.actors.tiny_guards import Table
from tests.builders_engine import Candles, Script, at, play, taker_fee, trading, venue
from tests.live_nodes.by_hand import BUY, SELL
from tests.live_nodes.documents import guard
from tests.live_nodes.node.test_risk_live import RISK
from tests.live_nodes.practice.still_market import StillMarket
from tests.live_nodes.stage import NAME, Desk, Stage, desk_document, desk_node, stage

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


def lived(folder: Path) -> tuple[list[Verdict], int, list[Input | None]]:
    """Return what guards of a node said, how many entries were refused, and what guards saw."""
    actors = GUARDS | {"tape": {"use": "tests.live_nodes.odd_guards:Records"}}
    risk = RISK | {"every": 0.05}
    with stage() as st, desk_node(st, folder=folder, risk=risk, actors=actors) as desk:
        # Marks are what the test says, to the tick.
        st.call(
            lambda: setattr(st.market, "prices", lambda k, n: StillMarket.prices(st.market, k, n))
        )
        tape = desk.live.risk.guards["tape"].tape
        desk.until(lambda: price_of(desk) == D(50_000), "the mark")
        looked(desk, tape)
        for what, number in COURSE:
            done(st, desk, tape, what, number)
        desk.until(lambda: st.position() == 0, "flat")
        return (
            [v for v in reversed(desk.journal.verdicts()) if not v.guard.startswith("node.")],
            len([o for o in desk.journal.orders_since(0) if o.status == "DENIED"]),
            list(tape),
        )


def done(st: Stage, desk: Desk, tape: list[Input | None], what: str, number: str) -> None:
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
        worth, wallet = desk.live.risk._account.worth, lambda: st.exchange.wallet("anna")
        desk.until(lambda: worth() == st.call(wallet).equity, "the wallet")
    looked(desk, tape)


def looked(desk: Desk, tape: list[Input | None]) -> None:
    """Wait for two more looks."""
    before = len(tape)
    desk.until(lambda: sum(isinstance(x, Snapshot) for x in tape[before:]) > 1, "a look")


def price_of(desk: Desk) -> D | None:
    return desk.live.risk._account.price(NAME)


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


# -- on a tape -------------------------------------------------------------------------------------


def replayed(guards: dict[str, GuardActor], tape: list[Input | None]) -> dict[str, list[Verdict]]:
    """Return what fresh guards publish on a tape, without engine, node or state."""
    table = Table(*guards.values(), keys=("hand",))
    said: dict[str, list[Verdict]] = {key: [] for key in guards}
    for key, found in said.items():
        table.bus.subscribe(f"verdicts.{key}", found.append)
    for seen in tape:
        if seen is not None:
            for made in guards.values():
                if made.observes(type(seen)):
                    made.observe(seen)
            continue
        for made in guards.values():
            made.publish()
    return said


def test_a_market_brings_the_same_verdicts_live_in_a_backtest_and_replayed(tmp_path: Path) -> None:
    live, refused_live, tape = lived(tmp_path)
    test, refused_test = backtested()
    assert by_guard(live) == by_guard(test)
    assert refused_live == refused_test > 0
    assert {v.guard for v in test} == GUARDS.keys()
    assert max(v.action for v in test) == Action.FLATTEN
    fresh = guards_of(desk_document(tmp_path, actors=GUARDS))
    said = {key: [v for v in live if v.guard == key] for key in GUARDS}
    assert replayed(fresh, tape) == said
    kinds = {type(seen).__name__ for seen in tape}
    assert kinds > {"OrderRequested", "FillEvent", "RoundTripEvent", "VenueResponse", "Refused"}
