"""Strategies that rank a universe and rebalance toward weights.

`propose` goes from candles to weights, `decide` from a snapshot to a Decision, `plan` is the state
that must survive a crash (all pure); `execute` has timer, waiting and orders; `rebalancer` runs a
`config.PanelRebalancer` in the engine; `votes` combines the scorers of a blend. May import signals,
sizing, tactics and the room above.
"""
