"""Check the venue before a node is built: the start-up gates.

Gates are pure: facts in, failures out. `preflight` fetches their facts by our own REST client, not
the adapter: nautilus_trader 1.231.0 itself starts strategies on a refused login, takes an error for
an empty account and goes on without its venue.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal
from typing import Any

from catalog.instruments import ACCOUNT_COIN, PRODUCTS, VENUE, InstrumentInfo, split_id
from catalog.providers.bybit_http import BybitHistory
from config.components import resolve
from config.documents import Expected, Fees, Node
from config.errors import DeskError, GateRefused, InputError, some_of
from config.params import complete_params
from config.universe import intersect, not_listed, select, sold_short
from live_nodes.bybit.facts import FeeRate, products_of
from live_nodes.bybit.rest import ClockReading, VenueError, VenueRest
from live_nodes.node.key_rights import key_findings
from live_nodes.node.warm_up import listings
from strategies.account_value import is_spot

_SHOWN = 3
HEADROOM = Decimal("1.05")
PERMISSIONS = {"LINEAR": ("ContractTrade", ("Order", "Position")), "SPOT": ("Spot", ("SpotTrade",))}
"""Required permissions of a key, by product (v5 "Get API Key Information")."""


@dataclass(frozen=True)
class GateFailure:
    """One reason why the node must not start, with the right value (`limit`) and a `remedy`."""

    gate: str
    measured: str
    limit: str
    remedy: str

    def __str__(self) -> str:
        return f"gate {self.gate}: {self.measured} (must be: {self.limit}); {self.remedy}"


def refuse(node: str, failures: Iterable[GateFailure]) -> None:
    """Raise GateRefused with all failures, where there are any."""
    lines = [str(failure) for failure in failures]
    if lines:
        raise GateRefused("\n".join(f"{node}: {line}" for line in lines))


def clock_gate(skew: float, round_trip: float, limit: float) -> list[GateFailure]:
    """Check clock skew plus half the round trip, in seconds, against the limit."""
    found = (
        f"this machine's clock is {abs(skew):.3f} s {'late' if skew > 0 else 'early'} "
        f"(known to ±{round_trip / 2:.3f} s)"
    )
    off = [found] if abs(skew) + round_trip / 2 > limit else []
    remedy = "set the clock (chrony or systemd-timesyncd)"
    return _failing("clock", off, f"within {limit:g} s", remedy)


def permission_gate(answer: Mapping[str, Any], products: Iterable[str]) -> list[GateFailure]:
    """Check the key's permissions, from ``/v5/user/query-api``."""
    failures = []
    remedy = "make a key that may trade, and nothing more, in Bybit's settings"
    if int(answer.get("readOnly") or 0):
        failures.append(GateFailure("permissions", "the key may only read", "may trade", remedy))
    granted = answer.get("permissions") or {}
    for product in products:
        group, needed = PERMISSIONS[product]
        lacking = [name for name in needed if name not in (granted.get(group) or ())]
        found = [f"the key lacks {group}: {', '.join(lacking)}"] if lacking else []
        failures += _failing("permissions", found, f"granted for {product.lower()}", remedy)
    return failures


def fees_gate(
    expected: Mapping[str, Fees | None], rates: Mapping[str, Mapping[str, FeeRate]]
) -> list[GateFailure]:
    """Check that the account's fees are not above the tested ones (None is not checked)."""
    failures = []
    for product, fees in expected.items():
        if fees is None:
            continue
        dear = [
            f"{name} maker {rate.maker:f} taker {rate.taker:f}"
            for name, rate in sorted(rates.get(product, {}).items())
            if rate.maker > fees.maker or rate.taker > fees.taker
        ]
        failures += _failing(
            "fees",
            [f"{product.lower()}: {_some(dear)}"] if dear else [],
            f"at most maker {fees.maker:f} taker {fees.taker:f}",
            f"test with these rates and write them into expected.fees.{product.lower()}",
        )
    return failures


