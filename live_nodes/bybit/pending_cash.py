"""Track cash that executions moved and the wallet does not show yet. Engine-specific.

Executions and the wallet come as separate messages. Between the two, realised profit is in neither
the position nor the balance, and coins are there that are not paid yet: guards would see a false
fall or keep a false peak.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from decimal import Decimal
from typing import Any

from nautilus_trader.model.enums import OrderSide
from nautilus_trader.model.events import OrderFilled, PositionEvent, PositionOpened
from nautilus_trader.model.identifiers import ClientOrderId

from live_nodes.bybit.unanswered import unanswered

ZERO = Decimal(0)
PATIENCE_NS = 5_000_000_000
"""After this time the wallet is asked for: a link that was down gets no old push again."""
LONGEST_NS = 60_000_000_000
"""In which the engine learns of every own execution: it asks for orders, and sweeps compare."""
ASK_EVERY_NS = 1_000_000_000
LATE_NS = 1_000_000_000
"""A wallet older than the newest by more is a push that came late, not a difference of clocks."""
LEAST = Decimal(1)
"""Change of a wallet, USDT, of which the cause is looked for."""


_Moved = tuple[int, int, Decimal]
"""When an execution was, when it came (monotonic), and what it did to the cash."""


class PendingCash:
    """Adds up realised profit, fees included, and what coins cost, since the newest wallet.

    A wallet shows all executions before it. Of those of its own millisecond it shows the first so
    many that explain best how it changed. ``fetch`` asks the venue for the wallet, ``ask`` for
    executions and transfers (`follow`). With it, a change without any is believed only after a
    while: others' trades, transfers, and what a link lost, show in the wallet first. The venue's
    answer (`answered`), own executions that the engine has not (`expect`), and orders that nobody
    answered, are waited for longer.
    """

    def __init__(
        self,
        cache: Any,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        fetch: Callable[[], object] = lambda: None,
        ask: Callable[[], object] | None = None,
    ) -> None:
        self._cache, self._monotonic_ns, self._fetch, self.ask = cache, monotonic_ns, fetch, ask
        self._asked = self._since = self._answered = 0
        self._doubted: tuple[int, int] | None = None
        self._realised: dict[str, Decimal] = {}
        self._moved: list[_Moved] = []
        self._expected: list[tuple[str, str]] = []
        self._wallet: tuple[int, Decimal] | None = None
        self._unexplained = self._newest = ZERO

    def begin(self) -> None:
        """Treat all realised profit as shown, since the account was just fetched."""
        for position in self._cache.positions_open():
            self._realised[position.id.value] = _decimal(position.realized_pnl)

    def on_position_event(self, event: PositionEvent) -> None:
        """Add the profit that an execution realised."""
        name = event.position_id.value
        before = ZERO if isinstance(event, PositionOpened) else self._realised.get(name)
        now = self._realised[name] = _decimal(event.realized_pnl)
        position = self._cache.position(event.position_id)
        if before is None or position is None or position.last_event.reconciliation:
            # Inferred executions happened before, and are in the wallet.
            return
        moved = paid(position.last_event) if position.is_spot_currency else now - before
        self._moved.append((event.ts_event, self._monotonic_ns(), moved))
        self._newest += moved

    def follow(self, ts: int, moved: Decimal) -> None:
        """Add the cash that moved otherwise than by the books: others' trades, transfers, funding.

        What is found while the wallet's change is doubted is in that wallet: clocks differ.
        """
        now = self._monotonic_ns()
        if self._doubted is not None and self._wallet is not None:
            at = self._wallet[0]
            ts = at if at < ts <= at + LATE_NS else ts
        self._moved.append((ts, now, moved))
        self._newest += moved
        if self._doubted is not None:
            # Others trade on: what they did last may be found next.
            self._doubted = now, self._doubted[1]

    def answered(self, asked: int) -> None:
        """Take note that all executions are told that were there when it was asked (monotonic)."""
        self._answered = asked

    def expect(self, order: str, execution: str) -> None:
        """Wait for an own execution, by client order id and its own, until the engine has it."""
        self._expected.append((order, execution))
        self._expected = [one for one in self._expected if self._lacks(*one)]

    def _lacks(self, order: str, execution: str) -> bool:
        found = self._cache.order(ClientOrderId(order))
        return found is not None and all(one.value != execution for one in found.trade_ids)

    def known(self, drawn_up: int, balance: Decimal) -> Decimal:
        """Return the newest amount if it is that of this wallet, without a trace in a recording."""
        if self._wallet is None or not (
            self._wallet == (drawn_up, balance) or self._is_late(drawn_up)
        ):
            return ZERO
        return self._newest + self._wallet[1] - balance

    def amount(self, drawn_up: int, balance: Decimal) -> Decimal:
        """Return the cash missing in a wallet of `drawn_up` (venue time, UNIX nanoseconds, UTC).

        One that comes late lacks what the newest has more.
        """
        newest = balance
        if self._wallet is not None and self._is_late(drawn_up):
            drawn_up, newest = self._wallet
        self._newest = self._amount(drawn_up, newest)
        return self._newest + newest - balance

    def _is_late(self, drawn_up: int) -> bool:
        return self._wallet is not None and drawn_up < self._wallet[0] - LATE_NS

    def _amount(self, drawn_up: int, balance: Decimal) -> Decimal:
        if self._wallet != (drawn_up, balance):
            at, before = self._wallet or (0, balance)
            # A wallet of the same millisecond may come before the executions of the one before.
            if at != drawn_up and self._doubted is None:
                self._since, self._unexplained = max(self._since, at or drawn_up), ZERO
            self._unexplained += balance - before
            self._wallet = drawn_up, balance
        if not self._moved and not self._is_odd:
            self._doubted = None
            return ZERO
        now = self._monotonic_ns()
        # What an earlier wallet showed explains nothing of this one.
        self._moved = [row for row in self._moved if row[0] >= self._since]
        older = [row for row in self._moved if row[0] < drawn_up]
        same = [row for row in self._moved if row[0] == drawn_up]
        left = self._unexplained - _sum(older)
        shown = min(range(len(same), -1, -1), key=lambda count: abs(left - _sum(same[:count])))
        self._unexplained = left - _sum(same[:shown])
        self._moved = same[shown:] + [row for row in self._moved if row[0] > drawn_up]
        oldest = min((at for _, at, _ in self._moved), default=now)
        if now - max(oldest, self._asked) > PATIENCE_NS:
            self._asked = now
            self._fetch()
        doubted = self._doubt(now, drawn_up)
        return _sum(row for row in self._moved if row[0] >= self._since) - doubted

    @property
    def _is_odd(self) -> bool:
        return self.ask is not None and abs(self._unexplained) >= LEAST

    def _doubt(self, now: int, drawn_up: int) -> Decimal:
        """Return the wallet's change that is not believed yet, and ask for its executions."""
        if not self._is_odd or self.ask is None:
            self._doubted = None
            return ZERO
        first, last = self._doubted or (now, now - ASK_EVERY_NS)
        waits = self._answered < first or self._awaits(drawn_up)
        if now - first > (LONGEST_NS if waits else PATIENCE_NS):
            self._doubted, self._unexplained, self._since = None, ZERO, drawn_up + 1
            return ZERO
        if now - last >= ASK_EVERY_NS:
            last = now
            self.ask()
        self._doubted = first, last
        return self._unexplained

    def _awaits(self, drawn_up: int) -> bool:
        """Return whether an own order may explain a wallet, of which the engine has not heard."""
        self._expected = [one for one in self._expected if self._lacks(*one)]
        sent = unanswered(self._cache)
        return bool(self._expected) or any(one.ts_init < drawn_up + LATE_NS for one in sent)


def _sum(rows: Iterable[_Moved]) -> Decimal:
    return sum((moved for *_, moved in rows), ZERO)


def paid(fill: OrderFilled) -> Decimal:
    """Return what an execution of a spot pair did to the cash; negative where it bought."""
    value: Decimal = fill.last_qty.as_decimal() * fill.last_px.as_decimal()
    cash = -value if fill.order_side == OrderSide.BUY else value
    fee = fill.commission
    return cash - (_decimal(fee) if fee is not None and fee.currency == fill.currency else ZERO)


def _decimal(money: Any) -> Decimal:
    return ZERO if money is None else Decimal(money.as_decimal())
