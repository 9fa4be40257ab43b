"""Market data as Bybit v5 writes it; keys and JSON types of its documentation's examples.

The tests hold each of these to the examples in ``../shared/data/bybit/payload_fixtures``.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from live_nodes.practice.model import Level, Printed, Symbol

Json = dict[str, Any]


def plain(value: Decimal) -> str:
    """Write a number without exponent and without trailing zeros."""
    text = f"{value:f}"
    return text.rstrip("0").rstrip(".") or "0" if "." in text else text


def places(step: Decimal) -> int:
    """Count the decimals of a step."""
    return max(0, -int(step.normalize().as_tuple().exponent))


def instrument(symbol: Symbol) -> Json:
    """Write an element of ``GET /v5/market/instruments-info``."""
    return _spot_instrument(symbol) if symbol.category == "spot" else _perpetual(symbol)


def _perpetual(symbol: Symbol) -> Json:
    tick, lot = plain(symbol.tick), plain(symbol.lot)
    most = plain(symbol.max_qty)
    return {
        "symbol": symbol.name,
        "contractType": "LinearPerpetual",
        "status": symbol.status,
        "baseCoin": symbol.base,
        "quoteCoin": symbol.quote,
        "launchTime": str(symbol.launch_ms),
        "deliveryTime": str(symbol.delivery_ms),
        "deliveryFeeRate": "",
        "priceScale": str(places(symbol.tick)),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": f"{symbol.max_leverage:.2f}",
            "leverageStep": plain(symbol.leverage_step),
        },
        "priceFilter": {
            "minPrice": tick,
            "maxPrice": plain(symbol.tick * 19_999_998),
            "tickSize": tick,
        },
        "lotSizeFilter": {
            "maxOrderQty": most,
            "minOrderQty": plain(symbol.min_qty),
            "qtyStep": lot,
            "postOnlyMaxOrderQty": most,
            "maxMktOrderQty": plain(symbol.max_market_qty),
            "minNotionalValue": plain(symbol.min_notional),
        },
        "unifiedMarginTrade": True,
        "fundingInterval": symbol.funding_minutes,
        "settleCoin": symbol.settle,
        "copyTrading": "none",
        "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "riskParameters": {
            "priceLimitRatioX": plain(symbol.price_limit),
            "priceLimitRatioY": plain(symbol.price_limit),
        },
        "isPreListing": False,
        "displayName": "",
        "symbolType": "",
    }


def _spot_instrument(symbol: Symbol) -> Json:
    most = plain(symbol.max_qty)
    return {
        "symbol": symbol.name,
        "baseCoin": symbol.base,
        "quoteCoin": symbol.quote,
        "innovation": "0",
        "status": symbol.status,
        "marginTrading": "none",
        "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": plain(symbol.lot),
            "quotePrecision": "0.0000001",
            "minOrderQty": plain(symbol.min_qty),
            "maxOrderQty": most,
            "minOrderAmt": plain(symbol.min_notional),
            "maxOrderAmt": "8000000",
            "maxLimitOrderQty": most,
            "maxMarketOrderQty": plain(symbol.max_market_qty),
            "postOnlyMaxLimitOrderSize": most,
        },
        "priceFilter": {"tickSize": plain(symbol.tick)},
        "riskParameters": {
            "priceLimitRatioX": plain(symbol.price_limit),
            "priceLimitRatioY": plain(symbol.price_limit),
        },
        "symbolType": "",
    }


def levels(side: list[Level]) -> list[list[str]]:
    """Write one side of a book."""
    return [[f"{price:f}", f"{qty:f}"] for price, qty in side]


def book(
    symbol: str, bids: list[Level], asks: list[Level], update: int, seq: int, now_ms: int
) -> Json:
    """Write ``GET /v5/market/orderbook``; best price first."""
    return {
        "s": symbol,
        "b": levels(bids),
        "a": levels(asks),
        "ts": now_ms,
        "u": update,
        "seq": seq,
        "cts": now_ms,
    }


def recent_trade(trade: Printed) -> Json:
    """Write an element of ``GET /v5/market/recent-trade``."""
    return {
        "execId": trade.trade_id,
        "symbol": trade.key[1],
        "price": f"{trade.price:f}",
        "size": f"{trade.qty:f}",
        "side": trade.side,
        "time": str(trade.time_ms),
        "isBlockTrade": False,
        "isRPITrade": False,
        "seq": str(trade.seq),
    }


def public_trade(trade: Printed) -> Json:
    """Write an element of the push topic ``publicTrade``."""
    return {
        "T": trade.time_ms,
        "s": trade.key[1],
        "S": trade.side,
        "v": f"{trade.qty:f}",
        "p": f"{trade.price:f}",
        "L": "ZeroMinusTick",
        "i": trade.trade_id,
        "BT": False,
        "RPI": False,
        "seq": trade.seq,
    }
