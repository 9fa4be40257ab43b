"""Size a decision's book by the rules; `strategies.sizing.book` documents the order of steps."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config.durations import DAY_NS, duration_ns, interval_ns
from strategies.rebalance.config import PanelRebalancerConfig
from strategies.rebalance.history import Window
from strategies.signals.selection import Sides
from strategies.signals.volatility import (
    ewma_volatility,
    garman_klass_volatility,
    parkinson_volatility,
    simple_returns,
    volatility,
)
from strategies.sizing.book import Limits, by_parity, size_book, volatility_multiple, within
from strategies.sizing.covariance import betas, clusters, shrunk_covariance
from strategies.sizing.kelly import kelly_multiple
from strategies.sizing.one_thread import on_one_thread
from strategies.sizing.weights import weigh

_YEAR_NS = 365 * DAY_NS


class Scaled(NamedTuple):
    """Weights of a decision, and what part of the book each rule that scales it leaves at most."""

    weight: NDArray[np.float64]
    multiples: dict[str, float]


def rows_to_size(rules: PanelRebalancerConfig) -> int:
    """Return how many candles the sizes need."""
    rows = rules.volatility_lookback + 1 if rules.weighting == "inverse_volatility" else 1
    return max(rows, rules.covariance.lookback + 1) if rules.wants_covariance else rows


def volatility_to_size(rules: PanelRebalancerConfig, window: Window) -> NDArray[np.float64] | None:
    """Return the volatilities that the sizes need, None when they need none.

    NaN where they can't be known: an instrument with a candle missing in the time of the
    covariance is not sized either. Shape (N,), a fraction per candle.
    """
    spread = None
    if rules.weighting == "inverse_volatility":
        spread = _estimated(rules, window)
    if rules.wants_covariance:
        steady = volatility(window.close, rules.covariance.lookback)
        spread = steady if spread is None else np.where(steady > 0.0, spread, np.nan)
    return spread


def size(
    rules: PanelRebalancerConfig,
    window: Window,
    score: NDArray[np.float64],
    spread: NDArray[np.float64] | None,
    sides: Sides | None = None,
    *,
    own_trend: bool = False,
) -> Scaled:
    """Return the weights of a decision, before the allocation.

    ``score`` is NaN for an instrument left out; ``spread`` is of `volatility_to_size`, known for
    all others. Both have shape (N,), as has the result, signed fractions of equity. ``sides`` and
    ``own_trend`` are for `weigh`.
    """
    later = _by_parity(rules) or _is_limited(rules)
    shape = weigh(
        score,
        side=rules.side,
        weighting=rules.weighting,
        fraction=rules.fraction,
        gross=rules.gross_leverage,
        # What is cut of a weight by risk goes to nobody, so it is cut at once.
        max_weight=np.inf if later and rules.weighting != "risk" else rules.max_weight,
        volatility=spread,
        sides=sides,
        own_trend=own_trend,
        risk=rules.risk_at_stop,
    )
    return scale_and_cap(rules, window, score, shape, signed=own_trend or rules.side == "by_sign")


def scale_and_cap(
    rules: PanelRebalancerConfig,
    window: Window,
    score: NDArray[np.float64],
    shape: NDArray[np.float64],
    *,
    signed: bool,
) -> Scaled:
    """Return the weights of a decision from a shape that no limit has changed yet.

    Arrays have shape (N,), as those of `size`; ``signed`` is whether a score's sign says the side.
    Without a limit beside the caps of an instrument and of the gross, which a shape has kept, the
    shape is returned.
    """
    if not (_by_parity(rules) or _is_limited(rules)) or not shape.any():
        return Scaled(shape, {})
    limits, multiples = limits_of(rules, window, eligible=~np.isnan(score), held=shape != 0.0), {}
    if limits.covariance is not None:
        if _by_parity(rules):
            shape = by_parity(shape, limits.covariance)
        if rules.volatility_target is not None:
            multiples["volatility_target"] = volatility_multiple(shape, limits)
        if rules.kelly is not None:
            multiples["kelly"] = rules.kelly.fraction * kelly_multiple(
                shape,
                score,
                limits.covariance,
                information_coefficient=rules.kelly.information_coefficient,
                horizon=duration_ns(rules.every) / interval_ns(rules.interval),
                signed=signed,
            )
    return Scaled(size_book(shape, limits, multiples.get("kelly", 1.0)), multiples)


def stay_within(
    rules: PanelRebalancerConfig,
    window: Window,
    score: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return weights, times the allocation, made smaller where a later step broke a limit.

    Such a step is a partial rebalance, or what a dropped name keeps. Arrays as those of `size`.
    """
    if not _is_limited(rules):
        return weight
    limits = limits_of(rules, window, eligible=~np.isnan(score), held=weight != 0.0)
    return rules.allocation * within(weight / rules.allocation, limits)


