"""Follow what moves in the account without profit or loss: transfers, others' spot trades, coins.

Guards that remember an equity take it as paid in or out (`Snapshot.flows`). USDT counts in the
commit that journals the transfer or the execution; own coins that others take, when the books lose
or gain them by no execution of ours, at the price of that moment. Interest and the venue's other
charges are losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

import msgspec

from actors.records.coins import COIN, ZERO, Lot, cash_moved, coins_moved, every_part
from actors.records.journal_schema import FUNDING, GONE
from actors.records.rows import FillRow
from live_nodes.bybit.facts import TRADES, is_charge
from strategies.account_value import is_spot
from strategies.state import StateStore, decoded

FLOWS = "flows"
"""Name of the state."""


class Kept(msgspec.Struct):
    """What survives a restart.

    ``since`` is when the guards first measured (UNIX nanoseconds, UTC): earlier executions are in
    the equity that they began with. ``coins`` are own ones by pair, parts of a lot among them;
    ``gone`` counts how often some left or came without an execution.
    """

    since: int
    total: Decimal = ZERO
    coins: dict[str, Decimal] = {}
    gone: int = 0


class CapitalFlows:
    """Adds up what was paid in and taken out, USDT, since the guards' first start.

    ``pending`` gets time and USDT of each movement that is in no books.
    """

    def __init__(self, store: StateStore, *, dry_run: bool = False) -> None:
        self._store, self._dry_run = store, dry_run
        self._kept = decoded(store.load(FLOWS), Kept, "risk", FLOWS)
        self._lot_of: Lot = every_part
        self.pending: Callable[[int, Decimal], None] = lambda ts, moved: None

    @property
    def total(self) -> Decimal:
        """USDT paid in; negative where more was taken out."""
        return ZERO if self._kept is None else self._kept.total

    def begin(
        self,
        now: int,
        explained: Mapping[str, Decimal],
        held: Mapping[str, Decimal],
        price: Callable[[str], Decimal | None],
        lot_of: Lot,
        began: int = 0,
    ) -> None:
        """Compare own coins with positions; the first time, count from now (UNIX nanoseconds).

        What lacks was gone when the run ``began``.
        """
        self._lot_of, is_first = lot_of, self._kept is None
        if self._kept is None:
            self._kept = Kept(now, coins={n: q for n, q in explained.items() if is_spot(n)})
        for name in sorted(self._kept.coins.keys() | filter(is_spot, held)):
            self.compare(name, held.get(name, ZERO), price(name), began, is_first=is_first)
        if is_first:
            self._kept.total = ZERO
            self._save()

    def on_fill(self, fill: FillRow) -> None:
        """Follow an execution or a transfer that is new to the journal, inside its commit."""
        kept = self._kept
        if kept is None:
            return
        if fill.kind == FUNDING or fill.instrument == COIN:
            if fill.kind != FUNDING and not is_charge(fill.kind) and fill.ts >= kept.since:
                kept.total -= fill.fee
            self.pending(fill.ts, -fill.fee)
        elif not is_spot(fill.instrument) or fill.kind not in TRADES:
            return
        elif fill.strategy:
            own = kept.coins.get(fill.instrument, ZERO)
            kept.coins[fill.instrument] = own + coins_moved(fill)
        elif fill.ts >= kept.since:
            moved = cash_moved(fill)
            kept.total += moved
            self.pending(fill.ts, moved)
        self._save()

    def compare(
        self,
        name: str,
        held: Decimal,
        price: Decimal | None,
        ts: int = 0,
        *,
        is_first: bool = False,
    ) -> None:
        """Take own coins that a position (``held``) lacks as taken out, more as paid in.

        Reports get each with its time (by default now), but those of before the first start.
        """
        assert self._kept is not None
        own, lot = self._kept.coins.get(name, ZERO), self._lot_of(name)
        gone = (own // lot * lot if lot else own) - held
        if gone and price is not None:
            self._kept.coins[name] = own - gone
            self._kept.total -= gone * price
            if not (is_first or self._dry_run):
                self._kept.gone += 1
                move = msgspec.json.encode((ts, name, gone, price))
                self._store.save(f"{GONE}{self._kept.gone}", move)
            self._save()

    def _save(self) -> None:
        if not self._dry_run:
            self._store.save(FLOWS, msgspec.json.encode(self._kept))
