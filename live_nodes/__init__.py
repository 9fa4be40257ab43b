"""Live trading nodes: the same setup as a backtest's, launched through Nautilus's Bybit adapter.

May import everything below: backtests, actors, strategies, catalog, config. Rooms, the upper import
the lower: `dashboard` (pages in a browser) > `reports` (what a node did) > `operate` (commands) >
`drill` > `node` (one running node; read `node/live.py` first) > `reconcile` (our books against the
venue's) > `bybit` (adapter, links, REST) > `deploy` (releases of a node) > `records` (audit chain,
mirror, backup) > `local` (files of this machine). `install` makes services of this machine.
`practice` is an exchange of our own that speaks Bybit v5: trading code never imports it, it is
another process.

To add a node, write a document in ``nodes/``; a start-up gate, a function in `node.preflight`; a
watch, a verdict in `node.watch_rules` and a policy in ``config/documents/watch.py``; a command, a
function in `operate.commands`.
"""
