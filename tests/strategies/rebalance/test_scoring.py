"""Scores of a trader's own code: what they may not do, and what they must be."""

import numpy as np
import pytest

from backtests.screening.path import RegularPanel
from config.errors import DeskError
from strategies.blend import Scorer, XSBlend, XSBlendConfig
from strategies.engine_class import engine_class
from strategies.rebalance.config import at_once
from strategies.rebalance.history import CandleHistory, Window, newest
from strategies.rebalance.scoring import checked_scores
from strategies.xs_reversal import XSReversal, XSReversalConfig
from tests.builders_engine import Candles, play

IDS = ("AAAUSDT-LINEAR.BYBIT", "BBBUSDT-LINEAR.BYBIT", "CCCUSDT-LINEAR.BYBIT")
RULES = XSReversalConfig(key="mine", instruments=IDS, interval="1h", every="1h")
CLOSE = np.array([[100.0, 50.0, 10.0], [110.0, 45.0, 10.0]])
WINDOW = Window(0, CLOSE, CLOSE)
ARRAYS = ("close", "volume", "open", "high", "low", "funding")
PANEL = RegularPanel(10, 10, {name: np.vstack([CLOSE, CLOSE]) for name in ARRAYS})
HISTORY = CandleHistory(3, 2, interval_ns=10, ranges=True, funding=True)
HISTORY.add(0, 20, 100.0, 1.0, [100.0, 101.0, 99.0])


class Own(XSReversal):
    """A reversal that first divides the prices by the oldest ones."""

    @staticmethod
    def scores(config, window):
        close = window.close
        close /= close[0]
        return -close[-1]


def of(scores):
    """Return a strategy with these scores."""
    return type("Own", (XSReversal,), {"scores": staticmethod(scores)})


@pytest.mark.parametrize(
    "window",
    [
        *(HISTORY.window(ts) for ts in (20, 30)),
        newest(HISTORY.window(20), 1),
        PANEL.window(20, 2),
        *(PANEL.windows(np.array(ts), 2) for ts in ([20, 30, 40], [20, 40, 30])),
    ],
)
def test_no_array_of_a_window_can_be_written_to(window):
    for name in ARRAYS:
        assert getattr(window, name).size
        with pytest.raises(ValueError, match="read-only"):
            getattr(window, name)[...] = 1.0


def test_scores_that_change_the_window_end_a_run_and_name_strategy_line_and_remedy():
    words = r"strategy mine: .*Own changes .*test_scoring.py:\d+, .*shared.*window.close.copy\(\)"
    hours = Candles(opens=[100, 100, 90], closes=[100, 90, 95])
    with pytest.raises(DeskError, match=words):
        play(dict.fromkeys(IDS, hours), engine_class(Own)(RULES))
    scorer = Scorer(use="strategies.xs_reversal:XSReversal", weight=1.0)
    blend = XSBlendConfig(key="mine", instruments=IDS, scorers={"one": scorer})
    blend.__dict__["sleeves"] = tuple(one._replace(ranking=Own) for one in blend.sleeves)
    with pytest.raises(DeskError, match=words):
        checked_scores(XSBlend, blend, WINDOW)
    with pytest.raises(ValueError, match="could not convert"):
        checked_scores(of(lambda config, window: float("x")), RULES, WINDOW)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda score: score[:-1], r"float64 of shape \(2,\)"),
        (lambda score: np.stack([score, score]), r"float64 of shape \(2, 3\)"),
        (lambda score: score.astype(complex), r"complex128 of shape \(3,\)"),
        (lambda score: score > 0, r"bool of shape \(3,\)"),
        (list, "of type list"),
        (lambda score: np.ma.masked_less(score, 0), "of type MaskedArray"),
        (lambda score: None, "of type NoneType"),
    ],
)
def test_scores_of_another_shape_or_type_are_refused_and_the_error_says_what_is_wanted(made, words):
    own = of(lambda config, window: made(window.close[-1]))
    wanted = rf"strategy mine: .*Own: its scores are {words}; wanted .* floats of shape \(3,\): one"
    with pytest.raises(DeskError, match=wanted):
        checked_scores(own, RULES, WINDOW)


def test_scores_of_many_windows_at_once_have_a_row_for_each_and_whole_numbers_become_floats():
    own = of(at_once(lambda config, window: window.close[-1, 0]))
    with pytest.raises(DeskError, match=r"of shape \(3,\); .* of shape \(2, 3\), as at_once says"):
        checked_scores(own, RULES, PANEL.windows(np.array([20, 30]), 2))
    own = of(lambda config, window: window.close[-1].astype(np.int64))
    score = checked_scores(own, RULES, WINDOW).score
    assert (score.dtype, score.tolist()) == (np.float64, [110.0, 45.0, 10.0])
