"""The node that is built trades what was backtested, where the document says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nautilus_trader.adapters.bybit import BYBIT
from nautilus_trader.adapters.bybit import execution as bybit_execution
from nautilus_trader.core import nautilus_pyo3 as engine

from backtests.engine.build import strategies_of as backtest_strategies
from config.documents import Backtest, Node
from config.load import load
from live_nodes.bybit import adapter
from live_nodes.bybit.links import VenueLink, VenueLinks
from live_nodes.local.endpoints import Endpoints, endpoints_of
from live_nodes.local.keys import KeyPair, Secret
from live_nodes.node.build import build_node, factories_of, node_config, strategies_of
from live_nodes.node.preflight import universe_of

ROOT = Path(__file__).resolve().parents[3]
IDS = ["BTCUSDT-LINEAR.BYBIT", "BTCUSDT-SPOT.BYBIT", "ETHUSDT-LINEAR.BYBIT"]
HERE = Endpoints(
    "http://127.0.0.1:1", "ws://127.0.0.1:1/pub", "ws://127.0.0.1:1/p", "ws://127.0.0.1:1/t"
)
SECRET = "marked-secret-7391"
ALLOWED = {"node": ("bt", "xr"), "claims": (False, True)}


def shipped(name: str = "xs_reversal_practice") -> Node:
    document = load(ROOT / "live_nodes" / "nodes" / f"{name}.yaml").document
    assert isinstance(document, Node)
    return document


def test_live_strategies_are_the_backtests_field_by_field() -> None:
    backtest = load(ROOT / "backtests" / "runs" / "xs_reversal_demo.yaml").document
    assert isinstance(backtest, Backtest)
    tested = backtest_strategies(backtest, IDS)
    (made,) = strategies_of(shipped(), IDS)
    (strategy,) = tested.values()
    assert made.ranking is strategy.ranking
    assert made.id == strategy.id
    before, after = msgspec.structs.asdict(strategy.config), msgspec.structs.asdict(made.config)
    differing = {name: (was, after[name]) for name, was in before.items() if was != after[name]}
    # Named differences and no others: whose orders they are, and that the node's are claimed.
    assert differing == ALLOWED
    assert not strategy.external_order_claims
    claims = [claimed.value for claimed in made.external_order_claims]
    assert claims == list(made.config.instruments)


def test_the_universe_is_what_enabled_strategies_trade() -> None:
    assert universe_of(shipped(), IDS) == ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]


@pytest.mark.parametrize("name", ["practice", "paper", "testnet", "mainnet"])
def test_the_nodes_that_ship_differ_in_one_word(name: str) -> None:
    base, other = shipped(), shipped(f"xs_reversal_{name}")
    assert other.environment == name
    assert other.model_copy(update={"environment": "practice"}) == base


@pytest.mark.parametrize(
    ("environment", "name"),
    [("demo", "DEMO"), ("testnet", "TESTNET"), ("mainnet", "MAINNET"), ("paper", "MAINNET")],
)
def test_each_environment_has_the_addresses_that_the_engine_knows(
    environment: str, name: str
) -> None:
    place = getattr(engine.BybitEnvironment, name)
    public = engine.get_bybit_ws_url_public(engine.BybitProductType.LINEAR, place)
    assert endpoints_of(environment, None) == Endpoints(
        engine.get_bybit_http_base_url(place).rstrip("/"),
        public.removesuffix("/linear"),
        engine.get_bybit_ws_url_private(place),
        engine.get_bybit_ws_url_trade(place),
    )


def test_every_link_goes_where_the_document_says(tmp_path: Path) -> None:
    links = VenueLinks("xr", 5.0, 2.0)
    keys = KeyPair(Secret("marked-key-7391"), Secret(SECRET))
    config = node_config(shipped(), HERE, IDS, tmp_path)
    made = build_node(
        config,
        strategies_of(shipped(), IDS),
        factories_of(adapter.ClientWiring(links, keys, HERE, 2), paper=False),
        asyncio.new_event_loop(),
    )
    try:
        clients = made.kernel.data_engine._clients.values()
        (data,) = [client for client in clients if hasattr(client, "_ws_clients")]
        (public,) = data._ws_clients.values()
        # The adapter itself would connect the public link to the REST address.
        assert isinstance(public, VenueLink)
        assert public.url == "ws://127.0.0.1:1/pub/linear"
        (execution,) = made.kernel.exec_engine._clients.values()
        assert isinstance(execution, adapter.DeskExecutionClient)
        private: Any = execution._ws_private_client
        trade: Any = execution._ws_trade_client
        assert private.url == HERE.ws_private
        assert trade.url == HERE.ws_trade
        assert sorted(links.by_name()) == ["private", "public linear", "trade"]
        assert not any(state.connected for state in links.by_name().values())
        # Private names that we override or call: an engine without them must not go unnoticed.
        kernel = made.kernel
        for owner, names in (
            (kernel, ("_register_executor", "_start_engines", "_initialize_portfolio")),
            (kernel.exec_engine, ("_execute_command", "_clear_recon_tracking")),
            (kernel.exec_engine, ("_check_positions_consistency", "_check_position_discrepancy")),
            (kernel.data_engine, ("_handle_data", "_handle_queue_exception")),
            (kernel.risk_engine, ("_execute_command", "_handle_queue_exception")),
            (execution, ("_on_task_completed", "_handle_fill_report_pyo3", "_log_report_error")),
            (execution._http_client, ("request_fill_reports",)),
            (engine.BybitWebSocketClient, ("subscription_count", "is_active", "cancel_order")),
        ):
            assert all(callable(getattr(owner, name)) for name in names)
        # Most orders have no parameters of the venue, and need not wait for their reading.
        stop, none = {"stop_loss": "9"}, {"is_leverage": False}
        parsed = bybit_execution._parse_bybit_tp_sl_params
        assert (parsed({}), parsed(None), parsed(stop)) == (none, none, none | stop)
        assert kernel.exec_engine._resolve_inflight_order.__name__ == "unless_cancelling"
        assert kernel.exec_engine._check_position_discrepancy.__name__ == "unless_under_way"
        # A data descriptor of the subclass: what the adapter wrote in its constructor went there.
        assert execution._is_demo is execution._demo is False
        assert "_tasks" in vars(execution)
        # Nothing that could be logged holds a secret.
        assert made._config.exec_clients[BYBIT].api_secret is None
        assert SECRET not in repr(config)
        assert SECRET not in str(config.json())
    finally:
        made.kernel.cancel_all_tasks()
        made.dispose()
        adapter.forget_clients()
