"""The drill's strategy: carries out instructions and ignores verdicts.

Engine-specific. A guard must stop it without its help: it does not close on a flatten, does not
size by verdicts, and retries entries.
"""

from __future__ import annotations

from collections.abc import Container
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderCanceled, OrderEvent
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from actors.guards.core.drill import Trade
from config.durations import SECOND_NS
from live_nodes.drill.world import Insist, Instruction, read_instruction
from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.messages import Verdict
from strategies.order_tags import reason_of

LOOK_NS = 50_000_000
TO_HOLD = "drill: to be held"
HOLD_AGAIN_S = 0.5
"""Pause before what a hold's market order found nobody for is sent again; a book fills up."""


class DrillConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Configuration of the drill's strategy.

    `instructions` is the file in which they come; empty where `Drill.obey` is called instead.
    """

    instructions: str = ""


class Drill(DeskStrategy):
    """Holds, trades and retries entries as instructed."""

    Config = DrillConfig

    sizes_by_verdicts = True
    """It claims to, and does not: what is too large must be refused, not made smaller."""

    def on_start(self) -> None:
        """Start to look for instructions."""
        super().on_start()
        self._number = -1
        self._insists: Insist | None = None
        self._timers = 0
        self._holds: dict[InstrumentId, Decimal] = {}
        if self.config.instructions:
            self._file = Path(self.config.instructions)
            self._every("instructions", LOOK_NS, self._look)

    def on_flatten(self, instruments: Container[str], verdict: Verdict) -> None:
        """Do nothing: the desk's closer must close without its help."""

    def on_halt(self, instruments: Container[str], verdict: Verdict) -> None:
        """Do nothing: the guards must stop it without its help."""

    def resume(self) -> bool:
        """Do nothing: the desk carries out the standing verdict."""
        return False

    def on_stop(self) -> None:
        """Stop the retries."""
        self._insists = None

    def on_order_event(self, event: OrderEvent) -> None:
        """Send again what the exchange cancelled of a hold, as where its book is thin."""
        super().on_order_event(event)
        if isinstance(event, OrderCanceled) and event.instrument_id in self._holds:
            order = self.cache.order(event.client_order_id)
            if order is not None and reason_of(order.tags) == TO_HOLD:
                self._at(HOLD_AGAIN_S, partial(self._hold_again, self._number, order.instrument_id))

    def obey(self, instruction: Instruction) -> None:
        """Carry out an instruction, unless it came before."""
        if instruction.number == self._number:
            return
        self._number = instruction.number
        holds = instruction.hold.items()
        self._holds = {InstrumentId.from_str(name): Decimal(size) for name, size in holds}
        for name in sorted(self._holds):
            self._hold(name)
        for trade in instruction.trades:
            if trade.after:
                self._at(trade.after, partial(self._trade, trade))
            else:
                self._trade(trade, None)
        insisted, self._insists = self._insists, instruction.insist
        if self._insists == insisted:
            return
        if insisted is not None:
            self.clock.cancel_timer("insist")
        if self._insists is not None:
            self._every("insist", round(self._insists.every * SECOND_NS), self._try)

    def _hold(self, name: InstrumentId) -> None:
        order = self._holds[name] - self.holding(name)
        if order:
            self.send_market(name, order, TO_HOLD)

    def _hold_again(self, number: int, name: InstrumentId, event: Any) -> None:
        if number == self._number and not self.orders_under_way({name.value}):
            self._hold(name)

    def _look(self, event: Any) -> None:
        instruction = read_instruction(self._file)
        if instruction is not None:
            self.obey(instruction)

    def _try(self, event: Any) -> None:
        wanted = self._insists
        if wanted is not None:
            name = InstrumentId.from_str(wanted.instrument)
            self.send_market(name, Decimal(wanted.quantity), "drill: insists")

    def _trade(self, trade: Trade, event: Any) -> None:
        name = InstrumentId.from_str(trade.instrument)
        quantity = Decimal(trade.quantity) or -self.holding(name)
        if not quantity:
            return
        if trade.away:
            self._rest(name, quantity, trade.away)
        else:
            self.send_market(name, quantity, "drill: trades")

    def _rest(self, name: InstrumentId, quantity: Decimal, away: float) -> None:
        found = self.instrument(name)
        price = self.market.newest_price(name)
        if price is None:
            raise ValueError(f"no price of {name} is known")
        buys = quantity > 0
        price *= 1 - Decimal(repr(away)) if buys else 1 + Decimal(repr(away))
        self.send(
            self.order_factory.limit(
                name,
                OrderSide.BUY if buys else OrderSide.SELL,
                Quantity(abs(quantity), found.size_precision),
                found.make_price(price),
                tags=["drill: rests"],
                client_order_id=self.next_order_id(),
            )
        )

    def _every(self, name: str, pause_ns: int, then: Any) -> None:
        self.clock.set_timer_ns(name, pause_ns, self.clock.timestamp_ns(), 0, self.on_loop(then))

    def _at(self, seconds: float, then: Any) -> None:
        self._timers += 1
        at = self.clock.timestamp_ns() + round(seconds * SECOND_NS)
        self.clock.set_time_alert_ns(f"trade {self._timers}", at, self.on_loop(then))
