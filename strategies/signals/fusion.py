"""Fusion: eight scores become one, with the move it lets expect and weights that follow the edge.

The fused score is the weighted mean of the scores, the confidence the part of the weighted votes
that agrees with its sign. Every ``sample_s`` scores, mid and round-trip cost are noted; when a
horizon has passed since, the move of the mid (basis points) is booked, never earlier:

- calibration: the mean move in the direction of the fused score, by steps of its size and horizon;
- edge of a signal: mean of ``score * move - |score| * cost``, a unit of ``|score|``, by horizon. A
  signal's weight is its declared one times ``exp(edge / edge_scale_bps)``, bounded: a signal that
  loses has less weight, whatever the size of its loss.

Both forget exponentially with time. A horizon that ends within a silence of `SILENCE_S` is not
booked, as no price is known there.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import msgspec
import numpy as np

from config.errors import DeskError
from strategies.signals.compiled import Floats, compiled, packed
from strategies.signals.scalper_parameters import REGIMES, SIGNALS, FusionRules

SILENCE_S = 10.0
_SECOND = 1e9
"""Times are whole nanoseconds since the first, exact in a float for a hundred days."""
_COUNT = len(SIGNALS)
_ORIGIN_UNKNOWN = -1
_SEEN, _SEEN_MID, _SAMPLED, _WRITTEN, _BOOKED = range(5)
_TIME, _MID, _VALUE, _COST, _SCORES = range(5)
_SAMPLE, _HALF_LIFE, _LEAST_SAMPLES, _PRIOR, _FROZEN, _LEAST, _MOST, _SCALE = range(8)


class Fused(NamedTuple):
    """One score from all; ``value`` in [-1, 1], NaN while a weighted signal warms up."""

    value: float
    confidence: float
    """Part of the weighted votes that agrees with the sign of ``value``, from 0 to 1."""


class FusionState(msgspec.Struct, frozen=True, kw_only=True):
    """What the fusion has learned, and the samples whose horizons have not passed: plain data."""

    horizons_s: tuple[float, ...]
    bins: int
    sample_s: float
    origin: int
    """Time that those below are counted from, UNIX nanoseconds; -1 before the first."""
    head: list[float]
    samples: list[float]
    calibration: list[float]
    edges: list[float]


def round_trip_bps(
    entry_fee_bps: float,
    exit_fee_bps: float,
    spread_bps: float,
    slippage_bps: float = 0.0,
    spreads_crossed: float = 1.0,
) -> float:
    """Return what a round trip costs against the mid, basis points.

    ``spreads_crossed`` is 1 for a taker in and out, 0.5 where one side is a maker, 0 where both
    are; a rebate is a negative fee.
    """
    return entry_fee_bps + exit_fee_bps + spreads_crossed * spread_bps + slippage_bps


@compiled
def fuse(scores: Floats, weights: Floats) -> tuple[float, float]:
    """Return the weighted sum and the confidence; NaN and 0 while a weighted score is not known."""
    net = gross = 0.0
    for number in range(_COUNT):
        if weights[number] > 0.0:
            net += weights[number] * scores[number]
            gross += weights[number] * abs(scores[number])
    if math.isnan(net):
        return math.nan, 0.0
    return net, abs(net) / gross if gross > 0.0 else 0.0


@compiled
def learn(
    head: Floats,
    samples: Floats,
    calibration: Floats,
    edges: Floats,
    weights: Floats,
    declared: Floats,
    horizons: Floats,
    rules: Floats,
    now: float,
    mid: float,
    cost_bps: float,
    scores: Floats,
) -> tuple[float, float]:
    """Book horizons that have passed, fuse the scores, note them; return value and confidence."""
    silent = now - head[_SEEN] > SILENCE_S * _SECOND
    booked = False
    for number in range(len(horizons)):
        while head[_BOOKED + number] < head[_WRITTEN]:
            sample = samples[int(head[_BOOKED + number]) % len(samples)]
            due = sample[_TIME] + horizons[number]
            if due > now:
                break
            head[_BOOKED + number] += 1.0
            if silent and due < now:
                continue
            then = mid if due == now else head[_SEEN_MID]
            move = (then / sample[_MID] - 1.0) * 1e4
            steps = calibration.shape[1]
            step = min(int(abs(sample[_VALUE]) * steps), steps - 1)
            if sample[_VALUE] != 0.0:
                calibration[number, step, 0] += math.copysign(move, move * sample[_VALUE])
                calibration[number, step, 1] += 1.0
            for signal in range(_COUNT):
                score = sample[_SCORES + signal]
                if score != 0.0:
                    net = score * move - abs(score) * sample[_COST]
                    edges[number, signal, 0] += net
                    edges[number, signal, 1] += abs(score)
                    edges[number, signal, 2] += 1.0
            booked = True
    if booked:
        weigh(weights, declared, edges, rules)
    value, confidence = fuse(scores, weights)
    if not math.isnan(value) and (head[_WRITTEN] == 0.0 or now - head[_SAMPLED] >= rules[_SAMPLE]):
        left = 0.5 ** (max(now - head[_SAMPLED], 0.0) / rules[_HALF_LIFE])
        calibration *= left
        edges *= left
        sample = samples[int(head[_WRITTEN]) % len(samples)]
        sample[_TIME], sample[_MID], sample[_VALUE], sample[_COST] = now, mid, value, cost_bps
        for signal in range(_COUNT):
            score = scores[signal]
            sample[_SCORES + signal] = 0.0 if math.isnan(score) else score
        head[_WRITTEN] += 1.0
        head[_SAMPLED] = now
    head[_SEEN], head[_SEEN_MID] = now, mid
    return value, confidence


@compiled
def mean_edge(sums: Floats, prior: float) -> float:
    """Return a signal's edge after costs, basis points, drawn towards 0 by a prior of moves."""
    if sums[1] <= 0.0:
        return 0.0
    return float(sums[0] / sums[1] * sums[2] / (sums[2] + prior))


