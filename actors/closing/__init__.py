"""The closer: cancels and closes what strategies leave after a flatten, until all is flat.

`steps` is pure (facts in, commands out); `closer` is its shell. May import gate, guards, records.
"""
