"""An account's orders and fills as Bybit v5 writes them, for REST and pushes.

The tests hold each of these to the examples in ``../shared/data/bybit/payload_fixtures``.
Nautilus's adapter drops a push that lacks a key or has another JSON type without a word, so that
every key is always there.
"""

from __future__ import annotations

from typing import Any

from live_nodes.practice.exchange.records import ExecutionRow, OrderRow
from live_nodes.practice.wire.spelling import or_empty, plain

Json = dict[str, Any]


def order(record: OrderRow) -> Json:
    """Write an order for ``GET /v5/order/realtime`` and ``history``."""
    price = f"{record.price:f}"
    leaves = record.leaves
    return {
        "orderId": record.order_id, "orderLinkId": record.order_link_id, "blockTradeId": "",
        "symbol": record.symbol, "price": price, "qty": f"{record.qty:f}", "side": record.side,
        "isLeverage": "1" if record.is_leverage else "0", "positionIdx": record.position_idx,
        "orderStatus": record.status, "createType": record.create_type,
        "cancelType": record.cancel_type, "rejectReason": record.reject_reason,
        "avgPrice": or_empty(record.average), "leavesQty": f"{leaves:f}",
        "leavesValue": plain(leaves * record.price), "cumExecQty": f"{record.filled:f}",
        "cumExecValue": plain(record.filled_value), "cumExecFee": plain(record.fee),
        "cumFeeDetail": {record.fee_coin: plain(record.fee)} if record.fee_coin else {},
        "timeInForce": record.time_in_force, "orderType": record.order_type,
        "stopOrderType": record.stop_order_type, "orderIv": "", "marketUnit": record.market_unit,
        "triggerPrice": or_empty(record.trigger_price), "takeProfit": or_empty(record.take_profit),
        "stopLoss": or_empty(record.stop_loss), "tpslMode": record.tpsl_mode, "ocoTriggerBy": "",
        "tpLimitPrice": or_empty(record.tp_limit_price),
        "slLimitPrice": or_empty(record.sl_limit_price), "tpTriggerBy": record.tp_trigger_by,
        "slTriggerBy": record.sl_trigger_by, "triggerDirection": record.trigger_direction,
        "triggerBy": record.trigger_by,
        "lastPriceOnCreated": or_empty(record.last_price_on_created),
        "reduceOnly": record.reduce_only, "closeOnTrigger": record.close_on_trigger,
        "placeType": "", "smpType": "None", "smpGroup": 0, "smpOrderId": "",
        "slippageToleranceType": record.slippage_type or "UNKNOWN",
        "slippageTolerance": or_empty(record.slippage), "extraFees": "", "rpiTakerAccess": False,
        "rpiMatchedQty": "0", "createdTime": str(record.created_ms),
        "updatedTime": str(record.updated_ms),
    }  # fmt: skip


def order_push(record: OrderRow) -> Json:
    """Write an order for the push topic ``order``."""
    return order(record) | {
        "category": record.category,
        "closedPnl": plain(record.closed_pnl),
        "feeCurrency": record.fee_coin,
    }


def acknowledgement(record: OrderRow) -> Json:
    """Write the answer to a create, amend or cancel."""
    return {"orderId": record.order_id, "orderLinkId": record.order_link_id}


def execution(record: ExecutionRow) -> Json:
    """Write a fill for ``GET /v5/execution/list``."""
    return {
        "symbol": record.symbol, "orderId": record.order_id, "orderLinkId": record.order_link_id,
        "side": record.side, "orderPrice": f"{record.order_price:f}",
        "orderQty": f"{record.order_qty:f}", "leavesQty": f"{record.leaves:f}",
        "createType": record.create_type, "orderType": record.order_type,
        "stopOrderType": record.stop_order_type or "UNKNOWN", "execFee": plain(record.fee),
        "execId": record.exec_id, "execPrice": f"{record.price:f}", "execQty": f"{record.qty:f}",
        "execType": record.exec_type, "execValue": plain(record.value),
        "execTime": str(record.time_ms), "feeCurrency": record.fee_coin,
        "isMaker": record.is_maker, "feeRate": plain(record.fee_rate), "tradeIv": "", "markIv": "",
        "markPrice": f"{record.mark_price:f}", "indexPrice": "", "underlyingPrice": "",
        "blockTradeId": "", "closedSize": f"{record.closed_size:f}", "extraFees": "",
        "seq": record.seq,
    }  # fmt: skip


def execution_push(record: ExecutionRow) -> Json:
    """Write a fill for the push topic ``execution``."""
    return execution(record) | {
        "category": record.category,
        "isLeverage": "1" if record.is_leverage else "0",
        "marketUnit": record.market_unit,
        "execPnl": plain(record.pnl),
        "extraFees": [],
    }


def fast_execution_push(record: ExecutionRow) -> Json:
    """Write a fill for the push topic ``execution.fast``."""
    return {
        "category": record.category, "symbol": record.symbol, "execId": record.exec_id,
        "execPrice": f"{record.price:f}", "execQty": f"{record.qty:f}", "orderId": record.order_id,
        "isMaker": record.is_maker, "orderLinkId": record.order_link_id, "side": record.side,
        "execTime": str(record.time_ms), "seq": record.seq,
    }  # fmt: skip
