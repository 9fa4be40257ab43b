"""An account's orders, fills, positions, money and key as Bybit v5 JSON, for REST and pushes.

Always write every key: Nautilus's adapter silently drops a push with a missing key or wrong type.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from decimal import Decimal

from live_nodes.practice.exchange.model import FeeRates
from live_nodes.practice.exchange.records import (
    CoinBalance,
    ExecutionRow,
    OrderRow,
    PositionRow,
    TransferRow,
    WalletRow,
)
from live_nodes.practice.wire.access import KeyTerms
from live_nodes.practice.wire.market_payloads import RISK_LIMIT
from live_nodes.practice.wire.spelling import (
    Json,
    cents,
    cents_or_empty,
    or_empty,
    or_zero,
    plain,
    rate,
)

_PERMISSIONS = (
    *("ContractTrade", "Spot", "Wallet", "Options", "Derivatives", "CopyTrading", "BlockTrade"),
    *("Exchange", "NFT", "Affiliate", "Earn", "FiatP2P", "FiatBybitPay", "FiatConvertBroker"),
    *("FiatGlobalPay", "FiatBitPay", "BitCard", "ByXPost"),
)


_LOGGED = {
    "Funding": "SETTLEMENT",
    "Delivery": "DELIVERY",
    "BustTrade": "LIQUIDATION",
    "AdlTrade": "ADL",
}
"""Type in the transaction log; others are TRADE."""


def position(record: PositionRow) -> Json:
    """Write a position for ``GET /v5/position/list``."""
    return _position(record) | {"avgPrice": plain(record.entry)}


def position_push(record: PositionRow) -> Json:
    """Write a position for the push topic ``position``."""
    return _position(record) | {"category": "linear", "entryPrice": plain(record.entry)}


def _position(record: PositionRow) -> Json:
    initial = cents(record.initial_margin)
    maintenance = cents(record.maintenance_margin)
    return {
        "positionIdx": 0,
        "riskId": 1,
        "riskLimitValue": RISK_LIMIT,
        "symbol": record.symbol,
        "side": record.side,
        "size": f"{record.size:f}",
        "positionValue": plain(record.value),
        "tradeMode": 0,
        "positionStatus": "Normal",
        "autoAddMargin": 0,
        "adlRankIndicator": 0,
        "leverage": plain(record.leverage),
        "breakEvenPrice": cents(record.break_even),
        "positionBalance": initial if record.size else "0",
        "markPrice": f"{record.mark_price:f}",
        "liqPrice": cents_or_empty(record.liquidation_price),
        "bustPrice": "",
        "positionMM": maintenance,
        "positionMMByMp": maintenance,
        "positionIM": initial,
        "positionIMByMp": initial,
        "tpslMode": "Full",
        "takeProfit": or_zero(record.take_profit),
        "stopLoss": or_zero(record.stop_loss),
        "trailingStop": or_zero(record.trailing_stop),
        "unrealisedPnl": plain(record.unrealised),
        "curRealisedPnl": plain(record.current_realised),
        "cumRealisedPnl": plain(record.total_realised),
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


def wallet(record: WalletRow) -> Json:
    """Write a unified account for ``GET /v5/account/wallet-balance`` and the topic ``wallet``."""
    margin = record.margin_balance
    initial, maintenance = cents(record.initial_margin), cents(record.maintenance_margin)
    initial_rate = rate(record.initial_margin, margin)
    maintenance_rate = rate(record.maintenance_margin, margin)
    unrealised = cents(record.unrealised)
    return {
        "accountType": "UNIFIED", "accountLTV": "0", "accountIMRate": initial_rate,
        "accountIMRateByMp": initial_rate, "accountMMRate": maintenance_rate,
        "accountMMRateByMp": maintenance_rate, "totalEquity": cents(record.equity),
        "totalWalletBalance": cents(record.wallet_balance), "totalMarginBalance": cents(margin),
        "totalAvailableBalance": cents(record.available), "totalPerpUPL": unrealised,
        "totalInitialMargin": initial, "totalInitialMarginByMp": initial,
        "totalMaintenanceMargin": maintenance, "totalMaintenanceMarginByMp": maintenance,
        "coin": [_coin(one) for one in record.coins],
    }  # fmt: skip


def _coin(record: CoinBalance) -> Json:
    free = record.balance - record.locked - record.order_margin - record.position_margin
    return {
        "coin": record.coin, "equity": cents(record.equity), "usdValue": cents(record.usd_value),
        "walletBalance": cents(record.balance),
        "availableToWithdraw": cents(max(Decimal(0), free + min(Decimal(0), record.unrealised))),
        "availableToBorrow": "", "borrowAmount": "0", "accruedInterest": "0",
        "totalOrderIM": cents(record.order_margin),
        "totalPositionIM": cents(record.position_margin),
        "totalPositionMM": cents(record.maintenance_margin),
        "unrealisedPnl": cents(record.unrealised), "cumRealisedPnl": cents(record.total_realised),
        "bonus": "0", "locked": cents(record.locked), "spotHedgingQty": "0", "spotBorrow": "0",
        "collateralSwitch": True, "marginCollateral": True,
    }  # fmt: skip


def closed_pnl(fills: Sequence[ExecutionRow]) -> Json:
    """Write an element of ``GET /v5/position/closed-pnl``: an order's fills that closed something.

    The profit is after fees and without funding.
    """
    last, size = fills[-1], sum(fill.closed_size for fill in fills)
    entry = sum((fill.entry_price * fill.closed_size for fill in fills), Decimal(0))
    exit_ = sum((fill.price * fill.closed_size for fill in fills), Decimal(0))
    return {
        "symbol": last.symbol, "orderType": last.order_type, "leverage": plain(last.leverage),
        "updatedTime": str(last.time_ms), "side": last.side, "orderId": last.order_id,
        "closedPnl": plain(sum((fill.closed_pnl for fill in fills), Decimal(0))),
        "avgEntryPrice": cents(entry / size), "qty": f"{last.order_qty:f}",
        "cumEntryValue": plain(entry), "createdTime": str(fills[0].time_ms),
        "orderPrice": f"{last.order_price:f}", "closedSize": f"{size:f}",
        "avgExitPrice": cents(exit_ / size), "execType": last.exec_type,
        "fillCount": str(len(fills)), "cumExitValue": plain(exit_),
    }  # fmt: skip


def transaction(record: ExecutionRow, currency: str) -> Json:
    """Write an element of ``GET /v5/account/transaction-log``.

    `currency` is the settle coin; a spot trade has a second element of its other coin.
    """
    funding = record.exec_type == "Funding"
    fee = record.fee if record.fee_coin == currency and not funding else Decimal(0)
    return {
        "id": f"{record.account}_{record.symbol}_{record.seq}", "symbol": record.symbol,
        "category": record.category, "side": record.side, "transactionTime": str(record.time_ms),
        "type": _LOGGED.get(record.exec_type, "TRADE"), "transSubType": "",
        "qty": f"{record.qty:f}", "size": f"{record.qty:f}", "currency": currency,
        "tradePrice": f"{record.price:f}",
        "funding": plain(-record.fee) if funding else "", "fee": plain(fee),
        "cashFlow": "0" if funding else plain(record.change + fee), "change": plain(record.change),
        "cashBalance": plain(record.balance), "feeRate": plain(record.fee_rate), "bonusChange": "",
        "tradeId": record.exec_id, "orderId": record.order_id, "orderLinkId": record.order_link_id,
        "extraFees": "",
    }  # fmt: skip


def coins_moved(record: ExecutionRow, coin: str) -> Json:
    """Write the element of a spot trade that its base coin has; the balance is not kept."""
    fee = record.fee if record.fee_coin == coin else Decimal(0)
    moved = record.qty if record.side == "Buy" else -record.qty
    return transaction(record, coin) | {
        "id": f"{record.account}_{record.symbol}_{record.seq}_{coin}", "qty": f"{moved:f}",
        "fee": plain(fee), "cashFlow": plain(moved), "change": plain(moved - fee),
        "cashBalance": "",
    }  # fmt: skip


def transferred(record: TransferRow) -> Json:
    """Write the element of ``GET /v5/account/transaction-log`` of what moved without a trade."""
    nothing = dict.fromkeys(("symbol", "category", "size", "tradePrice", "funding", "fee"), "")
    nothing |= dict.fromkeys(("feeRate", "bonusChange", "tradeId", "orderId", "orderLinkId"), "")
    moved = plain(record.amount)
    return nothing | {
        "id": record.transfer_id, "side": "None", "transactionTime": str(record.time_ms),
        "type": record.kind, "transSubType": "", "qty": moved, "currency": record.coin,
        "cashFlow": moved, "change": moved, "cashBalance": plain(record.balance), "extraFees": "",
    }  # fmt: skip


def fee_rate(symbol: str, fees: FeeRates) -> Json:
    """Write an element of ``GET /v5/account/fee-rate``."""
    return {
        "symbol": symbol,
        "takerFeeRate": plain(fees.taker),
        "makerFeeRate": plain(fees.maker),
        "baseCoin": "",
    }


def api_key(account: str, key: str, terms: KeyTerms, now_ms: int) -> Json:
    """Write ``GET /v5/user/query-api``."""
    days = int((terms.expires.timestamp() - now_ms / 1_000) // 86_400)
    user = zlib.crc32(account.encode())
    return {
        "id": account, "note": "practice", "apiKey": key, "readOnly": int(terms.read_only),
        "secret": "", "permissions": {
            name: list(terms.permissions.get(name, ())) for name in _PERMISSIONS
        },
        "ips": list(terms.ips), "type": 1, "deadlineDay": days,
        "expiredAt": f"{terms.expires:%Y-%m-%dT%H:%M:%SZ}",
        "createdAt": "2024-01-01T00:00:00Z", "unified": 0, "uta": 1, "userID": user, "inviterID": 0,
        "vipLevel": "No VIP", "mktMakerLevel": "0", "affiliateID": 0, "rsaPublicKey": "",
        "isMaster": True, "parentUid": "0", "kycLevel": "LEVEL_1", "kycRegion": "",
        "userIDInt64": str(user), "inviterIDInt64": "0", "affiliateIDInt64": "0",
    }  # fmt: skip


def order(record: OrderRow) -> Json:
    """Write an order for ``GET /v5/order/realtime`` and ``history``."""
    price = f"{record.price:f}"
    leaves = record.leaves
    return {
        "orderId": record.order_id, "orderLinkId": record.order_link_id, "blockTradeId": "",
        "symbol": record.symbol, "price": price, "qty": f"{record.qty:f}", "side": record.side,
        "isLeverage": "0", "positionIdx": 0,
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
        "isLeverage": "0",
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
