"""What goes on beside the strategies for the guards' sake: they look, read the mail, tell."""

from __future__ import annotations

import asyncio
import time

from actors.desk.risk_desk import RiskDesk
from actors.records.journal import Journal
from live_nodes.local.alerts import Alerts
from live_nodes.node.desk_mail import DeskMail
from live_nodes.node.risk_alerts import RiskAlerts
from live_nodes.node.risk_markets import LiveMarkets

MAIL_EVERY = 0.25
_SECOND = 1_000_000_000


async def keep_looking(desk: RiskDesk, markets: LiveMarkets, every: float) -> None:
    """Let the guards look every so many seconds, and measure how late the loop lets them."""
    loop = asyncio.get_running_loop()
    planned = loop.time()
    while True:
        planned += every
        await asyncio.sleep(max(0.0, planned - loop.time()))
        late = loop.time() - planned
        markets.lag_ns = max(0, round(late * _SECOND))
        if late > every:
            # What was missed is not made up for.
            planned = loop.time()
        desk.evaluate()


async def keep_reading(mail: DeskMail) -> None:
    """Do what is asked for in the mailbox."""
    while True:
        await asyncio.sleep(MAIL_EVERY)
        mail.look()


async def keep_counting(desk: RiskDesk, told: RiskAlerts, alerts: Alerts, journal: Journal) -> None:
    """Notice guards that fall silent, and write down what became of the alerts."""
    while True:
        await asyncio.sleep(1.0)
        if desk.heartbeats is not None:
            silent = desk.heartbeats.silent(time.monotonic_ns())
            told.silences(key for key in silent if not desk.guards[key].failed)
        count_alerts(alerts, journal)


def count_alerts(alerts: Alerts, journal: Journal) -> None:
    """Write down how many alerts left or did not, and which channels are in trouble."""
    for name, number in alerts.counts().items():
        journal.count(name, number)
    for news in alerts.news():
        journal.note("alerts", news)
