"""Fix Nautilus's Bybit adapter from outside. Engine-specific, for nautilus_trader 1.231.0.

A test asserts the private names used here. Changes:

* The public WebSocket gets an address of its own; the adapter uses the REST address for it.
* Every WebSocket is a `VenueLink`: pinged at the document's pace, watched, and proven.
* While the trade link is unreliable, exits go by signed REST, not late from the link's buffer.
* A request that fails in an outage leaves no traceback on the terminal.
* An order ends only after all its fills, which come by messages of their own.
* A position that is no whole number of lots is closed whole, by signed REST.
* Quantities keep their decimals when lots change: what is held would be rounded.
* An order that it would keep forever or send as another one (a trailing stop, GTD) is denied.
* The start reports open orders and exact positions, without the past.
* A failed request for positions is an error, not an empty account.
* The wallet can be fetched, as the venue pushes each change once.
* Orders of another node with the same tag, and others' of coins, reach no books.
* Spot has whole lots, own coins as positions, and conditional orders (`live_nodes.bybit.spot`).
* Keys are passed when the clients are made, so that no configuration object holds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from decimal import ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import partial
from typing import Any

import msgspec
from nautilus_trader.adapters.bybit import execution as bybit_execution
from nautilus_trader.adapters.bybit.config import (
    BybitDataClientConfig,
    BybitExecClientConfig,
    _resolve_environment,
)
from nautilus_trader.adapters.bybit.execution import BybitExecutionClient
from nautilus_trader.adapters.bybit.factories import (
    BybitLiveDataClientFactory,
    get_cached_bybit_http_client,
    get_cached_bybit_instrument_provider,
)
from nautilus_trader.common.enums import LogColor
from nautilus_trader.core import nautilus_pyo3 as engine
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.execution.messages import (
    CancelOrder,
    GenerateFillReports,
    GenerateOrderStatusReport,
    GenerateOrderStatusReports,
    GeneratePositionStatusReports,
    ModifyOrder,
    SubmitOrder,
)
from nautilus_trader.execution.reports import (
    ExecutionMassStatus,
    FillReport,
    OrderStatusReport,
    PositionStatusReport,
)
from nautilus_trader.live.data_client import LiveDataClient
from nautilus_trader.live.execution_client import LiveExecutionClient
from nautilus_trader.live.factories import LiveDataClientFactory, LiveExecClientFactory
from nautilus_trader.model.enums import (
    OrderSide,
    OrderStatus,
    OrderType,
    TimeInForce,
    TriggerType,
)
from nautilus_trader.model.events import (
    AccountState,
    OrderCancelRejected,
    OrderEvent,
    OrderModifyRejected,
    OrderRejected,
)
from nautilus_trader.model.identifiers import ClientOrderId, InstrumentId
from nautilus_trader.model.instruments import instruments_from_pyo3
from nautilus_trader.model.objects import Quantity
from nautilus_trader.model.orders import Order

from live_nodes.bybit.facts import refused, wrong_size
from live_nodes.bybit.links import VenueLink, VenueLinks
from live_nodes.bybit.rest import CLOSE_ALL, VenueError, VenueRest, refused_for
from live_nodes.bybit.spot import PAID, SpotBooks, SpotWiring, is_spot_stop
from live_nodes.bybit.unanswered import unanswered
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.keys import KeyPair
from strategies.account_value import is_spot
from strategies.refusals import Refusal, as_reason, refusal_of


def first_part(
    quantity: Decimal, average: Decimal, tick: Decimal, lot: Decimal
) -> tuple[Decimal, Decimal] | None:
    """Return quantity and price of the first of two fills, None where one is as good.

    The second is the rest, one tick higher. The total cost matches the position's to within half of
    ``tick * lot``. `quantity` is unsigned, a multiple of `lot`; `average` is the entry price.
    """
    lower = (average / tick).to_integral_value(ROUND_FLOOR) * tick
    higher_lots = quantity * (average - lower) / tick / lot
    rest = higher_lots.to_integral_value(ROUND_HALF_EVEN) * lot
    first = quantity - rest
    return (first, lower) if first and rest else None


def wait_for_cancels(execution_engine: Any) -> None:
    """Keep the engine from ending an order whose cancel the venue did not answer for a while.

    It may be open still, or filled: only the venue can say how much of it.
    """
    resolve = execution_engine._resolve_inflight_order

    def unless_cancelling(order: Order) -> None:
        if order.status == OrderStatus.PENDING_CANCEL:
            execution_engine._clear_recon_tracking(order.client_order_id)
        else:
            resolve(order)

    execution_engine._resolve_inflight_order = unless_cancelling


TakesOver = Callable[[Decimal, Decimal], bool]
"""Whether our books follow the venue, by our position and the venue's (signed base coin)."""


