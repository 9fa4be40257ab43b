"""Resting orders inside a candle: a table of candles and orders, worked out by hand.

Candles 0 to 2 stand still at 100. A position is bought or sold at the open of candle 1, orders rest
from the open of candle 2 on, and candle 3 is the table's. Slippage is 10 bps, the tick 0.01.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal as D
from pathlib import Path
from typing import Any

import pytest
from nautilus_trader.model.enums import OrderSide, TrailingOffsetType
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Quantity

from backtests.engine.feed import Settlement
from backtests.run import Prepared, RunOutcome, prepare, run
from backtests.variants import stress_rows
from config.documents import FixedBpsSlippage
from config.load import load
from tests.backtests.planned import write_planned
from tests.builders_engine import (
    A,
    Candles,
    Script,
    at,
    fill_times,
    play,
    price,
    scripted,
    statuses,
    trading,
    venue,
)

ID = InstrumentId.from_str(A)
PATHS = ("pessimistic", "adaptive", "open_high_low_close")
SLIPPAGE = FixedBpsSlippage(bps=D(10))
Step = Callable[[Script], Any]
Candle = tuple[float, float, float, float]


def order(kind: str, quantity: str, **terms: Any) -> Step:
    """Return a step that sends an order of the engine's factory; prices have two decimals."""
    known = {key: price(v) if isinstance(v, float | int) else v for key, v in terms.items()}
    known["reduce_only"] = terms.get("reduce_only", False)
    if "trailing_offset" in terms:
        known["trailing_offset_type"] = TrailingOffsetType.PRICE
    side = OrderSide.SELL if quantity.startswith("-") else OrderSide.BUY
    size = Quantity(abs(D(quantity)), 3)
    return lambda script: script.submit_order(
        getattr(script.order_factory, kind)(ID, side, size, **known)
    )


def stop(trigger: float, quantity: str = "-10") -> Step:
    return order("stop_market", quantity, trigger_price=trigger, reduce_only=True)


def profit(level: float, quantity: str = "-10") -> Step:
    return order("limit", quantity, price=level, reduce_only=True)


def touched(level: float) -> Step:
    return order("market_if_touched", "-10", trigger_price=level, reduce_only=True)


def played(path: str, held: str, orders: list[Step], candle: Candle, script: Script | None = None):
    """Return the fills after the entry, as (time in candles, price), and the script."""
    steps = [(at(1), trading(A, held))] if held else []
    script = script or scripted(*steps, *((at(1, 5), step) for step in orders))
    opened, high, low, close = candle
    rows = [[100.0] * 3 + [value, close] for value in (opened, close, low, high)]
    document = venue(slippage=SLIPPAGE, path=path)
    desk = play({A: Candles(*rows)}, script, document=document)
    found = [(round(float(time), 6), float(price)) for time, price in fill_times(script)]
    assert sum((f.signed for f, _ in desk.accountant.fills), D(0)) == desk.accountant.position(A)
    return found[1:] if held else found


