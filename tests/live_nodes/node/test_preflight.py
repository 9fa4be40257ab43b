"""The start's checks of the account, against the practice exchange."""

from __future__ import annotations

from typing import Any

from config.documents import Node
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.keys import KeyPair, Secret
from live_nodes.node.preflight import GateFailure, preflight
from live_nodes.practice.wire.access import KeyTerms
from tests.live_nodes.documents import node_of
from tests.live_nodes.practice.still_market import BITCOIN, KEYS, Practice, on_exchange

REVERSAL = {"use": "strategies.xs_reversal:XSReversal", "params": {"gross_leverage": 2.7}}


async def failures(p: Practice, account: dict[str, Any], *, may_set: bool) -> list[GateFailure]:
    node = Node.model_validate(
        {
            "name": "n", "environment": "practice", "tag": "n", "strategies": {"r": REVERSAL},
            "account": {"name": "anna", **account},
        }
    )  # fmt: skip
    async with VenueRest(p.server.http, KeyPair(*map(Secret, KEYS["anna"]))) as rest:
        return (await preflight(node, rest, may_set=may_set)).failures


@on_exchange
async def test_risks_of_a_key_of_real_money_are_warned_of_at_the_start(p: Practice) -> None:
    wallet = {"Wallet": ("Withdraw",)}
    p.server.venue.key_terms["anna"] = KeyTerms(permissions=KeyTerms().permissions | wallet)
    for environment, warnings in (("mainnet", 2), ("testnet", 0)):
        node = node_of(environment=environment, strategies={"r": REVERSAL})
        async with VenueRest(p.server.http, KeyPair(*map(Secret, KEYS["anna"]))) as rest:
            facts = await preflight(node, rest)
        assert facts.failures == []
        assert len(facts.key_warnings) == warnings
        assert ("withdraw" in " ".join(facts.key_warnings)) == bool(warnings)


async def leverages(p: Practice) -> list[str]:
    rows = [
        await p.rows("/v5/position/list", "anna", category="linear", symbol=symbol)
        for symbol in ("BTCUSDT", "ETHUSDT")
    ]
    return [row["leverage"] for [row] in rows]


@on_exchange
async def test_a_leverage_of_one_is_refused_or_set_and_others_stay(p: Practice) -> None:
    one = {"buyLeverage": "1", "sellLeverage": "1"}
    await p.post("/v5/position/set-leverage", **BITCOIN | one)
    (failure,) = await failures(p, {}, may_set=True)
    assert (failure.gate, failure.measured) == ("leverage", "BTCUSDT-LINEAR.BYBIT 1")
    assert failure.limit.startswith("at least 2.84")
    # A dry run and the doctor set nothing.
    assert await failures(p, {"leverage": "set"}, may_set=False) == []
    assert await leverages(p) == ["1", "10"]
    assert await failures(p, {"leverage": "set"}, may_set=True) == []
    assert await leverages(p) == ["3", "10"]
