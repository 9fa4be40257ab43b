"""Write one JSON audit file a rebalance: decision, positions, orders and fills.

Each file is written when the decision is made (``"status": "open"``) and again when it is carried
out, each time whole, so that it survives a kill. The next run finishes it: ``done``, or ``dropped``
when the targets were not reached. ``stopped`` is left for the next run, ``superseded`` was replaced
by a later decision.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from actors.records.journal import Journal, JournalError
from actors.records.rows import OrderRow
from live_nodes.local.files import replace_file
from live_nodes.node.report import Miss, misses
from strategies.messages import SHRINK, Decision, Executed
from strategies.order_ids import is_protective

FOLDER = "audit"
_QUIET_LOOKS = 2
# The venue stamps fills by its own clock.
_CLOCKS_NS = 60_000_000_000


_FINAL = ("done", "dropped")
UNFINISHED = ("open", "stopped")
_NEWEST = 20
"""Number of newest files that a start reads."""


@dataclass(slots=True)
class _Open:
    decision: Decision
    path: Path
    equity: str
    before: dict[str, str]
    run: int
    quiet: int = 0


class _Kept(msgspec.Struct):
    status: str
    run: int
    decision: Decision
    equity_before: str
    positions_before: dict[str, str]
    positions_after: dict[str, str] = {}
    dry_run: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it decided on the whole book: a rebalance, or an exit from all."""
        decision = self.decision
        leaves_all = all(Decimal(target.target) == 0 for target in decision.targets)
        return decision.kind == "rebalance" or leaves_all


