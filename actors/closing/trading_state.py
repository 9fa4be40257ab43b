"""The engine's own TradingState, as a second lock behind the order gate. Engine-specific.

While a guard wants the whole desk flat, and that for good, the RiskEngine is REDUCING: it denies
what would enlarge a position even if the gate were not there. Never HALTED, which denies closes as
well; and it is no first lock, for REDUCING lets positions open from flat and turn round
(tests/backtests/test_engine_traps.py pins both). What it denies never reaches the gate, which
therefore counts no refusal for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from nautilus_trader.model.enums import TradingState

from strategies.messages import PASSING, Action, Verdict


class SecondLock:
    """Sets the state of a RiskEngine, when it changes.

    Parameters
    ----------
    risk_engine : RiskEngine
        Of the kernel.
    """

    def __init__(self, risk_engine: Any) -> None:
        self._risk_engine = risk_engine

    def follow(self, verdicts: Iterable[Verdict]) -> None:
        """Be locked as long as one of the verdicts that stand wants the desk flat for good."""
        locked = any(
            verdict.action == Action.FLATTEN
            and verdict.scope == "desk"
            and not (verdict.passing or verdict.guard in PASSING)
            for verdict in verdicts
        )
        wanted = TradingState.REDUCING if locked else TradingState.ACTIVE
        if self._risk_engine.trading_state != wanted:
            self._risk_engine.set_trading_state(wanted)
