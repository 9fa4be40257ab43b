"""Names, properties and exchange rules of the demo market's perpetuals; its random streams."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from catalog.demo.parameters import DemoParams

SECTORS = ("money", "platform", "finance", "meme", "infrastructure", "gaming")

# base coin, sector, starting price USDT, beta, idiosyncratic volatility a day, turnover USDT a day,
# highest leverage. Prices of the order of early 2023; everything else is plausible, not measured.
_KNOWN = (
    ("BTC", "money", 16500.0, 0.85, 0.011, 5.0e9, 100),
    ("ETH", "platform", 1200.0, 1.00, 0.014, 2.5e9, 100),
    ("SOL", "platform", 10.0, 1.20, 0.029, 8.0e8, 75),
    ("XRP", "money", 0.35, 0.85, 0.027, 5.0e8, 75),
    ("DOGE", "meme", 0.07, 1.05, 0.029, 4.0e8, 75),
    ("BNB", "platform", 245.0, 0.80, 0.018, 3.0e8, 50),
    ("ADA", "platform", 0.25, 1.05, 0.023, 2.0e8, 50),
    ("AVAX", "platform", 11.0, 1.20, 0.029, 1.8e8, 50),
    ("LINK", "infrastructure", 5.6, 1.05, 0.025, 1.6e8, 50),
    ("LTC", "money", 70.0, 0.90, 0.023, 1.5e8, 50),
    ("DOT", "platform", 4.3, 1.05, 0.023, 1.2e8, 50),
    ("TRX", "platform", 0.055, 0.60, 0.018, 1.0e8, 50),
    ("BCH", "money", 97.0, 0.95, 0.027, 9.0e7, 50),
    ("NEAR", "platform", 1.25, 1.20, 0.032, 8.0e7, 50),
    ("UNI", "finance", 5.2, 1.05, 0.027, 7.0e7, 50),
    ("ATOM", "platform", 9.3, 1.00, 0.024, 7.0e7, 50),
    ("FIL", "infrastructure", 3.0, 1.10, 0.029, 7.0e7, 50),
    ("ETC", "money", 15.6, 1.00, 0.025, 6.0e7, 50),
    ("AAVE", "finance", 52.0, 1.10, 0.028, 5.0e7, 50),
    ("SAND", "gaming", 0.38, 1.15, 0.031, 5.0e7, 25),
    ("AXS", "gaming", 6.1, 1.10, 0.032, 4.0e7, 25),
    ("GALA", "gaming", 0.016, 1.25, 0.038, 4.0e7, 25),
    ("GRT", "infrastructure", 0.056, 1.15, 0.034, 3.0e7, 25),
    ("COMP", "finance", 31.0, 1.00, 0.032, 2.5e7, 25),
)
# Thirteen and seven share no divisor, so that heads and tails, counted together, pair up in all 91
# ways before one repeats.
_HEADS = ("VEL", "KOR", "ZUN", "MIR", "TAV", "OBR", "QEL", "RUX", "SYL", "DOV", "FEN", "HAX", "JUM")
_TAILS = ("A", "IO", "EX", "UM", "Y", "OR", "IS")
# The contract sizes Bybit lists differ from the rule of thumb below for the most expensive coins.
_TICK_DECIMALS = {"BTC": 1, "ETH": 2}
_LOT_DECIMALS = {"BTC": 3, "ETH": 2}


@dataclass(frozen=True, kw_only=True)
class DemoPerp:
    """Properties and exchange rules of one demo perpetual."""

    index: int
    """Position in the universe; selects its random streams."""
    base: str
    sector: int
    """Index in ``SECTORS``."""
    price: float
    """Price when it starts to trade, USDT."""
    beta: float
    loading: float
    """Multiples of the market's and of its sector's log return."""
    volatility: float
    """Standard deviation of the daily idiosyncratic shock, on average over time."""
    turnover: float
    """Typical turnover, USDT a day."""
    leverage: str
    """Highest leverage; the maintenance margin is half of its inverse, as on Bybit."""
    tick_decimals: int
    lot_decimals: int
    """Decimals of the price and of the quantity (negative lots: multiples of ten)."""
    funding_minutes: int
    listed_hour: int | None
    delisted_hour: int | None
    """Hours since the window's start; ``None`` when listed before it, or still trading after it."""
    age_days: int
    """Days since listing when the window opens; 0 when listed within it."""

    @property
    def symbol(self) -> str:
        """Symbol at the exchange, such as ``BTCUSDT``."""
        return f"{self.base}USDT"


