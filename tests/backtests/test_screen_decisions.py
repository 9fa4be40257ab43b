"""The screen and the event-driven run take the same decisions, to the last bit.

The screen's panel is built from the raw Parquet; the run's decisions are read from its own tables.
"""

import dataclasses
import pickle

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backtests.results.recorder import decisions_of
from backtests.run import prepare, run
from backtests.screening.path import close_times, history_start
from backtests.screening.screen import screen_document
from catalog.panel import Panel, panel
from catalog.storage.store import Catalog
from config.errors import DeskError
from config.load import load
from config.params import build_params
from strategies.rebalance.propose import Listings
from strategies.signals.universe import Standing
from strategies.xs_reversal import XSReversal, XSReversalConfig
from tests.backtests.panel_readers import MarkedWrongly, Unmarked, decided

DAY = 86_400_000_000_000
RULES = {
    "plain": {"fraction": 0.25},
    "at the close": {"at": "00:00", "fraction": 0.25, "skip": 1},
    "choosy": {
        "weighting": "inverse_volatility",
        "volatility_lookback": 10,
        "top_n": 8,
        "turnover_lookback": 5,
        "min_turnover": 1e6,
        "min_age_days": 40,
        "lookback": 3,
    },
    "everyone by rank": {"weighting": "rank", "fraction": 0.5, "gross_leverage": 2.0},
    "few and long": {"weighting": "zscore", "side": "long_only", "every": "2d", "allocation": 0.7},
    "by steps": {
        "fraction": 0.25,
        "partial": {"fraction": 0.4, "min_change": 0.01},
        "hold": {"least": "2d", "most": "6d"},
        "loss_exit": {"loss": 0.003, "cooldown": "3d"},
        "loss_streak": {"losses": 2, "pause": "4d"},
        "dropped": "keep",
        "top_n": 8,
        "turnover_lookback": 3,
        "turnover_budget": 0.5,
        "stop_cooldown": "1d",
    },
    "sized by ranges": {"weighting": "inverse_volatility", "volatility_estimator": "garman_klass"},
    "sized to a volatility": {
        "weighting": "risk_parity",
        "volatility_target": {"annual": 0.2},
        "kelly": {},
        "cluster_cap": {"correlation": 0.3, "max_weight": 0.3},
        "neutral": {"by": "beta"},
        "partial": {"fraction": 0.5, "min_change": 0.005},
    },
    "filtered": {
        "fraction": 0.4,
        "adx_filter": {"length": 5, "least": 10, "most": 70},
        "slope_filter": {"length": 8, "least_bps": 5, "sides": "against_trend"},
        "funding_filter": {"most_bps": 4},
        "hours_filter": {"hours": [0]},
        "symbol_record": {"trades": 2, "pause": "3d"},
        "bands": {"entry": 0.8, "exit": 0.3},
        "names": {"least": 1, "most": 4, "lookback": 3, "low_bps": 100, "high_bps": 900},
        "dropped": "keep",
    },
    "by regime": {
        "fraction": 0.3,
        "regime": {
            "slope_length": 8,
            "correlation_lookback": 10,
            "high_correlation": 0.3,
            "dispersion_lookback": 3,
            "low_dispersion_bps": 200,
            "trend_lookback": 10,
        },
        "majors_gate": {"length": 8, "least_bps": 40, "action": "scale"},
        "market_trend": {"length": 4, "above": 50, "name_above": 60, "action": "flip"},
    },
    "keeps what it has": {"min_turnover": 1e15, "flatten_on_empty_targets": False},
}
HOURLY = {"interval": "1h", "every": "4h", "at": "00:10", "lookback": 12, "turnover_lookback": 48}


REVERSAL = "strategies.xs_reversal:XSReversal"
MET = {
    "by steps": {
        Standing.COOLING_DOWN,
        Standing.LOSING_STREAK,
        Standing.HELD_TOO_LONG,
        Standing.HELD_BRIEFLY,
        Standing.LOSS_EXIT,
    },
    "filtered": {Standing.ADX_OUTSIDE, Standing.SLOPE_OUTSIDE, Standing.POOR_RECORD},
    "by regime": {"own_trend", "cross_section"},
}
"""What must come up in the runs of some rules, so that they compare it."""


def both(write_run, use, params, end="2023-04-01", **changes):
    """Return the screen and the decisions of a run, which must be the same."""
    strategies = {"one": {"use": use, "params": params}}
    window = {"start": "2023-02-01", "end": end}
    document = load(write_run(strategies=strategies, window=window, **changes)).document
    (screened,) = screen_document(document)
    took = decisions_of(run(prepare(document)).tables["decisions"])
    agree(took, screened.steps, screened.ids)
    return screened, took


