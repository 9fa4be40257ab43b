"""The simulated venue of backtests: feed, fills, funding, liquidation, slippage, engine factory.

Engine-specific code of backtests stands here alone. May import actors, strategies and catalog. A
slippage model is one class in `slippage`.
"""
