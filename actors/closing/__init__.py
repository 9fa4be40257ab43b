"""The closer: after a flatten, cancels and closes what strategies leave, until all is flat.

`facts` is plain data; `steps` (cancels and closes) and `news` (reports) are pure; `closer` and
`forced_orders` connect them to the engine. May import gate, guards, records.
"""