def agree(taken, steps, ids):
    """Assert that each decision of a run has the times, kind and exact weights of the screen's."""
    assert [(d.ts, d.data_ts) for d in taken] == [(s.ts, s.data_ts) for s in steps]
    for decision, step in zip(taken, steps, strict=True):
        assert decision.kind == ("wait" if step.wait else "rebalance")
        seen = {target.instrument: target for target in decision.targets}
        for i, name in enumerate(ids):
            weight = 0.0 if step.wait else step.proposal.weight[i]
            if name not in seen:  # Without any candle in the window, the run leaves it out.
                assert weight == 0.0
                continue
            assert seen[name].weight == weight
            if not step.wait:
                assert (seen[name].rank or 0) == step.proposal.rank[i]
                score = np.nan if seen[name].score is None else seen[name].score
                np.testing.assert_array_equal(score, step.proposal.score[i])


def test_close_times_reach_the_last_one_over_many_years():
    start = 1_577_836_800 * 10**9
    for days in (1, 127, 128, 699, 5000):
        times = close_times(start, start + days * DAY, DAY)
        assert (len(times), times[-1]) == (days + 1, start + days * DAY)


@pytest.mark.parametrize("name", RULES)
def test_screen_and_run_agree_day_by_day(write_run, name):
    # What takes its time to come up has two months.
    end = "2023-04-01" if name in MET else "2023-03-05"
    screened, _ = both(write_run, REVERSAL, RULES[name], end)
    proposals = [step.proposal for step in screened.steps]
    assert len(proposals) >= 16
    met = {int(one) for each in proposals for one in each.standing}
    assert MET.get(name, set()) <= met | {p.regime for p in proposals if p.weight.any()}


def test_screen_and_run_agree_on_hourly_candles(write_run):
    screened, _ = both(write_run, REVERSAL, HOURLY, "2023-02-20")
    assert len(screened.steps) == 19 * 6


@pytest.mark.parametrize("without", ["neutral", "regime"])
def test_screen_and_run_agree_with_everything_on(write_run, without):
    """Momentum on hourly candles; own trends of a regime need not be neutral."""
    params = RULES["sized to a volatility"] | RULES["filtered"] | RULES["by regime"]
    params |= RULES["by steps"] | {"weighting": "risk_parity", "loss_exit": {"loss": 0.0005}}
    params |= {"interval": "1h", "every": "4h", "at": "00:10", "top_n": 10, "lookbacks": [4, 12]}
    params |= {"hold": {"least": "6h", "most": "2d"}, "hours_filter": {"hours": [0, 4, 8, 12, 20]}}
    params |= {"loss_streak": {"losses": 2, "pause": "12h"}, "stop_cooldown": "4h"}
    del params[without]
    found, _ = both(write_run, "strategies.xs_momentum:XSMomentum", params, "2023-02-15")
    seen = set(np.concatenate([step.proposal.standing for step in found.steps]))
    steps = {Standing.LOSS_EXIT, Standing.HELD_BRIEFLY, Standing.COOLING_DOWN}
    assert steps | {Standing.OUT_OF_HOURS, Standing.ADX_OUTSIDE} <= seen


@pytest.mark.parametrize("rules", [{}, HOURLY | {"rows": 20}], ids=["daily", "hourly"])
def test_screen_and_run_see_the_same_ranges_and_funding(write_run, rules):
    """Hourly candles close at settlements and between them; each daily one has several."""
    params = {name: value for name, value in rules.items() if name != "lookback"}
    use, end = "tests.backtests.panel_readers:EveryArray", "2023-02-08" if rules else "2023-03-10"
    found, _ = both(write_run, use, params, end, slice_days=3, allow=["tests"])
    scores = np.array([step.proposal.score for step in found.steps])
    assert np.isfinite(scores).any()


@pytest.mark.parametrize("by", ["sum", "majority", "performance"])
def test_screen_and_run_net_the_same_sleeves(write_run, by):
    carry = {"lookback": 72, "history": 480, "enter": 0.12, "own_percentile": 0.5}
    scorers = {
        "reversal": {"use": "strategies.xs_reversal:XSReversal", "weight": 0.25, "params": {}},
        "momentum": {"use": "strategies.xs_momentum:XSMomentum", "weight": 0.25, "params": {}},
        "carry": {"use": "strategies.carry:Carry", "weight": 0.25, "params": carry},
    }
    vwap = {"use": "strategies.mean_reversion:VwapReversion", "params": {"deviation": 0.01}}
    scorers |= {"vwap": vwap | {"weight": 0.25}} if by == "majority" else {}
    params = {"interval": "1h", "every": "6h", "top_n": 8, "max_weight": 0.15, "scorers": scorers}
    params |= {"combine": by, "prior": 5}
    found, took = both(write_run, "strategies.blend:XSBlend", params, "2023-02-08", slice_days=3)
    assert all(step.proposal.shares[:3].any(axis=1).all() for step in found.steps)
    reasons = {target.reason for decision in took for target in decision.targets}
    assert any("reversal" in reason and "carry" in reason for reason in reasons)
    assert any("outvoted" in reason for reason in reasons) == (by == "majority")
    assert any("by performance" in each.note for each in took) == (by == "performance")


