"""The demo market: invented prices with known, planted effects.

Every instrument's log return over day ``t`` is::

    r[t] = beta * market[t] + loading * sector[t] + u[t]
    u[t] = drift[t] + shock[t]
    drift[t] = -reversal * u[t-1] + momentum * mean(u[t-2], ..., u[t-21])

The shocks have mean zero, heavy tails and clustered volatility. ``drift`` is known before the day
begins, and one 24th comes each hour: a decision at 00:05 that fills at 01:00 still earns 23 of 24
parts. Nothing else but the market's constant drift can be predicted. ``reversal`` and ``momentum``
are regression slopes: regress the daily log returns, without the factors, on yesterday's and on the
mean of the twenty before.

Sharpe ratios with the default parameters over 40 seeds (mean and standard deviation; after 0.055 %
taker fees and funding, without slippage; filled at 01:00, long one fifth and short another, equal
weights, rebalanced daily): reversal on one day 2.1 +- 0.7 with a turnover of 1.6 a day, momentum on
20 days 2.0 +- 0.7 with 0.4 a day. The default seed has 2.0 and 1.2. With nothing planted the fees
leave -1.9 and -0.4. Slippage of 0.05 % an order leaves the reversal 0.5. Momentum on a week loses,
because yesterday, which reverts, is a seventh of it.

May import: config, ``catalog.instruments``, numpy; ``basis.py`` also what its import is made of. To
add an effect, add it to ``returns.recursion`` and to the parameters, and extend the regression in
``tests/catalog/test_demo_market.py``.
"""
