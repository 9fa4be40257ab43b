"""The instruments of one run, in the column order of all its arrays; their exact closes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

import msgspec
import numpy as np
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Currency

from actors.measures import Floats, Integers
from catalog.engine import to_nautilus
from catalog.instruments import ACCOUNT_COIN, InstrumentInfo
from config.documents import Venue


@dataclass(frozen=True)
class RunMarket:
    """N instruments, sorted by id: the engine's objects and the accountant's facts.

    The place in ``ids`` is the column. ``maintenance_rate`` and ``taker_fee`` have shape (N,) and
    are fractions of the notional. ``currency`` is the settlement currency of all.
    """

    ids: tuple[str, ...]
    column: dict[str, int]
    infos: tuple[InstrumentInfo, ...]
    instruments: tuple[Instrument, ...]
    instrument_ids: tuple[InstrumentId, ...]
    maintenance_rate: Floats
    taker_fee: Floats
    currency: Currency


def market_of(
    infos: list[InstrumentInfo], venue: Venue, stored: Mapping[str, InstrumentInfo] | None = None
) -> RunMarket:
    """Build the market with the document's fees; ``stored`` are the catalog's facts by id."""
    infos = sorted(infos, key=lambda info: info.id)
    fees = [venue.fees.spot if i.product == "SPOT" else venue.fees.linear for i in infos]
    instruments = tuple(
        to_nautilus(info, fee.maker, fee.taker, (stored or {}).get(info.id))
        for info, fee in zip(infos, fees, strict=True)
    )
    return RunMarket(
        ids=tuple(info.id for info in infos),
        column={info.id: place for place, info in enumerate(infos)},
        infos=tuple(infos),
        instruments=instruments,
        instrument_ids=tuple(instrument.id for instrument in instruments),
        maintenance_rate=np.array([float(Decimal(i.maintenance_margin)) for i in infos]),
        taker_fee=np.array([float(fee.taker) for fee in fees]),
        currency=Currency.from_str(ACCOUNT_COIN),
    )


SAFE = 1e15
"""Below this, a float64 determines every digit of a whole number, wherever its decimal point is."""


def exact_closes(values: Floats, columns: Sequence[int] | Integers) -> list[Decimal | None]:
    """Return the digits of some columns of closes (N,), None where NaN: as `repr`, but faster."""
    texts = msgspec.json.encode(values[columns].tolist()).decode()[1:-1].split(",")
    if "null" in texts:
        return [None if text == "null" else Decimal(text) for text in texts]
    return list(map(Decimal, texts)) if len(columns) else []


def whole_closes(close: Floats, decimals: Integers) -> Integers | None:
    """Return closes (T, N) as whole numbers of 10 ** -decimals (N,), 0 for NaN.

    None where a close has more decimals.
    """
    known, scale = np.nan_to_num(close), 10.0**decimals
    whole = np.rint(known * scale)
    is_exact = np.all(whole < SAFE) and np.all(whole / scale == known)
    return whole.astype(np.int64) if is_exact else None
