"""Spot against perpetual: long spot, short perpetual, when the basis pays more than it costs.

`edge` prices a quantity and the round trip, `features` is what a policy sees, `policy` acts on it,
`decide` sizes and refuses; these are pure, and the training environment uses the same. `trader`
runs them in the engine. This desk never borrows, so the reverse is not traded.
"""