def draw(params: DemoParams) -> tuple[DemoPerp, ...]:
    """Return the perpetuals of a demo market, best known first."""
    listed, delisted = _lifetimes(params)
    return tuple(
        _spec(params, index, listed.get(index), delisted.get(index))
        for index in range(params.perps)
    )


def _spec(params: DemoParams, index: int, listed: int | None, delisted: int | None) -> DemoPerp:
    rng = stream(params.seed, Purpose.UNIVERSE, index)
    age_days = 0 if listed is not None else int(rng.integers(120, 1200))
    loading = float(rng.uniform(0.6, 1.4))
    four_hourly = bool(rng.random() < 0.25)
    known = index < len(_KNOWN)
    leverage: float
    if known:
        base, sector, price, beta, volatility, turnover, leverage = _KNOWN[index]
    else:
        base = _invented_name(index - len(_KNOWN))
        sector = SECTORS[index % len(SECTORS)]
        price = float(f"{10 ** rng.uniform(-3.0, 1.5):.4g}")
        beta = float(rng.uniform(0.75, 1.35))
        volatility = float(rng.uniform(0.025, 0.045))
        turnover = float(10 ** rng.uniform(6.3, 7.7))
        leverage = 25 if turnover > 1e7 else 12.5
    magnitude = math.floor(math.log10(price))
    return DemoPerp(
        index=index,
        base=base,
        sector=SECTORS.index(sector),
        price=price,
        beta=beta,
        loading=loading,
        volatility=volatility * params.volatility_scale,
        turnover=turnover,
        leverage=f"{leverage:g}",
        tick_decimals=_TICK_DECIMALS.get(base, max(1, 4 - magnitude)),
        lot_decimals=_LOT_DECIMALS.get(base, min(2, max(-2, magnitude + 1))),
        funding_minutes=240 if four_hourly and not known else 480,
        listed_hour=listed,
        delisted_hour=delisted,
        age_days=age_days,
    )


def _invented_name(number: int) -> str:
    rounds, place = divmod(number, len(_HEADS) * len(_TAILS))
    name = _HEADS[place % len(_HEADS)] + _TAILS[place % len(_TAILS)]
    return name if rounds == 0 else f"{name}{rounds + 1}"


def _lifetimes(params: DemoParams) -> tuple[dict[int, int], dict[int, int]]:
    rng = stream(params.seed, Purpose.LISTING)
    count = params.listings + params.delistings
    chosen = rng.permutation(np.arange(params.perps - count, params.perps))
    low, high = math.ceil(params.days * 0.15), math.floor(params.days * 0.85)
    midnight = 24 * rng.integers(low, max(high, low + 1), size=count)
    pairs = list(zip(chosen.tolist(), midnight.tolist(), strict=True))
    listed = {index: hour + 8 for index, hour in pairs[: params.listings]}
    delisted = {index: hour + 9 for index, hour in pairs[params.listings :]}
    return listed, delisted


class Purpose(IntEnum):
    """Purpose of a random stream. Never renumber: it would change every demo market."""

    UNIVERSE = 1
    MARKET = 2
    SECTOR = 3
    IDIOSYNCRATIC = 4
    PREMIUM = 5
    VOLUME = 6
    LISTING = 7
    ORDER_FLOW = 8
    ORDER_FLOW_MARKET = 9
    ORDER_FLOW_PAST = 10
    BASIS = 11


def stream(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """Return the random stream of one purpose and one instrument (or sector).

    Streams are independent, so that the number of instruments doesn't change a path.
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(int(purpose), index))
    return np.random.Generator(np.random.PCG64(sequence))
