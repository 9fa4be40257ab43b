"""A guard small enough to be followed by hand, and a desk for it without an engine.

`Loss` halts entries when the account has lost its limit since the first snapshot, counts events,
and refuses one entry too many at a moment by `LossGuard.admit`.
"""

from collections.abc import Callable
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, get_args

import msgspec
from nautilus_trader.cache.cache import Cache
from nautilus_trader.common.component import Clock, MessageBus, TestClock
from nautilus_trader.model.identifiers import StrategyId, TraderId
from nautilus_trader.portfolio.portfolio import Portfolio

from actors.desk.books import StrategyBooks
from actors.desk.guard import GuardActor
from actors.desk.risk_desk import RiskDesk
from actors.guards.core.guard import Guard, Measured
from actors.guards.core.limits import Reading, inside
from actors.guards.core.params import GuardParams
from actors.guards.core.snapshot import DeskEvent, Holding, OrderRequested, Snapshot
from actors.records.order_facts import OrderFacts
from strategies.messages import Verdict
from strategies.state import StateStore

A = "AAAUSDT-LINEAR.BYBIT"
EVENTS: frozenset[type] = frozenset(get_args(DeskEvent))


class LossParams(GuardParams, frozen=True, kw_only=True):
    limit: float = 100.0
    per_look: int = 1000
    fails_at: float = float("inf")


class LossState(msgspec.Struct, frozen=True):
    start: Decimal
    requests: int = 0
    seen: dict[str, int] = {}


class LossGuard(Guard[LossParams, LossState]):
    Config = LossParams
    State = LossState
    events = EVENTS

    def start(self, snapshot: Snapshot) -> LossState:
        return LossState(snapshot.equity)

    def measure(self, state: LossState, snapshot: Snapshot) -> Measured[LossState]:
        params = self.params
        if state.requests:
            state = LossState(state.start, 0, state.seen)
        lost = float(state.start - snapshot.equity)
        if lost >= params.fails_at:
            raise ZeroDivisionError("made to fail")
        reading = Reading(
            scope="desk",
            measured=lost,
            limit=params.limit,
            over=lost >= params.limit,
            clear=inside(lost, params.limit, params.hysteresis),
            action=params.asks,
            multiplier=params.multiplier,
            reason=f"{lost:g} lost",
        )
        return state, (reading,)

    def on_event(self, state: LossState, event: DeskEvent) -> tuple[LossState, Any]:
        name = type(event).__name__
        counts = state.seen | {name: state.seen.get(name, 0) + 1}
        return LossState(state.start, state.requests + (name == "OrderRequested"), counts), None

    def admit(self, state: LossState, order: OrderRequested, snapshot: Snapshot) -> str | None:
        return (
            f"{state.requests} requests already" if state.requests >= self.params.per_look else None
        )

    def released(self, state: LossState, snapshot: Snapshot, scope: str) -> LossState:
        return LossState(snapshot.equity, state.requests, state.seen)


class TransientParams(LossParams, frozen=True, kw_only=True):
    transient = True


class Loss(GuardActor):
    runs: type[LossGuard] = LossGuard

    def __init__(
        self,
        key: str = "loss",
        params: LossParams | None = None,
        store: StateStore | None = None,
        **more: Any,
    ) -> None:
        super().__init__(key, self.runs(params or LossParams(**more)))
        self._own_store = store

    def attach(self, desk: RiskDesk, store: StateStore | None = None) -> None:
        """Join the desk, with a store of the test's own where backtests have none."""
        super().attach(desk, self._own_store or store)


class Account:
    def __init__(self, equity: str = "1000") -> None:
        self.known = True
        self.equity_is = Decimal(equity)
        self.held: list[Holding] = []
        self.prices: dict[str, Decimal] = {A: Decimal(10)}

    def value(self) -> tuple[float, float]:
        return float(self.equity_is), 0.0

    def position(self, instrument: str) -> Decimal:
        return sum((h.quantity for h in self.held if h.instrument == instrument), Decimal(0))

    def price(self, instrument: str) -> Decimal | None:
        return self.prices.get(instrument)

    def worth(self) -> Decimal | None:
        return self.equity_is if self.known else None

    def balance(self) -> Decimal | None:
        return self.worth()

    def holdings(self) -> tuple[Holding, ...]:
        return tuple(self.held)


class Table:
    """A desk of guards on a bus of its own; ``said`` has all verdicts.

    What the desk puts off until the engine is done happens at `done`.
    """

    def __init__(
        self,
        *guards: GuardActor,
        clock: Clock | None = None,
        keys: tuple[str, ...] = ("a",),
        **desk: Any,
    ) -> None:
        self.clock = clock or TestClock()
        self.bus = MessageBus(TraderId("DESK-001"), self.clock)
        self.cache = Cache()
        self.account = Account()
        self.said: list[Verdict] = []
        self.seen: list[Any] = []
        self.put_off: list[Callable[[], None]] = []
        self.bus.subscribe("verdicts.*", self.said.append)
        self.bus.subscribe("risk.seen", self.seen.append)
        ids = [StrategyId(f"Made-{key}") for key in keys]
        kernel = SimpleNamespace(
            clock=self.clock,
            msgbus=self.bus,
            cache=self.cache,
            trader=SimpleNamespace(strategy_ids=lambda: ids),
        )
        self.desk = RiskDesk(
            kernel,
            self.account,
            StrategyBooks(),
            {guard.key: guard for guard in guards},
            leverage=Decimal(3),
            later=self.put_off.append,
            **desk,
        )
        portfolio = Portfolio(self.bus, self.cache, self.clock)
        for guard in guards:
            guard.attach(self.desk)
            guard.register_base(portfolio, self.bus, self.cache, self.clock)
            guard.start()

    def look(self, equity: str, now: int | None = None) -> None:
        """Evaluate an equity, by default a second after the last evaluation."""
        self.clock.set_time(self.clock.timestamp_ns() + 1_000_000_000 if now is None else now)
        self.account.equity_is = Decimal(equity)
        self.desk.evaluate()

    def looks(self, *equities: str) -> None:
        for equity in equities:
            self.look(equity)

    def done(self) -> None:
        waiting, self.put_off[:] = list(self.put_off), []
        for callback in waiting:
            callback()

    def entry(self, quantity: str = "1", **more: Any) -> OrderFacts:
        known: dict[str, Any] = {
            "operation": "submit",
            "client_order_id": "bt-a-1-1",
            "strategy": "a",
            "instrument": A,
            "side": "SELL" if quantity.startswith("-") else "BUY",
            "quantity": abs(Decimal(quantity)),
            "ts": self.clock.timestamp_ns(),
            "reference_price": self.account.price(more.get("instrument", A)),
        }
        return OrderFacts(**(known | more))
