"""All kinds of documents and their parts, under one name."""

from __future__ import annotations

from config.documents.backtest import Backtest, BacktestWindow, ReportSettings, Targets
from config.documents.base import Part
from config.documents.exchange import ExchangeDocument
from config.documents.ingest import Ingest, Source
from config.documents.node import (
    Account,
    Environment,
    Expected,
    ExpectedFees,
    Gates,
    Keys,
    Limits,
    Node,
    Practice,
    VenueUrls,
)
from config.documents.scenario import Scenario
from config.documents.search_space import Dimension
from config.documents.setup import Component, Setup, StrategyComponent, Universe
from config.documents.slippage import (
    BasePlusSizeSlippage,
    FixedBpsSlippage,
    NoSlippage,
    Slippage,
    SlippageModel,
)
from config.documents.study import Folds, Study
from config.documents.venue import Bursts, Fees, Latency, Market, ProductFees, Venue, WayLatency
from config.documents.watch import Policies, ThrottleSettings, WatchSettings

KINDS: dict[str, type[Part]] = {
    "setup": Setup,
    "backtest": Backtest,
    "node": Node,
    "study": Study,
    "ingest": Ingest,
    "exchange": ExchangeDocument,
    "scenario": Scenario,
}
"""What the key ``kind`` may say, and the model that it means."""