def follows(here: Decimal, there: Decimal) -> bool:
    """Follow the venue always: a `TakesOver`."""
    return True


def wait_for_answers(execution_engine: Any, takes_over: TakesOver = follows) -> None:
    """Keep the engine from inventing a trade while an order under way was not answered yet.

    It may have filled, which the venue's position shows first: its own fill would count as well.
    Nor may it invent one where `takes_over` says that its books do not follow the venue.
    """
    differs = execution_engine._check_position_discrepancy

    def unless_under_way(positions: Any, report: Any, instrument_id: InstrumentId) -> bool:
        here = sum((one.signed_decimal_qty() for one in positions), Decimal(0))
        there = Decimal(0) if report is None else report.signed_decimal_qty
        if unanswered(execution_engine._cache, instrument_id) or not takes_over(here, there):
            return False
        return bool(differs(positions, report, instrument_id))

    execution_engine._check_position_discrepancy = unless_under_way


def end_position_checks(execution_engine: Any) -> None:
    """Keep the engine from comparing positions with the venue's from now on, as at a stop.

    A check under way finds no difference any more: the engine would invent fills for it.
    """

    async def unchecked() -> None:
        return

    execution_engine._check_positions_consistency = unchecked
    execution_engine._check_position_discrepancy = lambda *sides: False


@dataclass(frozen=True)
class ClientWiring:
    """What the clients need beside their configurations.

    `heartbeat` is seconds between pings; `spot` is set for a node that trades spot at a venue.
    `left_alone` says by instrument, link id and time (UNIX nanoseconds) whether an order that the
    engine does not know is others' and must reach no books. `rest` closes whole positions.
    """

    links: VenueLinks
    keys: KeyPair | None
    endpoints: Endpoints
    heartbeat: int
    spot: SpotWiring | None = None
    left_alone: Callable[[str, str, int], bool] | None = None
    rest: VenueRest | None = None


PUSH_TRIES = 200
"""Number of waits for the order's own sending: one second in all."""
FILLS_PAUSE_S = 0.005
FILLS_REQUEST_AFTER = 60
"""Number of pauses before late fills, which its order push counts, are requested."""
FILLS_WAITS = 100
"""Number of pauses for its answer to pass the engine's queue."""
LOT_PAUSE_S = 0.1
"""Pause before a lot that is less than one after its fee leaves the books."""
WALLET_PAUSE_S = 1
"""Pause before a wallet that could not be fetched is asked for again."""
LONGEST_PAUSE_S = 5
"""Longest pause before it asks again."""
CLOCKS_DIFFER_MS = 60_000
SENT_TYPES = (
    *(OrderType.MARKET, OrderType.STOP_MARKET, OrderType.MARKET_IF_TOUCHED),
    *(OrderType.LIMIT, OrderType.STOP_LIMIT, OrderType.LIMIT_IF_TOUCHED),
)
SENT_TIMES = (TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK)
SENT_TRIGGERS = (TriggerType.DEFAULT, TriggerType.LAST_PRICE)
ENDS = (OrderStatus.CANCELED, OrderStatus.EXPIRED, OrderStatus.REJECTED)


NO_ANSWER = ("Network error", "Unexpected HTTP status", "Bybit error", "Request canceled")
"""Beginnings of the client's errors where the venue did not answer, or refused to."""


