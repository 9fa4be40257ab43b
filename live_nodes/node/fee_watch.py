"""Halt entries while the account's fees or margin mode at the venue are not the expected ones."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from decimal import Decimal

from nautilus_trader.common.component import Logger

from actors.records.coins import ZERO, pays_in_coin
from actors.records.rows import FillRow
from config.documents import Fees
from live_nodes.bybit.rest import VenueError
from live_nodes.node.alert_rules import cost_of
from live_nodes.node.context import NodeContext
from live_nodes.node.preflight import account_mode_gate, fee_failures
from live_nodes.node.watch_rules import fees_verdict, margin_verdict
from strategies.account_value import is_spot
from strategies.messages import Verdict

EVERY_S = 3600.0
AGAIN_S = 60.0
"""Pause between two questions while fees are too high, or not known."""
_ROUNDING = Decimal("0.00000001")
"""The venue's last decimal of a fee, in its coin: fees may be rounded up."""


def overcharge(fill: FillRow, fees: Fees | None) -> str:
    """Return what a fill paid beyond `fees`, else empty; null fees and third coins are not judged.

    Only a trade counts: a liquidation has terms of its own.
    """
    cost = None if fees is None or fill.kind != "Trade" else cost_of(fill, fees, ZERO)
    if cost is None or fees is None:
        return ""
    rounding = _ROUNDING * (fill.price if pays_in_coin(fill) else 1)
    if cost.fee <= cost.model + rounding:
        return ""
    role, rate = ("maker", fees.maker) if fill.liquidity == "MAKER" else ("taker", fees.taker)
    return (
        f"a fill of {fill.instrument} paid {cost.fee / fill.notional:.6f} of its value as {role}, "
        f"more than expected.fees ({rate:f})"
    )


class FeeWatch:
    """Asks for fees and margin mode each hour, and at once after a fill that paid too much."""

    def __init__(self, context: NodeContext) -> None:
        self._context, self._expected = context, context.node.expected.fees
        self._universe = set(context.facts.universe)
        self._log = Logger("Fees")
        self._overcharged = asyncio.Event()
        self.halt: Verdict | None = None
        self.margin: Verdict | None = None
        """Halt for the account's margin mode."""

    def on_fill(self, fill: FillRow) -> None:
        """Take a fill that is new to the journal; one that paid too much halts entries."""
        expected = self._expected.spot if is_spot(fill.instrument) else self._expected.linear
        if fill.instrument in self._universe and (why := overcharge(fill, expected)):
            self.halt = self.halt or fees_verdict(why)
            self._overcharged.set()

    async def run(self) -> None:
        """Ask until cancelled; what the venue answers ends a halt, or begins one."""
        pause = EVERY_S
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._overcharged.wait(), pause)
            self._overcharged.clear()
            pause = AGAIN_S
            node, rest = self._context.node, self._context.rest
            try:
                mode = await rest.margin_mode() if node.expected.margin_mode else ""
                wrong = account_mode_gate(node.expected, mode, {})
                self.margin = margin_verdict(wrong[0].measured, wrong[0].limit) if wrong else None
                found = await fee_failures(node, rest, self._context.facts.universe)
            except VenueError as error:
                self._context.journal.count("fees_failed")
                self._log.warning(f"Fees and margin mode could not be asked for: {error}")
                continue
            # An answer says nothing of a fill that came after its question.
            if not self._overcharged.is_set():
                if self.halt is not None and not found:
                    told = self.halt.reason
                    self._context.warn(
                        f"the venue's fees agree with expected.fees again; before: {told}"
                    )
                dear = (
                    f"the account's fees are too high: {one.measured} (must be: {one.limit}); "
                    f"{one.remedy}"
                    for one in found
                )
                self.halt = fees_verdict("; ".join(dear))
                pause = EVERY_S if self.halt is None and self.margin is None else AGAIN_S
