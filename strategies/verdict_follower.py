"""Carry out verdicts for a strategy: exit positions, or cancel entries. Engine-specific.

It acts only on what is new: guards publish a verdict again after each evaluation, which must not
send exits again.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from decimal import Decimal

from nautilus_trader.model.identifiers import InstrumentId

from strategies.broker import Broker
from strategies.market_view import MarketView
from strategies.messages import NOTHING_STANDS, Action, Verdict, strictest
from strategies.sizing.rounding import ZERO, shrunk
from strategies.verdicts import VerdictBoard, halted_for_good, passes

EXIT = "flatten"
"""Reason in the tags of exits."""
Act = Callable[[set[str], Verdict], None]


class VerdictFollower:
    """Standing verdicts on one strategy, and the reaction to new ones.

    ``on_flatten`` and ``on_halt`` are called with the instruments that are new to exit, or not to
    enter, and the verdict. ``could_not_clear`` is called when cancels are not answered.
    """

    def __init__(
        self,
        key: str,
        instrument_ids: Sequence[InstrumentId],
        market: MarketView,
        broker: Broker,
        *,
        on_flatten: Act,
        on_halt: Act,
        could_not_clear: Callable[[], None],
    ) -> None:
        self._scopes = ("desk", f"strategy:{key}")
        self._instrument_ids = instrument_ids
        self._ids = [instrument_id.value for instrument_id in instrument_ids]
        self._market, self._broker = market, broker
        self._on_flatten, self._on_halt = on_flatten, on_halt
        self._could_not_clear = could_not_clear
        self._board = VerdictBoard()
        self._waiting: set[str] = set()
        self._leaving: set[str] = set()
        self._halting: set[str] = set()

    def begin(self, board: VerdictBoard) -> None:
        """Read verdicts from a board; those on it at the start are not new."""
        self._board = board
        self._leaving, self._halting = self.to_leave(), self._halted()

    @property
    def strictest(self) -> Verdict:
        """The strictest standing verdict on the desk or on this strategy."""
        return self._board.strictest(self._scopes)

    def on(self, instrument: str) -> list[Verdict]:
        """Return all verdicts on an instrument, including the desk's."""
        return self._board.on((*self._scopes, f"instrument:{instrument}"))

    def strictest_on(self, instrument: str) -> Verdict:
        """Return the strictest verdict on an instrument, including the desk's."""
        return self._board.strictest((*self._scopes, f"instrument:{instrument}"))

    def lasting_on(self, instrument: str, by_ns: int) -> Verdict:
        """Return the strictest verdict on an instrument, without halts that pass by a time."""
        return strictest([v for v in self.on(instrument) if not passes(v, by_ns)])

    def halts(self, instrument: str) -> bool:
        """Whether a verdict lets nothing enter an instrument; the order gate refuses it anyway."""
        return self.strictest_on(instrument).action >= Action.HALT_ENTRIES

    def shrink_on(self, instrument: str) -> Verdict:
        """Return the verdict that shrinks entries in an instrument most; without one, size 1."""
        found = [v for v in self.on(instrument) if v.action == Action.SHRINK]
        return min(found, key=lambda v: v.multiplier, default=NOTHING_STANDS)

    def shrunk(self, instrument_id: InstrumentId, quantity: Decimal) -> Decimal:
        """Return what `shrink` verdicts leave of an order, signed base coin; exits stay whole."""
        multiplier = Decimal(repr(self.shrink_on(instrument_id.value).multiplier))
        held, lot = self._market.holding(instrument_id), self._market.lot(instrument_id)
        return shrunk(held, quantity, multiplier, lot.step)

    def follow(self, verdict: Verdict) -> None:
        """React to changes by a verdict, which is on the board already."""
        left, halted = self._leaving, self._halting
        self.begin(self._board)
        leave = self._leaving - left
        recall = self._halting - halted - leave
        if leave:
            self._on_flatten(leave, verdict)
        if recall:
            self._on_halt(recall, verdict)

    def to_leave(self) -> set[str]:
        """Return ids of instruments that a verdict flattens."""
        return {n for n in self._ids if self.strictest_on(n).action == Action.FLATTEN}

    def left_to_leave(self) -> set[str]:
        """Return ids of instruments that a verdict flattens and that have a position."""
        held = self._market.holdings()
        return {name for name in self.to_leave() if held.get(name)}

    def leave(self, instruments: Container[str]) -> None:
        """Cancel own orders in the instruments, then close the positions at market."""
        # A new wait replaces the one before, which may have been for other instruments.
        self._waiting |= {name for name in self._ids if name in instruments}
        self._broker.when_clear(
            self._exit, or_else=self._give_up, instruments=frozenset(self._waiting)
        )

    def recall(self, instruments: Container[str]) -> None:
        """Cancel entry orders in the instruments; exits continue."""
        broker = self._broker
        entering = {name for name in broker.entering() if name in instruments}
        if entering:
            broker.stop(entering)
        for order in broker.under_way(instruments):
            if broker.is_entry(order):
                broker.cancel(order)

    def _exit(self) -> None:
        waiting, self._waiting = self._waiting, set()
        for instrument_id in self._instrument_ids:
            held = self._market.holding(instrument_id)
            if instrument_id.value in waiting and held != ZERO:
                self._broker.send_market(instrument_id, -held, EXIT, decision_id="")

    def _give_up(self) -> None:
        self._waiting = set()
        self._could_not_clear()

    def _halted(self) -> set[str]:
        return {name for name in self._ids if halted_for_good(self.on(name))}
