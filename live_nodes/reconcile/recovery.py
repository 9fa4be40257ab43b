"""Recovery at a start: find the outcome of every request that the journal leaves open.

A killed node leaves intents in its journal, orders at the venue, and fills without a record. Each
result is journaled at once, so that a killed start loses nothing. The engine's own reconciliation
is later checked against this.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal

from actors.records.coins import COIN, base_coin
from actors.records.journal import Journal
from actors.records.journal_reading import JournalReader
from actors.records.journal_schema import FOLLOWED, TRANSFERS_READ
from actors.records.order_facts import OrderFacts
from actors.records.rows import FillRow, OrderRow
from config.documents.watch import Policies
from config.errors import DeskError
from live_nodes.bybit.facts import (
    EXECUTED,
    STATUS_WORDS,
    LogEntry,
    VenueFill,
    VenueOrder,
    is_attached,
    is_protective,
    moves_position,
    order_text,
    products_of,
    reason_of,
    signed_quantity,
)
from live_nodes.bybit.own_coins import OwnCoins, foreign_words
from live_nodes.bybit.rest import VenueError, VenueRest
from live_nodes.reconcile.recovery_rules import (
    OVERLAP_NS,
    conclude,
    made_since,
    own_by,
    since_when,
    within,
)
from strategies.account_value import is_spot
from strategies.order_ids import own_key, owner_of, session_start

PATIENCE_S = 6.0
"""Seconds between two misses of an order: over Bybit's receive window (5 s)."""
CANCEL_DEADLINE_S = 10.0
_TRANSFERS_FROM = "transfers from"
"""State with the time of the first start: what moved before is in the equity."""
_LATE_LOG_NS = 300_000_000_000
"""The log may be so late: Bybit warns of delays in wild markets
(https://bybit-exchange.github.io/docs/v5/account/transaction-log)."""
MEMORY_NS = 730 * 86_400_000_000_000
"""Bybit answers for executions of the past two years
(https://bybit-exchange.github.io/docs/v5/order/execution)."""
LOST_NS = 30 * 86_400_000_000_000
"""Search range for own executions of an empty journal."""
RECENT_NS = 600_000_000_000
"""Own orders that the journal lacks are reported where they were this young at the start."""
_OTHERS = "sessions of others"
"""State with the sessions of other nodes that have this node's tag."""
_PAUSE_S = 0.25

OTHER_NODE = (
    "is an order of another node with this node's tag: nothing enters as long as this node runs, "
    "and its books do not take over what the other holds beyond them; stop the other, or give each "
    "its own `tag` (and subaccount), then start again"
)
TAKE_OVER = (
    "others traded, or the venue closed it: to go on with what is held, start once with "
    "--set watch.policies.external_positions=report, and release a guard that halts for it "
    "(`perpdesk risk release`)"
)


@dataclass(slots=True)
class Recovered:
    """Findings and actions of a recovery; all lists are empty after a clean stop."""

    settled: list[tuple[str, str]] = field(default_factory=list)
    """Orders without an outcome, with the result."""
    fills: int = 0
    """Executions that the journal lacked."""
    kept: list[VenueOrder] = field(default_factory=list)
    """Own protective orders, left open."""
    cancelled: list[VenueOrder] = field(default_factory=list)
    """Own entries, cancelled."""
    foreign: list[VenueOrder] = field(default_factory=list)
    """Foreign open orders; ``policies.foreign_orders`` applies."""
    external: dict[str, tuple[Decimal, Decimal]] = field(default_factory=dict)
    """By instrument: (explained by our orders, at the venue), signed base coin."""
    foreign_coins: dict[str, Decimal] = field(default_factory=dict)
    """Coins of traded pairs that the desk did not buy; they are left alone."""
    foreign_positions: dict[str, Decimal] = field(default_factory=dict)
    """Foreign positions on a first start: strategies would trade them, so it must stop."""

    def lines(self) -> list[str]:
        """Return the findings as lines of text."""
        kept = {order.order_link_id for order in self.kept}
        said = [f"{name}: {status.lower()}" for name, status in self.settled if name not in kept]
        if self.fills:
            said.append(f"{self.fills} executions were missing in the journal")
        said += [f"left open: {order_text(order)}" for order in self.kept]
        said += [f"leftover cancelled: {order_text(order)}" for order in self.cancelled]
        said += [f"foreign order: {order_text(order)}" for order in self.foreign]
        said += [
            f"{name}: the venue holds {there}, our orders made {here}; {TAKE_OVER}"
            for name, (here, there) in self.external.items()
        ]
        said += [foreign_words(coin, held) for coin, held in self.foreign_coins.items()]
        return said


