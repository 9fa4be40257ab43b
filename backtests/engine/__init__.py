"""The simulated world: feed, venue, funding, liquidation, slippage, and the engine's factory.

Engine-specific code of backtests stands here alone. May import actors, strategies and catalog. A
slippage model is one class in `slippage`.
"""
