"""The order gate: one check in front of every order of every strategy, with no way around.

`rules` is the pure check, `gate` its shell at the engine, `pending` what passed and may still fill,
`order_messages` the engine's orders as plain data. May import guards and records. To add a check,
write it in `rules` with a test at, just inside and just outside its limit.
"""
