"""The guards' rules: pure functions from what is seen to readings, and from these to halts.

Imports nothing of nautilus_trader. ``facts`` says what a rule is told, ``reading`` what it answers,
``rule`` what it is made of, ``params`` what every guard may be told, ``latch`` how a reading that
reached its limit becomes a halt and how that ends. To add a rule: its functions and its parameters
in a file of their own, bound as ``RULE``, a truth table just inside and just outside each limit in
``tests/actors/rules``, the thin guard that carries it in ``actors/``, and what breaches it in the
drill (``live_nodes/drill``).
"""
