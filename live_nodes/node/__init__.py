"""Build, start, supervise and stop one running node.

May import `reconcile`, `bybit` and `local`. `live` shows a run from start to end. To add a start-up
gate, write a function in `preflight` and fetch its facts there.
"""
