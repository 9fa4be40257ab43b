"""Builds the backtest engine from a document. Engine-specific.

Strategies and their parameters come from the same setup as a live node's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from typing import Any

from nautilus_trader.backtest.engine import BacktestEngine
from nautilus_trader.common.component import deregister_component_clock
from nautilus_trader.config import (
    BacktestEngineConfig,
    CacheConfig,
    LoggingConfig,
    RiskEngineConfig,
)
from nautilus_trader.model.enums import AccountType, BookType, OmsType
from nautilus_trader.model.identifiers import Venue as VenueId
from nautilus_trader.model.objects import Money

from actors.closing.closer import Closer
from actors.desk.build import decisions_of
from actors.desk.guard import GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.gate.gate import OrderGate
from actors.measures import Floats
from actors.records.ledger import Ledger
from backtests.engine.accountant import Accountant
from backtests.engine.books import BookClient, BookFillModel, FillMids, VenueBooks
from backtests.engine.candle_path import CandlePath
from backtests.engine.coins import CoinFeeModel, no_coins
from backtests.engine.guard_desk import AtStampClient, risk_desk
from backtests.engine.latency import command_delay_ns, feed_delay_ns
from backtests.engine.market import RunMarket
from backtests.engine.venue import DeskFillModel, NextPrintClient
from catalog.instruments import VENUE
from config.components import resolve
from config.documents import Backtest, Setup, StrategyComponent, Venue
from config.params import build_params
from config.universe import select
from strategies.base import DeskStrategy
from strategies.desk_config import DeskStrategyConfig
from strategies.engine_class import engine_class
from strategies.market_view import BookSource
from strategies.order_ids import BACKTEST_TAG

TRADES_KEPT = 1_000
"""Newest trades and quotes of an instrument that strategies can see, with quotes and books."""


@dataclass(frozen=True)
class BacktestDesk:
    """An engine with all components of a document."""

    engine: BacktestEngine
    accountant: Accountant
    gate: OrderGate
    strategies: dict[str, DeskStrategy]
    risk: RiskDesk | None = None
    books: VenueBooks | None = None
    fill_mids: FillMids | None = None
    """Both with ``venue.market`` quotes or book."""


def strategies_of(setup: Setup, ids: list[str]) -> dict[str, DeskStrategy]:
    """Return the enabled strategies by key, each with its own instruments of the universe."""
    made = {}
    for key, component in setup.strategies.items():
        if not component.enabled:
            continue
        cls = engine_class(resolve(component.use, setup.allow))
        made[key] = cls(strategy_config(key, component, setup, ids))
    return made


def strategy_config(
    key: str,
    component: StrategyComponent,
    setup: Setup,
    ids: list[str],
    *,
    node: str = BACKTEST_TAG,
    claims: bool = False,
) -> DeskStrategyConfig:
    """Return a strategy's whole configuration, for backtests and live nodes.

    ``node`` is the tag in order ids. With ``claims`` (live only) the strategy owns the orders that
    are found at the venue in its instruments.
    """
    cls = resolve(component.use, setup.allow)
    config = cls.Config(
        **build_params(cls, component.params),
        key=key,
        instruments=tuple(select(ids, setup.universe, component)),
        node=node,
        claims=claims,
    )
    assert isinstance(config, DeskStrategyConfig)
    return config


def build(
    document: Backtest,
    market: RunMarket,
    strategies: dict[str, DeskStrategy],
    opening_prices: Floats,
    *,
    prints_to_wait: int = 1,
    guards: Mapping[str, GuardActor] | None = None,
) -> BacktestDesk:
    """Build the engine.

    ``opening_prices`` (shape (N,)) are the newest closes before the window, NaN where unknown. With
    ``prints_to_wait`` 2 orders fill one bar later, as in the stress row. Without ``guards`` (from
    `actors.desk.build.guards_of`) there is no risk desk.
    """
    venue = document.venue
    engine = BacktestEngine(
        BacktestEngineConfig(
            trader_id="DESK-BT",
            logging=LoggingConfig(bypass_logging=True),
            run_analysis=False,
            # Strategies keep their own history; the engine's default is 10,000 of each.
            cache=CacheConfig(tick_capacity=8 if venue.by_candles else TRADES_KEPT, bar_capacity=8),
            # No rate limits: the engine would drop orders above them, not queue them.
            risk_engine=RiskEngineConfig(
                max_order_submit_rate="1000000/00:00:01", max_order_modify_rate="1000000/00:00:01"
            ),
        )
    )
    by_candles = venue.by_candles
    fill_model = DeskFillModel(venue.slippage) if by_candles else BookFillModel(venue.queue)
    ledger = Ledger(starting=venue.starting_balance)
    accountant = Accountant(ledger, market, fill_model, liquidation=venue.liquidation)
    at_close = venue.fills == "signal_close"
    engine.add_venue(
        venue=VenueId(VENUE),
        oms_type=OmsType.NETTING,
        account_type=AccountType.MARGIN,
        starting_balances=[
            Money(venue.starting_balance, market.currency),
            *no_coins(market.instruments),
        ],
        default_leverage=Decimal(venue.leverage),
        modules=[accountant],
        fill_model=fill_model,
        fee_model=CoinFeeModel(accountant.lots),
        book_type=BookType.L2_MBP if venue.market == "book" else BookType.L1_MBP,
        bar_execution=at_close,
        trade_execution=True,
        liquidity_consumption=not by_candles,
        queue_position=not by_candles and venue.queue != "optimistic",
        support_contingent_orders=False,
    )
    for instrument in market.instruments:
        engine.add_instrument(instrument)
    kernel = engine.kernel
    exchange = accountant.exchange
    books = fill_mids = None
    client: BookClient | NextPrintClient | None = None
    if isinstance(fill_model, BookFillModel):
        books = VenueBooks(exchange, market)
        fill_model.mid = books.mid
        delay = partial(command_delay_ns, venue.latency)
        client = BookClient(exchange, kernel, accountant, fill_model, delay)
        accountant.close_market = client.close_market
        accountant.live_prices = books
        fill_mids = FillMids(books, accountant, market)
        accountant.on_fill = fill_mids.filled
    elif not at_close:
        client = NextPrintClient(exchange, kernel, prints_to_wait)
        accountant.path = CandlePath(venue.path, exchange, client, market, fill_model.tick)
    elif guards:
        client = AtStampClient(exchange, kernel, accountant)
    accountant.send_now = exchange.exec_client.submit_order
    if client is not None:
        kernel.exec_engine.deregister_client(exchange.exec_client)
        exchange.register_client(client)
        kernel.exec_engine.register_client(client)
        accountant.send_now = client.send_now
        accountant.take_back_all = client.take_back_all
    if isinstance(client, NextPrintClient):
        client.unpaid = accountant.unpaid
        accountant.on_sale = client.pay_waiting
    accountant.begin(opening_prices)
    gate = OrderGate(kernel, accountant, float(venue.leverage))
    risk = None
    if guards:
        decisions = decisions_of(strategies)
        book_of = books.book if books is not None and venue.market == "book" else None
        risk = risk_desk(
            kernel, accountant, market, guards, Decimal(venue.leverage), decisions, book_of
        )
        risk.join(gate)
        for guard in guards.values():
            engine.add_actor(guard)
            # It sets no timers: the engine would wind each clock on with every message.
            deregister_component_clock(kernel.instance_id, guard.clock)
        owners = {name: key for key, made in strategies.items() for name in made.ids}
        engine.add_actor(
            Closer(document.risk, gate, accountant, owners, risk_engine=kernel.risk_engine)
        )
    for strategy in strategies.values():
        engine.add_strategy(strategy)
    return BacktestDesk(engine, accountant, gate, strategies, risk, books, fill_mids)


def show_market(desk: BacktestDesk, venue: Venue) -> None:
    """Let strategies see what the run has: the venue's quotes or books, or candles alone."""
    for strategy in desk.strategies.values():
        if desk.books is None:
            strategy.expect_book("none")
        else:
            delay = partial(feed_delay_ns, venue.latency)
            source: BookSource = "book" if venue.market == "book" else "quotes"
            strategy.market.read_venue(desk.books.book, delay, source)


def signal_intervals(strategies: dict[str, DeskStrategy]) -> dict[str, int]:
    """Return the strategies' candle intervals, each with the longest history needed."""
    needed: dict[str, int] = {}
    for strategy in strategies.values():
        for interval, bars in strategy.history_needed().items():
            needed[interval] = max(bars, needed.get(interval, 0))
    return needed


def subscribe(desk: BacktestDesk, topic: str, handler: Callable[[Any], None]) -> None:
    """Call the handler with every message of a topic."""
    desk.engine.kernel.msgbus.subscribe(topic, handler)
