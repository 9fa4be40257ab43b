"""`perpdesk doctor --trade`: buy and sell a little, and check each step at the venue."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from decimal import ROUND_UP, Decimal

from catalog.instruments import InstrumentInfo
from config.documents import Node
from config.errors import DeskError
from live_nodes.bybit.facts import VenueFill, VenueOrder, signed_quantity
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.keys import KeyPair
from live_nodes.node.preflight import preflight
from strategies.order_ids import closers_session, order_id

KEY = "doctor"
FAVOURITES = tuple(f"{coin}USDT-LINEAR.BYBIT" for coin in ("BTC", "ETH", "SOL", "XRP", "DOGE"))
"""Instruments with deep books, also on testnet: tried first."""
MOST_ASKED = 20
NEAR = Decimal("1.25")
"""Most that the smallest order may be worth, as a multiple of the amount."""
DEADLINE_S = 10.0
TOLERANCE = Decimal("0.01")
"""Largest difference of balance and fills, USDT (rounding of fees)."""
_PAUSE_S = 0.2
_CLOCKS_NS = 5_000_000_000


async def round_trip(node: Node, keys: KeyPair, endpoints: Endpoints, amount: float) -> str:
    """Buy and sell again; return a summary in words.

    Raises DeskError if the venue's state is not as expected; an opened position is closed first.
    """
    async with VenueRest(endpoints.http, keys, timeout=node.gates.request_timeout) as rest:
        facts = await preflight(node, rest)
        wanted = Decimal(str(amount))
        info = await _instrument(rest, [facts.infos[name] for name in facts.universe], wanted)
        return await _Trip(rest, info, node.tag).run(wanted)


async def _instrument(
    rest: VenueRest, infos: Sequence[InstrumentInfo], amount: Decimal
) -> InstrumentInfo:
    # Lots must come near the amount: a lot of bitcoin may cost 100 USDT.
    # Leave instruments with positions or open orders alone.
    taken = {*await rest.positions(), *(o.instrument for o in await rest.open_orders("LINEAR"))}
    perpetuals = [info for info in infos if info.product == "LINEAR" and info.id not in taken]
    perpetuals.sort(key=lambda info: (info.id not in FAVOURITES, info.id))
    for info in perpetuals[:MOST_ASKED]:
        price = await rest.price(info.id)
        worth = quantity_of(amount, price, info) * price
        if Decimal(info.min_notional) <= worth <= amount * NEAR:
            return info
    raise DeskError(
        f"no perpetual of the node's universe that is free of positions and orders can be traded "
        f"for about {amount} USDT; give more"
    )


def quantity_of(amount: Decimal, price: Decimal, info: InstrumentInfo) -> Decimal:
    """Return the smallest quantity of whole lots that is worth the amount, base coin."""
    lot = Decimal(info.lot)
    wanted = (amount / price / lot).to_integral_value(ROUND_UP) * lot
    return max(wanted, Decimal(info.min_qty or info.lot))


class _Trip:
    def __init__(self, rest: VenueRest, info: InstrumentInfo, tag: str) -> None:
        self._rest, self._info = rest, info
        self._ids = [order_id(tag, KEY, closers_session(time.time_ns()), n) for n in (1, 2)]
        self._began = time.time_ns() - _CLOCKS_NS

    async def run(self, amount: Decimal) -> str:
        name = self._info.id
        before = await self._rest.balance()
        quantity = quantity_of(amount, await self._rest.price(name), self._info)
        try:
            bought = await self._fill("Buy", quantity, self._ids[0], {})
            held = (await self._rest.positions()).get(name)
            if held != quantity:
                there = held or "nothing"
                raise DeskError(f"bought {quantity} {name}, and the venue holds {there}")
        except BaseException:
            await self._close_what_is_there()
            raise
        sold = await self._fill("Sell", quantity, self._ids[1], {"reduceOnly": True})
        await self._until(self._is_flat, f"{name} is not flat after the sale")
        fills = [*bought, *sold]
        fees = sum((fill.fee for fill in fills), Decimal(0))
        profit = -sum((signed_quantity(fill) * fill.price for fill in fills), Decimal(0))

        async def balance_agrees() -> bool:
            return abs(await self._rest.balance() - before - (profit - fees)) <= TOLERANCE

        await self._until(
            balance_agrees, f"the balance did not change by {profit - fees:.4f}, as the fills say"
        )
        return (
            f"{quantity} {name} bought at {_average(bought):f} and sold at {_average(sold):f}; "
            f"fees {fees:f}, balance {profit - fees:+f} USDT; orders, fills, position and balance "
            "agree"
        )

    async def _fill(
        self, side: str, quantity: Decimal, link_id: str, more: dict[str, bool]
    ) -> list[VenueFill]:
        name = self._info.id
        await self._rest.create(
            name,
            {
                "side": side,
                "orderType": "Market",
                "qty": f"{quantity:f}",
                "orderLinkId": link_id,
                **more,
            },
        )
        ended: VenueOrder | None = None

        async def is_filled() -> bool:
            nonlocal ended
            ended = await self._rest.order(name, link_id)
            return ended is not None and not ended.is_open

        await self._until(is_filled, f"order {link_id} is not filled")
        assert ended is not None
        if ended.filled != quantity:
            raise DeskError(f"order {link_id} ended {ended.status}, filled {ended.filled}")
        fills: list[VenueFill] = []

        async def has_fills() -> bool:
            until = time.time_ns() + _CLOCKS_NS
            found = await self._rest.fills("LINEAR", self._began, until)
            fills[:] = [fill for fill in found if fill.order_link_id == link_id]
            return sum((fill.quantity for fill in fills), Decimal(0)) == quantity

        await self._until(has_fills, f"the executions of {link_id} don't add up to {quantity}")
        return fills

    async def _is_flat(self) -> bool:
        return self._info.id not in await self._rest.positions()

    async def _close_what_is_there(self) -> None:
        held = (await self._rest.positions()).get(self._info.id, Decimal(0))
        if held > 0:
            await self._fill("Sell", held, self._ids[1], {"reduceOnly": True})

    @staticmethod
    async def _until(question: Callable[[], Awaitable[bool]], otherwise: str) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not await question():
            if time.monotonic() > deadline:
                raise DeskError(f"{otherwise} after {DEADLINE_S:g} s")
            await asyncio.sleep(_PAUSE_S)


def _average(fills: list[VenueFill]) -> Decimal:
    worth = sum((fill.quantity * fill.price for fill in fills), Decimal(0))
    return worth / sum((fill.quantity for fill in fills), Decimal(0))