class Recovery:
    """Looks up at the venue everything that the journal leaves open.

    The journal's run has begun. `tag` is the node's part of order ids. `patience` is the seconds
    between two misses of an order. `lot_of` returns an instrument's lot step. `warn` gets words on
    the first order of a start's last minutes or first seconds that has our tag, and that the
    journal lacks.
    """

    def __init__(
        self,
        journal: Journal,
        rest: VenueRest,
        tag: str,
        products: Sequence[str],
        policies: Policies,
        *,
        traded: Collection[str] = (),
        lot_of: Callable[[str], Decimal] = lambda name: Decimal(0),
        patience: float = PATIENCE_S,
        warn: Callable[[str], None] = lambda words: None,
    ) -> None:
        self.journal, self.rest, self._tag = journal, rest, tag
        self.own = OwnCoins(journal.own, lot_of, journal.moved_by_others)
        if any(map(is_spot, {*traded, *journal.explained()})):
            rest.coins_held = self.own.at_venue
        self.products, self._policies = products, policies
        self._traded = traded
        self._patience_ns = round(patience * 1e9)
        self.new_fills = 0
        self._unread = ""
        self.external: Mapping[str, tuple[Decimal, Decimal]] = {}
        """As `Recovered.external`, until it is accepted."""
        self._others = sessions_of_others(journal)
        self.other_nodes: dict[int, tuple[str, str]] = {}
        """By session of another node, id and instrument of an order that it made in this run."""
        self._warn, self._warned = warn, False
        self.is_own = own_by(tag, lambda name: journal.order(name) is not None, self._others)

    def is_others(self, link_id: str, instrument: str, made_ns: int) -> bool:
        """Whether another node with our tag made an order: in this run, and no intent of ours.

        An older one that the journal lacks is ours, of a journal that was lost or restored.
        """
        session = session_start(link_id)
        if session is None or own_key(self._tag, link_id) is None or self.journal.order(link_id):
            return False
        runs = self.journal.runs()
        began = runs[0].started if runs else time.time_ns()
        if made_since(link_id, made_ns, began):
            self.other_nodes.setdefault(session, (link_id, instrument))
            if session not in self._others:
                self._others.add(session)
                kept = " ".join(map(str, self._others))
                self.journal.save_state("node", _OTHERS, kept.encode())
        elif made_ns > began - RECENT_NS and not self._warned:
            self._warned = True
            words = (
                f"{link_id} was given or filled lately, and the journal lacks it: where no journal "
                f"was lost or restored, another node with tag {self._tag} trades on this account: "
                "stop one, or give each its own `tag` and subaccount"
            )
            self.journal.note("recovery", words)
            self._warn(words)
        return session in self._others

    def takes_over(self, here: Decimal, there: Decimal) -> bool:
        """Whether our books follow the venue's position (signed base coin).

        While another node with our tag trades, only where ours is larger: the rest is the other's.
        """
        return not self.other_nodes or within(there, here) == there

    def is_others_order(self, order: VenueOrder) -> bool:
        """Whether another node with our tag made an open order."""
        return self.is_others(order.order_link_id, order.instrument, order.created_ns)

    def leaves_alone(self, instrument: str, link_id: str, made_ns: int) -> bool:
        """Whether an order is others' and reaches no books.

        Of coins, which the node neither counts nor sells, or of another node with our tag.
        """
        if self.is_others(link_id, instrument, made_ns):
            return True
        adopts = self._policies.foreign_orders == "adopt"
        return is_spot(instrument) and not adopts and not self.is_own(link_id)

    def of_others(self, orders: Iterable[VenueOrder]) -> list[VenueOrder]:
        """Return the orders that the node leaves alone."""
        return [o for o in orders if self.leaves_alone(o.instrument, o.order_link_id, o.created_ns)]

    async def run(self) -> Recovered:
        """Look up open requests, journal the results, cancel leftovers.

        Raises VenueError if the venue gives no answer: nothing may start. Raises DeskError if a
        leftover can't be cancelled.
        """
        found = Recovered()
        unsettled = self.journal.unsettled()
        since = self._since(unsettled)
        await self._settle(unsettled, found)
        await self._clean_up(found)
        # During the other requests, an open order may have filled or been cancelled.
        kept = {order.order_link_id for order in found.kept}
        moved = [row for row in self.journal.unsettled() if row.client_order_id not in kept]
        await self._settle(moved, found)
        if since is not None:
            await self.take_fills(since)
        else:
            await self._look_back()
        found.fills = self.new_fills
        await self.take_transfers()
        await self._explain(found)
        for line in found.lines():
            self.journal.note("recovery", line)
        return found

    async def _look_back(self) -> None:
        # Executions before a first start are the operator's, or of a node that still runs.
        now = time.time_ns()
        for product in self.products:
            for fill in await self.rest.fills(product, now - RECENT_NS, now):
                self.is_others(fill.order_link_id, fill.instrument, fill.ts_ns)

    async def settle_ended(self, known: Collection[str]) -> Recovered:
        """Look up what ended after `run`, before the engine took over the open orders (``known``).

        Raises VenueError if the venue gives no answer.
        """
        found, before = Recovered(), self.new_fills
        ended = [row for row in self.journal.unsettled() if row.client_order_id not in known]
        if ended:
            await self._settle(ended, found)
            await self.catch_up()
        found.fills = self.new_fills - before
        for line in found.lines():
            self.journal.note("recovery", line)
        return found

    async def take_fills(self, since_ns: int, source: str = "recovery") -> tuple[VenueFill, ...]:
        """Journal the venue's executions since a time; return all, known or new."""
        until = time.time_ns()
        since_ns = max(since_ns, until - MEMORY_NS)
        taken: list[VenueFill] = []
        for product in self.products:
            taken += await self.rest.fills(product, since_ns, until)
        with self.journal.together():
            known = self.journal.executions_since(since_ns)
            first = self._first_start_ns()
            for fill in taken:
                # A busy minute has thousands, and orders wait while each is looked up.
                if fill.ts_ns >= first and (fill.instrument, fill.execution_id) not in known:
                    self.new_fills += self.journal.fill(fill_row(fill, self._owner(fill), source))
            self.journal.save_state("node", "fills complete", str(until).encode())
        return tuple(taken)

    def _first_start_ns(self) -> int:
        # What was executed before is part of the positions that the first start found.
        known = self.journal.load_state("node", "explained") or b""
        return int(known) if known.isdigit() else 0

    async def catch_up(self) -> None:
        """Journal what was executed since the last complete time; VenueError without an answer."""
        complete = self.fills_complete()
        since = self.journal.runs()[0].started if complete is None else complete
        await self.take_fills(max(0, since - OVERLAP_NS))
        await self.take_transfers()

    async def take_transfers(self) -> None:
        """Journal what moved USDT without an execution of the node's products.

        On a first start nothing: it is in the equity. Where the venue does not answer, a note says
        so, and the next time asks again: until then nothing tells transfers from losses.
        """
        until, state = time.time_ns(), self.journal.state("node")
        complete = int(state.load(TRANSFERS_READ) or state.load(_TRANSFERS_FROM) or until)
        began = int(state.load(_TRANSFERS_FROM) or complete)
        state.save(_TRANSFERS_FROM, str(began).encode())
        try:
            moved = await self.rest.transactions(max(began, complete - _LATE_LOG_NS), until, COIN)
        except VenueError as error:
            if str(error) != self._unread:
                self._unread = str(error)
                self.journal.note("transfers", f"not told from gains and losses now: {error}")
            return
        self._unread = ""
        with self.journal.together():
            for entry in moved:
                if entry.ts_ns >= began and self._is_transfer(entry):
                    self.journal.fill(transfer_row(entry))
            state.save(TRANSFERS_READ, str(until).encode())

    def _is_transfer(self, entry: LogEntry) -> bool:
        others = is_spot(entry.instrument) and "SPOT" not in self.products
        return bool(entry.change) and (others or entry.kind not in EXECUTED)

    def fills_complete(self) -> int | None:
        """Return the time until which the journal is complete, UNIX nanoseconds."""
        kept = self.journal.load_state("node", "fills complete")
        return None if kept is None else int(kept)

    def _since(self, unsettled: Sequence[OrderRow]) -> int | None:
        earlier = [run.started for run in self.journal.runs(2) if run.id != self.journal.run]
        known = [self.journal.last_fill_ts(), *earlier]
        return since_when(unsettled, self.fills_complete(), known)

    def _owner(self, fill: VenueFill) -> str:
        key = own_key(self._tag, fill.order_link_id)
        if key is not None:
            is_others = self.is_others(fill.order_link_id, fill.instrument, fill.ts_ns)
            return "" if is_others else key
        known = self.journal.order(fill.order_link_id) if fill.order_link_id else None
        if known is None and (fill.attached or fill.kind == "Delivery"):
            # It closes what our own executions made, and comes without an id of ours.
            made = self.journal.explained_in(fill.instrument)
            return (
                self.journal.last_owner(fill.instrument) if made * signed_quantity(fill) < 0 else ""
            )
        return "" if known is None else known.strategy

    async def _settle(self, unsettled: Sequence[OrderRow], found: Recovered) -> None:
        missed: dict[str, int] = {}
        waiting = list(unsettled)
        while waiting:
            again = []
            for order in waiting:
                name = order.client_order_id
                answer = await self.rest.order(order.instrument, name)
                now = time.time_ns()
                said = conclude(answer, now - missed.setdefault(name, now), self._patience_ns)
                if said is None:
                    again.append(order)
                    continue
                self.journal.outcome(name, **said._asdict())
                found.settled.append((name, said.status))
            waiting = again
            if waiting:
                await asyncio.sleep(_PAUSE_S)

    async def _clean_up(self, found: Recovered) -> None:
        orders = await self.rest.open_orders(*self.products)
        for order in orders:
            is_own = not self.is_others_order(order) and self.is_own(order.order_link_id)
            if is_own:
                self._remember(order)
            # The venue's own take-profits and stop-losses are nobody's leftovers.
            if is_attached(order):
                continue
            if not is_own:
                found.foreign.append(order)
            elif is_protective(order):
                found.kept.append(order)
            else:
                found.cancelled.append(order)
        foreign = found.foreign if self._policies.foreign_orders == "cancel" else []
        await self.cancel((*found.cancelled, *foreign))

    def _remember(self, order: VenueOrder) -> None:
        owner = owner_of(order.order_link_id)
        facts = OrderFacts(
            operation="submit",
            client_order_id=order.order_link_id,
            strategy="" if owner is None else owner.key,
            instrument=order.instrument,
            side=order.side.upper(),
            quantity=order.quantity,
            ts=order.created_ns,
            price=order.price or None,
            trigger_price=order.trigger_price or None,
            order_type=order.order_type.upper(),
            time_in_force=order.time_in_force,
            reduce_only=order.reduce_only,
            is_exit=is_protective(order),
            reason="found at the venue",
        )
        self.journal.adopt(facts, order.order_id, STATUS_WORDS[order.status])

    async def cancel(self, orders: Collection[VenueOrder]) -> None:
        """Cancel orders and wait until they are gone; raise DeskError if one is open too long."""
        for order in orders:
            await self.rest.cancel(order.instrument, order.order_id, order.order_filter)
        until = time.monotonic() + CANCEL_DEADLINE_S
        waiting = {order.order_id: order for order in orders}
        while waiting:
            products = products_of(order.instrument for order in waiting.values())
            still = {order.order_id for order in await self.rest.open_orders(*products)}
            for order in [o for name, o in waiting.items() if name not in still]:
                del waiting[order.order_id]
                await self._write_end(order)
            if waiting and time.monotonic() > until:
                words = "; ".join(order_text(order) for order in waiting.values())
                raise DeskError(f"the venue did not cancel leftover orders: {words}")
            if waiting:
                await asyncio.sleep(_PAUSE_S)

    async def _write_end(self, order: VenueOrder) -> None:
        if self.journal.order(order.order_link_id) is None:
            return
        ended = await self.rest.order(order.instrument, order.order_link_id)
        # Closed orders reach the venue's history a moment after they leave the open orders.
        status = "CANCELED" if ended is None or ended.is_open else STATUS_WORDS[ended.status]
        self.journal.outcome(
            order.order_link_id,
            status,
            venue_order_id=order.order_id,
            filled=None if ended is None else ended.filled,
            reason="" if ended is None else reason_of(ended),
        )

    async def _explain(self, found: Recovered) -> None:
        traded = {base_coin(name) for name in self._traded if is_spot(name)}
        if traded:
            foreign = self.own.foreign(await self.rest.coins())
            found.foreign_coins = {c: q for c, q in sorted(foreign.items()) if c in traded}
        # The venue stamps whole milliseconds.
        asked = time.time_ns() // 10**6 * 10**6
        there = await self.rest.positions()
        state = self.journal.state("node")
        here = self.own.whole(self.journal.explained())
        if state.load("explained") is None:
            if self._policies.external_positions == "halt":
                mine = {name: there[name] for name in there if name in self._traded}
                found.foreign_positions = await foreign_positions(mine, self.rest, self._tag)
            if found.foreign_positions:
                return
            # On a first start, all else belongs to the operator.
            await self.accept(there)
            state.save("explained", str(asked).encode())
            state.save(FOLLOWED, str(asked).encode())
            return
        zero = Decimal(0)
        for name in sorted({*here, *there}):
            ours, theirs = here.get(name, zero), there.get(name, zero)
            if ours != theirs:
                found.external[name] = (ours, theirs)
        self.external = found.external
        if found.external and self._policies.external_positions == "report":
            await self.accept({name: theirs for name, (_, theirs) in found.external.items()})
            self.external = {}

    async def accept(self, positions: Mapping[str, Decimal]) -> None:
        """Count positions as explained; of own coins, what the wallet has to the last digit."""
        coins = self.own.exact(await self.rest.coins()) if any(map(is_spot, positions)) else {}
        self.journal.accept({name: coins.get(name, held) for name, held in positions.items()})


