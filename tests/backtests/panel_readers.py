"""A strategy for tests whose scores use every array of a window; decisions of a plain panel."""

import numpy as np

from backtests.screening.path import decisions, history_start, regular, targets
from config.durations import interval_ns
from strategies.rebalance.config import PanelRebalancer, PanelRebalancerConfig, at_once
from strategies.schedule import last_close


class EveryArrayConfig(
    PanelRebalancerConfig, frozen=True, kw_only=True, forbid_unknown_fields=True
):
    """Uses the range of candles and funding."""

    rows: int = 4
    wants_range = True
    wants_funding = True


class EveryArray(PanelRebalancer):
    """Scores by what settled in the window, and by where the closes lie in the candles' ranges."""

    Config = EveryArrayConfig

    @staticmethod
    def rows_for_scores(config):
        return config.rows

    @staticmethod
    def scores(config, window):
        assert all(
            getattr(window, name).flags.c_contiguous for name in ("open", "high", "low", "funding")
        )
        paid = np.nansum(window.funding, axis=0)
        body = (window.close - window.open).sum(axis=0)
        return body / (window.high - window.low).sum(axis=0) - 1e3 * paid


class MarkedWrongly(PanelRebalancer):
    """Scores by the distance from the mean of all instruments, or so it says."""

    @staticmethod
    def rows_for_scores(config):
        return 2

    @staticmethod
    @at_once
    def scores(config, window):
        moved = window.close[-1] / window.close[0]
        return moved - np.nanmean(moved)


class Unmarked(MarkedWrongly):
    """Overrides what was marked."""

    @staticmethod
    def scores(config, window):
        return MarkedWrongly.scores(config, window)


def decided(cls, rules, listings, panel, start, end, funding=None):
    """Return the screen's decisions one by one, to the last bit those that all at once give."""
    step = interval_ns(rules.interval)
    oldest, newest = history_start(rules, cls, start), last_close(end, step)
    paid = funding if rules.wants_funding else None
    candles = regular(panel, step, oldest, newest, ranges=rules.wants_range, funding=paid)
    steps = decisions(cls, rules, listings, candles, start, end)
    data_ts, weight, traded = targets(cls, rules, listings, candles, start, end)
    assert data_ts.tolist() == [one.data_ts for one in steps]
    assert traded.tolist() == [not one.wait for one in steps]
    assert weight.tobytes() == b"".join(one.proposal.weight.tobytes() for one in steps)
    return steps