IN, OPEN = 4.0, round(3 + 1 / 3600, 6)
"""Filled inside candle 3, 1 ns before its close, or at its open."""


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("held", "orders", "candle", "fills"),
    [
        # A stop fills at its trigger, 95 x 0.999 = 94.905 on the worse tick; a touch is enough.
        ("10", [stop(95)], (100, 101, 90, 100), [(IN, 94.90)]),
        ("10", [stop(95)], (100, 101, 95, 100), [(IN, 94.90)]),
        ("10", [stop(95)], (100, 101, 95.01, 100), []),
        ("-10", [stop(105, "10")], (100, 110, 99, 100), [(IN, 105.11)]),
        # A gap fills at the open: 93 x 0.999 = 92.907, 107 x 1.001 = 107.107.
        ("10", [stop(95)], (93, 101, 90, 100), [(OPEN, 92.90)]),
        ("-10", [stop(105, "10")], (107, 110, 99, 100), [(OPEN, 107.11)]),
        # Each of two stops fills at its own price.
        ("20", [stop(97), stop(95)], (100, 101, 90, 92), [(IN, 96.90), (IN, 94.90)]),
        # A limit fills at its price once the price has passed it; a touch is not enough.
        ("10", [profit(105)], (100, 105, 99, 100), []),
        ("10", [profit(105)], (100, 105.01, 99, 100), [(IN, 105)]),
        ("10", [profit(105)], (107, 108, 99, 100), [(OPEN, 105)]),
        ("10", [profit(105)], (105, 105, 99, 100), []),
        ("", [order("limit", "50", price=95)], (100, 101, 95, 100), []),
        ("", [order("limit", "50", price=95)], (100, 101, 94.99, 100), [(IN, 95)]),
        # A touched take-profit goes to market: 105 x 0.999 = 104.895, at a gap 107 x 0.999.
        ("10", [touched(105)], (100, 105, 99, 100), [(IN, 104.89)]),
        ("10", [touched(105)], (107, 108, 99, 100), [(OPEN, 106.89)]),
        # A breakout enters at its trigger: 105 x 1.001 = 105.105.
        ("", [order("stop_market", "5", trigger_price=105)], (100, 110, 99, 104), [(IN, 105.11)]),
        # A stop-limit slips to its limit; in a gap it waits there until the price comes back.
        (
            "10",
            [order("stop_limit", "-10", trigger_price=95, price=94.95, reduce_only=True)],
            (100, 101, 90, 91),
            [(IN, 94.95)],
        ),
        (
            "10",
            [order("stop_limit", "-10", trigger_price=95, price=94.95, reduce_only=True)],
            (91, 94.9, 90, 91),
            [],
        ),
        (
            "10",
            [order("stop_limit", "-10", trigger_price=95, price=94.95, reduce_only=True)],
            (91, 96, 90, 91),
            [(IN, 94.95)],
        ),
        # Three below the highest price; until the candle that was 100, and a candle that only falls
        # fills it at 97.
        (
            "10",
            [order("trailing_stop_market", "-10", trailing_offset=D(3), reduce_only=True)],
            (100, 100, 90, 92),
            [(IN, 96.90)],
        ),
    ],
)
def test_an_order_fills_inside_the_candle_whatever_the_path(
    path: str, held: str, orders: list[Step], candle: Candle, fills: list[tuple[float, float]]
) -> None:
    assert played(path, held, orders, candle) == fills


LOSS, GAIN, LOSS_SHORT, GAIN_SHORT = 94.90, 105.0, 105.11, 95.0


@pytest.mark.parametrize(
    ("held", "orders", "candle", "fills"),
    [
        # Both sides of a bracket: the loss; else the nearer extreme; else the high.
        ("10", [stop(95), profit(105)], (100, 106, 93, 100), (LOSS, GAIN, GAIN)),
        ("10", [stop(95), profit(105)], (100, 107, 94, 100), (LOSS, LOSS, GAIN)),
        (
            "-10",
            [stop(105, "10"), profit(95, "10")],
            (100, 106, 93, 100),
            (LOSS_SHORT, LOSS_SHORT, LOSS_SHORT),
        ),
        (
            "-10",
            [stop(105, "10"), profit(95, "10")],
            (100, 107, 94, 100),
            (LOSS_SHORT, GAIN_SHORT, LOSS_SHORT),
        ),
        # The trailing stop follows to 110 only where the high comes before the fall to 98.
        (
            "10",
            [order("trailing_stop_market", "-10", trailing_offset=D(3), reduce_only=True)],
            (100, 110, 98, 108),
            (None, None, 106.89),
        ),
    ],
)
def test_the_path_decides_between_two_sides_of_one_candle(
    held: str, orders: list[Step], candle: Candle, fills: tuple[float | None, ...]
) -> None:
    for path, fill in zip(PATHS, fills, strict=True):
        assert played(path, held, orders, candle) == ([] if fill is None else [(IN, fill)]), path