def account_mode_gate(
    expected: Expected, margin_mode: str, position_modes: Mapping[str, str]
) -> list[GateFailure]:
    """Check the margin mode, and the position mode of each perpetual, by instrument id."""
    margin = expected.margin_mode or margin_mode
    other = [
        f"{name} {mode}"
        for name, mode in sorted(position_modes.items())
        if mode != expected.position_mode
    ]
    return [
        *_failing(
            "margin mode",
            [margin_mode] if margin_mode != margin else [],
            margin,
            "switch it at the venue, or change expected.margin_mode",
        ),
        *_failing(
            "position mode",
            other,
            expected.position_mode,
            "switch it at the venue: the desk's books know one net position an instrument",
        ),
    ]


def leverage_needed(node: Node) -> Decimal:
    """Return the leverage with which margin carries all that the strategies may hold, to 0.01.

    That is the sum of their ``gross_leverage`` x ``allocation``, or ``limits.leverage`` where a
    strategy states none, and a twentieth more for fees and price moves.
    """
    gross = Decimal(0)
    for component in node.strategies.values():
        if component.enabled:
            params = complete_params(resolve(component.use, node.allow), component.params)
            if "gross_leverage" in params:
                parts = (params["gross_leverage"], params.get("allocation", 1))
                gross += Decimal(str(parts[0])) * Decimal(str(parts[1]))
            else:
                gross = node.limits.leverage
    gross = min(gross, node.limits.leverage)
    return max(Decimal(1), (gross * HEADROOM).quantize(Decimal("0.01"), ROUND_CEILING))


def leverage_gate(
    needed: Decimal, leverages: Mapping[str, Decimal], most: Mapping[str, Decimal]
) -> list[GateFailure]:
    """Check the leverage of each perpetual; `most` is what the venue allows. Zero is unknown."""
    low = []
    for name, leverage in sorted(leverages.items()):
        if 0 < leverage < needed:
            bound = f" (the venue's most is {most[name]:f})" if most[name] < needed else ""
            low.append(f"{name} {leverage:f}{bound}")
    return _failing(
        "leverage",
        low,
        f"at least {needed:f}, for margin to carry all positions of the strategies",
        "set it at the venue, or let the start do so (account.leverage: set), or lower the "
        "strategies' gross_leverage (of one that states none: limits.leverage)",
    )


def orders_gate(venue: Mapping[str, Decimal], books: Mapping[str, Decimal]) -> list[GateFailure]:
    """Compare open orders: the unfilled quantity of each, by the venue's order id."""
    differing = [
        f"{name}: {_or_none(venue.get(name))} at the venue, {_or_none(books.get(name))} here"
        for name in sorted({*venue, *books})
        if venue.get(name) != books.get(name)
    ]
    return _failing("orders", differing, _SAME, _AGAIN)


def positions_gate(venue: Mapping[str, Decimal], books: Mapping[str, Decimal]) -> list[GateFailure]:
    """Compare net positions, signed base coin by instrument id; flat ones may be left out."""
    zero = Decimal(0)
    differing = [
        f"{name}: {venue.get(name, zero):f} at the venue, {books.get(name, zero):f} here"
        for name in sorted({*venue, *books})
        if venue.get(name, zero) != books.get(name, zero)
    ]
    return _failing("positions", differing, _SAME, _AGAIN)


def foreign_positions_gate(positions: Mapping[str, Decimal]) -> list[GateFailure]:
    """Refuse a first start on foreign positions (signed base coin): strategies would trade them."""
    held = [f"{name} {quantity:f}" for name, quantity in sorted(positions.items())]
    return _failing(
        "first start",
        [f"the account holds positions that this node did not open: {_some(held)}"] if held else [],
        "flat in the node's instruments",
        "its strategies would count them as their own and trade them: give the node a "
        "subaccount of its own, or close them, or exclude them (universe.exclude), or let the "
        "node trade them (watch.policies.external_positions: report)",
    )


