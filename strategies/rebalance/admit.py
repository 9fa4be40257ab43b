"""Filters, regimes and the choice of sides in a decision, by the rules. Pure.

Each is off unless the rules have its block; arrays have shape (N,).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.durations import DAY_NS, interval_ns
from strategies.rebalance.config import PanelRebalancerConfig
from strategies.rebalance.history import Window
from strategies.rebalance.memory import Recall
from strategies.signals.dispersion import dispersion, mean_correlation
from strategies.signals.filters import (
    adx_passes,
    funding_a_day,
    funding_sides,
    in_hours,
    rows_for_funding,
    slope_sides,
)
from strategies.signals.regime import Mode, mirrored, next_mode, own_trend, trending
from strategies.signals.selection import (
    Counts,
    Sides,
    choose_sides,
    names_a_side,
    side_counts,
    trend_sides,
)
from strategies.signals.symbol_record import paused
from strategies.signals.trend import adx, ema_slope, rows_for_adx, rows_for_slope
from strategies.signals.universe import Standing


@dataclass(frozen=True, slots=True)
class Filtered:
    """What filters leave; ``part`` multiplies the weights, ``flipped`` changes sides.

    ``universe`` has what was in before any filter, by which regimes are judged.
    ``readings`` has what `explain` names: ``part`` and ``flipped``, and the values that were
    compared, NaN where unknown: ``adx``, ``slope`` and ``majors_slope`` (basis points a day),
    ``funding`` (basis points a day, paid by longs).
    """

    universe: NDArray[np.bool_]
    standing: NDArray[np.int8]
    sides: Sides
    part: NDArray[np.float64]
    flipped: NDArray[np.bool_]
    readings: dict[str, NDArray[Any]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Chosen:
    """Scores that count in the regime, and the sides held; of a blend, those that are allowed."""

    standing: NDArray[np.int8]
    score: NDArray[np.float64]
    sides: Sides
    regime: Mode


def rows_to_admit(rules: PanelRebalancerConfig) -> int:
    """Return how many candles filters, regime and selection need."""
    rows = [1]
    for block in (rules.adx_filter, rules.market_trend):
        rows += [rows_for_adx(block.length)] if block is not None else []
    for slope in (rules.slope_filter, rules.majors_gate):
        rows += [rows_for_slope(slope.length)] if slope is not None else []
    if rules.funding_filter is not None:
        rows.append(rows_for_funding(interval_ns(rules.interval)))
    if rules.names is not None:
        rows.append(rules.names.lookback + 1)
    if (regime := rules.regime) is not None:
        lookbacks = regime.correlation_lookback, regime.dispersion_lookback, regime.trend_lookback
        rows += [rows_for_slope(regime.slope_length), max(lookbacks) + 1]
    return max(rows)


def filtered(
    rules: PanelRebalancerConfig,
    ids: tuple[str, ...],
    window: Window,
    standings: NDArray[np.int8],
    known: Recall | None,
) -> Filtered:
    """Return what the filters leave of those who are in; ``known`` is what is remembered."""
    count = standings.shape
    held = np.zeros(count) if known is None else known.weight
    everyone, nobody = np.ones(count, dtype=np.bool_), np.zeros(count, dtype=np.bool_)
    result, part, flipped = standings.copy(), np.ones(count), nobody
    sides = Sides(everyone, everyone if rules.sells_short else nobody)
    readings: dict[str, NDArray[Any]] = {}

    def leave_out(reason: Standing, passed: Sides) -> None:
        nonlocal sides
        sides = Sides(sides.long & passed.long, sides.short & passed.short)
        # What is held counts by its own side, so that a filter drops it for a reason.
        fits = np.where(held > 0.0, passed.long, passed.short)
        fits = np.where(held == 0.0, passed.long | passed.short, fits)
        result[~fits & (result == Standing.IN)] = reason

    def both(passed: NDArray[np.bool_]) -> Sides:
        return Sides(passed, passed)

    if rules.hours_filter is not None:
        passed = in_hours(rules.hours_filter, window.ts)
        leave_out(Standing.OUT_OF_HOURS, both(everyone if passed else nobody))
    if rules.symbol_record is not None and known is not None:
        rests = paused(rules.symbol_record, known.results, known.since_exit_ns)
        leave_out(Standing.POOR_RECORD, both(~rests | (held != 0.0)))
    if (gate := rules.majors_gate) is not None:
        slope = _majors_slope(rules, ids, window, gate.instruments, gate.length)
        readings["majors_slope"] = np.full(count, slope)
        quiet = not abs(slope) >= gate.least_bps
        if quiet and gate.action == "skip":
            leave_out(Standing.QUIET_MAJORS, both(nobody))
        elif quiet:
            part = part * gate.factor
    if (market := rules.market_trend) is not None:
        strength = _adx(window, market.length)
        columns = columns_of(ids, market.instruments)
        trends, unknown = trending(market, float(strength[columns].mean()), strength)
        leave_out(Standing.TREND_UNKNOWN, both(~unknown))
        if market.action == "skip":
            leave_out(Standing.TRENDING, both(~trends))
        elif market.action == "scale":
            part = np.where(trends, part * market.factor, part)
        else:
            flipped = trends
    if rules.adx_filter is not None:
        readings["adx"] = _adx(window, rules.adx_filter.length)
        leave_out(Standing.ADX_OUTSIDE, both(adx_passes(rules.adx_filter, readings["adx"])))
    if rules.slope_filter is not None:
        readings["slope"] = _slope(rules, window.close, rules.slope_filter.length)
        leave_out(Standing.SLOPE_OUTSIDE, slope_sides(rules.slope_filter, readings["slope"]))
    if rules.funding_filter is not None:
        paid = funding_a_day(window.funding, interval_ns(rules.interval))
        readings["funding"] = paid * 1e4
        leave_out(Standing.FUNDING_TOO_HIGH, funding_sides(rules.funding_filter, paid))
    readings |= {"part": part, "flipped": flipped}
    return Filtered(standings == Standing.IN, result, sides, part, flipped, readings)


def chosen(
    rules: PanelRebalancerConfig,
    ids: tuple[str, ...],
    window: Window,
    scores: NDArray[np.float64],
    left: Filtered,
    standings: NDArray[np.int8],
    known: Recall | None,
    regime: str,
) -> Chosen:
    """Return the sides to hold of those whose standing is in; ``regime`` was the last, or empty."""
    standings = standings.copy()
    eligible = standings == Standing.IN
    mode: Mode = "cross_section"
    if rules.regime is not None:
        mode = _regime(rules, ids, window, left.universe, regime)
        if mode == "own_trend":
            scores = own_trend(window.close, rules.regime.trend_lookback)
            standings[eligible & np.isnan(scores)] = Standing.NO_SCORE
            eligible = standings == Standing.IN
    score = np.where(eligible, scores, np.nan)
    if mode == "cross_section" and left.flipped.any():
        how = [sleeve.rules.side for sleeve in rules.sleeves] or [rules.side]
        rows = zip(np.atleast_2d(score), how, strict=True)
        score = np.reshape([mirrored(row, left.flipped, side) for row, side in rows], score.shape)
    if rules.sleeves:
        return Chosen(standings, score, left.sides, mode)
    counts: Counts | None
    counts = side_counts(score, rules.weighting, rules.fraction, rules.side)
    if rules.names is not None:
        close = window.close[-rules.names.lookback - 1 :, left.universe]
        names = names_a_side(rules.names, dispersion(close, rules.names.lookback))
        counts = names, names
    choose = trend_sides if mode == "own_trend" else choose_sides
    held = None if known is None else known.weight
    sides = choose(score, counts, side=rules.side, allowed=left.sides, held=held, bands=rules.bands)
    return Chosen(standings, score, sides, mode)


def columns_of(ids: tuple[str, ...], names: tuple[str, ...]) -> list[int]:
    """Return the columns of the named instruments.

    Raises ValueError when one is not among the strategy's.
    """
    lacking = sorted(set(names) - set(ids))
    if lacking:
        raise ValueError(f"not among the strategy's instruments: {', '.join(lacking)}")
    return [ids.index(name) for name in names]


def _regime(
    rules: PanelRebalancerConfig,
    ids: tuple[str, ...],
    window: Window,
    universe: NDArray[np.bool_],
    before: str,
) -> Mode:
    regime = rules.regime
    assert regime is not None
    rows = max(regime.correlation_lookback, regime.dispersion_lookback) + 1
    close = np.ascontiguousarray(window.close[-rows:, universe])
    return next_mode(
        regime,
        before,
        correlation=mean_correlation(close, regime.correlation_lookback),
        dispersion=dispersion(close, regime.dispersion_lookback),
        slope=_majors_slope(rules, ids, window, regime.majors, regime.slope_length),
        names=int(np.count_nonzero(universe)),
    )


def _majors_slope(
    rules: PanelRebalancerConfig,
    ids: tuple[str, ...],
    window: Window,
    majors: tuple[str, ...],
    length: int,
) -> float:
    close = window.close[-rows_for_slope(length) :, columns_of(ids, majors)]
    return float(_slope(rules, close, length).mean())


def _slope(
    rules: PanelRebalancerConfig, close: NDArray[np.float64], length: int
) -> NDArray[np.float64]:
    candles_a_day = DAY_NS / interval_ns(rules.interval)
    return ema_slope(close[-rows_for_slope(length) :], length, candles_a_day)


def _adx(window: Window, length: int) -> NDArray[np.float64]:
    rows = rows_for_adx(length)
    return adx(window.high[-rows:], window.low[-rows:], window.close[-rows:], length)
