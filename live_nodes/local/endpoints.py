"""Find the venue's addresses, and prevent accidental trading of real money."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from config.documents import Node, VenueUrls
from config.errors import GateRefused, InputError
from live_nodes.local.practice_process import EXCHANGE, ensure_exchange

OVERRIDE = "BYBIT_TESTNET"


@dataclass(frozen=True)
class Endpoints:
    """A venue's addresses: REST without a slash at the end, `ws_public` before the product."""

    http: str
    ws_public: str
    ws_private: str
    ws_trade: str


_BYBIT = {
    "paper": ("api", "stream", "stream", "stream"),
    "demo": ("api-demo", "stream", "stream-demo", "stream"),
    "testnet": ("api-testnet", "stream-testnet", "stream-testnet", "stream-testnet"),
    "mainnet": ("api", "stream", "stream", "stream"),
}
"""Hosts of bybit.com: REST, public, private, trade. A test compares them with the engine's."""


def endpoints_of(environment: str, urls: VenueUrls | None) -> Endpoints:
    """Return the addresses of an environment, or those of the document.

    Raises InputError for practice without addresses: they are known once its exchange has started.
    """
    if urls is not None:
        return Endpoints(urls.http, urls.ws_public, urls.ws_private, urls.ws_trade)
    if environment == "practice":
        raise InputError("the practice exchange's addresses are known once it has started")
    http, public, private, trade = (f"{host}.bybit.com" for host in _BYBIT[environment])
    return Endpoints(
        f"https://{http}",
        f"wss://{public}/v5/public",
        f"wss://{private}/v5/private",
        f"wss://{trade}/v5/trade",
    )


def venue_endpoints(node: Node, folder: Path, say: Callable[[str], None]) -> Endpoints:
    """Return the venue's addresses; start the practice exchange if none is named."""
    if node.environment != "practice" or node.venue_urls is not None:
        return endpoints_of(node.environment, node.venue_urls)
    endpoint = ensure_exchange(Path(node.practice.market), folder / EXCHANGE)
    say(f"practice exchange at {endpoint.http} (pid {endpoint.pid})")
    return Endpoints(endpoint.http, endpoint.ws_public, endpoint.ws_private, endpoint.ws_trade)


def overridden(node: Node, variables: Mapping[str, str]) -> tuple[Node, str]:
    """Return the node as ``BYBIT_TESTNET`` changes it, and a line about the change.

    ``true`` takes demo, testnet and mainnet nodes to testnet, ``false`` to mainnet; practice and
    paper stay what they are. Raises InputError when the variable is neither.
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
    """Raise GateRefused where real money is traded without confirmation, or not at Bybit."""
    if node.environment == "mainnet" and node.confirm != "mainnet":
        raise GateRefused(
            f"{node.name}: environment mainnet trades real money; "
            "write `confirm: mainnet` into the document if you mean it"
        )
    if node.environment == "mainnet" and node.venue_urls is not None:
        raise GateRefused(f"{node.name}: mainnet trades at Bybit: leave out venue_urls")
