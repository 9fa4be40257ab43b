"""Bybit's refusals by name: codes and words of https://bybit-exchange.github.io/docs/v5/error.

Where Bybit has one code for derivatives and another for spot, the category decides.
"""

from __future__ import annotations

from decimal import Decimal

from live_nodes.practice.exchange.model import Refusal


def parameter(message: str) -> Refusal:
    """Make 10001: a parameter is missing or wrong."""
    return Refusal(10001, message)


def unknown_symbol(category: str) -> Refusal:
    """Make 10001 or 170121."""
    if category == "spot":
        return Refusal(170121, "Invalid symbol.")
    return Refusal(10001, "params error: symbol invalid")


def no_order(category: str) -> Refusal:
    """Make 110001 or 170213: there is no such open order."""
    if category == "spot":
        return Refusal(170213, "Order does not exist.")
    return Refusal(110001, "order not exists or too late to cancel")


def no_order_to_amend(category: str) -> Refusal:
    """Make 110001 or 170213: there is no such open order (derivatives word it their own way)."""
    if category == "spot":
        return Refusal(170213, "Order does not exist.")
    return Refusal(110001, "order not exists or too late to replace")


def duplicate_link(category: str) -> Refusal:
    """Make 110072 or 170141."""
    if category == "spot":
        return Refusal(170141, "Duplicate clientOrderId.")
    return Refusal(110072, "OrderLinkedID is duplicate")


def not_enough(category: str) -> Refusal:
    """Make 110007 or 170131: the balance does not pay for the order."""
    if category == "spot":
        return Refusal(170131, "Insufficient balance.")
    return Refusal(110007, "ab not enough for new order")


def no_position_to_reduce() -> Refusal:
    """Make 110017: a reduce-only order with nothing to reduce."""
    return Refusal(110017, "current position is zero, cannot fix reduce-only order qty")


def wrong_side_to_reduce() -> Refusal:
    """Make 110017: a reduce-only order on the position's own side."""
    return Refusal(110017, "Reduce-only rule not satisfied")


def price_out_of_range(category: str, buy: bool, bound: Decimal) -> Refusal:
    """Make 110003, 170193 or 170194: too far through the market."""
    if category == "spot":
        if buy:
            return Refusal(170193, f"Buy order price cannot be higher than {bound:f}USDT.")
        return Refusal(170194, f"Sell order price cannot be lower than {bound:f}USDT.")
    return Refusal(110003, "Order price exceeds the allowable range.")


def price_precision(category: str) -> Refusal:
    """Make 10001 or 170134: the price is no multiple of the tick."""
    if category == "spot":
        return Refusal(170134, "Order price has too many decimals.")
    return Refusal(10001, "params error: price invalid")


def qty_precision(category: str) -> Refusal:
    """Make 10001 or 170137: the quantity is no multiple of the lot."""
    if category == "spot":
        return Refusal(170137, "Order quantity has too many decimals.")
    return Refusal(10001, "Qty invalid")


def amount_precision() -> Refusal:
    """Make 170148: a spot market order by value with too many decimals."""
    return Refusal(170148, "Market order amount decimal too long.")


def qty_too_small(category: str) -> Refusal:
    """Make 10001 or 170136."""
    if category == "spot":
        return Refusal(170136, "Order quantity lower than the minimum.")
    return Refusal(10001, "The number of contracts exceeds minimum limit allowed")


def qty_too_large(category: str) -> Refusal:
    """Make 10001 or 170135."""
    if category == "spot":
        return Refusal(170135, "Order quantity too large.")
    return Refusal(10001, "The number of contracts exceeds maximum limit allowed")


def notional_too_small(category: str, least: Decimal, coin: str) -> Refusal:
    """Make 110094 or 170140."""
    if category == "spot":
        return Refusal(170140, "Order value exceeded lower limit.")
    return Refusal(110094, f"Order does not meet minimum order value {least:f}{coin}")