def sessions_of_others(journal: JournalReader) -> set[int]:
    """Return the sessions (`session_start`) of other nodes with this node's tag that it noticed."""
    return {*map(int, (journal.load_state("node", _OTHERS) or b"").split())}


async def foreign_positions(
    held: Mapping[str, Decimal], rest: VenueRest, tag: str
) -> dict[str, Decimal]:
    """Return perpetual positions (signed base coin) that our executions don't explain."""
    if not held:
        return {}
    now = time.time_ns()
    explained = dict.fromkeys(held, Decimal(0))
    for fill in await rest.fills("LINEAR", now - LOST_NS, now):
        if own_key(tag, fill.order_link_id) is not None and fill.instrument in explained:
            explained[fill.instrument] += (
                signed_quantity(fill) if moves_position(fill) else Decimal(0)
            )
    return {
        name: quantity for name, quantity in sorted(held.items()) if explained[name] != quantity
    }


def transfer_row(entry: LogEntry) -> FillRow:
    """Return the journal's row of cash that moved without an execution; ``fee`` is what left."""
    return FillRow(
        instrument=COIN,
        execution_id=entry.id,
        ts=entry.ts_ns,
        strategy="",
        side="",
        quantity=Decimal(0),
        price=Decimal(0),
        fee=-entry.change,
        fee_coin=COIN,
        liquidity="",
        kind=entry.kind,
        source="log",
    )


def fill_row(fill: VenueFill, owner: str, source: str) -> FillRow:
    """Return the journal's row of a venue execution."""
    return FillRow(
        instrument=fill.instrument,
        execution_id=fill.execution_id,
        ts=fill.ts_ns,
        client_order_id=fill.order_link_id,
        venue_order_id=fill.order_id,
        strategy=owner,
        side=fill.side.upper(),
        quantity=fill.quantity,
        price=fill.price,
        fee=fill.fee,
        fee_coin=fill.fee_coin,
        liquidity="MAKER" if fill.is_maker else "TAKER",
        kind=fill.kind,
        source=source,
    )
