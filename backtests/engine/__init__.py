"""The simulated venue of backtests: feed, fills, funding, liquidation, slippage, engine factory.

Engine-specific code of backtests stands here alone. May import actors, strategies and catalog.

A slippage model is one class in `config.documents.slippage`: documents name it without an address,
so it can't stand in a package of one's own.
"""
