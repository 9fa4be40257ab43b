"""From scores to weights (`weights`, `book`) and to orders that the exchange accepts (`rounding`).

Pure functions; weights are floats and fractions of equity, quantities are Decimal base coin. Add
one rule as one file, with a table of hand-made numbers in `tests/strategies`.
"""

from typing import Literal

Side = Literal["long_short", "long_only", "by_sign"]
Weighting = Literal["equal", "inverse_volatility", "risk_parity", "rank", "zscore", "risk"]
VolatilityEstimator = Literal["sample", "ewma", "parkinson", "garman_klass"]
