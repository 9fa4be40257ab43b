"""Trading strategies: what to trade, and how much. May import `config` and below.

To add a strategy, write one file here with a class that has `Config` (frozen, ranges beside the
fields) and one YAML. One that ranks a universe derives from `rebalance.config.PanelRebalancer` and
gives two pure functions; the arrays that it gets are shared and read-only: change a copy, such as
``window.close.copy()``. Any other derives from `base.DeskStrategy`, or from its class that keeps
candles, `candles.CandleStrategy`; all it needs is on this page.

**Override** (each has a default; `hooks` documents them all): ``on_start`` (call super first, then
subscribe), Nautilus's ``on_bar``, ``on_quote_tick``, … (for quotes and books call super as well);
after ``market.want_levels()`` and ``market.watch(id)``, ``on_order_book_deltas`` comes with each
change of the book, live and in a backtest on books, and may send orders at once
(``market.event_age_ns(id)``: how old it is; ``market.levels_after(deltas, count)``: its levels,
fastest in a backtest where ``levels_needed`` returns the count);
``history_needed`` and ``warm_up`` (candles from before the start), ``on_order_ended`` (one of its
orders was filled, cancelled or refused), ``on_executed`` (a tactic ended), ``on_verdict``.

**See**: ``self.market`` (`market_view.MarketView`) has ``newest_price(id)`` (mid, else mark, else
last), ``last_price(id)`` (the one that values positions), ``top_of_book(id)`` (``bid``, ``ask``,
``mid``), ``levels(id, count)``, ``depth(id, bps)``, ``trades(id, count)``, ``lot(id)``,
``entry_price(id)``, ``free_cash()``; prices and books are None or empty before the first. Best
prices need ``market.watch(id)``, trades ``market.watch_trades(id)``. Methods of the strategy itself
are ``equity()``, ``holding(id)``, ``holdings()``, ``instrument(id)``. The last price is of the
newest trade or candle: in ``on_bar`` the bar's close, for instruments whose bar of that time comes
next still the one before. Quantities are signed base coin as Decimal; times are UNIX nanoseconds
(UTC). ``self.verdicts`` has the guards' verdicts (``strictest``, ``on(instrument)``,
``halts(instrument)``): the order gate refuses entries against them anyway.

**Size**: ``equity() * weight / price``, rounded down to ``market.lot(id).step``, and nothing below
``min_quantity`` or ``min_notional``; `sizing.rounding.size_order` does that with caps. Less than a
lot is a ValueError.

**Send**: ``execute(id, quantity, reason)`` trades a signed quantity by the tactic that the document
names; ``send_market`` always at market; ``send(order)`` an order from ``order_factory`` with
``client_order_id=self.next_order_id()``. What can only shrink a position is sent reduce-only. While
``busy``, orders are under way; ``when_clear(then, or_else=…)`` cancels them and calls ``then`` once
they are gone.

**Shrink**: size as if there were no verdicts. While guards demand ``shrink``, what is sent in these
ways is made smaller, which results and journals have as a decision of kind ``shrink``: an entry
leads to ``multiplier`` times the position that it would lead to, in whole lots. Where as much is
held it is not sent, and ends a second later as a refused one does. Exits stay whole.
A position that grows step by step stays below ``multiplier / (1 - multiplier)`` steps.
``verdicts.shrunk(id, quantity)`` is what would be left. A class with ``sizes_by_verdicts = True``,
as the strategies here, does it itself. Nautilus's own ``submit_order`` passes this by.

**Exits** are the same with the opposite sign: ``execute(id, -holding(id), reason)``. When a guard
demands ``FLATTEN``, ``on_flatten`` cancels and closes by default.

**Stops**: ``place_stop(id, trigger)`` places a reduce-only stop-market order for the whole position
at the venue; call it once the position is there (in ``on_order_ended``). A second call moves the
stop: the old one is cancelled after the new one is accepted. A stop survives rebalances and stops
of the node, does not count as ``busy``, and is cancelled when the position is closed. A backtest
judges it inside each candle (``venue.path``). Linked orders (OCO, OTO, OUO, brackets) are refused.
Live, trailing stop orders, GTD and triggers by the mark price are denied: the adapter sends none.

**Protection**: with ``protection:`` in its document, each position gets an ATR stop, and trailing,
partial take-profits, break-even and a time stop as asked (`tactics.protective`); place no stops of
your own then. A rebalancer does it all; another strategy calls ``protect_on(bar)`` with each candle
of one interval, and gets ``on_stopped_out``. Before the first candle nothing protects, which a live
node prints: in ``warm_up`` give the candles to ``broker.protector.warm_up`` too.

**Tactics** of your own: write one by the protocol in `tactics.tactic`, register it with
``broker.host(tactic, rules)`` in the constructor, and begin with ``broker.start(id, quantity,
reason, tactic=name)``. It may have several orders out, and its state survives a crash. It never
gets more than the quantity: an order beyond what is left is cut to that, or refused, with an error.

**State** of your own: a frozen `msgspec.Struct` with defaults. ``broker.load_state(name, Kind)``
in ``on_start`` returns what was saved, None at first and in every backtest;
``broker.save_state(name, state)`` returns once it would survive a crash: call it before the orders
that follow from it. Names are your strategy's own; ``tactic.…`` and ``protective.…`` are taken.
What positions and orders say needs no saving: they are reconciled before a restart goes on.

Inside: `market_view`, `order_sender`, `broker` and `verdict_follower` depend on the engine, not on
the strategy; `base` connects them. `signals`, `sizing`, `tactics` and `refusals` are pure. What
must survive a crash goes through `state`.
"""
