"""Guards in a backtest: who tells the desk of them what the accountant books.

They look after every new row of prices, once what the venue itself closes there is filled, and 1 ns
before the stamp at which strategies decide. What is sent then meets the market as orders of that
stamp do: at the next print, or at that candle's close where the document says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from nautilus_trader.backtest.engine import SimulatedExchange
from nautilus_trader.backtest.execution_client import BacktestExecClient
from nautilus_trader.execution.messages import SubmitOrder, TradingCommand
from nautilus_trader.model.data import TradeTick

from actors.desk.books import StrategyBooks
from actors.desk.guard import GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.records.rows import FillRow
from backtests.engine.accountant import Accountant
from backtests.engine.feed import Grid, Settlement
from backtests.engine.market import Market
from backtests.engine.market_facts import Markets
from backtests.engine.venue import NextPrintClient


def risk_desk(
    kernel: Any,
    accountant: Accountant,
    market: Market,
    guards: Mapping[str, GuardActor],
    leverage: Decimal,
) -> RiskDesk:
    """Return the guards' desk, with the guards attached and the accountant watched."""
    markets = Markets(accountant, market, kernel.cache)
    desk = RiskDesk(
        kernel,
        accountant,
        StrategyBooks(),
        guards,
        leverage=leverage,
        later=accountant.later,
        market=markets,
        instruments=market.ids,
        strict=True,
    )
    for guard in guards.values():
        guard.attach(desk)
    accountant.watch(Watch(desk, accountant, markets))
    return desk


class Watch:
    """Passes on to the guards' desk what an accountant books
    (`backtests.engine.accountant.Watcher`).
    """

    def __init__(self, desk: RiskDesk, accountant: Accountant, markets: Markets) -> None:
        self._desk, self._accountant, self._markets = desk, accountant, markets
        self._needs_markets = "markets" in desk.needs

    def schedule(self, settlements: list[Settlement]) -> None:
        """Hear when funding will be settled."""
        if self._needs_markets:
            self._markets.schedule(settlements)

    def moved(self, grid: Grid, row: int) -> None:
        """Let the guards look at the new prices."""
        if self._needs_markets:
            self._markets.moved(grid, row)
        self._desk.evaluate_later()

    def filled(self, fill: FillRow) -> None:
        """Tell of a fill."""
        self._desk.filled(fill)

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        """Tell of funding."""
        self._desk.funded(strategy, instrument, amount)


class AtStampClient(NextPrintClient):
    """Keeps what is sent 1 ns before a stamp until the candles of that stamp are in.

    For runs whose orders fill at the close of the candle that they were decided on: the market
    still stands at the candle before when the guards look.

    Parameters
    ----------
    exchange : SimulatedExchange
        The exchange behind it.
    kernel : NautilusKernel
        Of the backtest engine.
    accountant : Accountant
        Knows the stamp.
    """

    def __init__(self, exchange: SimulatedExchange, kernel: Any, accountant: Accountant) -> None:
        super().__init__(exchange, kernel, prints_to_wait=1)
        self._accountant = accountant
        self._is_due = False

    def submit_order(self, command: SubmitOrder) -> None:
        """Send the order, at the stamp at the earliest."""
        if self._clock.timestamp_ns() + 1 == self._accountant.stamp:
            super().submit_order(command)
        else:
            BacktestExecClient.submit_order(self, command)

    def _wait(self, command: TradingCommand) -> None:
        super()._wait(command)
        if not self._is_due:
            self._is_due = True
            self._accountant.at_stamp("orders of the stamp", self._send_all)

    def _release(self, tick: TradeTick) -> None:
        """Let prints pass: the stamp is waited for."""

    def _send_all(self, _: object) -> None:
        self._is_due = False
        waiting, self._waiting = self._waiting, {}
        for entries in waiting.values():
            for entry in entries:
                self._venue.send(entry.command)
