"""Metrics of a node: orders, fills, money, guards, links and delays as Prometheus families.

They come from the journal, read beside the node, and from its newest heartbeat. Nothing here runs
on the event loop but `follow_latency`. Counters begin at zero with each start of the node.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from nautilus_trader.model.events import OrderEvent, OrderSubmitted

from actors.records.journal_reading import JournalReader, read
from actors.records.rows import FillRow
from config.documents import Node
from config.errors import DeskError
from live_nodes.bybit.facts import TRADES
from live_nodes.local.heartbeat import Beat, Heartbeat
from live_nodes.local.histogram import BPS, Histogram
from live_nodes.node.guard_status import guards_in
from strategies.messages import Action

PHASES = ("starting", "running", "stopping", "stopped", "failed")
_REJECTED = {
    "OrderRejected": "order",
    "OrderModifyRejected": "amend",
    "OrderCancelRejected": "cancel",
}
_OPERATIONS = {"submit": "order", "modify": "amend", "cancel": "cancel"}
_COUNTED = {
    "intents": "strategy, operation, refused IS NOT NULL AS refused FROM intents"
    " WHERE id > ? AND id <= ? GROUP BY 2, 3, 4",
    "order_events": "coalesce(o.strategy, '') AS strategy, e.event FROM order_events e"
    " LEFT JOIN orders o USING (client_order_id) WHERE e.id > ? AND e.id <= ? GROUP BY 2, 3",
    "verdicts": "guard, action FROM verdicts WHERE id > ? AND id <= ? GROUP BY 2, 3",
}
"""What is counted of a table's new rows, and by what."""
Rows = Mapping[Any, float] | float
"""Values by label values; a number has no labels of its own."""


def follow_latency(bus: Any, latency: Histogram) -> None:
    """Measure how long the venue takes for its first word on each order; it takes a microsecond."""
    sent: dict[Any, int] = {}

    def on_event(event: OrderEvent) -> None:
        if type(event) is OrderSubmitted:
            sent[event.client_order_id] = event.ts_init
        elif sent and (since := sent.pop(event.client_order_id, None)) is not None:
            latency.observe((event.ts_init - since) / 1e9)

    bus.subscribe("events.order.*", on_event)


def _zeros(keys: Iterable[tuple[str, ...]]) -> defaultdict[tuple[str, ...], float]:
    return defaultdict(float, dict.fromkeys(keys, 0.0))


class JournalCounts:
    """Counts what a journal gained since the first reading."""

    def __init__(self, node: Node) -> None:
        keys = [key for key, component in node.strategies.items() if component.enabled]
        guards = [key for key, component in node.actors.items() if component.enabled]
        # A counter that begins at one has grown by nothing, to Prometheus.
        self.orders, self.fills, self.traded, self.slippage = (
            _zeros((key,) for key in keys) for _ in range(4)
        )
        self.rejects = _zeros((key, by, "order") for key in keys for by in ("gate", "venue"))
        self.violations = _zeros((guard, "halt_entries") for guard in guards)
        self.slippage_bps = {key: Histogram(BPS) for key in keys}
        self._last: dict[str, int] = {}

    def read(self, journal: JournalReader) -> None:
        """Count what is new; the first time, only remember what is there."""
        newest = {table: journal.last_id(table) for table in (*_COUNTED, "fills")}
        before, self._last = self._last or newest, newest
        intents, events, verdicts = (
            journal.query(f"SELECT count(*) AS number, {query}", before[table], newest[table])
            for table, query in _COUNTED.items()
        )
        for row in intents:
            request = _OPERATIONS.get(row["operation"], row["operation"])
            if row["refused"]:
                self.rejects[row["strategy"], "gate", request] += row["number"]
            elif request == "order":
                self.orders[row["strategy"],] += row["number"]
        for row in events:
            if row["event"] in _REJECTED:
                self.rejects[row["strategy"], "venue", _REJECTED[row["event"]]] += row["number"]
        for row in verdicts:
            if row["action"] > Action.NONE:
                self.violations[row["guard"], Action(row["action"]).name.lower()] += row["number"]
        self._last["fills"], fills = journal.fills_numbered(before["fills"], -1)
        for fill in fills:
            if fill.kind in TRADES:
                self._count(fill)

    def _count(self, fill: FillRow) -> None:
        key, notional = fill.strategy, float(fill.notional)
        self.fills[key,] += 1
        self.traded[key,] += notional
        if fill.slippage is not None and notional:
            self.slippage[key,] += float(fill.slippage)
            histogram = self.slippage_bps.setdefault(key, Histogram(BPS))
            histogram.observe(float(fill.slippage) / notional * 1e4)


