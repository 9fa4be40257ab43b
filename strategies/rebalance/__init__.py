"""Strategies that rank a universe and rebalance toward weights.

`propose` goes from candles to weights, `decide` from a snapshot to a Decision, `plan` says what
must survive a crash (all pure); `execute` owns timer, waiting and orders; `rebalancer` is the
engine's side of a `config.PanelRebalancer`. May import signals, sizing, tactics and the room above.
"""
