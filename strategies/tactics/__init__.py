"""Execution tactics as pure state machines: (state, event) -> (state, actions).

`tactic` is the protocol, `execution` the document's parameters, `pricing` price and size of orders,
`maker_first` the first tactic, `release` which legs of a rebalance may be out together,
`protective` the stops and take-profits of a position (`strategies.protector` places them),
`bracket` those of a scalper. None
imports the engine: `strategies.broker` runs tactics, saves each state before its action, and
resumes it after a crash. To add one, see `tactic`. `two_leg` stands above them: it says what each
leg of a hedged pair should hold now, and how urgently; `unhedged_value` is its measure and the
guard's.
"""