class QuietLog:
    """The adapter's log: an unanswered question to the venue is a line of the file, no traceback.

    The sweeps of the node ask the same, and print why it could not be asked. An answer that can't
    be read keeps its traceback: only the adapter has read it.
    """

    def __init__(self, log: Any) -> None:
        self._log = log

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def exception(self, message: str, error: BaseException) -> None:
        """Log an exception."""
        if isinstance(error, ValueError) and str(error).startswith(NO_ANSWER):
            self._log.warning(f"{message}: {error}")
        else:
            self._log.exception(message, error)


def once_without_parameters(
    read: Callable[[dict[str, Any] | None], dict[str, Any]],
) -> Callable[[dict[str, Any] | None], dict[str, Any]]:
    """Return a reader of an order's parameters that reads those of an order without any once."""
    none = read(None)
    return lambda params: read(params) if params else dict(none)


_module: Any = bybit_execution
_module._parse_bybit_tp_sl_params = once_without_parameters(_module._parse_bybit_tp_sl_params)


class DeskExecutionClient(BybitExecutionClient):
    """The adapter's execution client, whose orders go by REST while the trade link is down."""

    links: VenueLinks | None = None
    spot: SpotBooks | None = None
    left_alone: Callable[[str, str, int], bool] | None = None
    rest: VenueRest | None = None
    _closed_whole: set[ClientOrderId]
    _demo = False
    _later: list[OrderEvent] | None = None
    _fetching: asyncio.Task[None] | None = None
    _quiet: QuietLog | None = None

    @property
    def _log(self) -> Any:
        if self._quiet is None:
            self._quiet = QuietLog(super()._log)
        return self._quiet

    @property
    def _is_demo(self) -> bool:
        # The adapter checks this before each order, and while connecting, to decide whether there
        # is a trade link. On Bybit's demo, orders always go by REST.
        if self._demo or self.links is None or not self.is_connected:
            return self._demo
        return not self.links.ready("trade")

    @_is_demo.setter
    def _is_demo(self, value: bool) -> None:
        self._demo = value

    def submit_order(self, command: SubmitOrder) -> None:
        """Send an order at once: the adapter waits for a turn of the loop and formats it twice."""
        self._begin(self._submit_order(command), "Submit", command.order.client_order_id)

    def modify_order(self, command: ModifyOrder) -> None:
        """Send a change at once."""
        self._begin(self._modify_order(command), "Modify", command.client_order_id)

    def cancel_order(self, command: CancelOrder) -> None:
        """Send a cancel at once."""
        self._begin(self._cancel_order(command), "Cancel", command.client_order_id)

    def _check_order_validity(self, order: Order, product_type: Any) -> str | None:
        return not_sent(order) or super()._check_order_validity(order, product_type)

    def _begin(
        self, sending: Coroutine[Any, Any, None], verb: str, order_id: ClientOrderId
    ) -> None:
        # The order leaves before the engine's queue gets the event that it was submitted.
        self._later = events = list[OrderEvent]()
        task = asyncio.Task(sending, loop=self._loop, eager_start=True)
        self._later = None
        for event in events:
            self._send_order_event(event)
        name = f"{verb} {order_id!r}"
        task.set_name(name)
        task.add_done_callback(partial(self._on_task_completed, None, None, LogColor.NORMAL))
        self._tasks.add(task)
        self._log.info(name)

    def _handle_order_status_report_pyo3(self, pyo3_report: Any, tries: int = PUSH_TRIES) -> None:
        # The venue's push can overtake the event of sending in the engine's queue. The adapter then
        # drops the acceptance, and the order stays unanswered until the engine's next check.
        if self._is_left_alone(pyo3_report, pyo3_report.ts_accepted):
            return
        name = pyo3_report.client_order_id
        order = None if name is None else self._cache.order(ClientOrderId(name.value))
        if order is not None and order.status == OrderStatus.INITIALIZED and tries:
            self._loop.call_later(
                0.005, self._handle_order_status_report_pyo3, pyo3_report, tries - 1
            )
            return
        report = OrderStatusReport.from_pyo3(pyo3_report)
        if report.order_status in ENDS and (
            _refused_in_part(report) or not self._has_all_fills(report)
        ):
            self.create_task(self._end_after_fills(pyo3_report, report))
            return
        super()._handle_order_status_report_pyo3(pyo3_report)

    def _is_left_alone(self, report: Any, made_ns: int) -> bool:
        name = "" if report.client_order_id is None else report.client_order_id.value
        if self.left_alone is None or (name and self._cache.order(ClientOrderId(name))):
            return False
        return self.left_alone(report.instrument_id.value, name, made_ns)

    def fetch_wallet(self) -> None:
        """Fetch the wallet until the venue answers, unless that is under way."""
        if self._fetching is None or self._fetching.done():
            self._fetching = self.create_task(self._fetch_wallet())

    async def _fetch_wallet(self) -> None:
        while self.is_connected:
            # Executions from here on may be missing in the answer.
            asked = self._clock.timestamp_ns()
            try:
                answer = await self._http_client.request_account_state(
                    account_type=engine.BybitAccountType.UNIFIED, account_id=self.pyo3_account_id
                )
            except (ValueError, RuntimeError, OSError) as error:
                self._log.warning(f"The wallet could not be fetched: {error}")
                await asyncio.sleep(WALLET_PAUSE_S)
                continue
            if self.get_account().last_event.ts_event < asked:
                found = AccountState.from_dict(answer.to_dict())
                self.generate_account_state(found.balances, found.margins, True, asked)
            return

    # Of spot and of a whole position, the adapter can't send all: they go by our own REST.

    async def _submit_order(self, command: SubmitOrder) -> None:
        order = command.order
        if order.is_closed or not_sent(order):
            await super()._submit_order(command)
        elif self.spot is not None and is_spot_stop(order):
            await self._by_rest(order, self.spot.send_stop(order))
        elif self.rest is not None and self._closes_all(order) and self._is_part_of_a_lot(order):
            await self._by_rest(order, self._close_all(self.rest, order))
        else:
            await super()._submit_order(command)

    async def _by_rest(self, order: Order, sending: Coroutine[Any, Any, str]) -> None:
        key = order.strategy_id, order.instrument_id, order.client_order_id
        self.generate_order_submitted(*key, self._clock.timestamp_ns())
        await self._reject_if_refused(order, sending)

    async def _reject_if_refused(self, order: Order, sending: Coroutine[Any, Any, str]) -> None:
        why = await sending
        if why:
            key = order.strategy_id, order.instrument_id, order.client_order_id
            self.generate_order_rejected(*key, why, self._clock.timestamp_ns())

    # The venue closes a whole position in any size, where its lots grew meanwhile.

    def _is_part_of_a_lot(self, order: Order) -> bool:
        lot = self._cache.instrument(order.instrument_id).size_increment.as_decimal()
        return bool(order.quantity.as_decimal() % lot)

    def _closes_all(self, order: Order) -> bool:
        if order.order_type != OrderType.MARKET or not order.is_reduce_only:
            return False
        held = self._cache.positions_open(instrument_id=order.instrument_id)
        net = sum((position.signed_decimal_qty() for position in held), Decimal(0))
        # The engine's signed quantity of an order is rounded.
        return bool(order.quantity.as_decimal() == (net if order.side == OrderSide.SELL else -net))

    async def _close_all(self, rest: VenueRest, order: Order) -> str:
        self._closed_whole.add(order.client_order_id)
        fields = CLOSE_ALL | {
            "side": "Buy" if order.side == OrderSide.BUY else "Sell",
            "orderType": "Market",
            "orderLinkId": order.client_order_id.value,
        }
        return await refused_for(rest.create(order.instrument_id.value, fields))

    def _closes_all_after(self, event: OrderRejected) -> bool:
        """Close all of a position where the venue refused its size, unknown to us before."""
        if self.rest is None or not wrong_size(event.reason):
            return False
        order = self._cache.order(event.client_order_id)
        if order is None or event.client_order_id in self._closed_whole:
            return False
        if not self._closes_all(order):
            return False
        self.create_task(self._reject_if_refused(order, self._close_all(self.rest, order)))
        return True

    # Spot: see `live_nodes.bybit.spot`.

    async def _cancel_order(self, command: CancelOrder) -> None:
        order = self._cache.order(command.client_order_id)
        stop = order is not None and is_spot_stop(order) and order.venue_order_id is not None
        if self.spot is None or not stop or order.status == OrderStatus.TRIGGERED:
            await super()._cancel_order(command)
            return
        why = await self.spot.cancel_stop(order)
        if why:
            self.generate_order_cancel_rejected(
                order.strategy_id,
                order.instrument_id,
                order.client_order_id,
                order.venue_order_id,
                why,
                self._clock.timestamp_ns(),
            )

    def _handle_fill_report_pyo3(self, pyo3_report: Any) -> None:
        if not self._is_left_alone(pyo3_report, pyo3_report.ts_event):
            super()._handle_fill_report_pyo3(pyo3_report)

    def generate_order_filled(self, **fill: Any) -> None:
        """Report a fill, to the engine with a fee that leaves whole lots."""
        if self.spot is not None:
            fee = fill["commission"]
            fill["info"] = {PAID: str(fee.as_decimal())}
            fill["commission"] = self.spot.whole_lots(
                fill["instrument_id"],
                fill["trade_id"].value,
                fill["order_side"],
                fill["last_qty"],
                fee,
            )
        super().generate_order_filled(**fill)
        if self.spot is not None and self.spot.owes(fill["instrument_id"]):
            # After the engine has handled the fill.
            self._loop.call_later(LOT_PAUSE_S, self._take_owed, fill["instrument_id"])

    def _take_owed(self, instrument_id: InstrumentId) -> None:
        if self.spot is not None and self.spot.owes(instrument_id):
            now = self._clock.timestamp_ns()
            report = self.spot.without_owed(self.account_id, instrument_id, now)
            self._send_position_status_report(report)

    async def generate_fill_reports(self, command: GenerateFillReports) -> list[FillReport]:
        """Fetch fills; those that the engine lacks get a fee that leaves whole lots."""
        found = await super().generate_fill_reports(command)
        if self.spot is not None:
            for report in found:
                self.spot.correct(report)
        return found

    def _log_report_error(self, e: BaseException, report_type: str) -> None:
        super()._log_report_error(e, report_type)
        # The adapter would return none, which the engine takes for an empty account: it would book
        # a sale by others of all that is held.
        if report_type == "PositionStatusReports":
            if isinstance(e, asyncio.CancelledError):
                raise e
            raise VenueError(f"positions can't be fetched: {e}") from e

    async def generate_position_status_reports(
        self, command: GeneratePositionStatusReports
    ) -> list[PositionStatusReport]:
        """Fetch positions, own coins among them.

        Raises VenueError if the venue gives no answer.
        """
        found = await super().generate_position_status_reports(command)
        if self.spot is not None:
            now = self._clock.timestamp_ns()
            found += await self.spot.positions(self.account_id, command.instrument_id, now)
        return found

    # An order's own push, and each answer about it, says how much of it was filled. Its executions
    # come in messages of their own, which may be later. An order that ended is reported as such
    # only when the engine has all its fills: nobody replaces what was filled already.

    def _has_all_fills(self, report: OrderStatusReport) -> bool:
        name = report.client_order_id
        order = None if name is None else self._cache.order(name)
        return order is None or order.filled_qty >= report.filled_qty

    async def _end_after_fills(self, pyo3_report: Any, report: OrderStatusReport) -> None:
        pause = 0
        while not await self._get_fills(report):
            self._log.warning(f"{report.client_order_id!r} ended; its fills are not known yet")
            await asyncio.sleep(pause)
            pause = min(pause + 1, LONGEST_PAUSE_S)
        order = self._cache.order(report.client_order_id)
        if order is None or order.is_closed:
            return
        if _refused_in_part(report):
            self.generate_order_canceled(
                strategy_id=order.strategy_id,
                instrument_id=order.instrument_id,
                client_order_id=order.client_order_id,
                venue_order_id=report.venue_order_id,
                ts_event=report.ts_last,
            )
            return
        super()._handle_order_status_report_pyo3(pyo3_report)

    async def _get_fills(self, report: OrderStatusReport) -> bool:
        """Wait for an order's fills, ask the venue for late ones; return whether all are known."""
        for tries in range(1, FILLS_REQUEST_AFTER + FILLS_WAITS + 1):
            if self._has_all_fills(report):
                return True
            if tries == FILLS_REQUEST_AFTER:
                await self._request_fills(report)
            await asyncio.sleep(FILLS_PAUSE_S)
        return self._has_all_fills(report)

    async def _request_fills(self, report: OrderStatusReport) -> None:
        order = self._cache.order(report.client_order_id)
        try:
            found = await self._http_client.request_fill_reports(
                account_id=self.pyo3_account_id,
                product_type=engine.bybit_product_type_from_symbol(
                    report.instrument_id.symbol.value
                ),
                instrument_id=engine.InstrumentId.from_str(report.instrument_id.value),
                start=order.ts_init // 1_000_000 - CLOCKS_DIFFER_MS,
            )
        except (ValueError, RuntimeError, OSError) as error:
            self._log.error(f"Fills of {report.client_order_id!r} can't be requested: {error}")
            return
        for fill in sorted(found, key=lambda fill: fill.ts_event):
            if fill.venue_order_id.value == report.venue_order_id.value and not any(
                known.value == fill.trade_id.value for known in order.trade_ids
            ):
                self._handle_fill_report_pyo3(fill)

    async def _without_late_fills(self, report: OrderStatusReport) -> OrderStatusReport:
        # The engine would invent the missing fills, and count them again when they come.
        if not await self._get_fills(report):
            order = self._cache.order(report.client_order_id)
            report.filled_qty = order.filled_qty
            if report.order_status in ENDS or report.order_status == OrderStatus.FILLED:
                report.order_status = order.status
        elif _refused_in_part(report):
            report.order_status = OrderStatus.CANCELED
        if report.order_status == OrderStatus.REJECTED:
            why = report.cancel_reason
            report.cancel_reason = _coded(why) if why else _NOT_TOLD
        return report

    def _send_order_event(self, event: OrderEvent) -> None:
        if self._later is not None:
            self._later.append(event)
            return
        if isinstance(event, OrderRejected) and self._closes_all_after(event):
            return
        # A rejection gets our code before Bybit's words.
        if isinstance(event, OrderRejected | OrderCancelRejected | OrderModifyRejected):
            kind = type(event)
            event = kind.from_dict(kind.to_dict(event) | {"reason": _coded(event.reason)})
        super()._send_order_event(event)

    async def generate_order_status_report(
        self, command: GenerateOrderStatusReport
    ) -> OrderStatusReport | None:
        """Fetch one order; the engine makes a rejection of its coded words."""
        report = await super().generate_order_status_report(command)
        return None if report is None else await self._without_late_fills(report)

    async def generate_order_status_reports(
        self, command: GenerateOrderStatusReports
    ) -> list[OrderStatusReport]:
        """Fetch orders, with coded words."""
        found = await super().generate_order_status_reports(command)
        found = [report for report in found if not self._is_left_alone(report, report.ts_accepted)]
        return list(await asyncio.gather(*map(self._without_late_fills, found)))

    async def generate_mass_status(self, lookback_mins: int | None = None) -> ExecutionMassStatus:
        """Report open orders and positions only, without the past.

        With fills of the last minutes, as after a kill, the engine books those that reduce a
        position before the position itself, refuses them, and ends with a wrong position (seen with
        1.231.0). Our own journal has the past.
        """
        now = self._clock.timestamp_ns()
        status = ExecutionMassStatus(
            client_id=self.id,
            account_id=self.account_id,
            venue=self.venue,
            report_id=UUID4(),
            ts_init=now,
        )
        every = {"instrument_id": None, "start": None, "end": None, "ts_init": now}
        orders, positions = await asyncio.gather(
            self.generate_order_status_reports(
                GenerateOrderStatusReports(open_only=True, command_id=UUID4(), **every)
            ),
            self._positions_if_answered(GeneratePositionStatusReports(command_id=UUID4(), **every)),
        )
        status.add_order_reports(reports=orders)
        for report in positions:
            part = self._first_part(report)
            status.add_position_reports(reports=[report] if part is None else [part, report])
        return status

    async def _positions_if_answered(
        self, command: GeneratePositionStatusReports
    ) -> list[PositionStatusReport]:
        # The start compares by its own requests, and asks again; an error would end it.
        try:
            return await self.generate_position_status_reports(command)
        except VenueError:
            return []

    def _first_part(self, report: PositionStatusReport) -> PositionStatusReport | None:
        # The engine makes one fill of each reported position. Two together can have the venue's
        # average entry price, which one alone can't.
        instrument = self._cache.instrument(report.instrument_id)
        held = self._cache.positions_open(instrument_id=report.instrument_id)
        if held or instrument is None or report.avg_px_open is None:
            return None
        found = first_part(
            report.quantity.as_decimal(),
            report.avg_px_open,
            Decimal(1).scaleb(-instrument.price_precision),
            Decimal(1).scaleb(-instrument.size_precision),
        )
        if found is None:
            return None
        quantity, price = found
        return PositionStatusReport(
            account_id=report.account_id,
            instrument_id=report.instrument_id,
            position_side=report.position_side,
            quantity=Quantity(quantity, instrument.size_precision),
            avg_px_open=price,
            report_id=UUID4(),
            ts_last=report.ts_last,
            ts_init=report.ts_init,
        )


