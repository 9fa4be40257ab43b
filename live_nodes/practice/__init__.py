"""The practice exchange: Bybit v5 on this machine, for learning, tests and drills.

Trading code may not import it (import-linter checks this); a node knows only its addresses.
"""
