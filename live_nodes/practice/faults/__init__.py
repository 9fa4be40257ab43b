"""What the practice exchange does wrong on purpose: data, seeded, bounded and counted.

It imports the exchange's model only. A new fault is a class in `config.documents.scenario` and what
`Faults` does for it.
"""
