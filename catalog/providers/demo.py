"""The demo market as an `Import`; `catalog.demo` has the model."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pyarrow as pa

from catalog.demo import candles, universe
from catalog.demo.candles import TickCandles, off_grid
from catalog.demo.parameters import STEPS_PER_HOUR, DemoParams
from catalog.demo.returns import Floats, PricePath, draw_factors, draw_path
from catalog.demo.universe import DemoPerp, Purpose, stream
from catalog.inference import step
from catalog.instruments import InstrumentInfo, instrument_info
from catalog.providers.base import Import
from catalog.series import BARS, FUNDING, MARKS
from config.durations import DAY_NS, HOUR_NS

_SPOT_SHARE_OF_TURNOVER = 0.3
_LOWER_WEEKENDS = 0.7
_LARGEST_ORDER_USDT = 2_000_000.0


def generate(params: DemoParams | None = None) -> Import:
    """Make a demo market: bars of 1h and 1d, marks of 1h, funding; the same bytes each time."""
    params = params or DemoParams()
    shared = draw_factors(params)
    instruments: list[InstrumentInfo] = []
    tables: dict[tuple[str, str, str], pa.Table] = {}
    for spec in universe.draw(params):
        path = draw_path(params, spec, shared)
        first, last = _lifetime(params, spec)
        rng = stream(params.seed, Purpose.PREMIUM, spec.index)
        premium = candles.premium(rng, path.log_price[::STEPS_PER_HOUR], spec.volatility)
        perp = _info(params, spec, "LINEAR")
        hours = _hours(params, spec, path, path.log_price, 1.0)
        traded = [(perp, hours)]
        alive = premium[first : last + 1]
        mark = candles.mark_candles(hours, alive, spec.funding_minutes, spec.tick_decimals)
        tables["mark", "1h", perp.id] = _table(mark, spec)
        at, rate = candles.funding_rates(alive[1:], (first + 1) % 24, spec.funding_minutes)
        tables["funding", "", perp.id] = pa.table([hours.ts[at], rate], schema=FUNDING)
        if spec.index < params.spots:
            spot = _info(params, spec, "SPOT")
            grid = np.arange(path.log_price.size) / STEPS_PER_HOUR
            lift = np.interp(grid, np.arange(premium.size), premium)
            price = path.log_price - np.log1p(lift)
            traded.append((spot, _hours(params, spec, path, price, _SPOT_SHARE_OF_TURNOVER)))
        for info, own in traded:
            instruments.append(info)
            tables["bars", "1h", info.id] = _table(own, spec)
            tables["bars", "1d", info.id] = _table(candles.daily(own), spec)
    return Import(
        source=f"demo market seed {params.seed}",
        source_venue="simulated",
        instruments=instruments,
        tables=tables,
        note=(
            "Invented prices; names of real coins are labels only. Planted: "
            f"reversal {params.reversal:g}, momentum {params.momentum:g} "
            "(catalog/demo/__init__.py has the formula). "
            f"{params.days} days, {params.perps} perps."
        ),
    )


def _lifetime(params: DemoParams, spec: DemoPerp) -> tuple[int, int]:
    last = params.hours if spec.delisted_hour is None else spec.delisted_hour
    return spec.listed_hour or 0, last


def _hours(
    params: DemoParams, spec: DemoPerp, path: PricePath, log_price: Floats, share: float
) -> TickCandles:
    first, last = _lifetime(params, spec)
    steps = slice(first * STEPS_PER_HOUR, last * STEPS_PER_HOUR + 1)
    prices = spec.price * np.exp(log_price[steps])
    opens_ns = params.start_ns + first * HOUR_NS
    plain = candles.hourly(prices, opens_ns + HOUR_NS, spec.tick_decimals)
    weekday = ((plain.ts - 1) // DAY_NS + 3) % 7
    turnover = np.where(weekday >= 5, _LOWER_WEEKENDS, 1.0) * path.excitement[first:last]
    rng = stream(params.seed, Purpose.VOLUME, 2 * spec.index + (share < 1.0))
    return candles.with_volume(
        plain, rng, turnover * (spec.turnover * share / 24.0), spec.tick_decimals, spec.lot_decimals
    )


def _table(what: TickCandles, spec: DemoPerp) -> pa.Table:
    prices = [
        off_grid(ticks, spec.tick_decimals)
        for ticks in (what.open, what.high, what.low, what.close)
    ]
    if what.volume is None or what.turnover is None:
        return pa.table([what.ts, *prices], schema=MARKS)
    traded = [off_grid(what.volume, spec.lot_decimals), off_grid(what.turnover, 2)]
    return pa.table([what.ts, *prices, *traded], schema=BARS)


def _info(params: DemoParams, spec: DemoPerp, product: str) -> InstrumentInfo:
    first, last = _lifetime(params, spec)
    half = Decimal("0.5") / Decimal(spec.leverage)
    largest = 10 ** round(np.log10(_LARGEST_ORDER_USDT / spec.price))
    return instrument_info(
        spec.symbol,
        product,
        tick=step(spec.tick_decimals),
        lot=step(spec.lot_decimals),
        max_qty=str(largest),
        max_leverage=spec.leverage,
        maintenance_margin=str(half.quantize(Decimal("0.0001"))),
        funding_minutes=spec.funding_minutes,
        listed_ns=params.start_ns + first * HOUR_NS - spec.age_days * DAY_NS,
        delisted_ns=None if spec.delisted_hour is None else params.start_ns + last * HOUR_NS,
        source="demo market",
    )
