"""An account's orders, fills, positions and money as Bybit v5 writes them, for REST and pushes.

The tests hold each of these to the examples in ``../shared/data/bybit/payload_fixtures``.
Nautilus's adapter drops a push that lacks a key or has another JSON type without a word, so that
every key is always there.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from live_nodes.practice.model import (
    ClosedPnl,
    CoinBalance,
    Execution,
    Fees,
    Order,
    Position,
    Wallet,
)

Json = dict[str, Any]
MARGIN_CENTS = Decimal("0.00000001")


def order(record: Order) -> Json:
    """Write an order for ``GET /v5/order/realtime`` and ``history``."""
    price = f"{record.price:f}"
    leaves = record.leaves
    return {
        "orderId": record.order_id,
        "orderLinkId": record.order_link_id,
        "blockTradeId": "",
        "symbol": record.symbol,
        "price": price,
        "qty": f"{record.qty:f}",
        "side": record.side,
        "isLeverage": "1" if record.is_leverage else "0",
        "positionIdx": record.position_idx,
        "orderStatus": record.status,
        "createType": record.create_type,
        "cancelType": record.cancel_type,
        "rejectReason": record.reject_reason,
        "avgPrice": _or_empty(record.average),
        "leavesQty": f"{leaves:f}",
        "leavesValue": _trimmed(leaves * record.price),
        "cumExecQty": f"{record.filled:f}",
        "cumExecValue": _trimmed(record.filled_value),
        "cumExecFee": _trimmed(record.fee),
        "cumFeeDetail": {record.fee_coin: _trimmed(record.fee)} if record.fee_coin else {},
        "timeInForce": record.time_in_force,
        "orderType": record.order_type,
        "stopOrderType": record.stop_order_type,
        "orderIv": "",
        "marketUnit": record.market_unit,
        "triggerPrice": _or_empty(record.trigger_price),
        "takeProfit": _or_empty(record.take_profit),
        "stopLoss": _or_empty(record.stop_loss),
        "tpslMode": record.tpsl_mode,
        "ocoTriggerBy": "",
        "tpLimitPrice": _or_empty(record.tp_limit_price),
        "slLimitPrice": _or_empty(record.sl_limit_price),
        "tpTriggerBy": record.tp_trigger_by,
        "slTriggerBy": record.sl_trigger_by,
        "triggerDirection": record.trigger_direction,
        "triggerBy": record.trigger_by,
        "lastPriceOnCreated": _or_empty(record.last_price_on_created),
        "reduceOnly": record.reduce_only,
        "closeOnTrigger": record.close_on_trigger,
        "placeType": "",
        "smpType": "None",
        "smpGroup": 0,
        "smpOrderId": "",
        "slippageToleranceType": record.slippage_type or "UNKNOWN",
        "slippageTolerance": _or_empty(record.slippage),
        "extraFees": "",
        "rpiTakerAccess": False,
        "rpiMatchedQty": "0",
        "createdTime": str(record.created_ms),
        "updatedTime": str(record.updated_ms),
    }


def order_push(record: Order) -> Json:
    """Write an order for the push topic ``order``."""
    return order(record) | {
        "category": record.category,
        "closedPnl": _trimmed(record.closed_pnl),
        "feeCurrency": record.fee_coin,
    }


def acknowledgement(record: Order) -> Json:
    """Write the answer to a create, amend or cancel."""
    return {"orderId": record.order_id, "orderLinkId": record.order_link_id}


def execution(record: Execution) -> Json:
    """Write a fill for ``GET /v5/execution/list``."""
    return {
        "symbol": record.symbol,
        "orderId": record.order_id,
        "orderLinkId": record.order_link_id,
        "side": record.side,
        "orderPrice": f"{record.order_price:f}",
        "orderQty": f"{record.order_qty:f}",
        "leavesQty": f"{record.leaves:f}",
        "createType": record.create_type,
        "orderType": record.order_type,
        "stopOrderType": record.stop_order_type or "UNKNOWN",
        "execFee": _trimmed(record.fee),
        "execId": record.exec_id,
        "execPrice": f"{record.price:f}",
        "execQty": f"{record.qty:f}",
        "execType": record.exec_type,
        "execValue": _trimmed(record.value),
        "execTime": str(record.time_ms),
        "feeCurrency": record.fee_coin,
        "isMaker": record.is_maker,
        "feeRate": _trimmed(record.fee_rate),
        "tradeIv": "",
        "markIv": "",
        "markPrice": f"{record.mark_price:f}",
        "indexPrice": "",
        "underlyingPrice": "",
        "blockTradeId": "",
        "closedSize": f"{record.closed_size:f}",
        "extraFees": "",
        "seq": record.seq,
    }


def execution_push(record: Execution) -> Json:
    """Write a fill for the push topic ``execution``."""
    return execution(record) | {
        "category": record.category,
        "isLeverage": "1" if record.is_leverage else "0",
        "marketUnit": record.market_unit,
        "execPnl": _trimmed(record.pnl),
        "extraFees": [],
    }


def fast_execution_push(record: Execution) -> Json:
    """Write a fill for the push topic ``execution.fast``."""
    return {
        "category": record.category,
        "symbol": record.symbol,
        "execId": record.exec_id,
        "execPrice": f"{record.price:f}",
        "execQty": f"{record.qty:f}",
        "orderId": record.order_id,
        "isMaker": record.is_maker,
        "orderLinkId": record.order_link_id,
        "side": record.side,
        "execTime": str(record.time_ms),
        "seq": record.seq,
    }


def position(record: Position) -> Json:
    """Write a position for ``GET /v5/position/list``."""
    shared = _position(record)
    return shared | {"avgPrice": _trimmed(record.entry)}


def position_push(record: Position) -> Json:
    """Write a position for the push topic ``position``."""
    shared = _position(record)
    return shared | {"category": "linear", "entryPrice": _trimmed(record.entry)}


def _position(record: Position) -> Json:
    initial = _cents(record.initial_margin)
    maintenance = _cents(record.maintenance_margin)
    return {
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": "2000000",
        "symbol": record.symbol,
        "side": record.side,
        "size": f"{record.size:f}",
        "positionValue": _trimmed(record.value),
        "tradeMode": 0,
        "positionStatus": record.status,
        "autoAddMargin": 0,
        "adlRankIndicator": 0,
        "leverage": _trimmed(record.leverage),
        "breakEvenPrice": _cents(record.break_even),
        "positionBalance": initial if record.size else "0",
        "markPrice": f"{record.mark_price:f}",
        "liqPrice": _cents_or_empty(record.liquidation_price),
        "bustPrice": _cents_or_empty(record.bust_price),
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "positionIM": initial,
        "positionIMByMp": initial,
        "tpslMode": record.tpsl_mode,
        "takeProfit": _or_zero(record.take_profit),
        "stopLoss": _or_zero(record.stop_loss),
        "trailingStop": "0",
        "unrealisedPnl": _trimmed(record.unrealised),
        "curRealisedPnl": _trimmed(record.current_realised),
        "cumRealisedPnl": _trimmed(record.total_realised),
        "sessionAvgPrice": "",
        "seq": record.seq,
        "isReduceOnly": False,
        # The documentation's REST example spells this name in two ways.
        "mmrSysUpdateTime": "",
        "mmrSysUpdatedTime": "",
        "leverageSysUpdatedTime": "",
        "createdTime": str(record.created_ms),
        "updatedTime": str(record.updated_ms),
    }


def wallet(record: Wallet) -> Json:
    """Write a unified account for ``GET /v5/account/wallet-balance`` and the topic ``wallet``."""
    margin = record.margin_balance
    initial, maintenance = _cents(record.initial_margin), _cents(record.maintenance_margin)
    initial_rate = _rate(record.initial_margin, margin)
    maintenance_rate = _rate(record.maintenance_margin, margin)
    unrealised = _cents(record.unrealised)
    return {
        "accountType": "UNIFIED",
        "accountLTV": "0",
        "accountIMRate": initial_rate,
        "accountIMRateByMp": initial_rate,
        "accountMMRate": maintenance_rate,
        "accountMMRateByMp": maintenance_rate,
        "totalEquity": _cents(record.equity),
        "totalWalletBalance": _cents(record.wallet_balance),
        "totalMarginBalance": _cents(margin),
        "totalAvailableBalance": _cents(record.available),
        "totalPerpUPL": unrealised,
        "totalInitialMargin": initial,
        "totalInitialMarginByMp": initial,
        "totalMaintenanceMargin": maintenance,
        "totalMaintenanceMarginByMp": maintenance,
        "coin": [_coin(one) for one in record.coins],
    }


def _coin(record: CoinBalance) -> Json:
    free = record.balance - record.locked - record.order_margin - record.position_margin
    return {
        "coin": record.coin,
        "equity": _cents(record.equity),
        "usdValue": _cents(record.usd_value),
        "walletBalance": _cents(record.balance),
        "availableToWithdraw": _cents(max(Decimal(0), free + min(Decimal(0), record.unrealised))),
        "availableToBorrow": "",
        "borrowAmount": "0",
        "accruedInterest": "0",
        "totalOrderIM": _cents(record.order_margin),
        "totalPositionIM": _cents(record.position_margin),
        "totalPositionMM": _cents(record.maintenance_margin),
        "unrealisedPnl": _cents(record.unrealised),
        "cumRealisedPnl": _cents(record.total_realised),
        "bonus": "0",
        "locked": _cents(record.locked),
        "spotHedgingQty": "0",
        "spotBorrow": "0",
        "collateralSwitch": True,
        "marginCollateral": True,
    }


def closed_pnl(record: ClosedPnl) -> Json:
    """Write an element of ``GET /v5/position/closed-pnl``."""
    size = record.closed_size
    return {
        "symbol": record.symbol,
        "orderType": record.order_type,
        "leverage": _trimmed(record.leverage),
        "updatedTime": str(record.updated_ms),
        "side": record.side,
        "orderId": record.order_id,
        "closedPnl": _trimmed(record.pnl),
        "avgEntryPrice": _cents(record.entry_value / size) if size else "0",
        "qty": f"{record.qty:f}",
        "cumEntryValue": _trimmed(record.entry_value),
        "createdTime": str(record.created_ms),
        "orderPrice": f"{record.order_price:f}",
        "closedSize": f"{size:f}",
        "avgExitPrice": _cents(record.exit_value / size) if size else "0",
        "execType": record.exec_type,
        "fillCount": str(record.fill_count),
        "cumExitValue": _trimmed(record.exit_value),
    }


def transaction(record: Execution, currency: str) -> Json:
    """Write an element of ``GET /v5/account/transaction-log`` (type TRADE or SETTLEMENT).

    `currency` is the settle coin. Bybit writes a second row for the other coin of a spot trade;
    here is the one, and a fee that was paid in the other coin is not in it.
    """
    funding = record.exec_type == "Funding"
    fee = record.fee if record.fee_coin == currency and not funding else Decimal(0)
    return {
        "id": f"{record.account}_{record.symbol}_{record.seq}",
        "symbol": record.symbol,
        "category": record.category,
        "side": record.side,
        "transactionTime": str(record.time_ms),
        "type": "SETTLEMENT" if funding else "TRADE",
        "transSubType": "",
        "qty": f"{record.qty:f}",
        "size": f"{record.qty:f}",
        "currency": currency,
        "tradePrice": f"{record.price:f}",
        "funding": _trimmed(-record.fee) if funding else "",
        "fee": _trimmed(fee),
        "cashFlow": "0" if funding else _trimmed(record.change + fee),
        "change": _trimmed(record.change),
        "cashBalance": _trimmed(record.balance),
        "feeRate": _trimmed(record.fee_rate),
        "bonusChange": "",
        "tradeId": record.exec_id,
        "orderId": record.order_id,
        "orderLinkId": record.order_link_id,
        "extraFees": "",
    }


def fee_rate(symbol: str, fees: Fees) -> Json:
    """Write an element of ``GET /v5/account/fee-rate``."""
    return {
        "symbol": symbol,
        "takerFeeRate": _trimmed(fees.taker),
        "makerFeeRate": _trimmed(fees.maker),
        "baseCoin": "",
    }


def api_key(account: str, key: str) -> Json:
    """Write ``GET /v5/user/query-api``: a key that may trade, bound to no address."""
    permissions = dict.fromkeys(_PERMISSIONS, ())
    granted = {
        "ContractTrade": ("Order", "Position"),
        "Spot": ("SpotTrade",),
        "Derivatives": ("DerivativesTrade",),
    }
    return {
        "id": account,
        "note": "practice",
        "apiKey": key,
        "readOnly": 0,
        "secret": "",
        "permissions": {name: list(value) for name, value in (permissions | granted).items()},
        "ips": ["*"],
        "type": 1,
        "deadlineDay": 90,
        "expiredAt": "2100-01-01T00:00:00Z",
        "createdAt": "2024-01-01T00:00:00Z",
        "unified": 0,
        "uta": 1,
        "userID": 1,
        "inviterID": 0,
        "vipLevel": "No VIP",
        "mktMakerLevel": "0",
        "affiliateID": 0,
        "rsaPublicKey": "",
        "isMaster": True,
        "parentUid": "0",
        "kycLevel": "LEVEL_1",
        "kycRegion": "",
        "userIDInt64": "1",
        "inviterIDInt64": "0",
        "affiliateIDInt64": "0",
    }


_PERMISSIONS = (
    "ContractTrade",
    "Spot",
    "Wallet",
    "Options",
    "Derivatives",
    "CopyTrading",
    "BlockTrade",
    "Exchange",
    "NFT",
    "Affiliate",
    "Earn",
    "FiatP2P",
    "FiatBybitPay",
    "FiatConvertBroker",
    "FiatGlobalPay",
    "FiatBitPay",
    "BitCard",
    "ByXPost",
)


def _trimmed(value: Decimal) -> str:
    text = f"{value:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text in ("", "-0") else text


def _cents(value: Decimal) -> str:
    return _trimmed(value.quantize(MARGIN_CENTS))


def _rate(part: Decimal, whole: Decimal) -> str:
    return f"{part / whole:.4f}" if whole > 0 else "0"


def _or_empty(value: Decimal | None) -> str:
    return "" if value is None else _trimmed(value)


def _or_zero(value: Decimal | None) -> str:
    return "0" if value is None else _trimmed(value)


def _cents_or_empty(value: Decimal | None) -> str:
    return "" if value is None else _cents(value)
