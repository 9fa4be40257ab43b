"""The instruments of one run, in the column order of all its arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import Instrument
from nautilus_trader.model.objects import Currency

from actors.measures import Floats
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
