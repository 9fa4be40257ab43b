"""What to trade, and how much of it.

The mathematics is pure and knows no engine: `signals` (what the past says), `sizing` (from scores
to weights to orders), `schedule` (when), `cross_section` (the way from candles to weights). `base`
and `panel_rebalancer` are the thin shells that Nautilus runs; each strategy is one file beside
them. May import `config` and below; `signals` and `sizing` import no nautilus_trader.

Behind `base` stand `hooks` (what a strategy may answer), `account`, `instruments` and `touches`
(what it sees), `verdicts` (what it is told), `orders`, `executor` and `clearing` (what it sends and
takes back) and `turns` (its timers); behind `panel_rebalancer` stand `decider` (what to do),
`patience` (when) and `undertaking` (how it goes on, by the pure `plan`).

What a strategy sends goes through `DeskStrategy.execute`, by the tactic that the document names
(`tactics`); what it must still know after a crash goes through `state`.

To add a strategy, write one file here with a class that has `Config` (frozen, ranges beside the
fields) and one YAML in `config/setups/`. One that ranks a universe derives from `PanelRebalancer`
and gives `scores`; any other derives from `DeskStrategy`.
"""