def not_trading(category: str) -> Refusal:
    """Make 110066 or 170157: the market is halted."""
    if category == "spot":
        return Refusal(170157, "The trading pair is not available for api trading.")
    return Refusal(110066, "Trading is currently not allowed.")


def not_live(category: str) -> Refusal:
    """Make 110074 or 170151: not listed yet, or delisted."""
    if category == "spot":
        return Refusal(170151, "The trading pair is not open yet.")
    return Refusal(110074, "This contract is not live")


def delisting() -> Refusal:
    """Make 30228: only reducing is allowed."""
    return Refusal(30228, "No new positions during delisting")


def too_many_orders() -> Refusal:
    """Make 110020."""
    return Refusal(110020, "Not allowed to have more than 500 active orders.")


def too_many_stops() -> Refusal:
    """Make 110009."""
    return Refusal(110009, "The number of stop orders exceeds the maximum allowable limit")


def too_many_partial_stops() -> Refusal:
    """Make 110061."""
    return Refusal(110061, "Not allowed to have more than 20 TP/SLs under Partial tpSlMode")


def expect_rising(trigger: Decimal, current: Decimal, by: str) -> Refusal:
    """Make 110092: the trigger is not above the price."""
    return Refusal(
        110092, f"expect Rising, but trigger_price[{trigger:f}] <= current[{current:f}]??{by}"
    )


def expect_falling(trigger: Decimal, current: Decimal, by: str) -> Refusal:
    """Make 110093: the trigger is not below the price."""
    return Refusal(
        110093, f"expect Falling, but trigger_price[{trigger:f}] >= current[{current:f}]??{by}"
    )


def stop_on_wrong_side(
    what: str, value: Decimal, side: str, higher: bool, base: Decimal, by: str
) -> Refusal:
    """Make 10001: a take-profit or stop-loss on the wrong side of the price."""
    word = "higher" if higher else "lower"
    return Refusal(
        10001,
        f"{what}:{value:f} set for {side} position should be {word} than base_price:{base:f}??{by}",
    )


def below_filled() -> Refusal:
    """Make 110064: an amendment to no more than what has filled."""
    return Refusal(
        110064,
        "The modified contract quantity cannot be less than or equal to the filled quantity.",
    )


def nothing_to_amend() -> Refusal:
    """Make 10001: the amendment changes nothing."""
    return Refusal(10001, "The order remains unchanged as the parameters entered match the "
                          "existing ones.")  # fmt: skip


def not_modified() -> Refusal:
    """Make 34040: the take-profit or stop-loss is so already."""
    return Refusal(34040, "not modified")


def leverage_not_modified() -> Refusal:
    """Make 110043."""
    return Refusal(110043, "leverage not modified")


def leverage_too_high() -> Refusal:
    """Make 110013."""
    return Refusal(110013, "Cannot set leverage due to risk limit level.")


def leverage_needs_margin() -> Refusal:
    """Make 110012: lowering it would take more margin than there is."""
    return Refusal(110012, "Insufficient available balance.")


def mode_not_modified() -> Refusal:
    """Make 110025."""
    return Refusal(110025, "Position mode is not modified")


def hedge_not_supported() -> Refusal:
    """Make 110029: this exchange has one-way mode only."""
    return Refusal(110029, "Hedge mode is not supported for this symbol.")


def margin_mode_failed() -> Refusal:
    """Make 3400045: this exchange has cross margin only."""
    return Refusal(3400045, "Set margin mode failed")


def no_margin_trading() -> Refusal:
    """Make 170037: spot does not borrow here."""
    return Refusal(170037, "Cross Margin Trading not yet supported by the selected coin")


def no_position() -> Refusal:
    """Make 10001: a stop for a position that is not there."""
    return Refusal(10001, "can not set tp/sl/ts for zero position")


def slippage_ticks() -> Refusal:
    """Make 110108."""
    return Refusal(110108, "Allowable range: 1 to 10000 tick size")


def slippage_percent() -> Refusal:
    """Make 110109."""
    return Refusal(110109, "Allowable range: 0.01% to 10%")