class Protecting(Script):
    """Rests a stop 5 below every price at which it buys, and a limit order that takes profit."""

    def on_event(self, event: Any) -> None:
        super().on_event(event)
        if event in self.fills and event.order_side == OrderSide.BUY:
            stop(float(event.last_px) - 5, str(event.last_qty.as_decimal() * -1))(self)
            profit(float(event.last_px) + 5, str(event.last_qty.as_decimal() * -1))(self)


def test_a_stop_on_the_fill_of_an_entry_protects_the_same_candle() -> None:
    # Inside candle 3, the limit order buys at 95 and the stop sells at 90 on the way to 85. The
    # take-profit at 100 waits for the next open.
    for path in PATHS:
        script = Protecting({at(1, 5): order("limit", "10", price=95)})
        found = played(path, "", [], (100, 103, 85, 102), script)
        assert found == [(IN, 95), (IN, 89.91)], path
    # A market entry at the open of candle 3: its stop rests from then on.
    limited = Protecting({at(3): trading(A, "10")})
    assert played("pessimistic", "", [], (100, 110, 90, 102), limited) == [
        (OPEN, 100.10),
        (IN, 95.00),
    ]


def test_a_limit_is_passed_by_a_whole_tick() -> None:
    class Close(Script):
        def on_event(self, event: Any) -> None:
            super().on_event(event)
            if event in self.fills and event.order_side == OrderSide.BUY:
                stop(94.95)(self)

    # The price after 95.00 is 94.95, not 94.99: a stop there comes too late.
    script = Close({at(1, 5): order("limit", "10", price=95)})
    tape = Candles(*([100.0] * 3 + [value] for value in (100.0, 100.0, 90.0, 100.0)))
    desk = play({A: tape}, script, facts={A: {"tick": "0.05"}})
    assert statuses(desk) == ["FILLED", "REJECTED"]


def test_a_run_with_resting_orders_names_its_path_and_stresses_the_others(tmp_path: Path) -> None:
    closes = {A: [100, 100, 90, *[110] * 21]}
    file = write_planned(tmp_path, closes, [(1, A, "10")], {})

    def outcome(*changes: str) -> tuple[Prepared, RunOutcome]:
        made = prepare(load(file, changes).document)
        return made, run(made)

    made, plain = outcome()
    assert "path" not in plain.how_filled
    assert "path adaptive" not in {row["name"] for row in stress_rows(made, plain)}
    made, stopped = outcome("strategies.plan.use=tests.backtests.planned:Stopped")
    assert [row["price"] for row in stopped.tables["fills"].to_pylist()] == ["100", "95"]
    assert stopped.ending_equity == 950
    assert stopped.how_filled["path"] == "pessimistic"
    assert "on the path pessimistic" in stopped.how_filled["words"]
    rows = {row["name"]: row for row in stress_rows(made, stopped)}
    assert rows["path adaptive"]["net_profit"] == -50
    assert "path open_high_low_close" in rows
    _, at_close = outcome(
        "strategies.plan.use=tests.backtests.planned:Stopped", "venue.fills=signal_close"
    )
    assert any("use next_open" in words for words in at_close.warnings)


def test_margin_and_funding_see_what_the_path_has_left() -> None:
    """400 of 100 on 10,000 are liquidated below 75.4; funding is settled at the candle's close."""
    due = [Settlement(at(4), A, D("0.01"), D(100))]
    for path, rest, funding, liquidated in (
        ("pessimistic", stop(90, "-400"), 0, False),
        ("pessimistic", profit(120, "-400"), 0, True),
        ("open_high_low_close", profit(120, "-400"), 0, False),
        ("pessimistic", stop(60, "-400"), 0, True),
        ("pessimistic", profit(130, "-400"), 0, True),
        ("pessimistic", stop(60, "-40"), -40, False),
    ):
        script = scripted((at(1), trading(A, "40" if funding else "400")), (at(1, 5), rest))
        tape = Candles(*([100.0] * 3 + [value, 100.0] for value in (100, 100, 70, 125)))
        desk = play({A: tape}, script, document=venue(path=path), settlements=due)
        assert (desk.accountant.liquidated_at == at(4)) == liquidated, (path, rest)
        assert desk.accountant.ledger.funding == funding
