"""Documents of a drill: the same guard and limits, one guard at a time.

The drill replaces the strategies, takes a few instruments of the universe, uses a practice exchange
or a market in memory, and sends no alerts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

from actors.guards.core.drill import BALANCE, KEY, Scene, facts_of
from catalog.instruments import split_id
from config.components import resolve
from config.documents import Backtest, Node, Setup, VenueUrls
from config.errors import InputError
from config.params import complete_params
from config.reading import as_yaml
from config.resolved import Resolved
from config.universe import select
from live_nodes.local.mailbox import OPERATOR
from live_nodes.local.practice_process import Endpoint
from live_nodes.node.operator_desk import OperatorGuard
from strategies.account_value import is_spot

ACCOUNT = "main"
TAG = "dr"
PACKAGE = "live_nodes.drill"
OPERATOR_USE = f"{OperatorGuard.__module__}:{OperatorGuard.__qualname__}"
"""Class address of the operator's guard: every node has it, no document names it."""
_OF_NODE = ("watch", "gates", "limits", "stop_deadline")


def scene_of(setup: Setup, key: str) -> Scene:
    """Return the scene of a guard's drill, or of the operator's kill switch."""
    params: Mapping[str, Any] = {}
    if key != OPERATOR:
        component = setup.actors[key]
        params = complete_params(resolve(component.use, setup.allow), component.params)
    scene = Scene(key=key, instruments=instruments_of(setup, params), leverage=_leverage(setup))
    if not isinstance(setup, Node):
        return scene
    watch = setup.watch
    return replace(
        scene, sweep_s=watch.sweep_every + watch.sweep_settle, silence_s=watch.feed_silence
    )


def node_yaml(
    resolved: Resolved,
    scene: Scene,
    endpoint: Endpoint,
    state: Path,
    instructions: Path,
    changed: Mapping[str, object],
) -> str:
    """Return the drill's node as a document; `changed` are parameters that the drill changes."""
    complete = _setup(resolved, scene, {"instructions": str(instructions)}, changed)
    if isinstance(resolved.document, Node):
        complete |= {name: resolved.complete[name] for name in _OF_NODE}
    return as_yaml(
        complete
        | {
            "kind": "node",
            "environment": "practice",
            "account": {"name": ACCOUNT},
            "tag": TAG,
            "state": str(state),
            "venue_urls": {name: getattr(endpoint, name) for name in VenueUrls.model_fields},
            "on_stop": "keep",
        }
    )


def exchange_yaml(resolved: Resolved, scene: Scene) -> str:
    """Return the drill's practice exchange; its prices hardly move."""
    symbols: dict[str, Any] = {}
    for name in scene.instruments:
        symbol, product = split_id(name)
        facts = facts_of(name)
        found = symbols.setdefault(
            symbol, {"price": facts.price, "tick": facts.tick, "lot": facts.lot, "products": []}
        )
        found["products"].append(product.lower())
    return as_yaml(
        {
            "kind": "exchange",
            "name": "drill",
            "market": {
                "model": "random",
                "seed": 1,
                # A day's return: in a drill's minute, prices move by less than 0.1 bp.
                "volatility": 0.0001,
                "symbols": symbols,
            },
            "accounts": {ACCOUNT: {"balance": BALANCE, "leverage": 100, "fees": _fees(resolved)}},
            "update_ms": 100,
            # If the drill crashes, its exchanges end by themselves.
            "idle_exit": 0.1,
        }
    )


def backtest_document(resolved: Resolved, scene: Scene, changed: Mapping[str, object]) -> Backtest:
    """Return the drill's backtest; its market is made in memory, so no catalog is read."""
    return Backtest.model_validate(
        _setup(resolved, scene, {}, changed)
        | {
            "kind": "backtest",
            "catalog": "none",
            "window": {"start": "2024-01-02", "end": "2024-02-02"},
            "venue": {
                "starting_balance": BALANCE,
                "leverage": _leverage(resolved.document),
                "fees": _fees(resolved),
            },
        }
    )


def _setup(
    resolved: Resolved, scene: Scene, params: dict[str, Any], changed: Mapping[str, object]
) -> dict[str, Any]:
    setup = resolved.document
    if not isinstance(setup, Setup):
        raise InputError(f"{resolved.file}: kind is {resolved.kind}, which has no guards")
    actors = {}
    if scene.key != OPERATOR:
        guard = dict(resolved.complete["actors"][scene.key])
        actors = {scene.key: guard | {"params": guard["params"] | dict(changed)}}
    return {
        "name": f"drill-{scene.key}",
        "allow": sorted({*setup.allow, PACKAGE}),
        "universe": {"instruments": list(scene.instruments)},
        "strategies": {KEY: {"use": f"{PACKAGE}.strategy:Drill", "params": params}},
        "actors": actors,
        "risk": resolved.complete["risk"],
    }


def _leverage(setup: Setup) -> float:
    if isinstance(setup, Node):
        return float(setup.limits.leverage)
    return float(setup.venue.leverage) if isinstance(setup, Backtest) else 5.0


def _fees(resolved: Resolved) -> dict[str, Any]:
    setup = resolved.document
    found: dict[str, Any] = {}
    if isinstance(setup, Backtest):
        found = resolved.complete["venue"]["fees"]
    elif isinstance(setup, Node):
        expected = resolved.complete["expected"]["fees"]
        found = {product: fees for product, fees in expected.items() if fees is not None}
    return found


MOST = 4
"""Number of a drill's instruments, beside those that the guard names."""
_ID = re.compile(r"^[A-Z0-9]{2,14}-(LINEAR|SPOT)\.BYBIT$")
_USUAL = ("BTC", "ETH", "SOL", "XRP", "DOGE", "ADA")


def quantity(weight: float, price: Decimal, lot: Decimal) -> Decimal:
    """Return the signed quantity, on the lot, of a weight."""
    lots = BALANCE * Decimal(repr(weight)) / price / lot
    return lots.to_integral_value(ROUND_HALF_UP) * lot


def instruments_of(setup: Setup, params: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the instruments of a guard's drill: its own first, then the universe's perpetuals.

    A universe of one perpetual has another beside it (`lent`).
    """
    named = [name for name in _ids(params) if select([name], setup.universe)]
    written = [name for name in setup.universe.instruments if _ID.match(name)]
    usual = [f"{coin}USDT-LINEAR.BYBIT" for coin in _USUAL]
    # A drill sells short and over the whole leverage, which spot can't.
    perpetuals = dict.fromkeys(name for name in (*written, *usual) if not is_spot(name))
    rest = [name for name in perpetuals if select([name], setup.universe)]
    if len(rest) < 2:
        rest = list(dict.fromkeys((*rest, *usual)))[:2]
    found = list(dict.fromkeys((*named, *rest)))
    return tuple(found[: max(MOST, len(dict.fromkeys(named)))])


def lent(setup: Setup, scene: Scene) -> str:
    """Return in words the instruments of a drill that are not of the document's universe."""
    other = [name for name in scene.instruments if not select([name], setup.universe)]
    return f"drilled with {', '.join(other)} beside the universe" if other else ""


def _ids(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        if _ID.match(value):
            yield value
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _ids(key)
            yield from _ids(inner)
    elif isinstance(value, Iterable):
        for inner in value:
            yield from _ids(inner)
