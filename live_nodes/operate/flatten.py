"""`perpdesk risk flatten`: let the node close, or close at the venue if it does not answer."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from actors.records.journal_files import holder
from config.documents import Node
from config.errors import GateRefused
from config.universe import select
from live_nodes.bybit.rest import VenueError, VenueRest
from live_nodes.local.endpoints import Endpoints, venue_endpoints
from live_nodes.local.keys import KeyPair, key_names, keys_of
from live_nodes.local.mailbox import OPERATOR, answer
from live_nodes.node.preflight import products_asked
from live_nodes.operate.flatten_at_venue import FlattenScope, VenueFlatten
from live_nodes.operate.flatten_request import FlattenRequest
from live_nodes.operate.status import status_of
from live_nodes.reconcile.own_positions import own_positions

ANSWER_S = 5.0
NOBODY = "flatten"
"""Key in the order ids for positions that no strategy of the document trades."""
_PAUSE_S = 0.5

Say = Callable[[str], None]


@dataclass(frozen=True)
class FlattenOutcome:
    """How a flatten ended.

    `by` is who closed last: ``node``, ``venue`` (this command, at the venue) or ``nobody`` (nothing
    to close). `verified` is the source of `flat`: ``venue``, ``journal`` or empty. `left` is what
    is left, in words; `halt` is what stops the desk from trading now.
    """

    flat: bool
    by: Literal["node", "venue", "nobody"]
    verified: Literal["venue", "journal", ""]
    seconds: float
    left: tuple[str, ...]
    halt: str

    @property
    def summary_text(self) -> str:
        """Return the outcome in words."""
        if self.flat:
            said = f"flat after {self.seconds:.1f} s"
            if self.verified:
                said += f", as the {self.verified} says"
        else:
            said = "\n  ".join([f"NOT flat after {self.seconds:.1f} s:", *self.left])
        return f"{said}\n{self.halt}"

    def as_plain(self) -> dict[str, Any]:
        """Return the outcome for JSON."""
        return asdict(self) | {"seconds": round(self.seconds, 3)}


def flatten_node(node: Node, asked: FlattenRequest, seconds: float, say: Say) -> FlattenOutcome:
    """Close everything of a node within `seconds`, whether it runs or not.

    Raises GateRefused when there are no keys, or the venue refuses them, and no node closes by
    itself.
    """
    run = _Flatten(node, asked, seconds, say)
    try:
        return run.outcome()
    except KeyboardInterrupt:
        said = run.venue.summary_text() if run.venue else "nobody has looked at the venue yet"
        return run.ended("nobody", [f"stopped by you; {said}"])


class _Flatten:
    def __init__(self, node: Node, asked: FlattenRequest, seconds: float, say: Say) -> None:
        self._node, self._say = node, say
        self._folder, self._request = asked.folder, asked.request
        self._began = time.monotonic()
        self._until = self._began + seconds
        self.venue: VenueFlatten | None = None
        self._answered = False
        self._no_halt = asked.trouble

    def outcome(self) -> FlattenOutcome:
        self._answered = self._node_does_it()
        if self._node.environment == "paper":
            return self._paper()
        try:
            keys = keys_of(self._node)
        except GateRefused as refused:
            if not self._answered:
                raise GateRefused(f"{refused}\n{self._halt()}") from None
            self._say(f"{refused}; so the venue can't be asked, and the node's journal counts")
            return self._by_journal()
        assert keys is not None
        endpoints = venue_endpoints(self._node, self._folder, self._say)
        return asyncio.run(self._at_venue(endpoints, keys))

    def _node_does_it(self) -> bool:
        pid = holder(self._folder)
        if pid is None:
            self._say(f"{self._node.name} is not running: closing at the venue directly")
            return False
        if not self._request:
            return False
        said = answer(self._folder, self._request, ANSWER_S)
        if said is None:
            self._say(
                f"process {pid} of {self._node.name} does not answer: closing at the venue "
                f"directly; end it (kill -9 {pid}) if it goes on trading"
            )
            return False
        self._say(f"{self._node.name} (process {pid}): {said.text}")
        if not said.done:
            self._no_halt = f"{self._node.name} refused the halt ({said.text})"
        return said.done

    async def _at_venue(self, endpoints: Endpoints, keys: KeyPair) -> FlattenOutcome:
        node = self._node
        async with VenueRest(endpoints.http, keys, timeout=node.gates.request_timeout) as rest:
            own = own_positions(self._folder, node.tag, self._say, products_asked(node))
            try:
                await own.refresh(rest, time.time_ns())
            except VenueError as error:
                # Only order ids and `external: leave` need it, and later looks try again.
                self._say(f"{error}; going on with what the journal knows")
            self.venue = VenueFlatten(
                rest,
                FlattenScope(
                    node.risk.external,
                    node.universe,
                    lambda link_id: own.key(link_id) is not None,
                ),
                own,
                self._owner,
                node.watch.throttle,
                " and ".join(key_names(node) or ["the practice account"]),
                self._say,
            )
            if self._answered and await self._node_gets_flat(self.venue):
                return self.ended("node", [], "venue")
            patience = node.risk.deadline
            flat = await self.venue.run(max(1.0, self._until - time.monotonic()), patience)
        there = self.venue.left.lines() if self.venue.left else [self.venue.summary_text()]
        return self.ended("venue", [] if flat else there, "venue")

    async def _node_gets_flat(self, venue: VenueFlatten) -> bool:
        grace = self._node.risk.exit_grace + self._node.risk.deadline
        until, empty, said = min(self._until, time.monotonic() + grace), 0, ""
        while time.monotonic() < until:
            left = await venue.look_only()
            if left is not None:
                empty = 0 if left else empty + 1
                if empty == 2:
                    return True
                if left and left.count() != said:
                    said = left.count()
                    self._say(f"at the venue: {said} to go")
            await asyncio.sleep(_PAUSE_S)
        self._say(f"the node is not flat within its deadline ({grace:g} s): helping it")
        return False

    def _owner(self, instrument: str) -> str:
        node = self._node
        keys = [key for key, c in node.strategies.items() if select([instrument], node.universe, c)]
        return keys[0] if keys else NOBODY

    def _paper(self) -> FlattenOutcome:
        if self._answered:
            return self._by_journal()
        pid = holder(self._folder)
        if pid is None:
            self._say("positions on paper end with the process")
            return self.ended("nobody", [])
        left = [f"process {pid} holds its paper positions; they end with it: kill -9 {pid}"]
        return self.ended("nobody", left)

    def _by_journal(self) -> FlattenOutcome:
        grace = self._node.risk.exit_grace + self._node.risk.deadline
        until = min(self._until, time.monotonic() + grace)
        while True:
            status = status_of(self._node.name, self._folder)
            left = [f"order: {order.client_order_id}" for order in status.orders]
            left += [f"position: {row.quantity:f} {row.instrument}" for row in status.positions]
            if not left or time.monotonic() > until:
                return self.ended("node", left, "journal")
            time.sleep(_PAUSE_S)

    def ended(
        self,
        by: Literal["node", "venue", "nobody"],
        left: list[str],
        source: Literal["venue", "journal", ""] = "",
    ) -> FlattenOutcome:
        """Return how it ended; `source` is who says that nothing is left."""
        seconds, flat = time.monotonic() - self._began, not left
        return FlattenOutcome(flat, by, source if flat else "", seconds, tuple(left), self._halt())

    def _halt(self) -> str:
        if self._no_halt:
            return self._no_halt
        stays = f"{self._node.name} stays out, over restarts too,"
        if not self._answered:
            stays = (
                f"the halt waits in the mailbox of {self._node.name}: its next start reads it "
                "before any strategy, and stays out"
            )
        return f'{stays} until `perpdesk risk release NODE {OPERATOR} --reason "…"`'
