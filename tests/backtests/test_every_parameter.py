"""Every parameter of every strategy that ranks moves a decision; one that does nothing is named.

A parameter is moved to another value, beside the other settings that it needs to matter, and the
weights of the screen on the demo market are compared; what only orders show, by a short run. A new
parameter without an entry fails.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, get_args

import msgspec
import numpy as np
import pytest

from backtests.run import prepare, run
from catalog.panel import panel
from catalog.storage.store import Catalog
from config.load import load
from config.params import build_params, parameter_fields
from strategies.blend import XSBlend
from strategies.carry import Carry
from strategies.mean_reversion import BollingerReversion, VwapReversion
from strategies.rebalance.config import PanelRebalancerConfig
from strategies.rebalance.propose import Listings
from strategies.tactics.execution import Execution
from strategies.tactics.protective import Protection
from strategies.tactics.tactic import Cancel
from strategies.tactics.tactic import Place as Placed
from strategies.xs_momentum import XSMomentum
from strategies.xs_reversal import XSReversal
from tests.backtests.panel_readers import decided as screened
from tests.strategies.rebalance.test_liquidity import DECIDES, NAMES, books, decided
from tests.strategies.tactics.test_maker_first import Story

DAY = 86_400 * 10**9
START = 1_680_307_200 * 10**9  # 2023-04-01; the small demo market begins 90 days before.
DAYS = 8

Settings = dict[str, Any]
QUICK: Settings = {
    "interval": "1h", "every": "4h", "fraction": 0.25, "volatility_lookback": 24, "max_weight": 0.5
}  # fmt: skip
MOMENTUM: Settings = {"lookbacks": [6, 24]}
CARRY: Settings = {
    "lookback": 24, "enter": 0.1, "leave": 0.05, "same_sign": 2, "same_sign_of": 3, "history": 240
}  # fmt: skip
BANDS: Settings = {"lookback": 12, "width": 1.5, "enter_rsi": 45, "leave_rsi": 60, "rsi_length": 7,
                   "stop_volume": 1.2, "stop_width": 0.5, "history": 48}  # fmt: skip
VWAP: Settings = {"volume": 0.8, "deviation": 0.01, "stop": 0.015, "history": 48}
SCORERS: Settings = {
    "reversal": {"use": "strategies.xs_reversal:XSReversal", "weight": 0.4, "params": {}},
    "momentum": {"use": "strategies.xs_momentum:XSMomentum", "weight": 0.4, "params": MOMENTUM},
}
STRATEGIES: dict[type, Settings] = {
    XSMomentum: QUICK | MOMENTUM,
    XSReversal: QUICK | {"lookback": 12},
    Carry: QUICK | CARRY | {"fraction": 0.5},
    BollingerReversion: QUICK | BANDS | {"fraction": 1.0, "weighting": "equal"},
    VwapReversion: QUICK | VWAP | {"fraction": 1.0, "weighting": "equal"},
    XSBlend: {"interval": "1h", "every": "4h", "max_weight": 0.3, "scorers": SCORERS},
}

# Each entry: the value that it is moved to, and the other settings that it needs to matter.
Table = dict[str, tuple[Any, Settings]]
BTC, ETH = "BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"
BY_VOLATILITY = {"weighting": "inverse_volatility"}
TARGET = {"volatility_target": {"annual": 0.05}}
BY_CLUSTER = {"cluster_cap": {"correlation": 0.2, "max_weight": 0.05}}
OF_ALL: Table = {
    "interval": ("4h", {}),
    "every": ("8h", {}),
    "at": ("01:00", {}),
    "side": ("long_only", {}),
    "fraction": (0.4, {}),
    "weighting": ("rank", {}),
    "volatility_lookback": (48, BY_VOLATILITY),
    "volatility_estimator": ("ewma", BY_VOLATILITY),
    "volatility_half_life": (3.0, BY_VOLATILITY | {"volatility_estimator": "ewma"}),
    "gross_leverage": (0.5, {}),
    "max_weight": (0.05, {}),
    "allocation": (0.5, {}),
    "covariance": ({"lookback": 24}, TARGET),
    "covariance.estimator": ("oas", TARGET),
    "covariance.lookback": (24, TARGET),
    "volatility_target": ({"annual": 0.05}, {}),
    "volatility_target.annual": (0.1, {"volatility_target": {"annual": 0.05}}),
    "kelly": ({"information_coefficient": 0.001}, {}),
    "kelly.fraction": (0.25, {"kelly": {"information_coefficient": 0.001}}),
    "kelly.information_coefficient": (0.002, {"kelly": {"information_coefficient": 0.001}}),
    "cluster_cap": (BY_CLUSTER["cluster_cap"], {}),
    "cluster_cap.correlation": (0.6, BY_CLUSTER),
    "cluster_cap.max_weight": (0.1, BY_CLUSTER),
    "neutral": ({"by": "beta"}, {}),
    "neutral.by": ("beta", {"neutral": {}}),
    "neutral.max_net": (0.5, {"neutral": {"by": "beta"}}),
    "min_turnover": (3e8, {}),
    "turnover_lookback": (200, {"top_n": 4}),
    "min_price": (5.0, {}),
    "min_age_days": (80.0, {}),
    "exclude": (["BTC*", "SOL*", "XRP*", "A*"], {}),
    "top_n": (4, {}),
    "flatten_on_empty_targets": (False, {"hours_filter": {"hours": [0, 1, 2, 3]}}),
    "names": ({"low_bps": 0, "high_bps": 50, "least": 1, "most": 4}, {}),
    "names.least": (1, {"names": {"high_bps": 200}}),
    "names.most": (3, {"names": {"least": 1, "low_bps": 0, "high_bps": 100}}),
    "names.lookback": (4, {"names": {"least": 1, "low_bps": 50, "high_bps": 200}}),
    "names.low_bps": (0.0, {"names": {"least": 1, "low_bps": 80, "high_bps": 200}}),
    "names.high_bps": (90.0, {"names": {"least": 1, "low_bps": 50, "high_bps": 300}}),
    "bands": ({"entry": 1.0, "exit": 0.8}, {}),
    "bands.entry": (1.2, {"bands": {"entry": 0.9, "exit": 0.1}}),
    "bands.exit": (0.8, {"bands": {"entry": 0.9, "exit": 0.1}}),
    "adx_filter": ({}, {}),
    "adx_filter.length": (28, {"adx_filter": {}}),
    "adx_filter.least": (15.0, {"adx_filter": {}}),
    "adx_filter.most": (40.0, {"adx_filter": {"least": 0}}),
    "slope_filter": ({"length": 24, "least_bps": 100}, {}),
    "slope_filter.length": (48, {"slope_filter": {"length": 24, "least_bps": 100}}),
    "slope_filter.least_bps": (200.0, {"slope_filter": {"length": 24, "least_bps": 100}}),
    "slope_filter.sides": ("with_trend", {"slope_filter": {"length": 24, "least_bps": 20}}),
    "hours_filter": ({"hours": [0, 8]}, {}),
    "hours_filter.hours": ([0, 8], {"hours_filter": {}}),
    "funding_filter": ({"most_bps": 1.0}, {}),
    "funding_filter.most_bps": (2.0, {"funding_filter": {"most_bps": 1.0}}),
    "partial": ({}, {}),
    "partial.fraction": (0.5, {"partial": {"min_change": 0.0}}),
    "partial.min_change": (0.2, {"partial": {}}),
    "hold": ({"most": "8h"}, {}),
    "hold.least": ("1d", {"hold": {}}),
    "hold.most": ("8h", {"hold": {}}),
    "loss_exit": ({"loss": 0.002}, {}),
    "loss_exit.loss": (0.004, {"loss_exit": {"loss": 0.002}}),
    "loss_exit.cooldown": ("4h", {"loss_exit": {"loss": 0.002}}),
    "dropped": ("keep", {"hours_filter": {"hours": [0, 8, 16]}}),
    "turnover_budget": (0.1, {}),
    "loss_streak": ({"losses": 1, "pause": "1d"}, {}),
    "loss_streak.losses": (1, {"loss_streak": {"pause": "2d"}}),
    "loss_streak.pause": ("8h", {"loss_streak": {"losses": 1, "pause": "2d"}}),
}
TREND = {"majors_gate": {"length": 24, "least_bps": 100}}
OF_ALL |= {
    "majors_gate": (TREND["majors_gate"], {}),
    "majors_gate.instruments": ([ETH], TREND),
    "majors_gate.length": (48, TREND),
    "majors_gate.least_bps": (30.0, TREND),
    "majors_gate.action": ("scale", TREND),
    "majors_gate.factor": (0.3, {"majors_gate": TREND["majors_gate"] | {"action": "scale"}}),
}
MARKET = {"market_trend": {"above": None}}
SCALED = {"market_trend": {"action": "scale"}}
OF_ALL |= {
    "market_trend": ({}, {}),
    "market_trend.instruments": ([ETH], {"market_trend": {"name_above": None}}),
    "market_trend.length": (28, {"market_trend": {}}),
    "market_trend.above": (40.0, {"market_trend": {"name_above": None}}),
    "market_trend.name_above": (20.0, MARKET),
    "market_trend.action": ("flip", {"market_trend": {}}),
    "market_trend.factor": (0.5, SCALED),
}
RECORD: Settings = {"trades": 1, "hit_rate": 0.5, "profit_factor": 1.0, "prior": 1.0}
OWN: Settings = {"majors": [BTC, ETH], "slope_length": 24, "correlation_lookback": 24,
                 "dispersion_lookback": 24, "trend_lookback": 24, "least_names": 2}  # fmt: skip
TOGETHER = {"regime": OWN | {"high_correlation": 0.3, "low_dispersion_bps": 0.0}}
ALIKE = {"regime": OWN | {"high_correlation": 1.0, "low_dispersion_bps": 150.0}}
OF_ALL |= {
    "symbol_record": (RECORD, {}),
    "symbol_record.trades": (3, {"symbol_record": RECORD}),
    "symbol_record.hit_rate": (0.2, {"symbol_record": RECORD | {"profit_factor": 0.0}}),
    "symbol_record.profit_factor": (3.0, {"symbol_record": RECORD | {"hit_rate": 0.0}}),
    "symbol_record.prior": (20.0, {"symbol_record": RECORD}),
    "symbol_record.pause": ("8h", {"symbol_record": RECORD}),
    "regime": (TOGETHER["regime"], {}),
    "regime.majors": ([ETH], {"regime": TOGETHER["regime"] | {"high_slope_bps": 60}}),
    "regime.slope_length": (48, {"regime": TOGETHER["regime"] | {"high_slope_bps": 60}}),
    "regime.high_slope_bps": (200.0, TOGETHER),
    "regime.correlation_lookback": (8, {"regime": TOGETHER["regime"] | {"high_correlation": 0.6}}),
    "regime.high_correlation": (0.6, TOGETHER),
    "regime.dispersion_lookback": (8, ALIKE),
    "regime.low_dispersion_bps": (60.0, ALIKE),
    "regime.least_names": (50, TOGETHER),
    "regime.hysteresis": (0.6, ALIKE),
    "regime.trend_lookback": (12, TOGETHER),
}

SIGNS = {"lookback": 8, "enter": 0.01, "leave": 0.0, "same_sign": 3, "same_sign_of": 3}
SLOW = {"lookback": 200, "enter": 0.01, "leave": 0.0, "same_sign": 0}
BY_RISK: Settings = {"weighting": "risk", "risk": 0.001}
OF_A_REVERSION: Table = {
    "risk": (0.002, BY_RISK),
    "volume_lookback": (5, {}),
    "cooldown": (30, {}),
    "history": (12, {}),
    "turnover_lookback": (5, {"top_n": 3}),
}
OWN_OF: dict[type, Table] = {
    XSReversal: {"lookback": (4, {}), "skip": (3, {})},
    XSMomentum: {
        "lookbacks": ([12], {}),
        "lookback_weights": ([1.0, 3.0], {}),
        "skip": (3, {}),
        "past_returns": ("mean", {"lookbacks": [96], "weighting": "zscore"}),
        "volatility_adjusted": (True, {}),
        "winsorize": (0.25, {"weighting": "zscore"}),
        "power": (2.0, {"weighting": "zscore"}),
        "forecast_cap": (1.0, {"weighting": "zscore"}),
    },
    Carry: {
        "lookback": (48, {}),
        "enter": (0.2, {}),
        "leave": (0.1, {}),
        "same_sign": (0, SIGNS),
        "same_sign_of": (9, SIGNS),
        "own_percentile": (0.9, {}),
        "history": (24, {}),
        # What was received for long may cost now.
        "funding_filter": ({"most_bps": 0.0}, SLOW),
        "funding_filter.most_bps": (0.0, SLOW | {"funding_filter": {"most_bps": 50.0}}),
    },
    BollingerReversion: OF_A_REVERSION
    | {
        "lookback": (24, {}),
        "width": (1.0, {}),
        "rsi_length": (14, {}),
        "enter_rsi": (30.0, {}),
        "leave_rsi": (45.0, {}),
        "stop_width": (1.5, {}),
        "stop_volume": (0.0, {}),
        "least_distance": (0.5, BY_RISK),
    },
    VwapReversion: OF_A_REVERSION
    | {
        "average": ("session", {}),
        "lookback": (12, {}),
        "deviation": (0.02, {}),
        "volume": (2.0, {}),
        "stop": (0.03, {}),
    },
    XSBlend: {
        "scorers": ({"reversal": SCORERS["reversal"]}, {}),
        "combine": ("performance", {"prior": 2}),
        "prior": (2, {"combine": "performance"}),
    }
    | {
        f"scorers.reversal.{field}": (value, {})
        for field, value in (
            ("use", "strategies.xs_momentum:XSMomentum"),
            ("weight", 0.2),
            ("params", {"lookback": 6}),
        )
    },
}
NOT_OF: dict[type, set[str]] = {
    Carry: {"side"},  # There is only one.
    BollingerReversion: {"side", "bands"},
    VwapReversion: {"side", "bands"},
    XSBlend: set(PanelRebalancerConfig.__struct_fields__) - parameter_fields(XSBlend.Config).keys(),
}

# What only a run shows: the fills of the momentum on the demo market.
STOPS: Settings = {"protection": {"stop": 1.0, "catastrophic": 3.5}}
IN_A_RUN: Table = {
    "no_trade_band": (0.05, {}),
    "exchange_minimum": ("force_exchange_min", {"allocation": 0.002}),
    "stop_cooldown": ("1d", STOPS),
    "protection": (STOPS["protection"], {}),
    "protection.atr": (3, STOPS),
    "protection.stop": (2.0, STOPS),
    "protection.catastrophic": (2.0, {"protection": {"stop": None, "catastrophic": 1.0}}),
    "protection.least_bps": (200.0, STOPS),
    "protection.trail_after": (1.0, {"protection": STOPS["protection"] | {"trail_atr": 1.0}}),
    "protection.trail_atr": (1.0, STOPS),
    "protection.trail_fraction": (0.005, STOPS),
    "protection.break_even": (0.5, STOPS),
    "protection.break_even_bps": (50.0, {"protection": STOPS["protection"] | {"break_even": 0.5}}),
    "protection.take": ([{"at": 1.0, "fraction": 0.5}], STOPS),
    "protection.take.at": (2.0, {"protection": {"take": [{"at": 1.0, "fraction": 0.5}]}}),
    "protection.take.fraction": (1.0, {"protection": {"take": [{"at": 1.0, "fraction": 0.5}]}}),
    "protection.time_stop": ("2h", {"protection": {}}),
}
IN_BOOKS: Table = {
    "max_spread_bps": (20.0, {}),
    "min_depth": (5_873.0, {"depth_bps": 30.0}),
    "depth_bps": (45.0, {"min_depth": 5_873.0}),
}
OF_AN_ORDER: Table = {
    "place": ("behind", {}),
    "ticks": (3, {"place": "behind"}),
    "reprice_every": ("20s", {}),
    "move_bps": (500.0, {"reprice_every": "30s"}),
    "least_rest": ("8s", {"move_bps": 5.0}),
    "max_reprices": (1, {}),
    "participation": (0.1, {}),
    "deadline": ("30s", {}),
    "at_deadline": ("give_up", {}),
    "max_slippage_bps": (200.0, {}),
    "slippage_from": ("touch", {}),
}
ELSEWHERE = {"execution", "execution.tactic", "execution.retry_for", "execution.max_leg_imbalance"}
"""Moved by the tests of executions, of passing refusals and of legs."""


def named(config: Any, before: str = "") -> list[str]:
    """Return every parameter, those of blocks by dotted names."""
    found = []
    for name, field in parameter_fields(config).items():
        found += [before + name]
        for block in structs(field.type):
            if not before and name == "scorers":
                found += [f"scorers.reversal.{each.name}" for each in msgspec.structs.fields(block)]
            else:
                found += named(block, f"{before}{name}.")
    return found


def structs(annotation: Any) -> list[Any]:
    if isinstance(annotation, type) and issubclass(annotation, msgspec.Struct):
        return [annotation]
    return [block for part in get_args(annotation) for block in structs(part)]


def with_value(settings: Settings, name: str, value: Any) -> Settings:
    first, _, rest = name.partition(".")
    if not rest:
        return settings | {first: value}
    inner = settings.get(first) or {}
    if isinstance(inner, list):
        return settings | {first: [with_value(inner[0], rest, value)]}
    return settings | {first: with_value(inner, rest, value)}


def screened_of(cls: type) -> Table:
    table = OF_ALL | OWN_OF[cls]
    left_out = NOT_OF.get(cls, set())
    return {name: row for name, row in table.items() if name.partition(".")[0] not in left_out}


@pytest.mark.parametrize("cls", STRATEGIES)
def test_every_parameter_has_an_entry(cls: Any) -> None:
    orders = {f"execution.{name}" for name in OF_AN_ORDER} | ELSEWHERE
    known = screened_of(cls).keys() | IN_A_RUN.keys() | IN_BOOKS.keys() | orders
    left_out = NOT_OF.get(cls, set())
    names = {name for name in named(cls.Config) if name.partition(".")[0] not in left_out}
    assert names == known


@pytest.fixture(scope="module")
def weights(demo_catalog):
    """Return a function of a strategy and its parameters: times and weights of its decisions."""
    catalog = Catalog(demo_catalog)
    ids = tuple(name for name in catalog.instruments if name.endswith("-LINEAR.BYBIT"))
    listings = Listings(ids, np.array([catalog.instruments[n].listed_ns for n in ids], float))
    since, until = START - 80 * DAY, START + DAYS * DAY
    hourly = panel(catalog, "1h", ids, since, until)
    funding = catalog.funding(ids, since, until)
    longer = hourly.ts % (4 * DAY // 24) == 0
    fields = {f: getattr(hourly, f) for f in hourly.__dataclass_fields__}
    slow = type(hourly)(**{f: v if f == "ids" else v[longer] for f, v in fields.items()})

    @cache
    def found(cls: Any, params: bytes) -> list[Any]:
        given = build_params(cls, msgspec.json.decode(params))
        rules = cls.Config(key="one", instruments=ids, **given)
        assert rules.check() == []
        candles = hourly if rules.interval == "1h" else slow
        steps = screened(cls, rules, listings, candles, START, START + DAYS * DAY, funding)
        weight = [np.where(s.wait, np.nan, s.proposal.weight).tobytes() for s in steps]
        return list(zip([s.ts for s in steps], weight, strict=True))

    return lambda cls, params: found(cls, msgspec.json.encode(params))


def each_screened() -> Iterator[Any]:
    """Yield strategies and parameters; what an earlier strategy has too is slow."""
    seen: set[str] = set()
    for cls in STRATEGIES:
        for name in screened_of(cls):
            marks = [pytest.mark.slow] * (name in seen)
            yield pytest.param(cls, name, id=f"{cls.__name__}-{name}", marks=marks)
        seen |= screened_of(cls).keys()


@pytest.mark.parametrize(("cls", "name"), each_screened())
def test_a_parameter_moves_a_decision(weights: Any, cls: Any, name: str) -> None:
    value, needed = screened_of(cls)[name]
    settings = STRATEGIES[cls] | needed
    before, after = weights(cls, settings), weights(cls, with_value(settings, name, value))
    assert len(before) >= 2
    assert before != after, f"{cls.__name__}: {name} does nothing"


@pytest.fixture(scope="module")
def fills(demo_catalog, tmp_path_factory):
    """Return a function of parameters: the fills of a short run of the momentum."""
    folder = tmp_path_factory.mktemp("knobs")

    @cache
    def found(params: str) -> list[Any]:
        use = {"use": "strategies.xs_momentum:XSMomentum", "params": msgspec.json.decode(params)}
        text = {
            "kind": "backtest", "name": "knob", "catalog": str(demo_catalog),
            "window": {"start": "2023-04-01", "end": "2023-04-04"},
            "strategies": {"momentum": use},
        }  # fmt: skip
        file = folder / "knob.yaml"
        file.write_bytes(msgspec.yaml.encode(text))
        table = run(prepare(load(file).document)).tables["fills"]
        return table.select(["ts", "instrument", "side", "quantity", "price"]).to_pylist()

    return lambda params: found(msgspec.json.encode(params).decode())


@pytest.mark.parametrize("name", IN_A_RUN)
def test_a_parameter_moves_a_run(fills: Any, name: str) -> None:
    value, needed = IN_A_RUN[name]
    settings = STRATEGIES[XSMomentum] | {"at": "00:00"} | needed
    assert fills(settings) != fills(with_value(settings, name, value)), f"{name} does nothing"


@pytest.mark.parametrize("name", IN_BOOKS)
def test_a_limit_on_books_moves_a_decision(name: str) -> None:
    value, needed = IN_BOOKS[name]
    bids, asks = [(98.0, 20), (97.8, 40), (97.7, 900)], [(98.1, 60), (98.4, 900)]
    wide = [(97.0, 900)], [(99.0, 900)]
    data = [
        delta
        for each in NAMES
        for delta in books((DECIDES - 5, *(wide if each == NAMES[1] else (bids, asks))), name=each)
    ]

    def held(**params: Any) -> list[float]:
        return [target.weight for target in decided(data, "book", **params)[1].targets]

    assert held(**needed) != held(**needed | {name: value})


@pytest.mark.parametrize("name", OF_AN_ORDER)
def test_a_parameter_of_an_execution_moves_its_orders(name: str) -> None:
    """A market that rises: what rests is left behind and taken at the deadline."""
    value, needed = OF_AN_ORDER[name]

    def story(**rules: Any) -> list[Any]:
        told = Story(**rules)
        seen = []
        for second in range(0, 70, 5):
            action = told.book(second, bid=f"{100 + second / 50:.1f}")
            seen.append((second, action))
            if isinstance(action, Placed):
                told.accepted(second)
            elif isinstance(action, Cancel):
                seen.append(told.ended(second))
                told.accepted(second)
        return seen

    assert story(**needed) != story(**needed | {name: value}), f"execution.{name} does nothing"


def test_the_blocks_of_orders_are_those_of_the_strategies() -> None:
    assert {f"execution.{n}" for n in parameter_fields(Execution)} <= {
        *ELSEWHERE,
        *(f"execution.{n}" for n in OF_AN_ORDER),
    }
    assert set(named(Protection, "protection.")) < IN_A_RUN.keys()