def not_sent(order: Order) -> str | None:
    """Return why an order can't be sent to Bybit as it is meant, None if it can."""
    if order.order_type not in SENT_TYPES:
        return (
            f"{order.type_string()} orders can't be sent to Bybit: let `protection` trail "
            "(trail_atr, trail_fraction), or move a stop by place_stop"
        )
    if order.time_in_force not in SENT_TIMES:
        return f"{order.tif_string()} orders can't be sent to Bybit: use GTC, IOC or FOK"
    if order.has_trigger_price and order.trigger_type not in SENT_TRIGGERS:
        return "a trigger by another price than the last can't be sent to Bybit: use LAST_PRICE"
    if order.order_type == OrderType.LIMIT and order.display_qty is not None:
        return "an iceberg order (display_qty) can't be sent to Bybit: it would show its whole size"
    return None


def _refused_in_part(report: OrderStatusReport) -> bool:
    # What was filled was in the market: the engine would not take its rejection.
    return report.order_status == OrderStatus.REJECTED and report.filled_qty > 0


# Without words the engine says UNKNOWN, as of an order that it gives up. It may be a post-only one
# that crossed, so it is not for good.
_NOT_TOLD = as_reason(Refusal(code="venue", transient=True, text="rejected for a reason not told"))


def _coded(words: str) -> str:
    # The engine's own words get no code.
    return as_reason(refused(words)) if refusal_of(words).code == "venue" else words


