"""The demo market: invented prices with known, planted effects.

Every instrument's log return over day ``t`` is::

    r[t] = beta * market[t] + loading * sector[t] + u[t]
    u[t] = drift[t] + shock[t]
    drift[t] = -reversal * u[t-1] + momentum * mean(u[t-2], ..., u[t-21])

The shocks have mean zero whatever came before: heavy-tailed, volatility in clusters. ``drift`` is
known before the day begins and flows evenly, one 24th an hour, so that a decision at 00:05 that
fills at 01:00 still has 23 of 24 parts ahead of it. Market and sector returns are unpredictable but
for the market's constant drift. ``reversal`` and ``momentum`` thus are regression slopes: regress
the daily log returns, cleared of the factors, on yesterday's and on the mean of the twenty before.

What that is worth with the default parameters, over 40 seeds (mean and standard deviation of the
Sharpe ratio after 0.055 % taker fees and funding, without slippage; filled at 01:00, long one fifth
and short another, equal weights, rebalanced daily): reversal on one day 2.1 +- 0.7 with a turnover
of 1.6 a day, momentum on 20 days 2.0 +- 0.7 with 0.4 a day. The default seed has 2.0 and 1.2. With
nothing planted the two make -1.9 and -0.4: their fees. Slippage of 0.05 % an order leaves the
reversal 0.5. Momentum on a week loses: yesterday, which reverts, is a seventh of it.

``parameters`` is what can be chosen, ``universe`` names, exchange rules and random streams,
``returns`` volatility, factors, the recursion above, price paths, and what was planted day by day
(`truth`), to hold against what was earned; ``candles`` hours and days on ticks, the mark price and
funding. ``catalog.providers.demo`` puts them together. May import: config, ``catalog.instruments``,
numpy. To add an effect, add it to ``returns.recursion`` and to the parameters, and extend the
regression in ``tests/catalog/test_demo_market.py`` that finds it again.
"""
