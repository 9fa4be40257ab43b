"""What guards that know days say around the changes of a clock to and from summer time.

``TZ=America/New_York python -m tests.actors.days_played`` prints it: the same on every host.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from actors.desk.guard import GuardActor
from actors.guards.consecutive_losses import ConsecutiveLosses
from actors.guards.core.snapshot import FillEvent, Market, RoundTripEvent
from actors.guards.daily_loss import DailyLoss
from actors.guards.maintenance import Maintenance, Window
from actors.guards.max_drawdown import MaxDrawdown
from actors.guards.session_profit import SessionProfit
from actors.guards.trades_per_day import TradesPerDay
from strategies.messages import encode
from tests.actors.tiny_guards import A, Table

NS = 1_000_000_000
CHANGES = (datetime(2026, 3, 8, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
"""Days on which New York's clocks go forward and back, at 07:00 and 06:00 UTC."""


def guards() -> list[GuardActor]:
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


def ns(moment: datetime) -> int:
    return round(moment.timestamp()) * NS


def course(day: datetime) -> list[str]:
    """Return what is said and kept over three days around one, in lines."""
    made = guards()
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
        table.look(str(equity), ns(moment))
        if (moment.hour, moment.minute) in ((5, 30), (6, 30)):
            common = {"ts": ns(moment), "strategy": "a", "instrument": A}
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


def main() -> None:
    for day in CHANGES:
        print("\n".join(course(day)))


if __name__ == "__main__":
    main()