@compiled
def weigh(weights: Floats, declared: Floats, edges: Floats, rules: Floats) -> None:
    """Set the weights by the mean edge over those horizons that have enough samples.

    A signal without enough keeps its declared share: the mean factor of the others.
    """
    factors, known, shares = np.zeros(_COUNT), 0.0, 0.0
    for signal in range(_COUNT):
        edge, horizons = 0.0, 0
        for number in range(len(edges)):
            if edges[number, signal, 2] >= rules[_LEAST_SAMPLES]:
                edge += mean_edge(edges[number, signal], rules[_PRIOR])
                horizons += 1
        if horizons and not rules[_FROZEN]:
            factor = math.exp(edge / horizons / rules[_SCALE])
            factors[signal] = min(max(factor, rules[_LEAST]), rules[_MOST])
            known += declared[signal] * factors[signal]
            shares += declared[signal]
    usual = known / shares if shares > 0.0 else 1.0
    for signal in range(_COUNT):
        weights[signal] = declared[signal] * (factors[signal] or usual)
    weights /= weights.sum()


@compiled
def expected_move(calibration: Floats, number: int, value: float, rules: Floats) -> float:
    """Return the mean move at a horizon, in the direction of scores of this size or smaller."""
    steps, move, count = calibration.shape[1], 0.0, 0.0
    step = -1 if math.isnan(value) else min(int(abs(value) * steps), steps - 1)
    while step >= 0:
        move += calibration[number, step, 0]
        count += calibration[number, step, 1]
        if count >= rules[_LEAST_SAMPLES]:
            return float(move / (count + rules[_PRIOR]))
        step -= 1
    return math.nan


