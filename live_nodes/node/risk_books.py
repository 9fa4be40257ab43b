"""Book profit and loss by strategy from the journal's executions, across restarts.

Each new execution is booked and passed to the guards inside the commit that journals it, so that a
guard's state always matches the executions. Executions before the first evaluation, such as those
of recovery, are marked unseen and passed to the guards then.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from typing import Protocol

from actors.desk.books import StrategyBooks
from actors.records.coins import COIN, Lot, WholeLots, every_part, pays_in_coin
from actors.records.journal import Journal
from actors.records.journal_schema import FUNDING
from actors.records.ledger import ZERO
from actors.records.rows import FillRow
from live_nodes.bybit.facts import TRADES
from live_nodes.node.flows import CapitalFlows
from live_nodes.node.tape import Tape
from strategies.state import MemoryState

OWNER, UNSEEN = "risk", "untold."
"""Journal key of the executions that the guards have not seen."""


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
    folding, lots = _Folding(books), lots or WholeLots(every_part)
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


class _Folding:
    def __init__(self, books: StrategyBooks) -> None:
        self.books = books

    def filled(self, fill: FillRow) -> None:
        self.books.fill(fill)

    def funded(self, strategy: str, instrument: str, amount: Decimal) -> None:
        self.books.funding(strategy, instrument, amount)
