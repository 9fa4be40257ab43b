"""Seeded randomness: one independent stream for each purpose and instrument."""

from __future__ import annotations

from enum import IntEnum

import numpy as np


class Purpose(IntEnum):
    """What a stream is drawn for. Never renumber: it would change every demo market."""

    UNIVERSE = 1
    MARKET = 2
    SECTOR = 3
    IDIOSYNCRATIC = 4
    PREMIUM = 5
    VOLUME = 6
    LISTING = 7


def stream(seed: int, purpose: Purpose, index: int = 0) -> np.random.Generator:
    """Return the stream of one purpose and one instrument (or sector).

    Streams are independent, so that one instrument's path does not depend on how many others exist.
    """
    sequence = np.random.SeedSequence(entropy=seed, spawn_key=(int(purpose), index))
    return np.random.Generator(np.random.PCG64(sequence))
