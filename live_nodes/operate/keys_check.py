"""Check a node's API key at the venue: what it may do, from where, and until when."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

from catalog.providers.bybit_http import BybitHistory
from config.documents import Node
from config.errors import DeskError
from live_nodes.bybit.facts import products_of
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.endpoints import venue_endpoints
from live_nodes.local.folder import state_folder
from live_nodes.local.keys import KeyPair, keys_of
from live_nodes.node.key_rights import key_findings
from live_nodes.node.preflight import permission_gate, products_asked, universe_of
from live_nodes.node.warm_up import listings
from live_nodes.operate.doctor import DoctorCheck


def check_keys(node: Node) -> list[DoctorCheck]:
    """Return what is good and bad about the node's key.

    Raises GateRefused if there is no key, or the keystore can't be opened. Raises DeskError if the
    practice exchange does not start.
    """
    keys = keys_of(node)
    if keys is None:
        return [DoctorCheck("keys", "ok", f"none needed ({node.environment})")]
    endpoints = venue_endpoints(node, state_folder(node), lambda _: None)
    found = DoctorCheck("keys", "ok", keys.source)
    try:
        return [found, *asyncio.run(_ask(node, keys, endpoints.http))]
    except DeskError as error:
        return [found, DoctorCheck("venue", "bad", str(error))]


async def _ask(node: Node, keys: KeyPair, address: str) -> list[DoctorCheck]:
    async with VenueRest(address, keys, timeout=node.gates.request_timeout) as rest:
        # A clock that is off is another check's.
        rest.clock_shift_ns = round((await rest.clock()).skew * 1e9)
        answer = await rest.permissions()
    infos = await listings({name: BybitHistory(name, address) for name in products_asked(node)})
    products = products_of(universe_of(node, infos))
    lacking = permission_gate(answer, products)
    trades = f"may trade {' and '.join(products).lower()}"
    return [
        *(DoctorCheck("trading", "bad", failure.measured, failure.remedy) for failure in lacking),
        *([] if lacking else [DoctorCheck("trading", "ok", trades)]),
        *(
            DoctorCheck(
                finding.check, "warn" if finding.remedy else "ok", finding.found, finding.remedy
            )
            for finding in key_findings(answer, datetime.now(UTC))
        ),
    ]
