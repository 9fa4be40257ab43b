"""The practice exchange: Bybit v5 on this machine, for learning, tests and drills.

It runs as its own process on 127.0.0.1 and speaks REST and WebSocket as Bybit documents them.
Trading code may not import it (import-linter checks this); a node knows only its addresses.
"""
