"""Best prices or levels of a stored order book after each message, without the engine."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numba import njit
from numpy.typing import NDArray

from catalog.series import BOOK, SNAPSHOT

Floats = NDArray[np.float64]


class Tops(NamedTuple):
    """Best prices after each message; NaN where a side is empty, or no snapshot came yet."""

    ts: NDArray[np.int64]
    bid: Floats
    ask: Floats


class Levels(NamedTuple):
    """Best levels after each message, arrays of shape (messages, count, 2): price and size.

    The best comes first. Where there is no level the price is NaN and the size 0.
    """

    ts: NDArray[np.int64]
    bids: Floats
    asks: Floats


class StoredBook:
    """An order book that is replayed from stored rows, slice by slice.

    Slices hold whole messages, in order. Before the first snapshot the book is not known.
    """

    def __init__(self) -> None:
        self.known = False
        self._prices: Floats = np.zeros(0)
        self._sizes: Floats = np.zeros((2, 0))

    def replay(self, rows: pa.Table) -> Tops:
        """Apply the next rows."""
        ts, bids, asks = self.levels(rows, 1)
        return Tops(ts, bids[:, 0, 0], asks[:, 0, 0])

    def levels(self, rows: pa.Table, count: int) -> Levels:
        """Apply the next rows; return so many levels of each side after each message."""
        ts, seq = rows.column("ts").to_numpy(), rows.column("seq").to_numpy()
        whole = (rows.column("flags").to_numpy() & SNAPSHOT) != 0
        begins = np.r_[True, (np.diff(ts) != 0) | (np.diff(seq) != 0)]
        ends = np.r_[np.flatnonzero(begins)[1:], len(ts)] - 1
        prices = rows.column("price").to_numpy()
        levels, rank = np.unique(np.concatenate([self._prices, prices]), return_inverse=True)
        sizes = np.zeros((2, len(levels)))
        sizes[:, rank[: len(self._prices)]] = self._sizes
        side = np.where(rows.column("side").to_numpy() > 0, 0, 1)
        clears = begins & whole
        changed, size = rank[len(self._prices) :], rows.column("size").to_numpy()
        shown = np.zeros((2, len(ends), count, 2))
        ranks = _replay(clears, side, changed, size, ends, sizes, shown)
        shown[..., 0] = np.where(ranks < 0, np.nan, levels[ranks])
        if not self.known:
            unknown = int(np.argmax(clears)) if clears.any() else len(ts)
            shown[:, ends < unknown] = np.nan, 0.0
            self.known = bool(clears.any())
        kept = (sizes > 0).any(axis=0)
        self._prices, self._sizes = levels[kept], sizes[:, kept]
        return Levels(ts[ends], shown[0], shown[1])

    def snapshot(self, ts: int, seq: int) -> pa.Table:
        """Return all levels as one snapshot message, bids from the best down, asks from it up."""
        bids, asks = (np.flatnonzero(own > 0) for own in self._sizes)
        chosen = np.r_[bids[::-1], asks]
        count = len(chosen)
        side = np.r_[np.full(len(bids), 1, np.int8), np.full(len(asks), -1, np.int8)]
        sizes = np.r_[self._sizes[0][bids[::-1]], self._sizes[1][asks]]
        flags = np.full(count, SNAPSHOT, np.int8)
        stamps, ids = np.full(count, ts), np.full(count, seq)
        columns = [stamps, ids, stamps, flags, side, self._prices[chosen], sizes]
        return pa.table(columns, schema=BOOK)


@njit(cache=True)
def _replay(clears, side, rank, size, ends, sizes, shown):
    """Apply rows to ``sizes`` by side and price; return ranks of levels after each message.

    Their sizes go into ``shown``.
    """
    count, wanted = sizes.shape[1], shown.shape[2]
    ranks = np.full((2, len(ends), wanted), -1)
    bid, ask = -1, count
    for level in range(count):
        if sizes[0, level] > 0.0:
            bid = level
        if sizes[1, level] > 0.0 and ask == count:
            ask = level
    low, high = 0, count
    message = 0
    for row in range(len(rank)):
        if clears[row]:
            sizes[:, low:high] = 0.0
            bid, ask, low, high = -1, count, count, 0
        level = rank[row]
        low, high = min(low, level), max(high, level + 1)
        sizes[side[row], level] = size[row]
        if side[row] == 0:
            if size[row] > 0.0:
                bid = max(bid, level)
            while bid >= 0 and sizes[0, bid] == 0.0:
                bid -= 1
        else:
            if size[row] > 0.0:
                ask = min(ask, level)
            while ask < count and sizes[1, ask] == 0.0:
                ask += 1
        if row == ends[message]:
            for own, first, way in ((0, bid, -1), (1, ask, 1)):
                level, found = first, 0
                while found < wanted and 0 <= level < count:
                    if sizes[own, level] > 0.0:
                        ranks[own, message, found] = level
                        shown[own, message, found, 1] = sizes[own, level]
                        found += 1
                    level += way
            message += 1
    return ranks