def data_factory(wiring: ClientWiring) -> type[LiveDataClientFactory]:
    """Return a factory of data clients with these links."""

    class DeskDataFactory(LiveDataClientFactory):
        @staticmethod
        def create(*, config: BybitDataClientConfig, **rest: Any) -> LiveDataClient:  # type: ignore[override]
            config = _with_keys(config, wiring.keys)
            client: Any = BybitLiveDataClientFactory.create(config=config, **rest)
            keep_decimals(client._instrument_provider)
            for product in list(client._ws_clients):
                client._ws_clients[product] = _public_link(wiring, product, config)
            return client

    return DeskDataFactory


def execution_factory(wiring: ClientWiring) -> type[LiveExecClientFactory]:
    """Return a factory of execution clients with these links."""

    class DeskExecutionFactory(LiveExecClientFactory):
        @staticmethod
        def create(*, config: BybitExecClientConfig, **rest: Any) -> LiveExecutionClient:  # type: ignore[override]
            config = _with_keys(config, wiring.keys)
            http = get_cached_bybit_http_client(
                environment=_resolve_environment(config.environment),
                api_key=config.api_key,
                api_secret=config.api_secret,
                base_url=config.base_url_http,
                timeout_secs=None,
                max_retries=config.max_retries,
                retry_delay_ms=config.retry_delay_initial_ms,
                retry_delay_max_ms=config.retry_delay_max_ms,
                recv_window_ms=config.recv_window_ms,
                proxy_url=config.proxy_url,
            )
            client: Any = DeskExecutionClient(
                client=http,
                instrument_provider=get_cached_bybit_instrument_provider(
                    client=http,
                    product_types=tuple(config.product_types or ()),
                    config=config.instrument_provider,
                ),
                config=config,
                **rest,
            )
            client.links, client.left_alone = wiring.links, wiring.left_alone
            client.rest, client._closed_whole = wiring.rest, set()
            keep_decimals(client._instrument_provider)
            wiring.links.fetch_wallet = client.fetch_wallet
            if wiring.spot is not None:
                client.spot = SpotBooks(wiring.spot, client._cache)
            client._ws_private_client = _account_link(wiring, "private", config)
            trade = _account_link(wiring, "trade", config, watched=not client._demo)
            client._ws_trade_client = trade
            return client

    return DeskExecutionFactory


