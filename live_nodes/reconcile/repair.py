"""Reconcile the engine's orders, fills and positions with venue reports. Engine-specific.

The adapter's reports of orders and fills swallow errors and return an empty list, so nothing is
concluded from what is missing; those of positions raise VenueError.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pandas as pd
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    GenerateFillReports,
    GenerateOrderStatusReport,
    GeneratePositionStatusReports,
)
from nautilus_trader.model.events import OrderRejected
from nautilus_trader.model.identifiers import ClientId, ClientOrderId, InstrumentId, VenueOrderId

from catalog.instruments import VENUE
from live_nodes.bybit.adapter import TakesOver, follows
from live_nodes.bybit.unanswered import unanswered
from live_nodes.reconcile.sweep import FindingKind, SweepFinding
from strategies.refusals import as_reason, from_venue

LOOKBACK_MINUTES = 60
NEVER_ARRIVED = "it never arrived: the venue was asked more than once and knows no such order"


class Repairer:
    """Repairs the engine's books on a finding."""

    def __init__(self, kernel: Any, takes_over: TakesOver = follows) -> None:
        self._kernel, self._takes_over = kernel, takes_over

    async def repair(self, finding: SweepFinding) -> bool:
        """Fetch and reconcile reports; return whether the engine took any."""
        if finding.kind is FindingKind.NEVER_ARRIVED:
            return self._give_up(finding)
        client = self._kernel.exec_engine._clients[ClientId(VENUE)]
        instrument_id = InstrumentId.from_str(finding.instrument)
        taken = False
        orders = [self._order_of(finding)]
        if finding.kind is FindingKind.POSITION_DIFFERS:
            sent = unanswered(self._kernel.cache, instrument_id)
            orders += [(order.client_order_id.value, "") for order in sent]
        for link_id, order_id in orders:
            if not (link_id or order_id):
                continue
            report = await client.generate_order_status_report(
                GenerateOrderStatusReport(
                    instrument_id=instrument_id,
                    client_order_id=ClientOrderId(link_id) if link_id else None,
                    venue_order_id=VenueOrderId(order_id) if order_id else None,
                    command_id=UUID4(),
                    ts_init=self._now(),
                )
            )
            taken |= report is not None and self._take(report)
        if finding.kind in (
            FindingKind.UNKNOWN_FILL,
            FindingKind.POSITION_DIFFERS,
            FindingKind.LOST_ORDER,
        ):
            reports = await client.generate_fill_reports(
                GenerateFillReports(
                    instrument_id=instrument_id,
                    venue_order_id=None,
                    start=pd.Timestamp(self._now(), tz="UTC")
                    - pd.Timedelta(LOOKBACK_MINUTES, unit="min"),
                    end=None,
                    command_id=UUID4(),
                    ts_init=self._now(),
                )
            )
            # The engine takes no fill that is older than one it took this way.
            for report in sorted(reports, key=lambda report: report.ts_event):
                taken |= self._is_missing(report) and self._take(report)
        # The engine books what differs as a trade of others: an order's own fill would count, too.
        differs = finding.kind is FindingKind.POSITION_DIFFERS
        if differs and not unanswered(self._kernel.cache, instrument_id):
            for report in await client.generate_position_status_reports(
                GeneratePositionStatusReports(
                    instrument_id=instrument_id,
                    start=None,
                    end=None,
                    command_id=UUID4(),
                    ts_init=self._now(),
                )
            ):
                held = self._kernel.cache.positions_open(instrument_id=instrument_id)
                here = sum((one.signed_decimal_qty() for one in held), Decimal(0))
                if report.instrument_id == instrument_id and self._takes_over(
                    here, report.signed_decimal_qty
                ):
                    taken |= self._take(report)
        return taken

    def _give_up(self, finding: SweepFinding) -> bool:
        order = self._kernel.cache.order(ClientOrderId(finding.key))
        if order is None or order.venue_order_id is not None or order.is_closed:
            return False
        rejected = OrderRejected(
            trader_id=order.trader_id,
            strategy_id=order.strategy_id,
            instrument_id=order.instrument_id,
            client_order_id=order.client_order_id,
            account_id=order.account_id,
            reason=as_reason(from_venue("never_arrived", NEVER_ARRIVED)),
            event_id=UUID4(),
            ts_event=self._now(),
            ts_init=self._now(),
        )
        self._kernel.msgbus.send(endpoint="ExecEngine.process", msg=rejected)
        return True

    def _take(self, report: Any) -> bool:
        return bool(self._kernel.exec_engine.reconcile_execution_report(report))

    def _is_missing(self, report: Any) -> bool:
        if report.client_order_id is None:
            return False
        order = self._kernel.cache.order(report.client_order_id)
        return order is not None and report.trade_id not in order.trade_ids

    def _order_of(self, finding: SweepFinding) -> tuple[str, str]:
        if finding.fill is not None:
            return finding.fill.order_link_id, finding.fill.order_id
        if finding.order is not None:
            return finding.order.order_link_id, finding.order.order_id
        if finding.kind is not FindingKind.LOST_ORDER:
            return "", ""
        order = self._kernel.cache.order(ClientOrderId(finding.key))
        if not order.ts_submitted and order.venue_order_id is not None:
            # Taken over from the venue, which may not know the id that the engine gave it.
            return "", order.venue_order_id.value
        return finding.key, ""

    def _now(self) -> int:
        return int(self._kernel.clock.timestamp_ns())
