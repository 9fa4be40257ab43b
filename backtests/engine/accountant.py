"""Bookkeeping of a backtest: funding, delistings, liquidation and the ledger. Engine-specific.

The engine settles no funding and liquidates nobody (see tests/backtests/test_engine_traps.py), so
this module does. Its timers fire one nanosecond before a stamp, because the position just before
the stamp counts.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from nautilus_trader.backtest.config import SimulationModuleConfig
from nautilus_trader.backtest.modules import SimulationModule
from nautilus_trader.execution.messages import SubmitOrder
from nautilus_trader.model.enums import LiquiditySide, OrderSide
from nautilus_trader.model.events import OrderFilled
from nautilus_trader.model.identifiers import InstrumentId, StrategyId
from nautilus_trader.model.objects import Money
from nautilus_trader.model.orders import Order

from actors.closing.forced_orders import at_market, cancel_of
from actors.desk.risk_desk import RiskDesk
from actors.guards.core.positions import Holdings, OpenPositions, positions_of
from actors.measures import Floats, Integers
from actors.records.coins import COIN, WholeLots
from actors.records.ledger import ZERO, Ledger
from actors.records.rows import FillRow
from backtests.engine.candle_path import CandlePath
from backtests.engine.coins import exact_fee, pay_in_cash
from backtests.engine.feed import PriceGrid, Settlement
from backtests.engine.market import RunMarket, exact_closes, whole_closes
from backtests.engine.settlement import (
    FundingPayment,
    adverse_prices,
    bankruptcy_prices,
    funding_amount,
    is_liquidated,
    margin_balance,
)
from backtests.engine.venue import DeskFillModel
from strategies.account_value import Account, is_spot
from strategies.order_tags import decision_of
from strategies.refusals import as_reason, from_venue

if TYPE_CHECKING:
    from backtests.engine.books import VenueBooks
    from backtests.engine.guard_desk import BacktestMarkets


TIMER = "accountant"
LIQUIDATION, DELISTING = "liquidation", "delisting"


class Accountant(SimulationModule):
    """Keeps the ledger and acts for the venue.

    It gives the prices of liquidations and delistings to the fill model.
    """

    def __init__(
        self, ledger: Ledger, market: RunMarket, fill_model: DeskFillModel, *, liquidation: bool
    ) -> None:
        super().__init__(SimulationModuleConfig())
        self.ledger = ledger
        self.fills: list[tuple[FillRow, Decimal]] = []
        self.payments: list[FundingPayment] = []
        self.unmarked: list[Settlement] = []
        """Settlements paid or received at a close, for want of a mark price."""
        self.liquidated_at: int | None = None
        self.send_now: Callable[[SubmitOrder], None] | None = None
        self.take_back_all: Callable[[InstrumentId], None] | None = None
        self.on_sale: Callable[[], None] | None = None
        """Called after a sale of coins is booked."""
        self.on_fill: Callable[[FillRow], None] | None = None
        """Called with each fill after it is booked."""
        self.on_time: Callable[[int], None] | None = None
        """Called with each stamp that it has processed."""
        self.close_market: Callable[[InstrumentId], None] | None = None
        self.path: CandlePath | None = None
        self.live_prices: VenueBooks | None = None
        """Fills rows of prices as they stand, in a run on quotes or books."""
        self._market = market
        self._fill_model = fill_model
        self._liquidation = liquidation
        self._quantity = np.zeros(len(market.ids))
        self.lots = WholeLots(lambda name: Decimal(market.infos[market.column[name]].lot))
        self.overdrawn = ZERO
        """How far below zero spot buys took the wallet at most; Bybit would have refused them."""
        self._perpetual = np.array([not is_spot(name) for name in market.ids], dtype=np.bool_)
        self.closes = np.full(len(market.ids), np.nan)
        """The newest closes, shape (N,); a later row is another array."""
        self._decimals: dict[str, Decimal | None] = {}
        self._grid: PriceGrid | None = None
        self._whole: Integers | None = None
        self._row: Integers | None = None
        self._positions: OpenPositions | None = None
        self._held = np.zeros(0, dtype=np.int64)
        self._holdings: Holdings | None = None
        self._cash = float(ledger.starting)
        self._rows: deque[tuple[int, PriceGrid, int]] = deque()
        self._settlements: deque[Settlement] = deque()
        self._kinds: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        self._valued: tuple[float, float] | None = None
        self._forced_orders = self._fills_purged = 0
        self._desk: RiskDesk | None = None
        self._markets: BacktestMarkets | None = None
        self._waiting: list[Callable[[], None]] = []
        self._precisions = np.array([info.price_precision for info in market.infos])
        self._decimals_seen = self._precisions
        self._walking = False
        self._walked: list[int] = []
        self.stamp = 0
        """The newest processed stamp, UNIX nanoseconds; the clock was 1 ns before it."""

    def process(self, ts_now: int) -> None:
        """Run the callbacks of `later`; other work runs on timers."""
        if self._waiting and not self._walking:
            waiting, self._waiting = self._waiting, []
            for callback in waiting:
                callback()

    def later(self, callback: Callable[[], None]) -> None:
        """Call back after the engine has finished this event and its fills, at the same time.

        By then, the venue's own closes at a stamp are filled.
        """
        self._waiting.append(callback)

    def at_stamp(self, name: str, callback: Callable[[object], None]) -> None:
        """Call back at the stamp itself, after all data of that time."""
        self.clock.set_time_alert_ns(name=name, alert_time_ns=self.stamp, callback=callback)

    def report_to(self, desk: RiskDesk, markets: BacktestMarkets | None) -> None:
        """Send all further bookings to the desk, and prices to the markets that its guards ask."""
        self._desk, self._markets = desk, markets

    def log_diagnostics(self, logger: object) -> None:
        """Do nothing: the summary has the figures."""

    def reset(self) -> None:
        """Refuse: a run builds its own accountant."""
        raise NotImplementedError("an Accountant serves one run")

    def begin(self, prices: Floats) -> None:
        """Start to book fills, once the module is part of its exchange.

        ``prices`` (shape (N,)) are the newest closes before the window, NaN where unknown.
        """
        self.closes, self._holdings = prices, None
        self._decimals.clear()
        self.msgbus.subscribe("events.order.*", self._on_order_event)

    def begin_slice(self, grid: PriceGrid, settlements: list[Settlement]) -> None:
        """Process a slice's price grid and funding settlements, and set the next timer.

        Stamps after the last event of the slice before are processed first.
        """
        self._rows.extend((int(ts), grid, row) for row, ts in enumerate(grid.ts))
        self._settlements.extend(settlements)
        if self._markets is not None:
            self._markets.schedule(settlements)
        self._schedule()

    def equity(self) -> float:
        """Return cash plus the value of positions at the newest closes."""
        return self.value()[0]

    def value(self) -> tuple[float, float]:
        """Return equity and the notional of all positions, at the newest closes."""
        if self._valued is None:
            held = self._quantity != 0
            value = self._quantity[held] * self.closes[held]
            self._valued = (self._cash + float(value.sum()), float(np.abs(value).sum()))
        return self._valued

    def position(self, instrument: str) -> Decimal:
        """Return the signed position."""
        return self.ledger.quantities.get(instrument, ZERO)

    def price(self, instrument: str) -> Decimal | None:
        """Return the newest close, None before the first."""
        if instrument not in self._decimals:
            column = self._market.column[instrument]
            (self._decimals[instrument],) = exact_closes(self.closes, [column])
        return self._decimals[instrument]

    def worth(self) -> Decimal:
        """Return the exact equity; a position without a price is valued at its entry."""
        held = self.holdings()
        return self.ledger.cash + held.money(sum(held.values))

    def balance(self) -> Decimal:
        """Return the equity without the unrealised profit."""
        return self.ledger.balance()

    def free_cash(self) -> Decimal:
        """Return the cash that spot buys may spend."""
        return Account({COIN: self._wallet()}, self.holdings()).free_cash

    def _wallet(self) -> Decimal:
        coins = (trip.cost for (_, name), trip in self.ledger.open.items() if is_spot(name))
        return self.ledger.balance() - sum(coins, ZERO)

    def unpaid(self, order: Order, price: Decimal) -> str:
        """Return why the venue refuses a spot buy at a price, empty when the cash is there."""
        quantity = order.quantity.as_decimal()
        if order.side != OrderSide.BUY or not is_spot(order.instrument_id.value):
            return ""
        slip = self._fill_model.slippage.charged(quantity * price)
        cost, free = quantity * price * (1 + slip), self.free_cash()
        if cost <= free:
            return ""
        return as_reason(from_venue("cash", f"it costs {cost:.2f}, and {free:.2f} are free"))

    def holdings(self) -> Holdings:
        """Return every open position, sorted by instrument, then strategy."""
        if self._holdings is None:
            if self._positions is None:
                column = self._market.column
                self._positions = positions_of(
                    (
                        (name, strategy, trip.quantity, trip.cost / trip.quantity)
                        for (strategy, name), trip in self.ledger.open.items()
                    ),
                    lambda name: int(self._precisions[column[name]]),
                )
                names = self._positions.names
                self._held = np.array([column[name] for name in names], dtype=np.int64)
            whole = None if self._row is None else self._row[self._held]
            self._holdings = Holdings(
                self._positions,
                partial(exact_closes, self.closes, self._held),
                whole.tolist() if whole is not None and whole.all() else None,
            )
        return self._holdings

    def _schedule(self) -> None:
        if TIMER in self.clock.timer_names:
            return
        due = []
        if self._rows:
            due.append(self._rows[0][0])
        if self._settlements:
            due.append(self._settlements[0].ts)
        if due:
            self.clock.set_time_alert_ns(
                name=TIMER, alert_time_ns=min(due) - 1, callback=self._on_time
            )

    def _on_time(self, event: object) -> None:
        now = self.stamp = self.clock.timestamp_ns() + 1
        if self.live_prices is not None and self._rows and self._rows[0][0] <= now:
            self.live_prices.value(*self._rows[0][1:], self.closes)
        # What was stopped out inside the candle pays no funding at its close.
        if self.path is not None and self._rows and self._rows[0][0] <= now:
            self._walk(*self._rows[0][1:])
        # Funding first: paid after a liquidation, it would make the account negative.
        while self._settlements and self._settlements[0].ts <= now:
            self._settle(self._settlements.popleft())
        while self._rows and self._rows[0][0] <= now:
            _, grid, row = self._rows.popleft()
            self._on_bar(grid, row)
            if self._markets is not None:
                self._markets.moved(grid, row)
            if self._desk is not None:
                self._desk.evaluate_later()
        if self.on_time is not None:
            self.on_time(now)
        self._schedule()

    def _on_bar(self, grid: PriceGrid, row: int) -> None:
        if self._liquidation and self.ledger.quantities:
            low, high = grid.low[row], grid.high[row]
            if self._walked:
                # The path has passed their extremes.
                low, high = low.copy(), high.copy()
                low[self._walked] = high[self._walked] = grid.close[row, self._walked]
            self._check_margin(low, high, int(grid.ts[row]))
        self._walked = []
        if grid.decimals is not None:
            self._learn_ticks(grid.decimals[row])
        if self._desk is not None and grid is not self._grid:
            self._grid = grid
            known = grid.marks is None
            self._whole = whole_closes(grid.close, self._precisions) if known else None
        self.closes, self._holdings = grid.close[row], None
        self._row = None if self._whole is None else self._whole[row]
        self._decimals.clear()
        self._forget_closed(int(grid.ts[row]))
        self._valued = None
        for column in grid.delisted.get(row, ()):
            self._delist(column)

    def _learn_ticks(self, decimals: Integers) -> None:
        if not np.array_equal(decimals, self._decimals_seen):
            for column in np.flatnonzero(decimals > self._decimals_seen):
                tick = Decimal(1).scaleb(-int(decimals[column]))
                self._fill_model.finer[self._market.instrument_ids[column]] = tick
            self._decimals_seen = decimals

    def _forget_closed(self, now: int) -> None:
        """Purge closed positions, which are in our books, from the engine.

        Otherwise it pickles each re-opened one and reads it repeatedly: a third of a run's time.
        """
        if self.ledger.fills != self._fills_purged:
            self._fills_purged = self.ledger.fills
            self.cache.purge_closed_positions(ts_now=now)

    def _settle(self, settlement: Settlement) -> None:
        quantity = self.ledger.quantities.get(settlement.instrument)
        if not quantity:
            return
        if not settlement.is_marked:
            self.unmarked.append(settlement)
        mark_price = settlement.mark_price
        if mark_price is None:
            due = self._rows and self._rows[0][0] <= self.stamp
            closes = self._rows[0][1].close[self._rows[0][2]] if due else self.closes
            mark_price = Decimal(repr(float(closes[self._market.column[settlement.instrument]])))
        amount = funding_amount(quantity, mark_price, settlement.rate)
        shares = self.ledger.book_funding(settlement.instrument, amount)
        for strategy, share in shares.items():
            self.payments.append(
                FundingPayment(
                    settlement.ts,
                    strategy,
                    settlement.instrument,
                    settlement.rate,
                    mark_price,
                    quantity,
                    share,
                )
            )
            if self._desk is not None:
                self._desk.funded(strategy, settlement.instrument, share)
        self._cash += float(amount)
        self._valued = None
        self.exchange.adjust_account(Money(amount, self._market.currency))

    def _walk(self, grid: PriceGrid, row: int) -> None:
        """Move instruments with resting orders along their candles, extreme by extreme.

        Margin is checked at each: a stop saves an account only when it comes first on the path.
        """
        assert self.path is not None
        if grid.traded is None:
            return
        opened, high, low = grid.traded[:, row]
        close, now = grid.close[row], self.clock.timestamp_ns()
        columns = [c for c in self.path.resting() if not np.isnan(opened[c])]
        if not columns:
            return
        self._walking, self._walked = True, columns
        legs = {}
        for c in columns:
            candle = (float(opened[c]), float(high[c]), float(low[c]), float(close[c]))
            legs[c] = self.path.begin(c, candle, float(self._quantity[c]))
        for leg in (0, 1):
            lowest, highest = grid.low[row].copy(), grid.high[row].copy()
            for c, (*targets, high_first) in legs.items():
                self.path.move(c, targets[leg], now)
                marks = grid.high if high_first == (leg == 0) else grid.low
                lowest[c] = highest[c] = marks[row, c]
            if self._liquidation and self.ledger.quantities:
                self._check_margin(lowest, highest, int(grid.ts[row]))
                self.path.settle(now)
        for c in columns:
            self.path.move(c, float(close[c]), now)
        self._walking = False

    def _check_margin(self, low: Floats, high: Floats, ts: int) -> None:
        market = self._market
        # Coins are no collateral: their rate at Bybit is not in the catalog.
        held = np.where(self._perpetual, self._quantity, 0.0)
        price = adverse_prices(held, low, high)
        if not is_liquidated(self._cash, held, price, market.maintenance_rate, market.taker_fee):
            return
        if self.liquidated_at is None:
            # The rest from rounding may be traded and lost as well; keep the first time.
            self.liquidated_at = ts
        balance = Decimal(repr(margin_balance(self._cash, held, price)))
        positions = {
            name: (
                quantity,
                Decimal(repr(float(price[market.column[name]]))),
                Decimal(repr(float(market.taker_fee[market.column[name]]))),
            )
            for name, quantity in sorted(self.ledger.quantities.items())
            if not is_spot(name)
        }
        self._cancel_all_orders()
        for name, bankrupt in bankruptcy_prices(balance, positions).items():
            # Round so that the account does not become negative.
            rounding = ROUND_CEILING if positions[name][0] > 0 else ROUND_FLOOR
            self._close(name, bankrupt, LIQUIDATION, rounding)

    def _cancel_all_orders(self) -> None:
        """Cancel all orders: on an empty account they would open positions."""
        if self.take_back_all is not None:
            for instrument_id in self._market.instrument_ids:
                self.take_back_all(instrument_id)
        for order in self.cache.orders_open():
            self.exchange.send(cancel_of(order, self.clock.timestamp_ns()))

    def _delist(self, column: int) -> None:
        name = self._market.ids[column]
        take_back = self.close_market or self.take_back_all
        if take_back is not None:
            take_back(self._market.instrument_ids[column])
        if self.ledger.quantities.get(name):
            self._close(name, Decimal(repr(float(self.closes[column]))), DELISTING)

    def _close(self, name: str, price: Decimal, kind: str, rounding: str = ROUND_HALF_EVEN) -> None:
        column = self._market.column[name]
        instrument = self._market.instruments[column]
        tick = self._fill_model.tick(instrument)
        price = max((price / tick).to_integral_value(rounding), Decimal(1)) * tick
        for (strategy, held), trip in sorted(self.ledger.open.items()):
            if held != name:
                continue
            self._forced_orders += 1
            order_id = f"V-{kind[:3].upper()}-{strategy}-{self._forced_orders}"
            self._fill_model.forced[order_id] = price
            self._kinds[order_id] = kind
            command = at_market(
                self.trader_id,
                StrategyId(self._owners[strategy]),
                instrument,
                -trip.quantity,
                named=order_id,
                tag=kind,
                now=self.clock.timestamp_ns(),
            )
            self.cache.add_order(command.order, None)
            assert self.send_now is not None
            self.send_now(command)

    def _on_order_event(self, event: object) -> None:
        if not isinstance(event, OrderFilled):
            return
        strategy = event.strategy_id.get_tag()
        self._owners[strategy] = event.strategy_id.value
        order_id = event.client_order_id.value
        order = self.cache.order(event.client_order_id)
        price = event.last_px.as_decimal()
        fill = FillRow(
            instrument=event.instrument_id.value,
            # The engine's own ids depend on other instruments in the catalog, also later ones.
            execution_id=f"{order_id}/{len(order.trade_ids)}",
            ts=event.ts_event,
            client_order_id=order_id,
            strategy=strategy,
            decision_id=decision_of(order.tags),
            side="SELL" if event.order_side == OrderSide.SELL else "BUY",
            quantity=event.last_qty.as_decimal(),
            price=price,
            reference_price=self._fill_model.reference(order, price),
            fee=event.commission.as_decimal(),
            fee_coin=event.commission.currency.code,
            liquidity="MAKER" if event.liquidity_side == LiquiditySide.MAKER else "TAKER",
            kind=self._kinds.get(order_id, "order"),
            source="backtest",
        )
        if is_spot(fill.instrument):
            instrument = self.cache.instrument(event.instrument_id)
            fill = self.lots.book(exact_fee(fill, instrument, event.liquidity_side))
            pay_in_cash(self.exchange, self.cache, event)
        self.fills.append((fill, self.ledger.book(fill)))
        self._positions = self._holdings = None
        column = self._market.column[fill.instrument]
        if is_spot(fill.instrument):
            self.overdrawn = min(self.overdrawn, self._wallet())
        self._quantity[column] = float(self.ledger.quantities.get(fill.instrument, ZERO))
        self._cash = float(self.ledger.cash)
        self._valued = None
        if self.on_fill is not None:
            self.on_fill(fill)
        if self._desk is not None:
            self._desk.filled(fill)
        if self.on_sale is not None and fill.side == "SELL" and is_spot(fill.instrument):
            self.on_sale()
