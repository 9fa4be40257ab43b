"""Live trading nodes: the same setup as a backtest's, launched through Nautilus's Bybit adapter.

May import everything below: backtests, actors, strategies, catalog, config. The nodes' documents
(``nodes/*.yaml``) are validated today; launching them comes with the practice exchange.
"""
