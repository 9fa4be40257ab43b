"""Market data as Bybit v5 JSON, with the keys and types of its documentation's examples."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

from live_nodes.practice.exchange.model import Key, Level, PracticeSymbol
from live_nodes.practice.exchange.records import ExecutionRow, Printed
from live_nodes.practice.market.feed import INTERVAL_MS, Candle, FundingRate, Prices
from live_nodes.practice.wire.spelling import Json, places, plain

RISK_LIMIT = "2000000"
_REST_ONLY = {
    "spot": frozenset({"bid1Price", "bid1Size", "ask1Price", "ask1Size"}),
    "linear": frozenset(
        {"predictedDeliveryPrice", "basisRate", "basisRateYear", "basis", "deliveryFeeRate"}
    ),
}


def instrument(symbol: PracticeSymbol) -> Json:
    """Write an element of ``GET /v5/market/instruments-info``."""
    return _spot_instrument(symbol) if symbol.category == "spot" else _perpetual(symbol)


def _perpetual(symbol: PracticeSymbol) -> Json:
    tick, lot = plain(symbol.tick), plain(symbol.lot)
    most = plain(symbol.max_qty)
    return {
        "symbol": symbol.name, "contractType": "LinearPerpetual", "status": symbol.status,
        "baseCoin": symbol.base, "quoteCoin": symbol.quote, "launchTime": str(symbol.launch_ms),
        "deliveryTime": str(symbol.delivery_ms), "deliveryFeeRate": "",
        "priceScale": str(places(symbol.tick)),
        "leverageFilter": {
            "minLeverage": "1",
            "maxLeverage": f"{symbol.max_leverage:.2f}",
            "leverageStep": plain(symbol.leverage_step),
        },
        "priceFilter": {
            "minPrice": tick, "maxPrice": plain(symbol.tick * 19_999_998), "tickSize": tick,
        },
        "lotSizeFilter": {
            "maxOrderQty": most, "minOrderQty": plain(symbol.min_qty), "qtyStep": lot,
            "postOnlyMaxOrderQty": most, "maxMktOrderQty": plain(symbol.max_market_qty),
            "minNotionalValue": plain(symbol.min_notional),
        },
        "unifiedMarginTrade": True, "fundingInterval": symbol.funding_minutes,
        "settleCoin": symbol.settle, "copyTrading": "none", "upperFundingRate": "0.00375",
        "lowerFundingRate": "-0.00375",
        "riskParameters": {
            "priceLimitRatioX": plain(symbol.price_limit),
            "priceLimitRatioY": plain(symbol.price_limit),
        },
        "isPreListing": False, "displayName": "", "symbolType": "",
    }  # fmt: skip


def _spot_instrument(symbol: PracticeSymbol) -> Json:
    most = plain(symbol.max_qty)
    return {
        "symbol": symbol.name, "baseCoin": symbol.base, "quoteCoin": symbol.quote,
        "innovation": "0", "status": symbol.status, "marginTrading": "none", "stTag": "0",
        "lotSizeFilter": {
            "basePrecision": plain(symbol.lot), "quotePrecision": "0.0000001",
            "minOrderQty": plain(symbol.min_qty), "maxOrderQty": most,
            "minOrderAmt": plain(symbol.min_notional), "maxOrderAmt": "8000000",
            "maxLimitOrderQty": most, "maxMarketOrderQty": plain(symbol.max_market_qty),
            "postOnlyMaxLimitOrderSize": most,
        },
        "priceFilter": {"tickSize": plain(symbol.tick)},
        "riskParameters": {
            "priceLimitRatioX": plain(symbol.price_limit),
            "priceLimitRatioY": plain(symbol.price_limit),
        },
        "symbolType": "",
    }  # fmt: skip


def levels(side: Sequence[Level]) -> list[list[str]]:
    """Write one side of a book."""
    return [[f"{price:f}", f"{qty:f}"] for price, qty in side]


def book(
    symbol: str, bids: Sequence[Level], asks: Sequence[Level], update: int, seq: int, now_ms: int
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


def recent_trade(symbol: str, trade: Printed) -> Json:
    """Write an element of ``GET /v5/market/recent-trade``."""
    return {
        "execId": trade.trade_id, "symbol": symbol, "price": f"{trade.price:f}",
        "size": f"{trade.qty:f}", "side": trade.side, "time": str(trade.time_ms),
        "isBlockTrade": False, "isRPITrade": False,
        "seq": str(trade.seq),
    }  # fmt: skip


def public_trade(trade: Printed) -> Json:
    """Write an element of the push topic ``publicTrade``."""
    return {
        "T": trade.time_ms, "s": trade.key[1], "S": trade.side, "v": f"{trade.qty:f}",
        "p": f"{trade.price:f}", "L": "ZeroMinusTick", "i": trade.trade_id, "BT": False,
        "RPI": False, "seq": trade.seq,
    }  # fmt: skip


def liquidation(fill: ExecutionRow) -> Json:
    """Write an element of the push topic ``allLiquidation``; the side is the position's."""
    return {
        "T": fill.time_ms, "s": fill.symbol, "S": "Buy" if fill.side == "Sell" else "Sell",
        "v": f"{fill.qty:f}", "p": f"{fill.price:f}",
    }  # fmt: skip


