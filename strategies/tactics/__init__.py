"""How an order reaches the market, as pure state machines: (state, event) -> (state, actions).

`tactic` is the protocol (events, actions, `Tactic`), `execution` the document's parameters,
`pricing` where an order rests and how large it is, `maker_first` the first tactic, `release` which
legs of a rebalance may be out together. No engine in any of them; `strategies.broker` hosts
tactics, saves each state before its action leaves, and resumes it after a crash. To add one, see
`tactic`.
"""