def keep_decimals(provider: Any) -> None:
    """Keep a provider's perpetuals at their decimals of quantity when it fetches them again.

    The venue may change its lots. With fewer decimals, reports would round what is held; with more,
    the links, which keep the old ones, would round fills: lots then stay as they were.
    """
    load = provider.load_all_async

    async def load_all(filters: dict[str, Any] | None = None) -> None:
        earlier = {name.value: one for name, one in provider.get_all().items()}
        await load(filters)
        found = provider._instruments_pyo3
        for n, one in enumerate(found):
            before = earlier.get(one.id.value)
            if before is None or is_spot(one.id.value):
                continue
            decimals = before.size_precision
            if decimals == one.size_precision:
                continue
            lot = (before if decimals < one.size_precision else one).size_increment.as_decimal()
            kept = {"size_precision": decimals, "size_increment": f"{lot:.{decimals}f}"}
            found[n] = type(one).from_dict(one.to_dict() | kept)
            provider.add(*instruments_from_pyo3([found[n]]))

    provider.load_all_async = load_all


def forget_clients() -> None:
    """Drop the clients that the adapter caches for the process."""
    get_cached_bybit_http_client.cache_clear()
    get_cached_bybit_instrument_provider.cache_clear()


def _public_link(wiring: ClientWiring, product: Any, config: BybitDataClientConfig) -> VenueLink:
    url = f"{wiring.endpoints.ws_public}/{product.name.lower()}"
    environment = _resolve_environment(config.environment)

    def make() -> Any:
        return engine.BybitWebSocketClient.new_public(
            product_type=product,
            environment=environment,
            url=url,
            heartbeat=wiring.heartbeat,
            proxy_url=config.proxy_url,
        )

    link = VenueLink(f"public {product.name.lower()}", make, url, wiring.links.probe_prefix)
    link.set_bars_timestamp_on_close(config.bars_timestamp_on_close)
    return wiring.links.add(link)


def _account_link(
    wiring: ClientWiring, name: str, config: BybitExecClientConfig, watched: bool = True
) -> VenueLink:
    endpoints = wiring.endpoints
    url = endpoints.ws_private if name == "private" else endpoints.ws_trade
    environment = _resolve_environment(config.environment)
    maker = getattr(engine.BybitWebSocketClient, f"new_{name}")

    def make() -> Any:
        return maker(
            environment=environment,
            api_key=config.api_key,
            api_secret=config.api_secret,
            url=url,
            heartbeat=wiring.heartbeat,
            proxy_url=config.proxy_url,
        )

    link = VenueLink(name, make, url, wiring.links.probe_prefix)
    return wiring.links.add(link) if watched else link


def _with_keys[C: (BybitDataClientConfig, BybitExecClientConfig)](
    config: C, keys: KeyPair | None
) -> C:
    if keys is None:
        return config
    return msgspec.structs.replace(
        config, api_key=keys.key.reveal(), api_secret=keys.secret.reveal()
    )
