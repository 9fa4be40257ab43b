"""What the parts of a node stand on: `RunContext` from the start, `NodeContext` once it is built.

Engine-specific.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nautilus_trader.live.node import TradingNode

from actors.gate.gate import OrderGate
from actors.records.journal import Journal
from config.documents import Node
from live_nodes.bybit.links import VenueLinks
from live_nodes.bybit.rest import VenueRest
from live_nodes.local.alerts import Alerts
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.heartbeat import Heartbeat
from live_nodes.local.keys import KeyPair
from live_nodes.node.preflight import Preflight
from live_nodes.node.report import RunOptions, Say
from strategies.base import DeskStrategy


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A run from its first moment.

    Parameters
    ----------
    node : Node
        The document, its environment final.
    endpoints : Endpoints
        Of its venue.
    keys : KeyPair or None
        Of its account.
    folder : pathlib.Path
        The node's state folder.
    journal : Journal
        With the run begun.
    options : RunOptions
        Of the command line.
    say : callable
        Takes a line for the person who watches.
    alerts : Alerts
        Reach a person who does not watch.
    heartbeat : Heartbeat
        Of the process.
    """

    node: Node
    endpoints: Endpoints
    keys: KeyPair | None
    folder: Path
    journal: Journal
    options: RunOptions
    say: Say
    alerts: Alerts
    heartbeat: Heartbeat

    @property
    def paper(self) -> bool:
        """Whether the account is not at the venue."""
        return self.node.environment == "paper"

    @property
    def trades_at_venue(self) -> bool:
        """Whether orders reach a venue: neither on paper nor in a dry run."""
        return not self.paper and not self.options.dry_run


@dataclass(frozen=True, kw_only=True)
class NodeContext(RunContext):
    """A run whose engine is built.

    Parameters
    ----------
    rest : VenueRest
        Entered.
    links : VenueLinks
        Of the engine's clients.
    facts : Preflight
        What the venue said before the start.
    trading_node : TradingNode
        The engine's node.
    gate : OrderGate
        Installed, with the journal as observer.
    strategies : dict of str to DeskStrategy
        By key.
    """

    rest: VenueRest
    links: VenueLinks
    facts: Preflight
    trading_node: TradingNode
    gate: OrderGate
    strategies: dict[str, DeskStrategy]

    @property
    def kernel(self) -> Any:
        """The engine's kernel: cache, bus, clock, engines."""
        return self.trading_node.kernel
