"""What is asked of the venue before anything is built, and whether a start may go on from it.

By our own REST client, so that the adapter's word is never the only one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from catalog.instruments import PRODUCTS, VENUE, InstrumentInfo
from catalog.providers.bybit_http import BybitHistory
from config.documents import Node
from config.errors import DeskError, GateRefused, InputError
from config.globs import intersect
from config.universe import NO_SPOT, SPOT
from live_nodes.bybit.facts import FeeRate
from live_nodes.bybit.rest import ClockReading, VenueError, VenueRest, venue_symbol
from live_nodes.bybit.terms import products_of
from live_nodes.node.build import universe_of
from live_nodes.node.gates import (
    GateFailure,
    account_mode_gate,
    clock_gate,
    fees_gate,
    permission_gate,
)
from live_nodes.node.warm_up import listings


@dataclass(frozen=True)
class Preflight:
    """What the venue said, and what is wrong with it.

    Parameters
    ----------
    infos : dict of str to InstrumentInfo
        All instruments that trade, by id.
    universe : list of str
        Ids that the node's strategies trade.
    products : tuple of str
        Their products.
    histories : dict of str to BybitHistory
        By product; they know the instruments.
    clock : ClockReading
        The comparison of the clocks.
    failures : list of GateFailure
        Empty when the start may go on.
    """

    infos: dict[str, InstrumentInfo]
    universe: list[str]
    products: tuple[str, ...]
    histories: dict[str, BybitHistory]
    clock: ClockReading
    failures: list[GateFailure]


async def preflight(node: Node, rest: VenueRest) -> Preflight:
    """Ask the venue for clocks, instruments and, where the node has an account, how it is set up.

    Raises
    ------
    GateRefused
        When the venue can't be reached, refuses the key, or trades nothing of the universe.
    """
    try:
        reading = await rest.clock()
    except VenueError as error:
        raise GateRefused(
            f"{node.name}: gate venue: {error}; is it up, and is this its address?"
        ) from error
    failures = clock_gate(reading.skew, reading.round_trip, node.gates.max_clock_skew)
    try:
        if node.environment != "paper":
            # First of what is signed, so that a wrong key is told before anything takes long.
            permissions = await rest.permissions()
        histories = {name: BybitHistory(name, rest.base_url) for name in _products_asked(node)}
        infos = await listings(histories)
        universe = universe_of(node, infos)
        if not universe:
            raise InputError(
                f"{node.name}: none of the {len(infos)} instruments that {rest.base_url} trades "
                "is in the universe of an enabled strategy"
            )
        products = products_of(universe)
        if "SPOT" in products and node.environment != "paper":
            raise InputError(f"{node.name}: {NO_SPOT}; universe.exclude: ['{SPOT}'] leaves it out")
        if node.environment != "paper":
            failures += permission_gate(permissions, products)
            failures += await _account(node, rest, universe, products)
    except VenueError as error:
        raise GateRefused(f"{node.name}: gate account: {error}") from error
    except InputError:
        raise
    except DeskError as error:
        raise GateRefused(f"{node.name}: gate venue: {error}") from error
    histories = {name: histories[name] for name in products}
    return Preflight(infos, universe, products, histories, reading, failures)


def _products_asked(node: Node) -> list[str]:
    """Return the products that the universe's patterns could match."""
    return [
        product
        for product in PRODUCTS
        if any(intersect([p, f"*-{product}.{VENUE}"]) for p in node.universe.instruments)
    ]


async def _account(
    node: Node, rest: VenueRest, universe: list[str], products: tuple[str, ...]
) -> list[GateFailure]:
    fees = node.expected.fees
    expected = {"LINEAR": fees.linear, "SPOT": fees.spot}
    rates: dict[str, Mapping[str, FeeRate]] = {}
    for product in products:
        if expected[product] is None:
            continue
        told = await rest.fee_rates(product)
        names = {venue_symbol(name)[0]: name for name in universe if f"-{product}." in name}
        rates[product] = {names[symbol]: rate for symbol, rate in told.items() if symbol in names}
    perpetuals = [name for name in universe if "-LINEAR." in name]
    return [
        *fees_gate({product: expected[product] for product in products}, rates),
        *account_mode_gate(
            node.expected,
            await rest.margin_mode(),
            await rest.position_mode(perpetuals[0]) if perpetuals else None,
        ),
    ]
