"""Guards under clocks that jump: host time zones with summer time, and steps backwards."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.desk.guard import GuardActor
from actors.guards.consecutive_losses import ConsecutiveLosses
from actors.guards.cooldown import Cooldown
from actors.guards.core.halts import Latch
from actors.guards.core.snapshot import (
    DeskEvent,
    ErrorEvent,
    FillEvent,
    Market,
    OrderRequested,
    RoundTripEvent,
    VenueResponse,
)
from actors.guards.daily_loss import DailyLoss
from actors.guards.drawdown_tiers import DrawdownTiers, Tier
from actors.guards.error_rate import ErrorRate
from actors.guards.maintenance import Maintenance, Window
from actors.guards.max_drawdown import MaxDrawdown
from actors.guards.order_rate import OrderRate
from actors.guards.rejections import Rejections
from actors.guards.session_profit import SessionProfit
from actors.guards.symbol_loss import SymbolLoss
from actors.guards.trades_per_day import TradesPerDay
from config.durations import DAY_NS
from strategies.messages import Action, encode
from strategies.refusals import Refusal, refused_by
from tests.actors.tiny_guards import A, Table

SECOND = 1_000_000_000
NOON = 20_000 * DAY_NS + DAY_NS // 2
"""4 October 2024, 12:00 UTC."""


# -- the host's time zone --------------------------------------------------------------------------

CHANGES = (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
"""Days on which New York's clocks go forward and back, at 07:00 and 06:00 UTC."""


def guards_of_days() -> list[GuardActor]:
    return [
        GuardActor("daily", DailyLoss(DailyLoss.Config(limit_currency=10.0))),
        GuardActor(
            "max",
            MaxDrawdown(MaxDrawdown.Config(limit_currency=12.0, session="day", release="next_day")),
        ),
        GuardActor("profit", SessionProfit(SessionProfit.Config(limit_currency=20.0))),
        GuardActor("losses", ConsecutiveLosses(ConsecutiveLosses.Config(losses=2))),
        GuardActor("trades", TradesPerDay(TradesPerDay.Config(limit=2))),
        GuardActor(
            "works",
            Maintenance(
                Maintenance.Config(
                    windows=tuple(
                        Window(start=f"{day:%Y-%m-%d}T05:30:00Z", end=f"{day:%Y-%m-%d}T07:30:00Z")
                        for day in CHANGES
                    )
                )
            ),
        ),
    ]


def course(day: datetime) -> list[str]:
    """Return all verdicts and kept states over three days around one, in lines."""
    made = guards_of_days()
    table = Table(*made, market=lambda now: {A: Market(tick=Decimal(1))})
    lines: list[str] = []
    equity = 1000
    moment = day - timedelta(days=1)
    while moment < day + timedelta(days=2):
        # Three times four are lost on each day until 06:00, one is won at 07:00, and 32 at 20:00.
        if moment.minute == 0 and 4 <= moment.hour < 8:
            equity -= 4 if moment.hour < 7 else -1
        if (moment.hour, moment.minute) == (20, 0):
            equity += 32
        now = round(moment.timestamp()) * SECOND
        table.look(str(equity), now)
        if (moment.hour, moment.minute) in ((5, 30), (6, 30)):
            common = {"ts": now, "strategy": "a", "instrument": A}
            for quantity, price in ((1, 10), (-1, 9)):
                table.desk.observe(
                    FillEvent(
                        **common,
                        quantity=Decimal(quantity),
                        price=Decimal(price),
                        fee=Decimal(0),
                        opened=quantity > 0,
                    )
                )
            table.desk.observe(RoundTripEvent(**common, net=Decimal(-1)))
        stamp = f"{moment:%m-%d %H:%M}"
        lines.extend(f"{stamp} {encode(verdict).decode()}" for verdict in table.said)
        table.said.clear()
        moment += timedelta(minutes=15)
    lines += [f"{g.key} {msgspec.json.encode(g.guard_state).decode()}" for g in made]
    return lines


def test_the_hosts_time_zone_and_its_summer_time_change_no_verdict() -> None:
    # New York's clocks change by an hour on these very days, Lord Howe's by half an hour.
    text = "from tests.actors import test_guard_clock as it\nfor day in it.CHANGES:\n"
    text += "    print(*it.course(day), sep='\\n')"
    elsewhere = [
        subprocess.Popen(
            [sys.executable, "-c", text],
            env=os.environ | {"TZ": zone},
            stdout=subprocess.PIPE,
            text=True,
        )
        for zone in ("UTC", "America/New_York", "Australia/Lord_Howe")
    ]
    said, *others = [process.communicate(timeout=120)[0].splitlines() for process in elsewhere]
    assert others == [said, said]
    assert [line[:11] for line in said if '"works"' in line] == [
        *("03-08 05:30", "03-08 07:30"),
        *("11-01 05:30", "11-01 07:30"),
    ]
    over = [line[:11] for line in said if '"daily"' in line and '"over"' in line]
    assert over == ["03-08 00:00", "03-09 00:00", "11-01 00:00", "11-02 00:00"]


# -- a clock that goes backwards -------------------------------------------------------------------


