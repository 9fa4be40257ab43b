"""What to trade, and how much of it. May import `config` and below.

To add a strategy, write one file here with a class that has `Config` (frozen, ranges beside the
fields) and one YAML. One that ranks a universe derives from `rebalance.config.PanelRebalancer` and
gives two pure functions. Any other derives from `base.DeskStrategy`; all it needs is on this page.

**Override** (each has a default; `hooks` documents them all): ``on_start`` (call super first, then
subscribe), Nautilus's ``on_bar``, ``on_quote_tick``, … (of quotes and books call super as well),
``history_needed`` and ``warm_up`` (candles from before the start), ``on_order_ended`` (one of its
orders was filled, cancelled or refused), ``on_executed`` (a tactic ended), ``on_verdict``.

**See**: ``self.market`` has instruments, lots, best prices, prices, equity and holdings; the common
ones are methods of the strategy too (``equity()``, ``holding(id)``, ``holdings()``). Quantities are
signed base coin as Decimal; times are UNIX nanoseconds (UTC). ``self.verdicts`` says what the
guards ask (``strictest``, ``on(instrument)``): the order gate refuses entries against it anyway.

**Size**: ``equity() * weight / price``, rounded down to ``market.lot(id).step``, and nothing below
``min_quantity`` or ``min_notional``; `sizing.rounding.size_order` does that with caps.

**Send**: ``execute(id, quantity, reason)`` trades a signed quantity by the tactic that the document
names; ``send_market`` always at market. What can only shrink a position is sent reduce-only. While
``busy``, something of it is under way; ``when_clear(then, or_else=…)`` cancels that, then goes on
once it is gone.

**Exits** are the same with the opposite sign: ``execute(id, -holding(id), reason)``. When a guard
says flatten, ``on_flatten`` cancels and closes by itself.

**Stops**: ``place_stop(id, trigger)`` rests a reduce-only stop-market order for the whole position
at the venue, once the position is there (in ``on_order_ended``). Called again, it moves the stop:
the old one goes after the new one is accepted. It survives rebalances and stops of the node, makes
nobody busy, and is withdrawn when the position is closed. On candles it is judged at each print.

**Tactics** of your own: write one after the protocol in `tactics.tactic`, register it by
``broker.host(tactic, rules)`` in the constructor, and begin with ``broker.start(id, quantity,
reason, tactic=name)``. It may have several orders out, and its state survives a crash.

Inside: `market_view`, `order_sender`, `broker` and `verdict_follower` know the engine, not the
strategy; `base` wires them. `signals`, `sizing`, `tactics` and `refusals` are pure. What must
survive a crash goes through `state`.
"""
