"""Which changes are worth their cost."""

from __future__ import annotations


def outside_band(current: float, target: float, band: float) -> bool:
    """Whether to trade from the current to the target weight.

    Parameters
    ----------
    current, target : float
        Weights, signed fractions of equity.
    band : float
        Smallest change worth an order, fraction of equity.

    Returns
    -------
    bool
        False when the change is smaller than the band. A way out (target zero) is always taken, so
        that no remainder of a position stays for ever.
    """
    if target == 0.0:
        return current != 0.0
    return current != target and abs(target - current) >= band
