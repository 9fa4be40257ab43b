"""The closer: cancels and closes what strategies leave after a flatten, until all is flat.

`facts` is plain data; `steps` (what is cancelled and closed) and `news` (what is reported) are
pure; `closer` is the shell, with `forced_orders` at the engine. May import gate, guards, records.
"""