def held_gate(
    positions: Mapping[str, Decimal], infos: Mapping[str, InstrumentInfo]
) -> list[GateFailure]:
    """Refuse perpetual positions (signed base coin) that the engine's books can't have.

    They are in a market that trades no more, or have more decimals than its lots, which grew.
    Dated futures (``BTCUSDT-25DEC26``), which a node never trades, are others'.
    """
    products, found = {split_id(name)[1] for name in infos}, []
    for name, quantity in sorted(positions.items()):
        info, (symbol, product) = infos.get(name), split_id(name)
        if is_spot(name) or product not in products or "-" in symbol:
            continue
        if info is None:
            found.append(
                f"{name} {quantity:f}, and it takes no new positions: it is being delisted"
            )
        elif _decimals(quantity) > _decimals(Decimal(info.lot)):
            found.append(f"{name} {quantity:f}, no whole number of its lots of {info.lot}")
    return _failing(
        "held",
        found,
        "positions that can be traded on",
        "close it with `perpdesk risk flatten`, which closes all of the node; then release the "
        "operator's halt (perpdesk risk release) and start again",
    )


def balance_gate(venue: Decimal, books: Decimal | None, tolerance: Decimal) -> list[GateFailure]:
    """Compare the wallet balance, settlement currency."""
    if books is not None and abs(venue - books) <= tolerance:
        return []
    found = f"{venue:f} at the venue, {_or_none(books)} here"
    return [GateFailure("balance", found, f"the same within {tolerance:f}", _AGAIN)]


def links_gate(lacking: Mapping[str, str]) -> list[GateFailure]:
    """Refuse links that are down, or not proven to be logged in; values are the details."""
    remedy = "check the keys, their permissions and their environment, and the venue's status page"
    return [
        GateFailure("links", f"{name}: {what}", "connected and logged in", remedy)
        for name, what in lacking.items()
    ]


_SAME = "the same in our books as at the venue"
_AGAIN = (
    "start again; if it stays, compare with the venue's own page, or close all "
    "(perpdesk risk flatten)"
)


def _decimals(value: Decimal) -> int:
    return max(0, -int(value.normalize().as_tuple().exponent))


def _failing(gate: str, found: list[str], limit: str, remedy: str) -> list[GateFailure]:
    return [GateFailure(gate, _some(found), limit, remedy)] if found else []


def _some(items: list[str]) -> str:
    return some_of(items, _SHOWN, between="; ")


def _or_none(value: Decimal | None) -> str:
    return "none" if value is None else f"{value:f}"


@dataclass(frozen=True)
class Preflight:
    """The venue's facts before a start, and the failures that prevent the start."""

    infos: dict[str, InstrumentInfo]
    universe: list[str]
    products: tuple[str, ...]
    histories: dict[str, BybitHistory]
    clock: ClockReading
    failures: list[GateFailure]
    leverages: dict[str, Decimal]
    """Of each perpetual of the universe, by instrument id, with those that the start sets."""
    set_leverages: dict[str, Decimal]
    """Those that the start sets at the venue (a dry run does not)."""
    key_warnings: tuple[str, ...] = ()
    """Risks of the key of real money."""
    user: str = ""
    """The venue's number of the account, empty on paper."""

    def lot_of(self, instrument: str) -> Decimal:
        """Return an instrument's lot step; zero where the venue lists it no more."""
        info = self.infos.get(instrument)
        return Decimal(0) if info is None else Decimal(info.lot)


def universe_of(node: Node, ids: Iterable[str]) -> list[str]:
    """Return the ids that the node's enabled strategies trade."""
    there = sorted(ids)
    return sorted(
        {
            name
            for component in node.strategies.values()
            if component.enabled
            for name in select(there, node.universe, component)
        }
    )


