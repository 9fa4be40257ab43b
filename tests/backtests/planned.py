"""A strategy for tests that trades by a plan, on candles that are written down by hand."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import yaml
from nautilus_trader.model.data import Bar, BarType
from nautilus_trader.model.identifiers import InstrumentId

from catalog.providers.base import Import
from catalog.storage.writer import CatalogWriter
from config.durations import bar_type
from strategies.base import DeskStrategy, DeskStrategyConfig
from tests.builders_engine import at, info

PLAN = tuple[tuple[int, str, str], ...]


class PlannedConfig(DeskStrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """``plan`` holds (candle of an hour counted from the first, instrument, signed quantity)."""

    plan: PLAN


class Planned(DeskStrategy):
    """Sends each order of its plan when its candle opens; it leaves as every strategy does."""

    Config = PlannedConfig

    def history_needed(self) -> dict[str, int]:
        return {"1h": 1}

    def on_start(self) -> None:
        super().on_start()
        for name in self.ids:
            self.subscribe_bars(BarType.from_str(bar_type(name, "1h")))
        for number, (hour, name, quantity) in enumerate(self.config.plan):
            self.clock.set_time_alert_ns(
                f"step {number}",
                at(hour),
                lambda _, name=name, quantity=quantity: self.send_market(
                    InstrumentId.from_str(name), Decimal(quantity), "planned"
                ),
            )


class Stopped(Planned):
    """Protects what it has bought by a stop 5 below 100."""

    def on_order_ended(self) -> None:
        for name in self.holdings():
            if not self.broker.protective_orders({name}):
                self.place_stop(InstrumentId.from_str(name), Decimal(95))


class Ending(Planned):
    """Ends the process with its first fill; without a plan, at the first candle."""

    def on_bar(self, bar: Bar) -> None:
        if not self.config.plan:
            sys.exit(0)

    def on_order_ended(self) -> None:
        raise SystemExit("no more")


def write_planned(
    folder: Path,
    closes: Mapping[str, Sequence[float]],
    plan: Sequence[tuple[int, str, str]],
    actors: Mapping[str, tuple[str, Mapping[str, Any]]],
    **venue: Any,
) -> Path:
    """Write a catalog and the document of a run on it; return the document's file.

    ``closes`` are 24 hourly candles an instrument, each of which opens at the close before.
    ``actors`` are guards as (address, parameters). The venue has 1,000 USDT and by default no costs
    of any kind; ``venue`` replaces its terms.
    """
    bars = {}
    for name, values in closes.items():
        close = np.array(values, dtype=float)
        opened = np.concatenate(([close[0]], close[:-1]))
        ts = np.array([at(hour + 1) for hour in range(len(close))], dtype=np.int64)
        bars["bars", "1h", name] = pa.table(
            {
                "ts": ts,
                "open": opened,
                "high": np.maximum(opened, close),
                "low": np.minimum(opened, close),
                "close": close,
                "volume": np.full(len(close), 1e6),
                "turnover": close * 1e6,
            }
        )
    infos = [info(name, listed_ns=at(-24)) for name in closes]
    with CatalogWriter(folder / "catalog") as writer:
        writer.add(Import("by hand", "bybit", infos, bars))
    free = {"maker": 0, "taker": 0}
    document = {
        "kind": "backtest",
        "name": "planned",
        "catalog": str(folder / "catalog"),
        "window": {"start": "2023-11-15", "end": "2023-11-16"},
        "allow": ["tests"],
        "venue": {
            "starting_balance": 1_000,
            "leverage": 5,
            "fees": {"linear": free},
            "slippage": {"model": "none"},
            "funding": False,
            **venue,
        },
        "strategies": {
            "plan": {
                "use": "tests.backtests.planned:Planned",
                "params": {"plan": [list(step) for step in plan]},
            }
        },
        "actors": {
            key: {"use": use, "params": dict(params)} for key, (use, params) in actors.items()
        },
    }
    file = folder / "planned.yaml"
    file.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return file
