"""Flatten without the node: cancel and close at the venue until the venue is flat.

Everything here may be done twice: closing orders are reduce-only, so a repeated order can't open
the other side. An order is repeated when no answer came, or when the venue reported a position
late. Orders refused for the rate limit, a busy venue or no reason are tried again.

Of spot, the coins that the desk bought are sold, and never others in the same wallet: what was
bought and sold is by the venue's executions, and a sale waits until those of the one before are
known. Less than the venue's minimum stays, and is reported once, from `NAMED_FROM` on.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import partial
from typing import Literal

from catalog.instruments import InstrumentInfo
from config.documents import Universe
from config.documents.watch import ThrottleSettings as Pace
from config.errors import GateRefused
from config.universe import select
from live_nodes.bybit.bucket import Bucket
from live_nodes.bybit.facts import VenueOrder, order_text
from live_nodes.bybit.own_coins import OwnCoins, sellable
from live_nodes.bybit.rest import CLOSE_ALL, VenueError, VenueRest
from live_nodes.reconcile.own_positions import OwnPositions
from live_nodes.reconcile.recovery_rules import within
from strategies.account_value import is_spot
from strategies.order_ids import closers_session, order_id

ZERO = Decimal(0)


@dataclass(frozen=True)
class FlattenScope:
    """Which orders and positions are cleared.

    `external` is ``risk.external``: whether those of others go too. `is_own` tests a link id.
    """

    external: Literal["leave", "universe", "all"]
    universe: Universe
    is_own: Callable[[str], bool]

    def takes_all_of(self, instrument: str) -> bool:
        """Whether everything in the instrument is cleared, whoever made it."""
        if self.external == "all":
            return True
        return self.external == "universe" and bool(select([instrument], self.universe))

    def takes(self, order: VenueOrder) -> bool:
        """Whether an open order is cancelled."""
        return self.is_own(order.order_link_id) or self.takes_all_of(order.instrument)


@dataclass(frozen=True)
class Remaining:
    """Open orders to cancel, and quantities to close by instrument (signed base coin)."""

    orders: tuple[VenueOrder, ...] = ()
    positions: Mapping[str, Decimal] = field(default_factory=dict)

    def __bool__(self) -> bool:
        return bool(self.orders or self.positions)

    def count(self) -> str:
        """Return the numbers of orders and positions, in words."""
        parts = [
            f"{number} {word}{'' if number == 1 else 's'}"
            for number, word in ((len(self.orders), "order"), (len(self.positions), "position"))
            if number
        ]
        return " and ".join(parts) or "nothing"

    def lines(self) -> list[str]:
        """Return each thing in words."""
        said = [f"order: {order_text(order)}" for order in self.orders]
        return said + [f"position: {q:f} {name}" for name, q in sorted(self.positions.items())]


def pieces(closing: Decimal, explained: Decimal) -> list[tuple[Decimal, bool]]:
    """Split a close into the part of our own orders (True) and the rest; signed base coin.

    Each part is closed under its own kind of name, so that the next start finds the books right:
    the node's own executions take its own position to zero. `explained` is by the journal.
    """
    ours = within(explained, closing)
    return [(q, own) for q, own in ((ours, True), (closing - ours, False)) if q]


KEYS_REFUSED = (401, 10003, 10004, 10005, 10007, 10009, 10010, 10029, 33004)
"""Bybit's error codes for keys that are wrong, lack a right, belong elsewhere or have expired
(https://bybit-exchange.github.io/docs/v5/error)."""
CLOCK_IS_OFF = 10002
NOTHING_TO_REDUCE = 110017
QTY_INVALID = 10001
"""Bybit's code of a wrong parameter, such as a size that is no whole number of lots."""
LOOKS = 2
"""Consecutive looks that must find nothing: orders under way can arrive after the first."""
NAMED_FROM = Decimal(1)
"""Coins too few to sell are named from this value on, USDT."""
AGAIN_S = 10.0
"""Pause before the same trouble is reported again."""
_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 4.0
_AT_ONCE = 8
_NO_ANSWER_S = 6.0
"""More than Bybit's receive window (5 s): a lost order can't arrive after it."""

Say = Callable[[str], None]


class _Lane:
    """Requests of one kind, limited in number at once and in pace."""

    def __init__(self, pace: Pace) -> None:
        self.several = asyncio.Semaphore(_AT_ONCE)
        self._bucket = Bucket(pace.per_second, pace.burst)

    async def turn(self) -> None:
        while not self._bucket.take(1, time.monotonic_ns()):
            await asyncio.sleep(self._bucket.wait(1, time.monotonic_ns()) + 0.001)


class VenueFlatten:
    """One flatten through REST.

    `owner` returns the strategy's key for an instrument whose executions name none. Cancels and
    closes have a `pace` each, as the venue counts them by path. `keys_from` is the source of the
    keys, for the message when the venue refuses them.
    """

    def __init__(
        self,
        rest: VenueRest,
        reach: FlattenScope,
        own: OwnPositions,
        owner: Callable[[str], str],
        pace: Pace,
        keys_from: str,
        say: Say,
    ) -> None:
        self._rest, self._reach, self._own, self._owner = rest, reach, own, owner
        self._keys_from, self._say = keys_from, say
        self._cancels, self._closes = _Lane(pace), _Lane(pace)
        self._session = closers_session(time.time_ns())
        self._sent = 0
        self._waiting: dict[str, tuple[str, float]] = {}
        self._trouble: dict[str, None] = {}
        self._told: dict[str, float] = {}
        self._said = ""
        self._infos: dict[str, InstrumentInfo] = {}
        self._dust: set[str] = set()
        self.left: Remaining | None = None

    async def run(self, seconds: float, patience: float) -> bool:
        """Clear everything; True when the venue is flat, False after `seconds`.

        Reports what is not flat every `patience` seconds. Raises GateRefused when the venue refuses
        the keys.
        """
        began = time.monotonic()
        complain_at, empty, pause = began + patience, 0, _PAUSE_S
        while True:
            left = await self._tried(self._look())
            if left is None:
                empty, pause = 0, min(pause * 2, _LONGEST_PAUSE_S)
            else:
                pause = _PAUSE_S
                self._progress(left)
                empty = 0 if left else empty + 1
                if empty == LOOKS:
                    return True
                if left:
                    await self._act(left)
            self._tell_trouble()
            now = time.monotonic()
            if now - began >= seconds:
                return False
            if now >= complain_at:
                complain_at = now + patience
                self._say(f"NOT flat after {now - began:.0f} s: {self.summary_text()}")
            await asyncio.sleep(min(pause, max(0.0, began + seconds - now)))

    async def look_only(self) -> Remaining | None:
        """Fetch what is left at the venue without a change; None when it does not answer."""
        left = await self._tried(self._look())
        self._tell_trouble()
        return left

    def summary_text(self) -> str:
        """Return what was left at the last look."""
        if self.left is None:
            return "the venue has not said yet what is there"
        return "; ".join(self.left.lines()) or "nothing is left"

    async def _look(self) -> Remaining:
        # Orders first: an order that fills in between appears in the positions.
        orders = await self._rest.open_orders(*self._own.products)
        trades_spot = "SPOT" in self._own.products
        if self._reach.external == "leave" or trades_spot:
            await self._refresh()
        closing = {
            name: held if self._reach.takes_all_of(name) else within(self._own.of(name), held)
            for name, held in (await self._rest.positions()).items()
        }
        if trades_spot:
            closing |= await self._own_coins()
        self.left = Remaining(
            tuple(order for order in orders if self._reach.takes(order)),
            {name: quantity for name, quantity in closing.items() if quantity},
        )
        return self.left

    async def _own_coins(self) -> dict[str, Decimal]:
        wallet, found = await self._rest.coins(), {}
        # What others took is gone: what they bring back is theirs.
        left = OwnCoins(
            lambda: self._own.explained, lambda name: ZERO, lambda: self._own.moved_by_others
        ).exact(wallet)
        for name in filter(is_spot, self._own.net):
            coins = min(self._own.of(name), left.get(name, ZERO))
            if coins <= ZERO:
                continue
            self._infos = self._infos or await self._rest.instruments("SPOT")
            info = self._infos.get(name)
            size, price = ZERO, None
            if info is not None:
                price = await self._rest.price(name)
                size = sellable(info, coins, price)
            if size:
                found[name] = size
            elif name not in self._dust and (price is None or coins * price >= NAMED_FROM):
                self._dust.add(name)
                why = "can't be sold: it is not traded" if info is None else "is too little to sell"
                self._say(f"{name}: {coins.normalize():f} {why}; it stays")
        return found

    async def _refresh(self) -> None:
        waiting = dict(self._waiting)
        over: dict[str, Decimal] = {}
        for name, (link_id, sent) in waiting.items():
            order = await self._rest.order(name, link_id)
            if order is None and time.monotonic() - sent > _NO_ANSWER_S:
                del self._waiting[name]
            elif order is not None and not order.is_open:
                over[name] = order.filled
        filled = await self._own.refresh(self._rest, time.time_ns() + self._rest.clock_shift_ns)
        for name, quantity in over.items():
            if filled.get(waiting[name][0], ZERO) == quantity:
                del self._waiting[name]

    def _progress(self, left: Remaining) -> None:
        words = left.count()
        if words != self._said:
            self._said = words
            self._say(f"at the venue: {words} to go" if left else "at the venue: nothing is left")

    async def _act(self, left: Remaining) -> None:
        emptied = {
            o.instrument
            for o in left.orders
            # On spot, it would leave conditional orders.
            if self._reach.takes_all_of(o.instrument) and not is_spot(o.instrument)
        }
        cancels = [partial(self._rest.cancel_all, name) for name in sorted(emptied)]
        cancels += [
            partial(self._cancel, order) for order in left.orders if order.instrument not in emptied
        ]
        closes = [
            partial(self._close, name, quantity)
            for name, quantity in sorted(left.positions.items())
            if name not in self._waiting
        ]
        await asyncio.gather(
            *(self._paced(self._cancels, one) for one in cancels),
            *(self._paced(self._closes, one) for one in closes),
        )

    async def _cancel(self, order: VenueOrder) -> None:
        await self._rest.cancel(order.instrument, order.order_id, order.order_filter)

    async def _close(self, name: str, quantity: Decimal) -> None:
        if self._reach.takes_all_of(name) and not is_spot(name):
            parts = pieces(quantity, self._own.explained.get(name, ZERO))
            try:
                for part, own in parts:
                    await self._send(name, part, self._name(name, own))
            except VenueError as error:
                if error.code != QTY_INVALID:
                    raise
                # The venue's lot has grown since: the whole goes in any size.
                await self._send(name, quantity, self._name(name, parts[0][1]), whole=True)
            return
        link_id = self._name(name, own=True)
        # Sent twice, it would close more than it must: wait for its end.
        self._waiting[name] = (link_id, time.monotonic())
        await self._send(name, quantity, link_id)

    async def _send(self, name: str, part: Decimal, link_id: str, *, whole: bool = False) -> None:
        fields = {
            "side": "Sell" if part > 0 else "Buy",
            "orderType": "Market",
            "qty": f"{abs(part):f}",
            **({"marketUnit": "baseCoin"} if is_spot(name) else {"reduceOnly": True}),
            **(CLOSE_ALL if whole else {}),
            "orderLinkId": link_id,
        }
        try:
            await self._rest.create(name, fields)
        except VenueError as error:
            if error.code:
                # Refused: no order is under way.
                self._waiting.pop(name, None)
            if error.code != NOTHING_TO_REDUCE:
                raise

    def _name(self, instrument: str, own: bool) -> str:
        self._sent += 1
        if own:
            key = self._own.owner(instrument) or self._owner(instrument)
            return order_id(self._own.tag, key, self._session, self._sent)
        return f"flatten-{self._session}-{self._sent}"

    async def _paced(self, lane: _Lane, work: Callable[[], Awaitable[None]]) -> None:
        async with lane.several:
            await lane.turn()
            await self._tried(work())

    async def _tried[T](self, work: Awaitable[T]) -> T | None:
        try:
            return await work
        except VenueError as error:
            if error.code in KEYS_REFUSED:
                raise GateRefused(
                    f"the venue refuses the keys of {self._keys_from}: {error}; nothing can be "
                    "closed with them: are they of this environment, and may they trade?"
                ) from None
            self._trouble[str(error)] = None
            if error.code == CLOCK_IS_OFF:
                await self._set_clock()
            return None

    async def _set_clock(self) -> None:
        try:
            skew = (await self._rest.clock(1)).skew
        except VenueError as error:
            self._trouble[str(error)] = None
            return
        self._rest.clock_shift_ns = round(skew * 1e9)
        self._trouble[f"this machine's clock is {skew:+.1f} s off: using the venue's clock"] = None

    def _tell_trouble(self) -> None:
        now = time.monotonic()
        for words in self._trouble:
            if now >= self._told.get(words, -AGAIN_S) + AGAIN_S:
                self._told[words] = now
                self._say(f"{words}; trying again")
        self._trouble.clear()
