"""Strategies that rank a universe and rebalance toward weights.

`propose` goes from candles to weights and `decide` from weights to a Decision; `execute` carries it
out; `rebalancer` is the class that a strategy derives from. May import signals, sizing, tactics.
"""
