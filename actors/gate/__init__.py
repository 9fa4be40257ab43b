"""The order gate: checks every order of every strategy before it leaves.

`rules` is the pure check, `gate` connects it to the engine, `pending` counts open orders, and
`order_messages` converts the engine's orders. May import guards and records. To add a check, write
it in `rules` with a test at, just inside and just outside its limit.
"""
