"""The decisions that a rebalancing strategy would take over a panel, without an engine.

The windows are cut from the panel and go through the strategy's own functions, row by row, so the
weights are those of the event-driven run to the last bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from catalog.panel import Panel
from config.durations import duration_ns, interval_ns, offset_ns
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig
from strategies.rebalance.history import Window
from strategies.rebalance.propose import Listings, Proposal, propose, reason_to_wait, rows_needed
from strategies.schedule import last_close, next_fire


@dataclass(frozen=True)
class Step:
    """One decision.

    Parameters
    ----------
    ts : int
        When it is taken, UNIX nanoseconds (UTC).
    data_ts : int
        Close time of the newest candle that it sees.
    proposal : Proposal
        Scores, ranks and weights.
    wait : str
        Why nothing is traded; empty when the weights are traded.
    """

    ts: int
    data_ts: int
    proposal: Proposal
    wait: str


@dataclass(frozen=True)
class RegularPanel:
    """A panel's candles on every close time of the grid, rows of NaN where nobody traded.

    Parameters
    ----------
    first : int
        Close time of row 0, UNIX nanoseconds (UTC).
    interval_ns : int
        Distance of two rows.
    close, volume : ndarray, shape (T, N)
        C-contiguous.
    """

    first: int
    interval_ns: int
    close: NDArray[np.float64]
    volume: NDArray[np.float64]

    def row(self, ts: int) -> int:
        """Return the row of a close time, which may lie outside."""
        return (ts - self.first) // self.interval_ns


def close_times(first: int, last: int, step_ns: int) -> NDArray[np.int64]:
    """Return every close time from first to last, both included, UNIX nanoseconds (UTC)."""
    # Not arange(first, last + 1, step): it counts in floats, to which that one is nothing.
    return first + step_ns * np.arange((last - first) // step_ns + 1, dtype=np.int64)


def regular(panel: Panel, step_ns: int, first: int, last: int) -> RegularPanel:
    """Lay a panel on the grid of close times from first to last.

    Raises
    ------
    ValueError
        If a candle does not close on the grid.
    """
    rows = (panel.ts - first) // step_ns
    if np.any((panel.ts - first) % step_ns):
        raise ValueError(f"candles of {step_ns} ns must close at multiples of it")
    inside = (panel.ts >= first) & (panel.ts <= last)
    shape = (max(0, (last - first) // step_ns + 1), len(panel.ids))
    close, volume = np.full(shape, np.nan), np.full(shape, np.nan)
    close[rows[inside]] = panel.close[inside]
    volume[rows[inside]] = panel.volume[inside]
    return RegularPanel(first, step_ns, close, volume)


def history_start(rules: PanelRebalancerConfig, cls: type[PanelRebalancer], start: int) -> int:
    """Return the close time of the oldest candle that the first decision of a run looks at."""
    step = interval_ns(rules.interval)
    return last_close(start, step) - (rows_needed(rules, cls.rows_for_scores(rules)) - 1) * step


def decisions(
    cls: type[PanelRebalancer],
    rules: PanelRebalancerConfig,
    listings: Listings,
    panel: Panel,
    start: int,
    end: int,
) -> list[Step]:
    """Return every decision with start <= ts < end.

    Parameters
    ----------
    cls : type of PanelRebalancer
        Gives the scores.
    rules : PanelRebalancerConfig
        Its parameters.
    listings : Listings
        Ids and listing times in the order of the panel's columns.
    panel : Panel
        Candles from `history_start` on; later ones than a decision sees don't matter to it.
    start, end : int
        UNIX nanoseconds (UTC).
    """
    step = interval_ns(rules.interval)
    rows = rows_needed(rules, cls.rows_for_scores(rules))
    candles = regular(panel, step, history_start(rules, cls, start), last_close(end, step))
    every, offset = duration_ns(rules.every), offset_ns(rules.at)
    steps = []
    ts = next_fire(start - 1, every, offset)
    while ts < end:
        data_ts = last_close(ts, step)
        last = candles.row(data_ts) + 1
        cut = slice(last - rows, last)
        window = Window(data_ts, candles.close[cut], candles.volume[cut])
        proposal = propose(rules, listings, window, cls.scores(rules, window))
        steps.append(Step(ts, data_ts, proposal, reason_to_wait(rules, proposal)))
        ts += every
    return steps
