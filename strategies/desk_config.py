"""Parameters that every strategy of the desk has.

This module imports no engine, so that documents are checked without loading it.
"""

from __future__ import annotations

from typing import Annotated, ClassVar

import msgspec
from msgspec import Meta

from strategies.order_ids import BACKTEST_TAG, KEY, TAG
from strategies.tactics.execution import Execution
from strategies.tactics.protective import Protection


class DeskStrategyConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
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
    claims : bool
        Whether orders that are found at the venue in its instruments become the strategy's, which
        only a live node needs.
    execution : Execution
        How its orders reach the market.
    protection : Protection or None
        Stops and take-profits of its positions; the document sets these two.
    """

    desk_fields: ClassVar[frozenset[str]] = frozenset(
        {"key", "instruments", "settlement", "node", "claims"}
    )

    needs_books: ClassVar[bool] = False
    """Whether it reads order books and trades, and can't do with candles or best prices alone."""

    key: Annotated[str, Meta(pattern=f"^{KEY}$")]
    instruments: tuple[str, ...]
    settlement: str = "USDT"
    node: Annotated[str, Meta(pattern=f"^{TAG}$")] = BACKTEST_TAG
    claims: bool = False

    execution: Execution = Execution()
    protection: Annotated[
        Protection | None,
        Meta(
            description="Stops and take-profits at the exchange; null: none. Once it is null, the "
            "next start cancels take-profits that rest; a position keeps its stop, which stays."
        ),
    ] = None

    def instruments_read(self) -> list[tuple[tuple[str | int, ...], str]]:
        """Return (path below ``params``, id) of instruments that must be among the strategy's."""
        return []

    def check(self) -> list[tuple[str, str]]:
        """Return (field, message) for each parameter that does not go with the others."""
        blocks = {name: getattr(self, name) for name in self.__struct_fields__}
        return [
            (f"{name}.{field}", words)
            for name, block in blocks.items()
            if isinstance(block, msgspec.Struct) and hasattr(block, "check")
            for field, words in block.check()
        ]
