"""Combine the weights of a blend's scorers: by sum, by majority, or by what each has earned. Pure.

Arrays are of K scorers, (K,), or of these and N instruments, (K, N).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from strategies.rebalance.config import Sleeve, Votes
from strategies.rebalance.memory import Record

Floats = NDArray[np.float64]
_ROUNDING = 1e-9


class Combined(NamedTuple):
    """Weights before caps, shape (N,), and each scorer's share in them, shape (K, N).

    ``parts`` and ``records`` are by the scorer's name, empty unless performance counts.
    """

    weight: Floats
    shares: Floats
    parts: Mapping[str, float]
    records: Mapping[str, Record]


def combine(
    votes: Votes,
    sleeves: tuple[Sleeve, ...],
    own: Floats,
    records: Mapping[str, Record],
    ids: tuple[str, ...],
    price: Floats,
) -> Combined:
    """Return the weights of a blend from the ``own`` ones of each scorer alone, shape (K, N).

    ``price`` are the last closes, NaN where there is none. By ``sum`` each scorer adds its part of
    its own weights. By ``majority`` an instrument is held on a side where the scorers that vote
    for it have more than half of the weight of all that hold it, by the sum of their shares; else
    not at all. By ``performance`` the parts are those of `earned_parts`.
    """
    names, parts = [sleeve.name for sleeve in sleeves], np.array([s.part for s in sleeves])
    known, earned = {}, {}
    if votes.by == "performance":
        known = {
            name: followed(records.get(name, Record()), ids, price, row)
            for name, row in zip(names, own, strict=True)
        }
        parts = earned_parts(parts, list(known.values()), votes.prior)
        earned = dict(zip(names, parts.tolist(), strict=True))
    each = parts.reshape(-1, *(1,) * (own.ndim - 1))
    shares = counted = each * own
    if votes.by == "majority":
        lead = (each * np.sign(own)).sum(axis=0)
        side = np.where(np.abs(lead) > _ROUNDING, np.sign(lead), 0.0)
        counted = np.where(shares * side > 0.0, shares, 0.0)
    return Combined(counted.sum(axis=0), shares, earned, known)


def followed(record: Record, ids: tuple[str, ...], price: Floats, own: Floats) -> Record:
    """Return a scorer's record with what its last weights have earned, and with its new ones.

    What has no close now can't be sold: it stays until it has one.
    """
    close = dict(zip(ids, price.tolist(), strict=True))
    earned, held = 0.0, {}
    for name, (weight, before) in record.held.items():
        if close.get(name, 0.0) > 0.0:
            earned += weight * (close[name] / before - 1.0)
        elif name in close:
            held[name] = (weight, before)
    new = zip(ids, own.tolist(), strict=True)
    held |= {name: (weight, close[name]) for name, weight in new if weight and close[name] > 0.0}
    return Record(
        count=record.count + bool(record.held),
        total=record.total + earned,
        squares=record.squares + earned * earned,
        held=held,
    )


def earned_parts(parts: Floats, records: list[Record], prior: int) -> Floats:
    """Return the parts of scorers by what they earned, shrunken to the given ``parts``; same sum.

    What was earned counts by mean over root mean square, a scorer's Sharpe ratio for a decision, of
    which losers have none. After n decisions it counts n / (n + ``prior``), the given part the
    rest; where nobody has earned, the parts stay.
    """
    count = np.array([record.count for record in records], float)
    squares = np.array([record.squares * record.count for record in records])
    total = np.array([max(record.total, 0.0) for record in records])
    ratio = parts * np.divide(total, np.sqrt(squares), out=np.zeros(parts.shape), where=squares > 0)
    if not ratio.any():
        return parts
    trust = count / (count + prior)
    mixed = (1.0 - trust) * parts + trust * ratio * (parts.sum() / ratio.sum())
    result: Floats = mixed * (parts.sum() / mixed.sum())
    return result
