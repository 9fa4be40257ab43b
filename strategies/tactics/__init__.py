"""How an order reaches the market, as pure state machines: (state, event) -> (state, actions).

`execution` holds the parameters of all tactics, `steps` the events and actions, `pricing` where an
order rests and how large it is, `maker_first` the machine, `release` which legs of a rebalance may
be out together. No engine in any of them; `strategies.broker` hosts them, saves each state before
its action leaves, and resumes it after a crash.
"""