def open_interest(value: Decimal, time_ms: int) -> Json:
    """Write an element of ``GET /v5/market/open-interest``: of both sides, and of one."""
    return {
        "openInterest": plain(value),
        "singleOpenInterest": plain(value / 2),
        "timestamp": str(time_ms),
    }


def risk_limit(symbol: PracticeSymbol) -> Json:
    """Write an element of ``GET /v5/market/risk-limit``; each symbol has one tier."""
    return {
        "id": 1, "symbol": symbol.name, "riskLimitValue": RISK_LIMIT,
        "maintenanceMargin": plain(symbol.maintenance_margin),
        "initialMargin": plain((1 / symbol.max_leverage).normalize()), "isLowestRisk": 1,
        "maxLeverage": f"{symbol.max_leverage:.2f}", "mmDeduction": "",
    }  # fmt: skip


def ticker(key: Key, prices: Prices, bids: Sequence[Level], asks: Sequence[Level]) -> Json:
    """Write an element of ``GET /v5/market/tickers``; the top of book is the visible one."""
    bid_price, bid_size = _best(bids)
    ask_price, ask_size = _best(asks)
    day = prices.previous_24h
    shared = {
        "symbol": key[1], "bid1Price": bid_price, "bid1Size": bid_size, "ask1Price": ask_price,
        "ask1Size": ask_size, "lastPrice": f"{prices.last:f}", "prevPrice24h": f"{day:f}",
        "price24hPcnt": f"{(prices.last - day) / day:.6f}" if day else "0",
        "highPrice24h": f"{prices.high_24h:f}", "lowPrice24h": f"{prices.low_24h:f}",
        "turnover24h": plain(prices.turnover_24h), "volume24h": plain(prices.volume_24h),
    }  # fmt: skip
    if key[0] == "spot":
        return shared | {"usdIndexPrice": f"{prices.index:f}"}
    return shared | {
        "indexPrice": f"{prices.index:f}", "markPrice": f"{prices.mark:f}",
        "prevPrice1h": f"{prices.previous_1h:f}", "openInterest": plain(prices.open_interest),
        "openInterestValue": f"{prices.open_interest * prices.mark:.2f}",
        "fundingRate": plain(prices.funding_rate), "nextFundingTime": str(prices.next_funding_ms),
        "fundingIntervalHour": str(prices.funding_minutes // 60), "fundingCap": "0.00375",
        "predictedDeliveryPrice": "", "basisRate": "", "basisRateYear": "", "basis": "",
        "deliveryFeeRate": "", "deliveryTime": "0", "preOpenPrice": "", "preQty": "",
        "curPreListingPhase": "",
    }  # fmt: skip


def ticker_push(key: Key, prices: Prices, bids: Sequence[Level], asks: Sequence[Level]) -> Json:
    """Write the data of the push topic ``tickers``."""
    full = ticker(key, prices, bids, asks)
    return {name: value for name, value in full.items() if name not in _REST_ONLY[key[0]]} | (
        {} if key[0] == "spot" else {"tickDirection": "ZeroMinusTick"}
    )


def _best(side: Sequence[Level]) -> tuple[str, str]:
    return (f"{side[0][0]:f}", f"{side[0][1]:f}") if side else ("", "")


def kline(candle: Candle) -> list[str]:
    """Write an element of ``GET /v5/market/kline``; of marks and indices, only the first five."""
    prices = [f"{price:f}" for price in (candle.open, candle.high, candle.low, candle.close)]
    return [str(candle.start_ms), *prices, plain(candle.volume), plain(candle.turnover)]


def kline_push(candle: Candle, interval: str, confirmed: bool, now_ms: int) -> Json:
    """Write an element of the push topic ``kline``."""
    return {
        "start": candle.start_ms, "end": candle.start_ms + INTERVAL_MS[interval] - 1,
        "interval": interval, "open": f"{candle.open:f}", "close": f"{candle.close:f}",
        "high": f"{candle.high:f}", "low": f"{candle.low:f}", "volume": plain(candle.volume),
        "turnover": plain(candle.turnover), "confirm": confirmed, "timestamp": now_ms,
    }  # fmt: skip


def funding(symbol: str, settlement: FundingRate) -> Json:
    """Write an element of ``GET /v5/market/funding/history``."""
    return {
        "symbol": symbol,
        "fundingRate": plain(settlement.rate),
        "fundingRateTimestamp": str(settlement.time_ms),
    }