def limits_of(
    rules: PanelRebalancerConfig,
    window: Window,
    *,
    eligible: NDArray[np.bool_],
    held: NDArray[np.bool_],
) -> Limits:
    """Return what a book keeps to whose weights are zero where ``held`` is False.

    The betas are to the mean return of the ``eligible``. Of an instrument that is held without all
    of the candles the beta is 1, the variance the largest of the others, and it is a cluster of its
    own. Masks have shape (N,).
    """
    limits = Limits(rules.max_weight, rules.gross_leverage)
    if rules.neutral is not None:
        limits = replace(limits, exposure=np.ones(len(held)), max_net=rules.neutral.max_net)
    return (
        _with_estimates(rules, window, limits, eligible, held) if rules.wants_covariance else limits
    )


@on_one_thread
def _with_estimates(
    rules: PanelRebalancerConfig,
    window: Window,
    limits: Limits,
    eligible: NDArray[np.bool_],
    held: NDArray[np.bool_],
) -> Limits:
    count = len(held)
    returns = simple_returns(window.close, rules.covariance.lookback)
    steady = volatility(window.close, rules.covariance.lookback)
    known = np.isfinite(steady) & (steady > 0.0)
    mine = np.flatnonzero(held & known)
    own = np.ascontiguousarray(returns[:, mine])
    if rules.neutral is not None and rules.neutral.by == "beta" and (eligible & known).any():
        exposure = np.ones(count)
        exposure[mine] = betas(own, returns[:, eligible & known].mean(axis=1))
        limits = replace(limits, exposure=exposure)
    if rules.cluster_cap is not None:
        labels = count + np.arange(count)
        labels[mine] = clusters(own, rules.cluster_cap.correlation)
        limits = replace(limits, clusters=labels, cluster_weight=rules.cluster_cap.max_weight)
    if rules.kelly or rules.volatility_target or _by_parity(rules):
        covariance = np.zeros((count, count))
        covariance[np.ix_(mine, mine)] = shrunk_covariance(own, rules.covariance.estimator)
        unknown = np.flatnonzero(held & ~known)
        covariance[unknown, unknown] = covariance.diagonal().max(initial=0.0)
        limits = replace(limits, covariance=covariance)
    if rules.volatility_target is not None:
        # The covariance is that of one candle.
        a_candle = np.sqrt(interval_ns(rules.interval) / _YEAR_NS)
        limits = replace(limits, max_volatility=rules.volatility_target.annual * a_candle)
    return limits


def _by_parity(rules: PanelRebalancerConfig) -> bool:
    return rules.weighting == "risk_parity"


def _is_limited(rules: PanelRebalancerConfig) -> bool:
    limits = (rules.volatility_target, rules.kelly, rules.cluster_cap, rules.neutral)
    return limits != (None,) * 4


def _estimated(rules: PanelRebalancerConfig, window: Window) -> NDArray[np.float64]:
    lookback = rules.volatility_lookback
    match rules.volatility_estimator:
        case "ewma":
            return ewma_volatility(window.close, lookback, rules.volatility_half_life)
        case "parkinson":
            return parkinson_volatility(window.high, window.low, lookback)
        case "garman_klass":
            return garman_klass_volatility(
                window.open, window.high, window.low, window.close, lookback
            )
        case "sample":
            return volatility(window.close, lookback)
