"""Books a journal's executions by owner; deposits, withdrawals and charges apart."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from decimal import Decimal

from actors.desk.books import StrategyBooks
from actors.records.coins import COIN, WholeLots, cash_moved, every_part
from actors.records.ledger import ZERO, RoundTrip
from actors.records.rows import FillRow
from live_nodes.bybit.facts import is_charge
from live_nodes.node.risk_books import pass_fill
from strategies.account_value import is_spot

BY_HAND = "by hand"
"""Stands for the strategy of perpetuals that others traded in the account."""


@dataclass(frozen=True)
class Flow:
    """USDT that were paid in (positive) or taken out; ``kind`` is the venue's word."""

    ts: int
    kind: str
    amount: Decimal
    id: str


@dataclass(kw_only=True)
class Executions:
    """The books so far; `filled` and `funded` are called for each own execution and payment.

    ``charges`` are the venue's beside fees and funding, as interest; ``row`` is what is booked now.
    """

    lots: WholeLots = field(default_factory=lambda: WholeLots(every_part))
    books: StrategyBooks = field(default_factory=StrategyBooks)
    flows: list[Flow] = field(default_factory=list)
    charges: Decimal = ZERO
    row: FillRow | None = None
    _owners: dict[str, str] = field(default_factory=dict)

    def take(self, row: FillRow) -> None:
        """Book a row of the journal."""
        self.row = row
        if row.instrument == COIN:
            if is_charge(row.kind):
                self.charges -= row.fee
            else:
                self.flows.append(Flow(row.ts, row.kind, -row.fee, row.execution_id))
        elif row.strategy or row.kind != "Trade":
            pass_fill(row, self, self._owners, self.lots)
        elif is_spot(row.instrument):
            # Their coins do not count, so what they paid for them went out.
            self.flows.append(Flow(row.ts, "spot by hand", cash_moved(row), row.execution_id))
        else:
            self.filled(replace(row, strategy=BY_HAND))

    def filled(self, fill: FillRow) -> None:
        """Book a fill (`risk_books.FillListener`)."""
        self.booked(fill)

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        """Book a funding payment, which may come after the position is closed."""
        self.books.funding(strategy, instrument, amount)

    def booked(self, fill: FillRow) -> RoundTrip | None:
        """Book a fill in `books`; return the round trip that it ended."""
        trip = self.books.open.get((fill.strategy, fill.instrument))
        self.books.fill(fill)
        self._owners[fill.instrument] = fill.strategy
        return trip if trip is not None and trip.ts_closed is not None else None
