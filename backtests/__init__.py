"""Backtests: from a document and a catalog to a result folder and its report.

May import actors, strategies, catalog and config; nothing of live_nodes. The loop is visible in
``run.py``; the engine is built in ``build.py`` alone.

- ``runs/*.yaml`` the shipped backtests: add one by extending a setup of ``config/setups``
- ``feed.py`` the catalog in time slices; ``venue.py`` when and at what price an order fills
- ``accountant.py`` funding, delisting, liquidation (rules in ``funding.py``, ``liquidation.py``);
  ``ledger.py`` the exact books
- ``slippage.py`` models by name: add one there and its document in ``config/documents.py``
- ``result.py``, ``tables.py``, ``figures.py`` what a run leaves behind; ``report/`` its page
- ``screen.py`` the strategies' mathematics over whole panels, without the engine
- ``engine_costs.py`` the engine's two square costs, mended
"""
