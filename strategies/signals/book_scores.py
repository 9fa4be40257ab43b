"""Book scores: the scalper's eight signals on one instrument, one compiled call an event.

`BookScores` takes books and trades as they come and says each signal's score at a moment.
`score_tape` does the same over arrays of a whole tape without leaving compiled code, by the same
steps, so both give the same bits.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from strategies.signals import (
    book_imbalance,
    iceberg,
    large_trades,
    micro_momentum,
    pull_replace,
    sweep,
    volatility_regime,
    vwap_deviation,
)
from strategies.signals.compiled import Floats, compiled, middle, packed
from strategies.signals.scalper_parameters import SIGNALS, ScalperSignals

Integers = NDArray[np.int64]
_IMBALANCE, _MOMENTUM, _PULLS, _LARGE, _SWEEP, _ICEBERG, _VWAP, _REGIME = range(len(SIGNALS))
_STATES: tuple[Callable[[], Floats], ...] = (
    book_imbalance.new_state,
    micro_momentum.new_state,
    lambda: pull_replace.new_state(0),
    large_trades.new_state,
    sweep.new_state,
    iceberg.new_state,
    vwap_deviation.new_state,
    volatility_regime.new_state,
)
_TICK, _LEVELS, _MID, _HEAD = range(4)


def _bounds() -> tuple[Integers, Integers]:
    """Return where each signal's parameters and state begin and end in a board."""
    rules, states, end = np.zeros((8, 2), np.int64), np.zeros((8, 2), np.int64), _HEAD
    defaults = ScalperSignals()
    for number, name in enumerate(SIGNALS):
        rules[number] = end, end + len(packed(getattr(defaults, name)))
        end = rules[number, 1]
    # The length of the one that remembers a book depends on its levels: it comes last.
    for number in sorted(range(8), key=lambda chosen: chosen == _PULLS):
        states[number] = end, end + len(_STATES[number]())
        end = states[number, 1]
    states[_PULLS, 1] = 1 << 40
    return rules, states


_RULES, _PLACES = _bounds()


def new_board(parameters: ScalperSignals, tick: float) -> Floats:
    """Return the parameters and the first states of all signals, in one array."""
    board = np.zeros(_PLACES[_PULLS, 0] + len(pull_replace.new_state(parameters.levels)))
    board[_TICK], board[_LEVELS], board[_MID] = tick, parameters.levels, np.nan
    for number, name in enumerate(SIGNALS):
        board[slice(*_RULES[number])] = packed(getattr(parameters, name))
        board[slice(*_PLACES[number])] = (
            pull_replace.new_state(parameters.levels) if number == _PULLS else _STATES[number]()
        )
    return board


@compiled
def _rules(board: Floats, number: int) -> Floats:
    return board[_RULES[number, 0] : _RULES[number, 1]]


@compiled
def _state(board: Floats, number: int) -> Floats:
    return board[_PLACES[number, 0] : _PLACES[number, 1]]


@compiled
def step_book(board: Floats, now: float, bids: Floats, asks: Floats) -> None:
    """Show a book to all signals; levels beyond those that are read do not matter."""
    levels, tick = int(board[_LEVELS]), board[_TICK]
    if len(bids) < levels or len(asks) < levels:
        raise ValueError("a book has fewer rows than the levels that the signals read")
    bids, asks = bids[:levels], asks[:levels]
    board[_MID] = middle(bids, asks)
    regime_rules = _rules(board, _REGIME)
    volatility_regime.on_book(_state(board, _REGIME), now, bids, asks, tick, regime_rules)
    imbalance_rules, momentum_rules = _rules(board, _IMBALANCE), _rules(board, _MOMENTUM)
    book_imbalance.on_book(_state(board, _IMBALANCE), now, bids, asks, imbalance_rules)
    micro_momentum.on_book(_state(board, _MOMENTUM), now, bids, asks, tick, momentum_rules)
    pull_replace.on_book(_state(board, _PULLS), now, bids, asks, tick, _rules(board, _PULLS))
    iceberg.on_book(_state(board, _ICEBERG), now, bids, asks, tick, _rules(board, _ICEBERG))
    vwap_deviation.on_book(_state(board, _VWAP), bids, asks, tick)


@compiled
def step_trade(board: Floats, now: float, price: float, size: float, side: int) -> None:
    """Show a trade to all signals; one without a price, a size or a side is none."""
    if not (price > 0.0 and size > 0.0 and side != 0):
        return
    tick = board[_TICK]
    usual = volatility_regime.usual_volatility(_state(board, _REGIME), now, _rules(board, _REGIME))
    sweep_rules, vwap_rules = _rules(board, _SWEEP), _rules(board, _VWAP)
    micro_momentum.on_trade(_state(board, _MOMENTUM), now, size, side, _rules(board, _MOMENTUM))
    pull_rules = _rules(board, _PULLS)
    pull_replace.on_trade(_state(board, _PULLS), now, price, size, side, tick, pull_rules)
    large_trades.on_trade(_state(board, _LARGE), now, size, side, _rules(board, _LARGE))
    sweep.on_trade(_state(board, _SWEEP), now, price, side, tick, usual, sweep_rules)
    iceberg.on_trade(_state(board, _ICEBERG), now, price, size, side, tick)
    vwap_deviation.on_trade(_state(board, _VWAP), now, price, size, tick, vwap_rules)