def guards() -> list[GuardActor]:
    """Return guards that remember peaks, days, counts and times, with limits soon reached."""
    return [
        GuardActor("tiers", DrawdownTiers(DrawdownTiers.Config(tiers=(Tier(at=0.02, size=0.5),)))),
        GuardActor("max", MaxDrawdown(MaxDrawdown.Config(limit_currency=60.0))),
        GuardActor(
            "today",
            MaxDrawdown(MaxDrawdown.Config(limit_currency=40.0, session="day", release="next_day")),
        ),
        GuardActor("daily", DailyLoss(DailyLoss.Config(limit_currency=30.0))),
        GuardActor("symbol", SymbolLoss(SymbolLoss.Config(limit_currency=20.0, release="2h"))),
        GuardActor("profit", SessionProfit(SessionProfit.Config(limit_currency=50.0))),
        GuardActor("losses", ConsecutiveLosses(ConsecutiveLosses.Config(losses=2, release="3h"))),
        GuardActor("trades", TradesPerDay(TradesPerDay.Config(limit=2))),
        GuardActor("pause", Cooldown(Cooldown.Config(after_trade="10m", after_loss="1h"))),
        GuardActor("rate", OrderRate(OrderRate.Config(count=3, window="1h", release="1h"))),
        GuardActor("errors", ErrorRate(ErrorRate.Config())),
        GuardActor("rejects", Rejections(Rejections.Config())),
    ]


def events_of(kind: str, ts: int) -> list[DeskEvent]:
    who = {"ts": ts, "strategy": "a", "instrument": A}
    trade = {"price": Decimal(10), "fee": Decimal(0)}
    known: dict[str, list[DeskEvent]] = {
        "trip": [
            FillEvent(**who, **trade, quantity=Decimal(1), opened=True),
            FillEvent(**who, **trade, quantity=Decimal(-1)),
            RoundTripEvent(**who, net=Decimal(-1)),
        ],
        "order": [
            OrderRequested(**who, quantity=Decimal(1), price=None, is_exit=False, order_id="o")
        ],
        "rejection": [VenueResponse(**who, accepted=False, reason="no")],
        "error": [ErrorEvent(ts=ts, source="sweep", text="no answer")],
        "nothing": [],
    }
    return known[kind]


def refusal_of(table: Table) -> Refusal | None:
    """Return why an entry is refused: the gate reads the board beside the desk's hold."""
    scopes = ("desk", "strategy:a", f"instrument:{A}")
    stands = table.desk.verdicts.strictest(scopes)
    if stands.action >= Action.HALT_ENTRIES:
        return refused_by(stands)
    return table.desk.hold(table.entry())


def earlier(before: tuple[Latch, ...], after: tuple[Latch, ...]) -> list[Latch]:
    left = {(x.scope, x.key, x.since): x for x in after}
    lost = []
    for latch in before:
        now = left.get((latch.scope, latch.key, latch.since))
        if now is None or (now.until is not None and now.until < (latch.until or 0)):
            lost.append(latch)
    return lost


STEPS = st.lists(
    st.tuples(
        st.sampled_from([-2 * 86_400, -5_400, -3_600, -60, -1, 0, 1, 30, 900, 3_600, 40_000]),
        st.integers(900, 1_080),
        st.sampled_from(["nothing", "nothing", "trip", "order", "rejection", "error"]),
    ),
    min_size=2,
    max_size=25,
)


@given(steps=STEPS)
def test_a_clock_that_goes_back_makes_guards_forget_nothing_and_lets_no_entry_pass(steps):
    made = guards()
    table = Table(*made)
    now, equity = NOON, 1000
    table.look(str(equity), now)
    for seconds, value, kind in steps:
        # A step back changes the clock alone.
        equity = equity if seconds < 0 else value
        refused = refusal_of(table)
        kept = {g.key: (g.guard_state, g.latches) for g in made}
        now += seconds * SECOND
        table.look(str(equity), now)
        if seconds < 0:
            for guard in made:
                state, latches = kept[guard.key]
                assert guard.guard_state == state, guard.key
                assert earlier(latches, guard.latches) == [], guard.key
            assert refused is None or refusal_of(table) is not None, refused
        for seen in events_of(kind, now) if seconds >= 0 else []:
            table.desk.observe(seen)


@pytest.mark.parametrize("release", ["next_day", "1h"])
def test_a_clock_set_back_over_midnight_begins_no_day_and_ends_no_halt(release: str) -> None:
    midnight = NOON + DAY_NS // 2
    guard = GuardActor("daily", DailyLoss(DailyLoss.Config(limit_currency=30.0, release=release)))
    table = Table(guard)
    table.look("1000", midnight - 10 * SECOND)
    table.look("990", midnight + SECOND)
    table.look("950", midnight + 2 * SECOND)
    # 40 lost of the new day's 990.
    [before] = guard.latches
    assert before.measured == 40
    for back in (1, 3, 3_600, 86_400 * 3):
        table.look("950", midnight + (2 - back) * SECOND)
        assert guard.latches == (before,)
        assert "by daily" in str(refusal_of(table))
    # Nor does the day begin a second time, with 950 as its start.
    table.look("950", midnight + 3 * SECOND)
    assert guard.latches == (before,)
    assert msgspec.to_builtins(guard.guard_state)["equity"]["value"] == "990"
