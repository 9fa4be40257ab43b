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
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from actors.guards.core.drill import Trade
from live_nodes.drill.world import Insist, Instruction, read_instruction
from strategies.base import DeskStrategy, DeskStrategyConfig
from strategies.messages import Verdict

SECOND_NS = 1_000_000_000
LOOK_NS = 50_000_000


class DrillConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Configuration of the drill's strategy.

    `instructions` is the file in which they come; empty where `Drill.obey` is called instead.
    """

    instructions: str = ""


class Drill(DeskStrategy):
    """Holds, trades and retries entries as instructed."""

    Config = DrillConfig

    def on_start(self) -> None:
        """Start to look for instructions."""
        super().on_start()
        self._number = -1
        self._insists: Insist | None = None
        self._timers = 0
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

    def obey(self, instruction: Instruction) -> None:
        """Carry out an instruction, unless it came before."""
        if instruction.number == self._number:
            return
        self._number = instruction.number
        for name in sorted(instruction.hold):
            instrument_id = InstrumentId.from_str(name)
            wanted = Decimal(instruction.hold[name])
            order = wanted - self.holding(instrument_id)
            if order:
                self.send_market(instrument_id, order, "drill: to be held")
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