class Audit:
    """Writes the audit files, in ``audit/`` beside the journal.

    `positions` (signed base coin by instrument) and `busy` take a strategy's key. `smallest` is an
    instrument's smallest order, base coin. `left` is whether a strategy leaves its rebalance
    unfinished for the next run. `on_carried_out` takes each finished decision and its
    misses. `unwritten` is why files wait in memory, None while none does.
    """

    def __init__(
        self,
        journal: Journal,
        positions: Callable[[str], dict[str, str]],
        busy: Callable[[str], bool],
        *,
        smallest: Callable[[str], Decimal] = lambda name: Decimal(0),
        on_carried_out: Callable[[Decision, list[Miss]], None] | None = None,
        left: Callable[[str], bool] = lambda key: False,
    ) -> None:
        self._journal, self._positions, self._busy = journal, positions, busy
        self._smallest, self._on_carried_out, self._left = smallest, on_carried_out, left
        self._folder = journal.folder / FOLDER
        self._open: list[_Open] = []
        self._earlier: dict[str, _Kept] = {}
        self._reasons: dict[str, str] = {}
        self._waiting: dict[Path, bytes] = {}
        self.unwritten: OSError | None = None
        self._is_dry = any(run.dry_run for run in journal.runs())

    @property
    def is_open(self) -> bool:
        """Whether a decision is still being carried out."""
        return bool(self._open)

    def on_executed(self, done: Executed) -> None:
        """Record why a tactic traded less than planned."""
        self._reasons[done.instrument] = done.reason

    def on_decision(self, decision: Decision) -> None:
        """Begin the file of a decision."""
        # A scalper may make thousands a day; the journal has them all.
        if decision.kind in ("wait", "scalp", SHRINK):
            return
        self._reasons.clear()
        stamp = datetime.fromtimestamp(decision.ts / 1e9, UTC).strftime("%Y%m%dT%H%M%S%fZ")
        path = self._folder / f"{stamp}-{decision.strategy}-{decision.kind}.json"
        worth = self._journal.last_equity()
        begun = _Open(
            decision,
            path,
            decision.equity if worth is None else f"{worth.equity:f}",
            self._positions(decision.strategy),
            self._journal.run,
        )
        if decision.kind != "flatten":
            # An exit from one instrument lets other orders continue; a rebalance replaces them.
            for earlier in [o for o in self._open if o.decision.strategy == decision.strategy]:
                self._open.remove(earlier)
                self._write(earlier, "superseded")
        self._open.append(begun)
        self._write(begun, "open")

    def take_up(self) -> None:
        """Continue unfinished files once positions are known; a dry run leaves them."""
        if self._is_dry:
            return
        last: set[str] = set()
        for path in sorted(self._folder.glob("*.json"), reverse=True)[:_NEWEST]:
            try:
                kept = msgspec.json.decode(path.read_bytes(), type=_Kept)
            except msgspec.MsgspecError as error:
                self._journal.note("audit", f"{path.name} can't be read: {error}")
                continue
            if kept.dry_run:
                continue
            key = kept.decision.strategy
            newest = key not in last
            last.add(key)
            if kept.is_whole:
                self._earlier.setdefault(key, kept)
            if kept.status not in UNFINISHED:
                continue
            begun = _Open(kept.decision, path, kept.equity_before, kept.positions_before, kept.run)
            if newest and self._busy(key):
                self._open.append(begun)
            else:
                reached = newest and not self._missed(kept.decision)
                self._write(begun, "done" if reached else "dropped")

    def still_missed(self, strategy: str, leaving: Container[str]) -> list[Miss]:
        """Return what the newest rebalance of earlier runs missed, and misses still.

        What it reached and others changed later is none of it, nor are instruments to be left.
        """
        kept = self._earlier.get(strategy)
        if kept is None:
            return []
        after = {name: Decimal(quantity) for name, quantity in kept.positions_after.items()}
        missed = misses(kept.decision, after, self._smallest, {}, self._bought(kept.decision))
        then = {miss.instrument for miss in missed}
        now = [miss for miss in self._missed(kept.decision) if miss.instrument in then]
        return [miss for miss in now if miss.instrument not in leaving]

    def finish_done(self) -> list[Path]:
        """Finish the files whose decisions are carried out; returns them."""
        done = []
        for begun in list(self._open):
            # Orders leave just after the decision: one quiet moment proves nothing.
            begun.quiet = 0 if self._busy(begun.decision.strategy) else begun.quiet + 1
            if begun.quiet >= _QUIET_LOOKS:
                self._open.remove(begun)
                self._write(begun, "stopped" if self._left(begun.decision.strategy) else "done")
                done.append(begun.path)
                if self._on_carried_out is not None:
                    self._on_carried_out(begun.decision, self._missed(begun.decision))
        return done

    def close(self) -> None:
        """Write open files as they are."""
        for begun in self._open:
            self._write(begun, "stopped" if self._busy(begun.decision.strategy) else "done")
        self._open.clear()
        self.write_kept()
        if self.unwritten is not None:
            self._journal.on_failure(JournalError(self.unwritten, "the audit file"))

    def write_kept(self) -> None:
        """Write the files that a full disk refused, if there is room by now."""
        try:
            for path in list(self._waiting):
                path.parent.mkdir(parents=True, exist_ok=True)
                replace_file(path, self._waiting[path])
                del self._waiting[path]
        except OSError as error:
            self.unwritten = error
        else:
            self.unwritten = None

    def _orders(self, decision: Decision) -> list[OrderRow]:
        return [
            order
            for order in self._journal.orders_since(decision.ts)
            if order.strategy == decision.strategy
        ]

    def _bought(self, decision: Decision) -> dict[str, Decimal]:
        # Orders that an earlier decision sent may fill toward this one's targets.
        changed = self._journal.orders_changed_since(decision.ts)
        return bought_by(order for order in changed if order.strategy == decision.strategy)

    def _missed(self, decision: Decision) -> list[Miss]:
        orders = self._orders(decision)
        # What was refused says more than what was filled in its place, or protects what is held.
        last = sorted(orders, key=lambda order: order.status != "FILLED")
        reasons = {o.instrument: o.reason for o in last if not is_protective(o.client_order_id)}
        reasons |= {name: why for name, why in self._reasons.items() if why}
        held = {n: Decimal(q) for n, q in self._positions(decision.strategy).items()}
        return misses(decision, held, self._smallest, reasons, self._bought(decision))

    def _write(self, begun: _Open, status: str) -> None:
        decision = begun.decision
        orders = self._orders(decision)
        names = {order.client_order_id for order in orders}
        fills = [
            f
            for f in self._journal.fills_since(decision.ts - _CLOCKS_NS)
            if f.client_order_id in names
        ]
        content: dict[str, Any] = {
            "status": status,
            "run": begun.run,
            "dry_run": self._is_dry,
            "finished_by_run": None if status in UNFINISHED else self._journal.run,
            "decision": decision,
            "equity_before": begun.equity,
            "positions_before": begun.before,
            "positions_after": self._positions(decision.strategy),
            "missed": [str(miss) for miss in self._missed(decision)] if status in _FINAL else [],
            "orders": orders,
            "fills": fills,
        }
        text = msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"
        # An error must keep no order from its cancel.
        self._waiting[begun.path] = text
        self.write_kept()
        if self.unwritten is not None and not self._journal.keeps:
            self._journal.on_failure(JournalError(self.unwritten, "the audit file"))


def bought_by(orders: Iterable[OrderRow]) -> dict[str, Decimal]:
    """Return what orders bought by instrument, base coin."""
    bought: dict[str, Decimal] = {}
    for order in orders:
        if order.side == "BUY":
            bought[order.instrument] = bought.get(order.instrument, Decimal(0)) + order.filled
    return bought
