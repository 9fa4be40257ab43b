"""The backtest world of a drill: the backtests' engine, gate, guards and closer, in memory.

Engine-specific. Prices change only by a step, and nothing is random, so each drill is the same.
Time passes in slices like the catalog's, with rows at least a second apart. Events that a simulated
venue can't have (late messages, failed requests, announcements, a human at the account) go directly
to the guards' desk (`injected`).

A restart is a second engine with only a copy of the guard's saved state; its first verdicts count.
The first engine goes on, as a backtest can't move positions into another engine.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import msgspec
import numpy as np
from nautilus_trader.core.data import Data
from nautilus_trader.execution.messages import SubmitOrder, TradingCommand
from nautilus_trader.model.data import QuoteTick, TradeTick
from nautilus_trader.model.enums import AggressorSide
from nautilus_trader.model.identifiers import TradeId

from actors.desk.build import guards_of
from actors.desk.guard import GuardActor
from actors.guards.core import drill
from actors.guards.core.drill import KEY, Scene, Step, facts_of
from actors.guards.core.snapshot import Market as MarketFact
from actors.records.order_facts import OrderFacts
from actors.records.prices import CachePrices
from backtests.engine.build import BacktestDesk, build, strategies_of, subscribe
from backtests.engine.feed import PriceGrid, Settlement
from backtests.engine.market import RunMarket, market_of
from catalog.instruments import InstrumentInfo, instrument_info, split_id
from config.documents import Backtest, FixedBpsSlippage
from config.durations import SECOND_NS, nanoseconds, parse
from config.errors import GateRefused
from config.resolved import Resolved
from live_nodes.drill.documents import backtest_document
from live_nodes.drill.strategy import Drill
from live_nodes.drill.world import (
    DrillError,
    Instruction,
    RefusedEntry,
    Restarted,
    TimedVerdict,
    World,
    WorldName,
    first_of_each_scope,
)
from live_nodes.local.mailbox import OPERATOR
from live_nodes.node.operator_desk import OperatorGuard
from strategies import refusals
from strategies.messages import Verdict
from strategies.state import MemoryState

BEGIN_NS = nanoseconds(parse("2024-01-02T01:00:00Z"))
MOST_ROWS = 240
"""Most rows of one slice of time."""
FUNDING_MINUTES = 480
AFTER_RESTART = 2.0


@dataclass
class Tape:
    """Prices of the drill's market, and its faults; `now` is UNIX nanoseconds (UTC).

    `quoted_bps` is the distance of best bid and ask from the price, where a book is shown; `thin`
    ones have the least quantity there. `silent`
    instruments send nothing. Messages are `late` by these nanoseconds.
    """

    now: int
    prices: dict[str, Decimal]
    quoted_bps: dict[str, tuple[float, float]] = field(default_factory=dict)
    thin: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)
    late: dict[str, int] = field(default_factory=dict)


class Engine:
    """One engine with the guard, on a tape; `store` has the guard's saved state."""

    def __init__(
        self, document: Backtest, market: RunMarket, tape: Tape, key: str, store: MemoryState
    ) -> None:
        self.market, self.tape, self.store = market, tape, store
        self.verdicts: list[TimedVerdict] = []
        self.refusals: list[RefusedEntry] = []
        self.rejects = 0
        guards = guards_of(document)
        if key == OPERATOR:
            guards[key] = OperatorGuard()
        strategies = strategies_of(document, list(market.ids))
        opening = np.array([float(tape.prices[name]) for name in market.ids])
        self.desk: BacktestDesk = build(document, market, strategies, opening, guards=guards)
        self.guard: GuardActor = guards[key]
        assert self.desk.risk is not None
        self.guard.attach(self.desk.risk, store)
        strategy = strategies[KEY]
        assert isinstance(strategy, Drill)
        strategy.expect_book("none")
        self.strategy = strategy
        self.desk.gate.observers.append(self)
        self.desk.gate.sender = self._send
        self._facts = self.desk.risk.market
        self._quotes = CachePrices(self.desk.engine.kernel.cache)
        self.desk.risk.market = self._late_facts
        subscribe(self.desk, f"verdicts.{key}", self._on_verdict)

    def run(self, seconds: float) -> None:
        """Run for some seconds of simulated time."""
        tape, count = self.tape, max(1, min(MOST_ROWS, math.ceil(seconds)))
        start, end = tape.now, tape.now + round(seconds * SECOND_NS)
        stamps = np.linspace(start, end, count + 1).astype(np.int64)
        shape = (count, len(self.market.ids))
        close = np.broadcast_to([float(tape.prices[name]) for name in self.market.ids], shape)
        real = np.broadcast_to([name not in tape.silent for name in self.market.ids], shape)
        grid = PriceGrid(stamps[1:], close, close, close, {}, real)
        self.desk.accountant.begin_slice(grid, self._settlements(start, end))
        data = [made for ts in stamps[:-1] for made in self._ticks(int(ts))]
        engine = self.desk.engine
        if data:
            engine.add_data(data, sort=True, validate=False)
        engine.run(start=start, end=end - 1, streaming=True)
        engine.clear_data()
        tape.now = end

    def close(self) -> None:
        """Free what the engine holds."""
        self.desk.engine.dispose()

    def intended(self, facts: OrderFacts) -> None:
        """Do nothing: only refusals are recorded."""

    def refused(self, facts: OrderFacts, refusal: refusals.Refusal) -> None:
        """Record a refusal."""
        if facts.operation == "submit":
            self.refusals.append(RefusedEntry(facts.ts, refusal))

    def _on_verdict(self, verdict: Verdict) -> None:
        self.verdicts.append(TimedVerdict(self.desk.engine.kernel.clock.timestamp_ns(), verdict))

    def _send(self, command: TradingCommand, sent: Any) -> None:
        if self.rejects and isinstance(command, SubmitOrder) and not sent[0].is_exit:
            self.rejects -= 1
            order, client = command.order, self.desk.accountant.exchange.exec_client
            now = self.desk.engine.kernel.clock.timestamp_ns()
            names = (order.strategy_id, order.instrument_id, order.client_order_id)
            client.generate_order_submitted(*names, now)
            client.generate_order_rejected(*names, "110007: the drill rejects it", now)
            return
        self.desk.gate.forward(command)

    def _late_facts(self, now: int) -> dict[str, MarketFact]:
        assert self._facts is not None
        found = dict(self._facts(now))
        for name in self.tape.quoted_bps:
            # A backtest on candles has no quotes but these.
            bid, ask, *sizes = self._quotes.touch(name)
            found[name] = msgspec.structs.replace(
                found[name], bid=bid, ask=ask, bid_size=sizes[0], ask_size=sizes[1]
            )
        late = self.tape.late.items()
        return found | {n: msgspec.structs.replace(found[n], delay_ns=ns) for n, ns in late}

    def _ticks(self, ts: int) -> list[Data]:
        made: list[Data] = []
        for name, instrument in zip(self.market.ids, self.market.instruments, strict=True):
            if name in self.tape.silent:
                continue
            price = self.tape.prices[name]
            last, size = instrument.make_price(price), instrument.make_qty(1_000_000)
            aggressor = AggressorSide.NO_AGGRESSOR
            made.append(TradeTick(instrument.id, last, size, aggressor, TradeId("OPEN"), ts, ts))
            if name in self.tape.quoted_bps:
                bid, ask = (
                    instrument.make_price(price * (1 + Decimal(repr(bps)) / 10_000))
                    for bps in self.tape.quoted_bps[name]
                )
                shown = instrument.min_quantity if name in self.tape.thin else size
                made.append(QuoteTick(instrument.id, bid, ask, shown, shown, ts, ts))
        return made

    def _settlements(self, start: int, end: int) -> list[Settlement]:
        period = FUNDING_MINUTES * 60 * SECOND_NS
        found = []
        for stamp in range((start // period + 1) * period, end + 1, period):
            for info in self.market.infos:
                if info.funding_minutes:
                    price = self.tape.prices[info.id]
                    found.append(Settlement(stamp, info.id, Decimal("0.0001"), price))
        return found


class BacktestWorld(World):
    """The backtests' engine with one guard; `changed` are parameters that the drill changes."""

    name: WorldName = "backtest"

    def __init__(self, resolved: Resolved, scene: Scene, changed: Mapping[str, object]) -> None:
        self._scene = scene
        self._document = backtest_document(resolved, scene, changed)
        infos = [_info(name) for name in scene.instruments]
        self._market = market_of(infos, self._document.venue)
        self._tape = Tape(BEGIN_NS, {name: facts_of(name).price for name in scene.instruments})
        self._engine: Engine | None = None
        self._over = 0

    def start(self) -> None:
        """Start the engine and evaluate the guards once."""
        self._engine = Engine(
            self._document, self._market, self._tape, self._scene.key, MemoryState()
        )
        self._engine.run(2.0)

    def now(self) -> int:
        """Return the simulated time."""
        return self._tape.now

    def advance(self, seconds: float) -> None:
        """Run for some seconds of simulated time."""
        if seconds > 0:
            self._running.run(seconds)

    def instruct(self, instruction: Instruction) -> None:
        """Give the strategy an instruction."""
        self._running.strategy.obey(instruction)

    def _perform(self, step: Step) -> int | None:
        tape, engine = self._tape, self._running
        risk = engine.desk.risk
        assert risk is not None
        began = self.now()
        match step:
            case drill.Move(instrument, by):
                self._move(instrument, by)
            case drill.Moves(instruments, rows, every):
                for row in rows:
                    for instrument, by in zip(instruments, row, strict=True):
                        self._move(instrument, by)
                    began = self.now()
                    self.advance(every)
            case drill.Book(instrument, "crossed", bps, _):
                tape.quoted_bps[instrument] = (bps / 2, -bps / 2)
            case drill.Book(instrument, kind, bps, _):
                tape.quoted_bps[instrument] = (-bps / 2, bps / 2)
                if kind == "gap":
                    tape.thin.add(instrument)
            case drill.Silence(instrument, _):
                tape.silent.add(instrument)
            case drill.Late(instrument, by, _):
                self.injected = True
                tape.late[instrument] = round(by * SECOND_NS)
            case drill.Funding(_, before, after):
                period = FUNDING_MINUTES * 60 * SECOND_NS
                settles = (began // period + 1) * period
                opens = settles - round(before * SECOND_NS)
                self._over = settles + round(after * SECOND_NS)
                # Up to the last second before the window.
                self.advance((opens - began) / SECOND_NS - 1.0)
                began = opens
            case drill.Announced(title, _):
                self.injected = True
                risk.maintenance = title
            case drill.Rejects(_, times, _, _):
                engine.rejects = times
            case drill.Failures(times, _):
                self.injected = True
                for number in range(times):
                    risk.erred("drill", f"request {number + 1} failed")
            case drill.Strange(instrument, weight):
                self.injected = True
                risk.differed("external_position", instrument, f"{weight:g} of equity by hand")
            case drill.KillSwitch():
                assert isinstance(engine.guard, OperatorGuard)
                engine.guard.halt("desk", "drill")
            case drill.Slips(_, bps, _, _, _):
                slippage = FixedBpsSlippage(bps=Decimal(repr(bps)))
                engine.desk.accountant.exchange.fill_model.slippage = slippage
            case drill.Mended():
                for name in tape.quoted_bps:
                    # A tick, the narrowest that there is.
                    tick = facts_of(name).tick / tape.prices[name]
                    tape.quoted_bps[name] = (0.0, float(tick) * 10_000)
                tape.thin.clear()
                tape.silent.clear()
                tape.late.clear()
                risk.maintenance = ""
                self.advance((self._over - self.now()) / SECOND_NS)
            case _:
                raise TypeError(f"the strategy does it, not the market: {step}")
        return began

    def price(self, instrument: str) -> Decimal:
        """Return the newest price of the tape."""
        return self._tape.prices[instrument]

    def positions(self) -> dict[str, Decimal]:
        """Return the positions of the venue's ledger."""
        return {k: v for k, v in self._running.desk.accountant.ledger.quantities.items() if v}

    def verdicts(self) -> list[TimedVerdict]:
        """Return the guard's verdicts."""
        return list(self._running.verdicts)

    def refusals(self) -> list[RefusedEntry]:
        """Return what the gate refused."""
        return list(self._running.refusals)

    def restart(self, insist: Instruction) -> Restarted:
        """Start a second engine with a copy of the guard's saved state."""
        running = self._running
        store = MemoryState()
        store.values = dict(running.store.values)
        worth = running.desk.accountant.worth()
        venue = self._document.venue.model_copy(update={"starting_balance": worth})
        document = self._document.model_copy(update={"venue": venue})
        tape = Tape(self._tape.now, dict(self._tape.prices))
        again = Engine(document, self._market, tape, self._scene.key, store)
        try:
            again.run(0.1)
            again.strategy.obey(insist)
            again.run(AFTER_RESTART)
        finally:
            again.close()
        standing = first_of_each_scope(timed.verdict for timed in again.verdicts)
        return Restarted(standing, tuple(again.refusals))

    def release(self, scope: str, *, accept: bool) -> str:
        """Release the guard's halt, as a node does by its mailbox."""
        try:
            self._running.guard.release(scope, accept, "drill")
        except GateRefused as error:
            return str(error)
        return ""

    def close(self) -> None:
        """Free the engine."""
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    @property
    def _running(self) -> Engine:
        if self._engine is None:
            raise DrillError("the engine does not run")
        return self._engine

    def _move(self, instrument: str, by: float) -> None:
        tick = facts_of(instrument).tick
        price = self._tape.prices[instrument] * (1 + Decimal(repr(by)))
        self._tape.prices[instrument] = max(tick, (price / tick).to_integral_value() * tick)


def _info(name: str) -> InstrumentInfo:
    symbol, product = split_id(name)
    tick, lot = (f"{step:f}" for step in (facts_of(name).tick, facts_of(name).lot))
    margins = {"max_leverage": "100", "maintenance_margin": "0.005"}
    return instrument_info(
        symbol, product, tick=tick, lot=lot, funding_minutes=FUNDING_MINUTES, **margins
    )