class NodeMetrics:
    """Makes the page of figures; for one thread at a time, other than the event loop's."""

    def __init__(self, node: Node, folder: Path, heartbeat: Heartbeat) -> None:
        # Imported before the node trades: it takes a tenth of a second.
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
        from prometheus_client import core as families

        self._families: Any = families
        self._node, self._folder, self._heartbeat = node, folder, heartbeat
        self._always = {"node": node.name, "environment": node.environment}
        self._counts = JournalCounts(node)
        with read(folder) as journal:
            self._counts.read(journal)
        registry = CollectorRegistry()
        registry.register(self)
        ProcessCollector(registry=registry)
        self._page = lambda: generate_latest(registry)

    def page(self) -> bytes:
        """Return all figures in Prometheus' text format."""
        return self._page()

    def describe(self) -> list[Any]:
        """Return nothing: registering must not collect."""
        return []

    def collect(self) -> Iterator[Any]:
        """Yield each family, and let the event loop run before."""
        for family in self._all():
            time.sleep(0)
            yield family

    def _all(self) -> Iterator[Any]:
        beat = self._heartbeat.last
        if beat is not None:
            yield from self._of_heartbeat(beat)
        try:
            with read(self._folder) as journal:
                self._counts.read(journal)
                yield from self._of_journal(journal)
                readable = 1
        except DeskError:
            # Such as with a full disk: the node goes on in memory, and the rest is worth a lot.
            readable = 0
        yield self._gauge("journal_readable", "Whether the journal can be read", readable)
        yield from self._of_counts()

    def _of_heartbeat(self, beat: Beat) -> Iterator[Any]:
        gauge, heart, now = self._gauge, self._heartbeat, time.time_ns()
        phases = {(phase,): float(phase == beat.phase) for phase in PHASES}
        yield gauge("node_phase", "Phase of the node", phases, "phase")
        yield gauge("heartbeat_age_seconds", "Age of the newest heartbeat", (now - beat.ts) / 1e9)
        yield gauge("node_stalled", "Whether trading stalls", bool(beat.stalled))
        yield gauge("node_flat", "Whether there is no position", beat.flat)
        names, down = heart.reconnects(), set(beat.links_down)
        links = {(name,): float(name not in down) for name in names if name != "unseen"}
        yield gauge("link_up", "Whether a link is reliable", links, "link")
        again = {(name,): float(number) for name, number in names.items()}
        yield self._counter("ws_reconnect", "Reconnects of a WebSocket link", again, "link")
        if beat.equity is not None:
            yield gauge("equity_usdt", "Equity of the account", float(beat.equity))
        if beat.drawdown is not None:
            help_ = "Fraction of the highest equity that is lost; deposits are no gain"
            yield gauge("drawdown_ratio", help_, beat.drawdown)
        if beat.feed_lag is not None:
            newest, worst = (ns / 1e9 for ns in beat.feed_lag)
            lags = {("newest",): newest, ("worst of a minute",): worst}
            yield gauge("feed_lag_seconds", "Age of market data when handled", lags, "of")
        feeds = {(name,): max(0.0, (now - ts) / 1e9) for name, ts in heart.feeds().items()}
        yield gauge("feed_age_seconds", "Time without market data", feeds, "instrument")
        profits = {(key,): float(net) for key, net in heart.profits().items()}
        help_ = "Net profit since the first start, fees, funding and open positions included"
        yield gauge("profit_usdt", help_, profits, "strategy")
        slope = heart.memory_slope()
        if slope is not None:
            yield gauge("memory_slope_mb_per_hour", "Growth of memory", slope)
        yield self._histogram(
            "order_latency_seconds", "Time to the venue's first word", {(): heart.order_latency}
        )
        yield self._histogram("loop_lag_seconds", "Event loop's delay", {(): heart.loop_lag})

    def _of_journal(self, journal: JournalReader) -> Iterator[Any]:
        gauge, worth = self._gauge, journal.last_equity()
        if worth is not None:
            sums = {("gross",): float(worth.gross), ("net",): float(worth.net)}
            yield gauge("exposure_usdt", "Value of all positions", sums, "kind")
        marks = journal.marks()
        # Marks come with the next snapshot; a position counts at once.
        held = {
            (row.instrument, row.owner): float(
                row.quantity * marks.get(row.instrument, row.entry_price)
            )
            for row in journal.holdings()
            if row.quantity
        }
        yield gauge("position_usdt", "Signed value of a position", held, "instrument", "strategy")
        guards = [g for g in guards_in(journal, self._node) if g.measured is not None]
        keys = ("guard", "scope", "key")
        for name, help_, field in (
            ("guard_measured", "What a guard measured, in its unit", "measured"),
            ("guard_limit", "Its limit", "limit"),
            ("guard_headroom_ratio", "Distance from the limit as a part of it", "headroom_share"),
        ):
            rows = {(g.guard, g.scope, g.key): getattr(g, field) for g in guards}
            found = {key: value for key, value in rows.items() if value is not None}
            yield gauge(name, help_, found, *keys)
        stands = {(v.guard, v.scope, v.action.name.lower()): 1.0 for _, v in journal.standing()}
        yield gauge("standing_verdict", "A verdict that stands", stands, "guard", "scope", "action")
        counters = {(name,): float(value) for name, value in journal.counters().items()}
        yield self._counter("desk_event", "Counters of the journal", counters, "name")

    def _of_counts(self) -> Iterator[Any]:
        counts, counter = self._counts, self._counter
        yield counter("orders", "Orders that left", counts.orders, "strategy")
        rejects = counts.rejects
        yield counter("rejects", "Refused requests", rejects, "strategy", "by", "request")
        yield counter("fills", "Executions", counts.fills, "strategy")
        yield counter("traded_usdt", "Value of executions", counts.traded, "strategy")
        help_ = "Cost of executions against the price when their order left"
        yield self._gauge("slippage_usdt", help_, counts.slippage, "strategy")
        bps = {(key,): histogram for key, histogram in counts.slippage_bps.items()}
        yield self._histogram("slippage_bps", "The same in bps", bps, "strategy")
        violations = counts.violations
        yield counter("risk_violation", "Verdicts of guards", violations, "guard", "action")

    def _gauge(self, name: str, help_: str, rows: Rows, *labels: str) -> Any:
        return self._filled(self._families.GaugeMetricFamily, name, help_, rows, labels)

    def _counter(self, name: str, help_: str, rows: Rows, *labels: str) -> Any:
        return self._filled(self._families.CounterMetricFamily, name, help_, rows, labels)

    def _filled(self, kind: Any, name: str, help_: str, rows: Rows, labels: Iterable[str]) -> Any:
        family = kind(name, help_, labels=[*self._always, *labels])
        for key, value in rows.items() if isinstance(rows, Mapping) else [((), rows)]:
            family.add_metric([*self._always.values(), *key], value)
        return family

    def _histogram(self, name: str, help_: str, rows: Mapping[Any, Histogram], *labels: str) -> Any:
        names = [*self._always, *labels]
        family = self._families.HistogramMetricFamily(name, help_, labels=names)
        for key, histogram in rows.items():
            values = [*self._always.values(), *key]
            family.add_metric(values, histogram.buckets(), histogram.total)
        return family
