"""Compare what a policy was trained for with what trades it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

import msgspec

from config.durations import duration_ns
from strategies.basis.edge import BPS
from strategies.basis_arbitrage import BasisConfig, pair_symbol

Fees = tuple[Decimal, Decimal]
"""Takers', of the spot pair and of the perpetual; fractions of value."""
SAME = "look", "half_life"
ALIKE = "horizon", "slippage_bps", "min_edge_bps", "funding_alone", "levels", "max_position"


class Training(msgspec.Struct, frozen=True):
    """Parameters and fees that a policy was trained for, as its manifest has them."""

    pairs: tuple[tuple[str, str], ...]
    look: str
    half_life: str
    horizon: str
    slippage_bps: float
    min_edge_bps: float
    funding_alone: bool
    levels: int
    max_position: float
    fees: Fees

    def refusals(self, rules: BasisConfig, fees: Fees | None = None) -> list[str]:
        """Return in words why it is not to be traded so, at fees where they are given."""
        known = {pair_symbol(pair) for pair in self.pairs}
        others = [name for name in map(pair_symbol, rules.pairs) if name not in known]
        found = [f"it was trained on {', '.join(sorted(known))}, not {one}" for one in others]
        found += self._differing(rules, SAME)
        higher = fees is not None and sum(fees) > sum(self.fees)
        return [*found, *self._fees(fees)] if higher else found

    def doubts(self, rules: BasisConfig, fees: Fees) -> str:
        """Return in words what else differs, which may matter."""
        return "; ".join(self._differing(rules, ALIKE) + self._fees(fees))

    def _differing(self, rules: BasisConfig, names: Iterable[str]) -> list[str]:
        values = ((name, getattr(self, name), getattr(rules, name)) for name in names)
        return [
            f"it was trained with {name} {then}, not {now}"
            for name, then, now in values
            if then != now and not (isinstance(now, str) and duration_ns(then) == duration_ns(now))
        ]

    def _fees(self, fees: Fees | None) -> list[str]:
        if fees is None or sum(fees) == sum(self.fees):
            return []
        then, now = (f"{2 * float(sum(one)) * BPS:g}" for one in (self.fees, fees))
        return [f"it was trained with fees of {then} bps a round trip, not {now}"]
