"""Book profit and loss by strategy from the journal's executions, across restarts.

Each new execution is booked and passed to the guards inside the commit that journals it, so that a
guard's state always matches the executions. Executions before the first evaluation, such as those
of recovery, are marked unseen and passed to the guards then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Protocol

from actors.desk.books import StrategyBooks
from actors.records.coins import COIN, Lot, WholeLots, cash_moved, every_part, pays_in_coin
from actors.records.journal import Journal
from actors.records.journal_schema import FUNDING
from actors.records.ledger import ZERO, RoundTrip
from actors.records.rows import FillRow
from live_nodes.bybit.facts import TRADES, is_charge
from live_nodes.node.flows import CapitalFlows
from live_nodes.node.tape import Tape
from strategies.account_value import is_spot
from strategies.state import MemoryState

OWNER, UNSEEN = "risk", "untold."
"""Journal key of the executions that the guards have not seen."""


BY_HAND = "by hand"
"""Stands for the strategy of perpetuals that others traded in the account."""


class FillListener(Protocol):
    """Takes executions: `actors.desk.risk_desk.RiskDesk`."""

    books: StrategyBooks

    def filled(self, fill: FillRow) -> None:
        """Take a fill."""

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        """Take a funding payment."""


class FillBooking:
    """Books executions; `fresh` (paper) ignores earlier ones, `dry_run` keeps them unseen."""

    def __init__(
        self,
        journal: Journal,
        *,
        fresh: bool = False,
        dry_run: bool = False,
        tape: Tape | None = None,
    ) -> None:
        self._journal, self._fresh, self._dry_run = journal, fresh, dry_run
        self.flows = CapitalFlows(MemoryState() if fresh else journal.state(OWNER), dry_run=dry_run)
        self.expect: Callable[[str, str], None] = lambda order, execution: None
        """Gets own executions, of which the engine may hear later."""
        self._desk: FillListener | None = None
        self._owners: Mapping[str, str] = {}
        self._lots = WholeLots(every_part)
        self._fee_coins: set[str] = set()
        self._listener = (tape or Tape()).wrap("fill", self._on_fill)
        journal.fill_listeners.append(self._listener)

    def close(self) -> None:
        """Stop listening to the journal."""
        self._journal.fill_listeners.remove(self._listener)

    def books(self, owners: Mapping[str, str], lot_of: Lot = every_part) -> StrategyBooks:
        """Return the books of all executions that the guards have seen."""
        self._owners = owners
        books, self._lots = StrategyBooks(), WholeLots(lot_of)
        if not self._fresh:
            unseen = self._unseen()
            seen = (row for row in self._journal.fills_since(0) if _name(row) not in unseen)
            book_fills(seen, books, owners, self._lots)
        return books

    def begin(self, desk: FillListener) -> None:
        """Pass unseen and all new executions to the desk; call it inside `Journal.together`."""
        self._desk = desk
        if self._fresh:
            return
        unseen = self._unseen()
        if unseen:
            for row in self._journal.fills_since(0):
                if _name(row) in unseen:
                    pass_fill(row, desk, self._owners, self._lots)
            if not self._dry_run:
                self._journal.forget_states(OWNER, UNSEEN)

    def _unseen(self) -> set[str]:
        return set(self._journal.state_names(OWNER, UNSEEN))

    def _on_fill(self, row: FillRow) -> None:
        self.flows.on_fill(row)
        if row.strategy and row.client_order_id and row.kind in TRADES:
            self.expect(row.client_order_id, row.execution_id)
        coin = row.fee_coin
        if coin not in ("", COIN, *self._fee_coins) and not pays_in_coin(row):
            self._fee_coins.add(coin)
            self._journal.note(
                "fees",
                f"fees are paid in {coin}, which the books count as {COIN}: let Bybit take them in "
                "the coins that are traded",
            )
        if self._desk is not None:
            pass_fill(row, self._desk, self._owners, self._lots)
        elif not self._fresh:
            self._journal.save_state(OWNER, _name(row), b"")


def book_fills(
    rows: Iterable[FillRow],
    books: StrategyBooks,
    owners: Mapping[str, str],
    lots: WholeLots | None = None,
) -> None:
    """Book executions, the oldest first."""
    folding, lots = Executions(books=books), lots or WholeLots(every_part)
    for row in rows:
        pass_fill(row, folding, owners, lots)


def pass_fill(row: FillRow, desk: FillListener, owners: Mapping[str, str], lots: WholeLots) -> None:
    """Pass an own execution to the desk; manual trades by others are skipped.

    Coins count in whole lots, less the fee that was paid out of them.
    """
    if row.kind == FUNDING:
        for key, share in _shares(row, desk.books, owners).items():
            # The venue counts fees as positive when paid.
            desk.funded(key, row.instrument, -share)
    elif row.kind in TRADES and (key := _owner(row, desk.books, owners)):
        desk.filled(lots.book(replace(row, strategy=key)))


def _owner(row: FillRow, books: StrategyBooks, owners: Mapping[str, str]) -> str:
    # A liquidation carries no order id of ours (``BustTrade``, ``AdlTrade`` …): its holder loses.
    if row.strategy or row.kind == "Trade":
        return row.strategy
    held = _held(row.instrument, books)
    return max(held, key=lambda key: abs(held[key])) if held else owners.get(row.instrument, "")


def _shares(row: FillRow, books: StrategyBooks, owners: Mapping[str, str]) -> dict[str, Decimal]:
    held = _held(row.instrument, books)
    total = sum(held.values(), ZERO)
    if not total:
        # The payment may come only after the position is closed.
        owner = owners.get(row.instrument, "")
        return {owner: row.fee} if owner else {}
    if len(held) == 1:
        return dict.fromkeys(held, row.fee)
    return {key: row.fee * quantity / total for key, quantity in held.items()}


def _held(instrument: str, books: StrategyBooks) -> dict[str, Decimal]:
    return {key: trip.quantity for (key, name), trip in books.open.items() if name == instrument}


def _name(row: FillRow) -> str:
    return f"{UNSEEN}{row.instrument}|{row.execution_id}"


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
        """Book a fill (`FillListener`)."""
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
