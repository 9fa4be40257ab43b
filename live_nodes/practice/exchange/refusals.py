"""Bybit's error codes and texts by name: https://bybit-exchange.github.io/docs/v5/error."""

from __future__ import annotations

from typing import NamedTuple

from live_nodes.practice.exchange.model import BybitRefusal


class RefusalKind(NamedTuple):
    """Code and text for derivatives, and for spot where they differ."""

    code: int
    text: str
    spot_code: int = 0
    spot_text: str = ""

    def __call__(self, category: str = "linear", **values: object) -> BybitRefusal:
        """Make the exception; ``values`` fill the placeholders of the text."""
        if category == "spot" and self.spot_code:
            return BybitRefusal(self.spot_code, self.spot_text.format(**values))
        return BybitRefusal(self.code, self.text.format(**values))


def parameter(message: str) -> BybitRefusal:
    """Make refusal 10001: a parameter is missing or wrong."""
    return BybitRefusal(10001, message)


# fmt: off
UNKNOWN_SYMBOL = RefusalKind(10001, "params error: symbol invalid", 170121, "Invalid symbol.")
NO_ORDER = RefusalKind(110001, "order not exists or too late to cancel",
                       170213, "Order does not exist.")
NO_ORDER_TO_AMEND = RefusalKind(110001, "order not exists or too late to replace",
                                170213, "Order does not exist.")
DUPLICATE_LINK = RefusalKind(110072, "OrderLinkedID is duplicate",
                             170141, "Duplicate clientOrderId.")
NOT_ENOUGH = RefusalKind(110007, "ab not enough for new order", 170131, "Insufficient balance.")
NO_POSITION_TO_REDUCE = RefusalKind(
    110017, "current position is zero, cannot fix reduce-only order qty")
NOTHING_LEFT_TO_REDUCE = RefusalKind(110017, "orderQty will be truncated to zero")
WRONG_SIDE_TO_REDUCE = RefusalKind(110017, "Reduce-only rule not satisfied")
PRICE_TOO_HIGH = RefusalKind(110003, "Order price exceeds the allowable range.",
                             170193, "Buy order price cannot be higher than {bound:f}USDT.")
PRICE_TOO_LOW = RefusalKind(110003, "Order price exceeds the allowable range.",
                            170194, "Sell order price cannot be lower than {bound:f}USDT.")
PRICE_PRECISION = RefusalKind(10001, "params error: price invalid",
                              170134, "Order price has too many decimals.")
QTY_PRECISION = RefusalKind(10001, "Qty invalid", 170137, "Order quantity has too many decimals.")
AMOUNT_PRECISION = RefusalKind(170148, "Market order amount decimal too long.")
QTY_TOO_SMALL = RefusalKind(10001, "The number of contracts exceeds minimum limit allowed",
                            170136, "Order quantity lower than the minimum.")
QTY_TOO_LARGE = RefusalKind(10001, "The number of contracts exceeds maximum limit allowed",
                            170135, "Order quantity too large.")
NOTIONAL_TOO_SMALL = RefusalKind(110094, "Order does not meet minimum order value {least:f}{coin}",
                                 170140, "Order value exceeded lower limit.")
NOT_TRADING = RefusalKind(110066, "Trading is currently not allowed.",
                          170157, "The trading pair is not available for api trading.")
NOT_LIVE = RefusalKind(110074, "This contract is not live",
                       170151, "The trading pair is not open yet.")
DELISTING = RefusalKind(30228, "No new positions during delisting")
TOO_MANY_ORDERS = RefusalKind(110020, "Not allowed to have more than 500 active orders.")
TOO_MANY_STOPS = RefusalKind(
    110009, "The number of stop orders exceeds the maximum allowable limit")
TOO_MANY_PARTIAL_STOPS = RefusalKind(
    110061, "Not allowed to have more than 20 TP/SLs under Partial tpSlMode")
EXPECT_RISING = RefusalKind(
    110092, "expect Rising, but trigger_price[{trigger:f}] <= current[{current:f}]??{by}")
EXPECT_FALLING = RefusalKind(
    110093, "expect Falling, but trigger_price[{trigger:f}] >= current[{current:f}]??{by}")
STOP_ON_WRONG_SIDE = RefusalKind(
    10001, "{what}:{value:f} set for {side} position should be {word} than "
           "base_price:{base:f}??{by}")
BELOW_FILLED = RefusalKind(
    110064, "The modified contract quantity cannot be less than or equal to the filled quantity.")
NOTHING_TO_AMEND = RefusalKind(
    10001, "The order remains unchanged as the parameters entered match the existing ones.")
NOT_MODIFIED = RefusalKind(34040, "not modified")
LEVERAGE_NOT_MODIFIED = RefusalKind(110043, "leverage not modified")
LEVERAGE_TOO_HIGH = RefusalKind(110013, "Cannot set leverage due to risk limit level.")
LEVERAGE_NEEDS_MARGIN = RefusalKind(110012, "Insufficient available balance.")
MODE_NOT_MODIFIED = RefusalKind(110025, "Position mode is not modified")
MODE_HELD = RefusalKind(
    110024, "You have an existing position, so the position mode cannot be switched.")
MODE_ORDERS = RefusalKind(
    110028, "You have existing open orders, so the position mode cannot be switched.")
HEDGE_NOT_SUPPORTED = RefusalKind(110029, "Hedge mode is not supported for this symbol.")
NOT_FOR_UNIFIED = RefusalKind(100028, "The API cannot be accessed by unified account users.")
MARGIN_MODE_FAILED = RefusalKind(3400045, "Set margin mode failed")
NO_MARGIN_TRADING = RefusalKind(
    170037, "Cross Margin Trading not yet supported by the selected coin")
NO_POSITION = RefusalKind(10001, "can not set tp/sl/ts for zero position")
SLIPPAGE_TICKS = RefusalKind(110108, "Allowable range: 1 to 10000 tick size")
SLIPPAGE_PERCENT = RefusalKind(110109, "Allowable range: 0.01% to 10%")
# fmt: on
