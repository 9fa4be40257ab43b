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

One idea a file: ``parameters`` (what can be chosen), ``universe`` (names and exchange rules),
``volatility`` (clusters and the hour of the day), ``factors`` (market and sectors), ``planted``
(the recursion above), ``paths`` (five-minute prices of one instrument), ``candles`` (hours and
days on ticks), ``funding`` (premium, mark, funding), ``streams`` (seeded randomness).
``catalog.providers.demo`` puts them together. May import: config, ``catalog.instruments``, numpy.
To add an effect, add it to ``planted`` and to its parameters, and extend the regression in
``tests/catalog/test_demo_market.py`` that finds it again.
"""
