"""Published values of return measures, typed in as facts.

Source: quantopian/empyrical (Apache-2.0), empyrical/tests/test_stats.py at 40f61b4f229d. Returns in
percent, None where the source has NaN; daily factor 252. The source's drawdowns are negative.
"""

RETURNS: dict[str, list[float | None]] = {
    "mixed_returns": [None, 1, 10, -4, 2, 3, 2, 1, -10],
    "positive_returns": [1, 2, 1, 1, 1, 1, 1, 1, 1],
    "negative_returns": [0, -6, -7, -1, -9, -2, -6, -8, -5],
    "simple_benchmark": [0, 1, 0, 1, 0, 1, 0, 1, 0],
}

PERIODS = 252

ANNUAL_RETURN = {"mixed_returns": 1.9135925373194231}
ANNUAL_VOLATILITY = {"mixed_returns": 0.9136465399704637}
CALMAR = {"mixed_returns": 19.135925373194233}
SHARPE = {
    "mixed_returns": 1.7238613961706866,
    "positive_returns": 52.915026221291804,
    "negative_returns": -24.406808633910085,
}
SHARPE_OVER_BENCHMARK = {"mixed_returns": 0.34111411441060574}
SORTINO = {"mixed_returns": 2.605531251673693, "negative_returns": -13.5327430750434}
DOWNSIDE_RISK = {0.0: 0.6044832503882965, 0.1: 1.7161730681956295}
MAX_DRAWDOWN = {"mixed_returns": -0.1}