class Fusion:
    """The fusion of one instrument's scores; ``state`` goes on where another one ended.

    Raises DeskError when the state was made with other horizons, steps or sample times.
    """

    def __init__(
        self, rules: FusionRules, symbol: str = "", state: FusionState | None = None
    ) -> None:
        self.rules = rules
        self._thresholds = rules.by_symbol.get(symbol, rules.thresholds)
        self._horizons = np.array(rules.horizons_s) * _SECOND
        self._usual = rules.horizons_s.index(rules.horizon_s)
        self._declared = packed(rules.weights)
        self._learning = np.array(
            [
                rules.sample_s * _SECOND,
                rules.half_life_s * _SECOND,
                rules.least_samples,
                rules.prior,
                rules.frozen,
                rules.least_weight,
                rules.most_weight,
                rules.edge_scale_bps,
            ],
            np.float64,
        )
        kept = math.ceil(rules.horizons_s[-1] / rules.sample_s) + 2
        count = len(self._horizons)
        self._origin = _ORIGIN_UNKNOWN
        self._head = np.zeros(_BOOKED + count)
        self._samples = np.zeros((kept, _SCORES + _COUNT))
        self._calibration = np.zeros((count, rules.bins, 2))
        self._edges = np.zeros((count, _COUNT, 3))
        self.weights: Floats = np.zeros(_COUNT)
        """Weight of each of `SIGNALS` now; their sum is 1."""
        if state is not None:
            self._restore(state)
        weigh(self.weights, self._declared, self._edges, self._learning)

    def _arrays(self) -> tuple[Floats, Floats, Floats, Floats]:
        return self._head, self._samples, self._calibration, self._edges

    def _restore(self, state: FusionState) -> None:
        ours = self.rules.horizons_s, self.rules.bins, self.rules.sample_s
        theirs = state.horizons_s, state.bins, state.sample_s
        if ours != theirs:
            raise DeskError(
                f"the saved fusion has horizons_s, bins and sample_s {theirs}, the parameters have "
                f"{ours}: set them back, or start without the saved state"
            )
        self._origin = state.origin
        saved = state.head, state.samples, state.calibration, state.edges
        for array, values in zip(self._arrays(), saved, strict=True):
            array[:] = np.reshape(values, array.shape)

    def state(self) -> FusionState:
        """Return what a restart needs."""
        head, samples, calibration, edges = (array.ravel().tolist() for array in self._arrays())
        return FusionState(
            horizons_s=self.rules.horizons_s,
            bins=self.rules.bins,
            sample_s=self.rules.sample_s,
            origin=self._origin,
            head=head,
            samples=samples,
            calibration=calibration,
            edges=edges,
        )

    def update(self, now: int, mid: float, scores: Floats, cost_bps: float) -> Fused:
        """Fuse the scores of a moment, UNIX nanoseconds; learn from horizons that have passed.

        ``cost_bps`` is what a round trip would cost at this moment. Without a mid nothing is
        learned.
        """
        if self._origin == _ORIGIN_UNKNOWN:
            self._origin = now
        if not mid > 0.0:
            return Fused(*fuse(scores, self.weights))
        since = float(now - self._origin)
        fixed = self.weights, self._declared, self._horizons, self._learning
        return Fused(*learn(*self._arrays(), *fixed, since, mid, cost_bps, scores))

    @property
    def edges(self) -> Floats:
        """Edge of each signal at each horizon after costs, basis points, shape (8, horizons)."""
        prior = float(self.rules.prior)
        return np.array([[mean_edge(own, prior) for own in row] for row in self._edges]).T

    @property
    def calibration(self) -> Floats:
        """Mean move towards the fused score and samples; shape (horizons, bins, 2)."""
        moves, counts = self._calibration[..., 0], self._calibration[..., 1]
        return np.stack([moves / (counts + self.rules.prior), counts], axis=-1)

    def expected_bps(self, value: float, horizon_s: float | None = None) -> float:
        """Return the move that past fused scores of this size had in their direction.

        Where there were too few, the next smaller scores count too; NaN when these do not suffice.
        Without ``horizon_s`` the horizon is that of the parameters.
        """
        number = self._usual if horizon_s is None else self.rules.horizons_s.index(horizon_s)
        return expected_move(self._calibration, number, value, self._learning)

    def thresholds(self, regime: int) -> tuple[float, float]:
        """Return the least |value| of an entry, and that below which a position is left.

        In the extreme regime nothing is entered and all is left; while the regime is not known,
        nothing is entered and nothing left.
        """
        if regime < 0:
            return math.inf, -math.inf
        if regime >= len(REGIMES) - 1:
            return math.inf, math.inf
        found = getattr(self._thresholds, REGIMES[regime])
        return found.entry, found.exit