async def preflight(node: Node, rest: VenueRest, *, may_set: bool = False) -> Preflight:
    """Fetch clocks, instruments and, where the node has an account, its settings.

    With `may_set` and without a failure it sets leverages where ``account.leverage`` says so.
    Raises GateRefused if the venue can't be reached, refuses the key, or trades nothing of the
    universe.
    """
    try:
        reading = await rest.clock()
    except VenueError as error:
        raise GateRefused(
            f"{node.name}: gate venue: {error}; is it up, and is this its address?"
        ) from error
    leverages: dict[str, Decimal] = {}
    changes: dict[str, Decimal] = {}
    permissions: dict[str, Any] = {}
    failures = clock_gate(reading.skew, reading.round_trip, node.gates.max_clock_skew)
    if failures:
        # Signed requests must not fail by the clock's fault, before that is said.
        rest.clock_shift_ns = round(reading.skew * 1e9)
    try:
        if node.environment != "paper":
            # The first signed request, so that a wrong key shows early.
            permissions = await rest.permissions()
        histories = {name: BybitHistory(name, rest.base_url) for name in products_asked(node)}
        infos = await listings(histories)
        universe = universe_of(node, infos)
        if not universe:
            raise InputError(
                f"{node.name}: none of the {len(infos)} instruments that {rest.base_url} trades "
                "is in the universe of an enabled strategy (none that is being delisted is among "
                "them: `perpdesk risk flatten` closes what is held there)"
            )
        other = [name for name in universe if infos[name].settle != ACCOUNT_COIN]
        if other:
            raise InputError(
                f"{node.name}: {some_of(other)} is not paid in {ACCOUNT_COIN}, as the account is: "
                "leave it out (universe.exclude)"
            )
        for key in (key for key, component in node.strategies.items() if component.enabled):
            own = select(universe, node.universe, node.strategies[key])
            if wrong := sold_short(node, key, own):
                raise InputError(f"{node.name}: strategies.{key}: {wrong}")
            if wrong := not_listed(node, key, own):
                raise InputError(f"{node.name}: strategies.{key}.{wrong}")
        products = products_of(universe)
        if node.environment != "paper":
            failures += permission_gate(permissions, products)
            found, leverages, changes = await _account(node, rest, infos, universe)
            failures += found
            for name, leverage in changes.items() if may_set and not failures else ():
                await rest.set_leverage(name, leverage)
    except VenueError as error:
        raise GateRefused(f"{node.name}: gate account: {error}") from error
    except InputError:
        raise
    except DeskError as error:
        raise GateRefused(f"{node.name}: gate venue: {error}") from error
    histories = {name: histories[name] for name in products}
    risks = key_findings(permissions, datetime.now(UTC)) if node.environment == "mainnet" else ()
    warnings = tuple(f"{risk.found}: {risk.remedy}" for risk in risks if risk.remedy)
    return Preflight(
        infos, universe, products, histories, reading, failures, leverages, changes, warnings,
        str(permissions.get("userID", "")),
    )  # fmt: skip


def products_asked(node: Node) -> tuple[str, ...]:
    """Return the products that a node's universe may have."""
    return tuple(
        product
        for product in PRODUCTS
        if any(intersect([p, f"*-{product}.{VENUE}"]) for p in node.universe.instruments)
        and f"*-{product}.{VENUE}" not in node.universe.exclude
    )


async def fee_failures(node: Node, rest: VenueRest, universe: Iterable[str]) -> list[GateFailure]:
    """Ask for the account's fees in the universe and check them against ``expected.fees``."""
    fees = node.expected.fees
    expected = {"LINEAR": fees.linear, "SPOT": fees.spot}
    asked = {product: expected[product] for product in products_of(universe)}
    rates: dict[str, Mapping[str, FeeRate]] = {}
    for product in (product for product, tested in asked.items() if tested is not None):
        by_symbol = await rest.fee_rates(product)
        names = {split_id(name)[0]: name for name in universe if f"-{product}." in name}
        rates[product] = {
            names[symbol]: rate for symbol, rate in by_symbol.items() if symbol in names
        }
    return fees_gate(asked, rates)


async def _account(
    node: Node,
    rest: VenueRest,
    infos: Mapping[str, InstrumentInfo],
    universe: list[str],
) -> tuple[list[GateFailure], dict[str, Decimal], dict[str, Decimal]]:
    too_dear = await fee_failures(node, rest, universe)
    settings = await rest.position_settings(name for name in universe if "-LINEAR." in name)
    modes = {name: found.mode for name, found in settings.items()}
    leverages = {name: found.leverage for name, found in settings.items()}
    most = {name: Decimal(infos[name].max_leverage) for name in leverages}
    needed = leverage_needed(node)
    # A whole number is a step of every symbol's leverage.
    whole = needed.to_integral_value(ROUND_CEILING)
    changes = {
        name: min(whole, most[name])
        for name, leverage in leverages.items()
        if node.account.leverage == "set" and 0 < leverage < needed <= most[name]
    }
    failures = [
        *too_dear,
        *account_mode_gate(node.expected, await rest.margin_mode(), modes),
        *leverage_gate(needed, leverages | changes, most),
    ]
    return failures, leverages | changes, changes
