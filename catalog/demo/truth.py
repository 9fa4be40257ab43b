"""What a strategy on the demo market should earn: the planted drift and the loadings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.demo import universe
from catalog.demo.parameters import DAY_NS, DemoParams
from catalog.demo.returns import Floats, draw_factors, draw_path
from catalog.demo.universe import SECTORS
from catalog.instruments import instrument_id


@dataclass(frozen=True)
class Truth:
    """The planted part of a demo market's daily returns; N perps, T days.

    The expected log return of perp ``i`` on day ``t``, given all earlier days, is
    ``drift[t, i] + betas[i] * market_drift``; the expected profit of holding weights ``w`` over
    that day, before costs and compounding, is their sum over ``w``.

    Parameters
    ----------
    ts : ndarray of int64, shape (T,)
        Close of each day, UNIX nanoseconds (UTC).
    ids : tuple of str
        The N perps in the order of the universe.
    drift : ndarray of float64, shape (T, N)
        Planted idiosyncratic log return; also for days before listing and after delisting.
    loadings : ndarray of float64, shape (N, 1 + sectors)
        Market beta, then the loading on each sector.
    """

    ts: NDArray[np.int64]
    ids: tuple[str, ...]
    drift: Floats
    loadings: Floats


def truth(params: DemoParams) -> Truth:
    """Draw a demo market again and return what was planted in it."""
    shared = draw_factors(params)
    specs = universe.draw(params)
    loadings = np.zeros((len(specs), 1 + len(SECTORS)))
    for row, spec in zip(loadings, specs, strict=True):
        row[0], row[1 + spec.sector] = spec.beta, spec.loading
    return Truth(
        ts=params.start_ns + DAY_NS * np.arange(1, params.days + 1, dtype=np.int64),
        ids=tuple(instrument_id(spec.symbol, "LINEAR") for spec in specs),
        drift=np.column_stack([draw_path(params, spec, shared).drift for spec in specs]),
        loadings=loadings,
    )
