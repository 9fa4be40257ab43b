"""Build, start, supervise and stop one running node.

May import `reconcile`, `bybit` and `local`. `live` shows a run from start to end. `at_once` keeps
market data, and orders that answer them, out of the engine's queues. To add a start-up gate, write
a function in `preflight` and fetch its facts there.
"""
