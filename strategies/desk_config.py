"""The parameters that every strategy of the desk has, each declared once."""

from __future__ import annotations

from typing import Annotated, ClassVar

from msgspec import Meta
from nautilus_trader.config import StrategyConfig

from strategies.order_ids import BACKTEST_TAG, KEY, TAG
from strategies.tactics.execution import Execution


class DeskStrategyConfig(StrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the builder gives every strategy; the document's ``params`` can't set these.

    Parameters
    ----------
    key : str
        The component's key in the document; it tags the orders and names the decisions' topic.
    instruments : tuple of str
        Ids of the instruments that are this strategy's to trade.
    settlement : str
        Currency in which equity is counted.
    node : str
        Tag of the node in order ids; ``bt`` in backtests.
    execution : Execution
        How its orders reach the market; the one of these that the document sets.
    """

    desk_fields: ClassVar[frozenset[str]] = frozenset({"key", "instruments", "settlement", "node"})

    key: Annotated[str, Meta(pattern=f"^{KEY}$")]
    instruments: tuple[str, ...]
    settlement: str = "USDT"
    node: Annotated[str, Meta(pattern=f"^{TAG}$")] = BACKTEST_TAG

    execution: Execution = Execution()

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        return [(f"execution.{field}", words) for field, words in self.execution.check()]