@compiled
def step_trades(board: Floats, now: float, trades: Floats) -> None:
    """Show trades with their ages, as `BookScores.on_trades` gets them; now in nanoseconds."""
    for age, price, size, side in trades:
        step_trade(board, (now - age) * 1e-9, price, size, int(side))


@compiled
def step_scores(board: Floats, now: float, out: Floats) -> None:
    """Write all scores at a moment into ``out``, in the order of `SIGNALS`."""
    rules, state = _rules(board, _REGIME), _state(board, _REGIME)
    usual = volatility_regime.usual_volatility(state, now, rules)
    short = volatility_regime.volatility(state, now, rules)
    momentum, momentum_rules = _state(board, _MOMENTUM), _rules(board, _MOMENTUM)
    out[_IMBALANCE] = book_imbalance.score(
        _state(board, _IMBALANCE), now, _rules(board, _IMBALANCE)
    )
    out[_MOMENTUM] = micro_momentum.score(momentum, now, short, usual, momentum_rules)
    out[_PULLS] = pull_replace.score(_state(board, _PULLS), now, _rules(board, _PULLS))
    out[_LARGE] = large_trades.score(_state(board, _LARGE), now, _rules(board, _LARGE))
    out[_SWEEP] = sweep.score(_state(board, _SWEEP), now, usual, _rules(board, _SWEEP))
    out[_ICEBERG] = iceberg.score(_state(board, _ICEBERG), now, _rules(board, _ICEBERG))
    out[_VWAP] = vwap_deviation.score(_state(board, _VWAP), now, usual, _rules(board, _VWAP))
    out[_REGIME] = volatility_regime.score(state, now, rules)


@compiled
def _regime(board: Floats, now: float) -> int:
    return volatility_regime.regime(_state(board, _REGIME), now, _rules(board, _REGIME))


@compiled
def _volatility_bps(board: Floats, now: float) -> float:
    ticks = volatility_regime.volatility(_state(board, _REGIME), now, _rules(board, _REGIME))
    return float(ticks * board[_TICK] / board[_MID] * 1e4)


@compiled
def score_tape(
    board: Floats,
    seconds: Floats,
    books: Integers,
    bids: Floats,
    asks: Floats,
    trades: Floats,
    scores: Floats,
    regimes: Integers,
) -> None:
    """Write scores, shape (events, 8), and regimes after each event of a tape.

    ``books`` has the row of bids and asks, each of shape (books, levels, 2), that an event shows;
    -1 - row where it is a trade, whose price, size and side stand in that row of ``trades``.
    """
    for event in range(len(seconds)):
        now, row = seconds[event], books[event]
        if row >= 0:
            step_book(board, now, bids[row], asks[row])
        else:
            price, size, side = trades[-1 - row]
            step_trade(board, now, price, size, int(side))
        step_scores(board, now, scores[event])
        regimes[event] = _regime(board, now)


class BookScores:
    """The eight signals of one instrument, as its books and trades come.

    Times are UNIX nanoseconds of the exchange; an event with a time before the last one changes
    what it shows, and lets no time pass. After messages were missed, begin with a new one: what
    traded meanwhile would look as if it had been cancelled.
    """

    def __init__(self, parameters: ScalperSignals, tick: float) -> None:
        self._board = new_board(parameters, tick)
        self._origin: int | None = None

    def _seconds(self, ts: int) -> float:
        """Return a time since the first event: floats of UNIX nanoseconds are not exact."""
        if self._origin is None:
            self._origin = ts
        return (ts - self._origin) * 1e-9

    def on_book(self, ts: int, bids: Floats, asks: Floats) -> None:
        """Take in a book: contiguous float64 arrays of shape (levels, 2), the best first.

        A row has price and size; NaN and 0 where there is no level. Raises ValueError with fewer
        rows than the levels of the parameters.
        """
        step_book(self._board, self._seconds(ts), bids, asks)

    def on_trade(self, ts: int, price: float, size: float, side: int) -> None:
        """Take in a trade; side 1 where the aggressor bought, -1 where it sold."""
        # Another type of number would be compiled anew, for seconds.
        step_trade(self._board, self._seconds(ts), float(price), float(size), int(side))

    def on_trades(self, now: int, trades: Floats) -> None:
        """Take in trades, rows of age now (nanoseconds), price, size and side, the oldest first."""
        if self._origin is None:
            self._origin = now - int(trades[0, 0])
        step_trades(self._board, float(now - self._origin), trades)

    def scores(self, now: int) -> Floats:
        """Return a score in [-1, 1] for each of `SIGNALS`; NaN while it warms up."""
        found = np.empty(len(SIGNALS))
        step_scores(self._board, self._seconds(now), found)
        return found

    def regime(self, now: int) -> int:
        """Return 0 low, 1 normal, 2 high, 3 extreme volatility, -1 while it is not known."""
        return _regime(self._board, self._seconds(now))

    def volatility_bps(self, now: int) -> float:
        """Return the mid's volatility over one second, basis points; NaN while not known."""
        return _volatility_bps(self._board, self._seconds(now))
