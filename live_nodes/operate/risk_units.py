"""In which unit each guard measures, and a value in it as a trader reads it."""

from __future__ import annotations

from config.components import resolve
from config.documents.setup import Component

PERCENT = "%"
BY_KEY = {
    "pct": PERCENT,
    "currency": "USDT",
    "r": "R",
    "leverage": "x",
    "ticks": "ticks",
    "bps": "bps",
    "announced": "s",
}
"""Units that a reading's key ends with, of guards that may have several."""
BY_CLASS = {
    "DrawdownTiers": PERCENT,
    "MaxDrawdown": PERCENT,
    "SymbolLoss": PERCENT,
    "DailyLoss": PERCENT,
    "SessionProfit": PERCENT,
    "ConsecutiveLosses": "losses",
    "TradesPerDay": "trades",
    "Cooldown": "s",
    "ErrorRate": "errors",
    "SlippageBreaches": "fills",
    "Rejections": "rejections",
    "OrderRate": "refused",
    "FundingWindow": "s",
    "SpreadGate": "bps",
    "LatencyGate": "s",
    "StaleFeed": "s",
    "CrossedBook": "USDT",
    "PriceJump": PERCENT,
    "Maintenance": "",
    "Unhedged": "USDT s",
    "PositionCap": PERCENT,
    "ExposureCaps": "x",
    "AssetCaps": PERCENT,
    "ClusterCaps": PERCENT,
    "FreeMargin": PERCENT,
    "LiquidationDistance": PERCENT,
    "Correlation": "",
    "Volatility": PERCENT,
    "AccountMismatch": "differences",
}
"""Units of the guards' classes; a class of one's own has that of the class it derives from."""


def unit_of(component: Component, allow: tuple[str, ...], key: str) -> str:
    """Return the unit of a guard's reading; empty where a number has none.

    Parameters
    ----------
    component : Component
        The guard's.
    allow : tuple of str
        Packages that the document allows.
    key : str
        Of the reading.
    """
    for ending, unit in BY_KEY.items():
        if key == ending or key.endswith((f"_{ending}", f" {ending}")):
            return unit
    classes = (cls.__name__ for cls in resolve(component.use, allow).__mro__)
    return next((BY_CLASS[name] for name in classes if name in BY_CLASS), "")


def shown(value: float, unit: str) -> str:
    """Return a value with its unit.

    Examples
    --------
    >>> shown(0.0312, "%"), shown(1250.0, "USDT"), shown(3.0, "losses"), shown(0.5, "")
    ('3.12 %', '1,250.00 USDT', '3 losses', '0.5')
    """
    if unit == PERCENT:
        return f"{value * 100:.2f} %"
    if unit == "USDT":
        number = f"{value:,.2f}"
    else:
        number = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
    return f"{number} {unit}".rstrip()