def test_screen_and_run_receive_the_same_funding(write_run):
    params = {"interval": "1h", "every": "8h", "lookback": 72, "history": 480, "leave": 0.1}
    params |= {"enter": 0.12}
    found, _ = both(write_run, "strategies.carry:Carry", params, "2023-02-15")
    weights = np.array([step.proposal.weight for step in found.steps])
    assert (weights < 0).any()
    assert (weights == 0).any()


@pytest.mark.parametrize(
    ("use", "params"),
    [
        ("BollingerReversion", {"enter_rsi": 40, "width": 1.5}),
        ("VwapReversion", {"average": "session", "volume": 0.8, "deviation": 0.01, "stop": 0.02}),
        ("VwapReversion", {"deviation": 0.01, "hold": {"most": "6h"}}),
    ],
)
def test_screen_and_run_find_the_same_reversions(write_run, use, params):
    params |= {"interval": "1h", "every": "1h", "at": "00:00", "risk": 0.004, "history": 48}
    use = f"strategies.mean_reversion:{use}"
    found, _ = both(write_run, use, params, "2023-02-08", slice_days=3)
    weights = np.array([step.proposal.weight for step in found.steps])
    assert (weights < 0).any()
    assert (weights > 0).any()
    standings = {int(one) for step in found.steps for one in step.proposal.standing}
    assert (Standing.ENTRY_OVER in standings) == ("hold" in params)


def test_a_shift_of_one_day_is_noticed(write_run, demo_catalog):
    found, took = both(write_run, REVERSAL, RULES["plain"])
    candles, rules, listings, window = material(demo_catalog)
    late = dataclasses.replace(candles, ts=candles.ts + DAY)
    agree(took, decided(XSReversal, rules, listings, candles, *window), found.ids)
    with pytest.raises(AssertionError):
        agree(took, decided(XSReversal, rules, listings, late, *window), found.ids)


def material(path, **params):
    """Return the panel, rules, listings and window of the plain rules on the demo catalog."""
    catalog = Catalog(path)
    ids = tuple(name for name in catalog.instruments if name.endswith("-LINEAR.BYBIT"))
    params = build_params(XSReversal, RULES["plain"] | params)
    rules = XSReversalConfig(key="reversal", instruments=ids, **params)
    start, end = 1_675_209_600 * 10**9, 1_680_307_200 * 10**9  # 2023-02-01, 2023-04-01.
    oldest = history_start(rules, XSReversal, start)
    candles = panel(catalog, rules.interval, ids, oldest - 1, end)
    listed = np.array([catalog.instruments[name].listed_ns for name in ids], float)
    return candles, rules, Listings(ids, listed), (start, end)


def until(candles, ts):
    """Return the panel as it was known at a time, and nothing of it for later."""
    known = candles.ts <= ts
    fields = {f.name: getattr(candles, f.name) for f in dataclasses.fields(Panel)}
    return Panel(**{k: v if k == "ids" else v[known] for k, v in fields.items()})


def shown(steps):
    return [(s.ts, s.data_ts, s.wait, pickle.dumps(s.proposal)) for s in steps]


@pytest.mark.parametrize("name", RULES)
def test_what_comes_after_a_decision_does_not_change_it_in_the_screen(demo_catalog, name):
    candles, rules, listings, (start, end) = material(demo_catalog, **RULES[name])
    catalog = Catalog(demo_catalog)
    paid = catalog.funding(listings.ids, 0, end)
    whole = decided(XSReversal, rules, listings, candles, start, end, paid)

    @settings(max_examples=15)
    @given(cut=st.integers(start + 1, end))
    def holds(cut):
        known = paid.filter(pc.less_equal(paid["ts"], cut))
        got = decided(XSReversal, rules, listings, until(candles, cut), start, cut, known)
        assert shown(got) == shown([step for step in whole if step.ts < cut])

    holds()


def test_own_scores_that_are_not_the_same_at_once_are_refused_and_unmarked_ones_go_one_by_one(
    demo_catalog,
):
    candles, rules, listings, (start, end) = material(demo_catalog)
    with pytest.raises(DeskError, match="MarkedWrongly: its scores are marked at_once, but many"):
        decided(MarkedWrongly, rules, listings, candles, start, end)
    assert len(decided(Unmarked, rules, listings, candles, start, end)) == 59
