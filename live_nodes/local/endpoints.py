"""Where each environment's venue is: addresses, and which of Bybit's worlds the adapter is told.

Engine-specific: Bybit's own addresses come from Nautilus.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from nautilus_trader.core import nautilus_pyo3 as engine

from config.documents import Node, VenueUrls
from config.errors import GateRefused, InputError

OVERRIDE = "BYBIT_TESTNET"
_WORLDS = {
    "practice": engine.BybitEnvironment.MAINNET,
    "paper": engine.BybitEnvironment.MAINNET,
    "demo": engine.BybitEnvironment.DEMO,
    "testnet": engine.BybitEnvironment.TESTNET,
    "mainnet": engine.BybitEnvironment.MAINNET,
}
"""The practice exchange looks to the adapter like mainnet at another address."""


@dataclass(frozen=True)
class Addresses:
    """Where a node's requests go.

    Parameters
    ----------
    http : str
        REST, without a slash at the end.
    ws_public : str
        Public WebSocket, before the product.
    ws_private, ws_trade : str
        WebSockets of the account.
    """

    http: str
    ws_public: str
    ws_private: str
    ws_trade: str


def world(environment: str) -> Any:
    """Return what the adapter calls the environment."""
    return _WORLDS[environment]


def addresses(environment: str, urls: VenueUrls | None) -> Addresses:
    """Return the addresses of an environment, or those that the document puts in their place.

    Raises
    ------
    InputError
        For practice without addresses: its exchange says them when it has started.
    """
    if urls is not None:
        return Addresses(urls.http, urls.ws_public, urls.ws_private, urls.ws_trade)
    if environment == "practice":
        raise InputError("the practice exchange's addresses are known once it has started")
    place = world(environment)
    linear = engine.get_bybit_ws_url_public(engine.BybitProductType.LINEAR, place)
    return Addresses(
        engine.get_bybit_http_base_url(place).rstrip("/"),
        linear.rpartition("/")[0],
        engine.get_bybit_ws_url_private(place),
        engine.get_bybit_ws_url_trade(place),
    )


def overridden(node: Node, variables: Mapping[str, str]) -> tuple[Node, str]:
    """Return the node as ``BYBIT_TESTNET`` has it, and a line that says what that changed.

    ``true`` takes demo, testnet and mainnet nodes to testnet, ``false`` to mainnet; practice and
    paper stay what they are.

    Raises
    ------
    InputError
        When the variable says neither.
    """
    text = variables.get(OVERRIDE, "").strip().lower()
    if not text:
        return node, ""
    if text not in ("true", "false"):
        raise InputError(f"{OVERRIDE} must be true or false, was {variables[OVERRIDE]!r}")
    if node.environment in ("practice", "paper"):
        return node, f"{OVERRIDE}={text} changes nothing for environment {node.environment}"
    place = "testnet" if text == "true" else "mainnet"
    if place == node.environment:
        return node, f"{OVERRIDE}={text} agrees with environment {place}"
    line = f"{OVERRIDE}={text} takes this node from {node.environment} to {place}"
    return node.model_copy(update={"environment": place}), line


def refuse_unconfirmed(node: Node) -> None:
    """Let nobody trade real money by accident.

    Raises
    ------
    GateRefused
        For mainnet without its confirmation.
    """
    if node.environment == "mainnet" and node.confirm != "mainnet":
        raise GateRefused(
            f"{node.name}: environment mainnet trades real money; "
            "write `confirm: mainnet` into the document if you mean it"
        )
    if node.environment == "mainnet" and node.venue_urls is not None:
        raise GateRefused(f"{node.name}: mainnet trades at Bybit: leave out venue_urls")
