"""The practice exchange: Bybit v5 on this machine, for learning, for tests and for drills.

A process of its own on 127.0.0.1 that speaks REST and WebSocket as Bybit documents them. Nothing
that trades may import it (import-linter proves it): a node knows only addresses.
"""
