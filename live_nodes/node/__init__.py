"""One running node: built, started, supervised and stopped.

May import `reconcile`, `bybit` and `local`. `live` shows a run from its first question to the venue
to its last. To add a start-up gate, write a function in `preflight` and ask for its facts there.
"""
