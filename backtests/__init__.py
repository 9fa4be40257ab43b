"""Backtests: from a document and a catalog to a result folder and its report.

May import actors, strategies, catalog and config; nothing of live_nodes. The loop is visible in
``run.py``.

- ``runs/*.yaml`` the shipped backtests: add one by extending a setup of ``config/setups``
- ``session.py`` document to result folder · ``variants.py`` stressed runs, runs without guards
- ``engine/`` the simulated venue: built in ``build.py`` alone; ``feed.py`` the catalog in time
  slices; ``venue.py`` when and at what price an order fills; ``accountant.py`` the books, funding,
  delisting and liquidation (rules in ``settlement.py``); ``guard_desk.py`` guards;
  ``engine_costs.py`` the engine's two square costs, mended
- ``results/`` what a run leaves behind · ``report/`` its page
- ``studies/`` what tells luck from skill: splits, selection bias, Monte Carlo, the trial ledger
- ``optimize/`` a study's search for parameters: `perpdesk optimize`, ``studies/*.yaml``
- ``policies/`` training and judging of policies of the basis arbitrage, without the engine
- ``screening/`` the strategies' mathematics over whole panels, without the engine

A slippage model is added in ``config/documents/slippage.py``.
"""
