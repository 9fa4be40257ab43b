"""The practice exchange: its market, its accounts, its ports."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from config.documents.base import DocumentName, Part, Whole
from config.documents.venue import ProductFees
from config.durations import HOUR_NS, MINUTE_NS, Moment

Port = Annotated[Whole, Field(ge=0, le=65_535)]
PracticeSymbol = Annotated[str, Field(pattern=r"^[A-Z0-9]{2,12}(USDT|USDC)$")]

SPEEDS: dict[str, int] = {"real": 1, "minute_is_hour": HOUR_NS // MINUTE_NS}
"""How many hours of the catalog pass in an hour."""


class ReplayMarket(Part):
    """A window of a catalog, moved to now by whole days."""

    model: Literal["replay"] = "replay"
    catalog: Annotated[str, Field(min_length=1)]
    """Folder of the catalog, relative to the working directory."""
    start: Moment | None = None
    """Day of the catalog that the exchange's first day stands for; null leaves a quarter of the
    catalog's window ahead. Before it lies history, and after the catalog's end trading stops."""
    pace: Literal["real", "minute_is_hour"] = "real"
    """``minute_is_hour`` lets a minute stand for an hour: the catalog's hourly candles are served
    as one-minute candles, and funding comes sixty times as often."""
    seed: Annotated[Whole, Field(ge=0)] = 0
    """Of prices inside candles, books and trades."""
    depth: Annotated[Whole, Field(ge=1, le=500)] = 50
    """Levels on each side of a book."""


class BooksMarket(Part):
    """Order books and trades of a catalog as they were, moved to now by whole minutes.

    Orders meet the recorded levels, and wait behind what they show; nobody answers them. The next
    update of a book brings back what an order took.
    """

    model: Literal["books"] = "books"
    catalog: Annotated[str, Field(min_length=1)]
    """Folder of the catalog, relative to the working directory. Instruments with books, trades and
    candles are traded."""
    start: Moment | None = None
    """Minute of the catalog that the exchange's first minute stands for; null is the first that all
    books have. After a book's end its instrument is closed."""
    depth: Annotated[Whole, Field(ge=1, le=500)] = 50
    """Levels on each side of a book."""


class RandomSymbol(Part):
    """One base coin of a random market."""

    price: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(10_000_000))]
    """About which it moves, in the quote coin."""
    tick: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(1_000))]
    """Smallest step of the price."""
    lot: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(1_000_000))]
    """Smallest step of a quantity, in the base coin."""
    products: Annotated[tuple[Literal["linear", "spot"], ...], Field(min_length=1)] = ("linear",)
    """What is traded in it."""

    @model_validator(mode="after")
    def _price_of_many_ticks(self) -> Self:
        if self.price < self.tick * 100:
            raise ValueError("price must be at least 100 ticks")
        return self


class RandomMarket(Part):
    """Prices drawn from a seed: the same at the same moment, whenever the exchange was started."""

    model: Literal["random"] = "random"
    seed: Annotated[Whole, Field(ge=0)] = 0
    symbols: Annotated[dict[PracticeSymbol, RandomSymbol], Field(min_length=1)]
    """By symbol, such as ``BTCUSDT``."""
    volatility: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(1))] = Decimal("0.03")
    """Of a day's return, a fraction."""
    funding_minutes: Annotated[Whole, Field(ge=1, le=1440)] = 480
    """Between two settlements."""
    updates_per_second: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(50_000))] | None = None
    """Book updates of all symbols together, of none more than a thousand a second; null updates
    each every ``update_ms``."""
    depth: Annotated[Whole, Field(ge=1, le=500)] = 50
    """Levels on each side of a book."""


MarketSource = Annotated[ReplayMarket | BooksMarket | RandomMarket, Field(discriminator="model")]


class PracticeAccountSettings(Part):
    """An account of the practice exchange; its key and secret follow from its name."""

    balance: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(10**12))] = Decimal(100_000)
    """USDT at the start."""
    leverage: Annotated[Decimal, Field(ge=Decimal(1), le=Decimal(100))] = Decimal(10)
    """Of every perpetual until the account sets another."""
    fees: ProductFees = ProductFees()
    """What it pays."""


class ExchangeDocument(Part):
    """An exchange on 127.0.0.1 that speaks Bybit v5."""

    kind: Literal["exchange"] = "exchange"
    name: DocumentName
    """Short name; it goes into the state file's name."""
    description: str = ""
    """A sentence for the reader."""
    market: MarketSource
    accounts: Annotated[dict[DocumentName, PracticeAccountSettings], Field(min_length=1)]
    """Accounts by name."""
    port: Port = 0
    """Of REST and WebSockets; 0 takes a free one."""
    admin_port: Port = 0
    """Of the admin's requests; 0 takes a free one."""
    update_ms: Annotated[Whole, Field(ge=20, le=60_000)] = 1_000
    """Between two updates of the market, milliseconds."""
    rate_limit_factor: Annotated[Whole, Field(ge=1, le=10_000)] = 1
    """Multiplies Bybit's limits of requests; 1 is Bybit's own, for an account without a VIP level.
    More lets a benchmark send faster than Bybit would take it."""
    faults: Annotated[str, Field(min_length=1)] | None = None
    """File of a scenario to start with, relative to the working directory."""
    idle_exit: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(8_760))] | None = Decimal(1)
    """Hours without any client after which it stops by itself; null never."""
