"""What a node of a benchmark is told."""

from __future__ import annotations

import msgspec


class Spec(msgspec.Struct, frozen=True, kw_only=True):
    """The same for ours and for the bare one.

    Parameters
    ----------
    port : int
        Of the exchange, on 127.0.0.1.
    account : str
        Whose money it is.
    signals : tuple of str
        Ids of the instruments whose books are heard.
    traded : str, optional
        Id of the instrument that is traded.
    meter : str
        File that takes the readings.
    """

    port: int
    account: str
    signals: tuple[str, ...]
    traded: str | None
    meter: str
