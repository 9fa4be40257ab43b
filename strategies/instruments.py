"""What a strategy knows of its instruments: the exchange's rules, and since when they trade.

Engine-specific: the instruments are the engine's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.instruments import CurrencyPair, Instrument

from strategies.sizing.rounding import ZERO, Lot

if TYPE_CHECKING:
    from strategies.base import DeskStrategy


class Instruments:
    """The instruments as the engine knows them now.

    Parameters
    ----------
    strategy : DeskStrategy
        Whose engine it is.
    """

    def __init__(self, strategy: DeskStrategy) -> None:
        self._strategy = strategy
        self._lots: dict[InstrumentId, tuple[Instrument, Lot]] = {}
        self._listed: dict[str, int] = {}

    def find(self, instrument_id: InstrumentId) -> Instrument:
        """Return the instrument.

        Raises
        ------
        KeyError
            If the builder did not add it to the engine.
        """
        found = self._strategy.cache.instrument(instrument_id)
        if found is None:
            raise KeyError(f"instrument {instrument_id} is not known to the engine")
        return found

    def lot(self, instrument_id: InstrumentId) -> Lot:
        """Return what the exchange asks of an order in the instrument."""
        found = self.find(instrument_id)
        kept = self._lots.get(instrument_id)
        # The venue may change its rules while a node runs: a new instrument object is read anew.
        if kept is None or kept[0] is not found:
            kept = self._lots[instrument_id] = (found, _lot_of(found))
        return kept[1]

    def is_spot(self, instrument_id: InstrumentId) -> bool:
        """Whether the instrument is a spot pair."""
        return isinstance(self.find(instrument_id), CurrencyPair)

    def know_listings(self, listed_ns: Mapping[str, int]) -> None:
        """Take in when instruments were listed, UNIX nanoseconds (UTC) by id."""
        self._listed.update(listed_ns)

    def listed_ns(self, instrument_id: InstrumentId) -> int | None:
        """Return when the instrument was listed, UNIX nanoseconds (UTC), None when unknown."""
        known = self._listed.get(instrument_id.value)
        return known or (self.find(instrument_id).info or {}).get("listed_ns")


def _lot_of(found: Instrument) -> Lot:
    return Lot(
        step=found.size_increment.as_decimal(),
        min_quantity=ZERO if found.min_quantity is None else found.min_quantity.as_decimal(),
        min_notional=ZERO if found.min_notional is None else found.min_notional.as_decimal(),
    )
