"""Results of each pair and leg, from a run's decisions, fills and funding. Pure, exact in Decimal.

Fills go to pairs as the strategy gave them (`strategies.hedged.positions.attributed`), with their
fees and slippage in proportion; funding goes by what each pair held. The sum over pairs, and over
`NO_PAIR` for what is no pair's, is what was booked, to the last digit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, Decimal
from typing import Any

import msgspec

from backtests.report.report_data import ReportData
from backtests.results.figures import cells
from backtests.results.recorder import decisions_of
from strategies.hedged.positions import Ordered, Part, Traded, attributed
from strategies.messages import Decision, PairEvent
from strategies.pairs import pair_name
from strategies.tactics.two_leg import NONE, Legs

ZERO = Decimal(0)
NO_PAIR = "No pair"
_SHARE = Decimal("1e-12")
"""What a share is rounded to; the last one has the rest."""


@dataclass(slots=True)
class LegMoney:
    """Base coin that a leg holds, and money in the settlement currency.

    `cash` is what its fills brought, before fees; `fees` and `slippage` are costs, `funding` what
    was received.
    """

    held: Decimal = ZERO
    cash: Decimal = ZERO
    fees: Decimal = ZERO
    funding: Decimal = ZERO
    slippage: Decimal = ZERO

    def gross(self, price: Decimal) -> Decimal:
        """Return the profit at the prices of the fills, what is held at this price."""
        return self.cash + self.held * price


@dataclass(slots=True)
class PairTrade:
    """A pair from flat to flat, or to the run's end; times UNIX nanoseconds (UTC).

    `cause` is why it was left, empty where it was cut, or is open. z-scores are those of the
    decisions, None where there was none.
    """

    opened: int
    side: int
    z_entry: float | None
    net: Decimal
    closed: int | None = None
    z_exit: float | None = None
    cause: str = ""


@dataclass(slots=True)
class PairResult:
    """What one pair of a strategy did; `unhedged` has seconds and value-seconds of each change."""

    name: str
    legs: dict[str, LegMoney] = field(default_factory=dict)
    trades: list[PairTrade] = field(default_factory=list)
    cuts: Counter[str] = field(default_factory=Counter)
    unhedged: list[tuple[float, float]] = field(default_factory=list)

    def total(self, what: str) -> Decimal:
        """Return fees, funding or slippage of all legs."""
        return sum((getattr(leg, what) for leg in self.legs.values()), ZERO)

    def gross(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return the profit of all legs before fees and funding."""
        return sum((leg.gross(prices[name]) for name, leg in self.legs.items()), ZERO)

    def net(self, prices: Mapping[str, Decimal]) -> Decimal:
        """Return the profit of all legs after fees and funding."""
        return self.gross(prices) - self.total("fees") + self.total("funding")


def pair_events(report: ReportData) -> list[PairEvent]:
    """Return what happened to pairs, in order; nothing in a run without pairs."""
    if not report.result.has("pair_events"):
        return []
    decoder = msgspec.json.Decoder(PairEvent)
    return [
        decoder.decode(row)
        for row in report.result.table("pair_events").column("payload").to_pylist()
    ]


def last_prices(report: ReportData) -> dict[str, Decimal]:
    """Return the last price of each instrument, that of a decision where it had no fill."""
    decided = (line for found in decisions_of(report.decisions) for line in found.targets)
    last = {line.instrument: line.price for line in decided if line.price is not None}
    last |= dict(cells(report.prices, "instrument", "close"))
    return {name: Decimal(repr(price)) for name, price in last.items()}


def results_of(
    report: ReportData, strategy: str, events: Iterable[PairEvent], prices: Mapping[str, Decimal]
) -> list[PairResult]:
    """Return the results of a strategy's pairs by name, what is no pair's last."""
    decisions = [d for d in decisions_of(report.decisions) if d.strategy == strategy]
    fills, funding = (
        [row for row in table.to_pylist() if row["strategy"] == strategy]
        for table in (report.fills, report.result.table("funding"))
    )
    return pair_results(decisions, fills, funding, events, prices)


def pair_results(
    decisions: Sequence[Decision],
    fills: Sequence[Mapping[str, Any]],
    funding: Sequence[Mapping[str, Any]],
    events: Iterable[PairEvent],
    prices: Mapping[str, Decimal],
) -> list[PairResult]:
    """Return the results of pairs from one strategy's rows."""
    when = {decision.id: decision.ts for decision in decisions}
    found: list[tuple[int, int, Any]] = [(row["ts"], -1, row) for row in funding]
    found += [(event.ts, 1, event) for event in events]
    found += [(decision.ts, 1, decision) for decision in decisions]
    for row in fills:
        # A decision of the same moment comes before its own fills, and after earlier ones'.
        decided = when.get(row["decision_id"], 0)
        found.append((max(row["ts"], decided), 2 if decided >= row["ts"] else 0, row))
    found.sort(key=lambda item: item[:2])
    parts = _parts([item for _, _, item in found], fills)
    books = _Books(prices)
    for (ts, _, item), mine in zip(found, parts, strict=True):
        if isinstance(item, PairEvent):
            books.happened(item)
        elif isinstance(item, Decision):
            books.crossed(ts, item, mine)
        elif "amount" in item:
            books.funded(item)
        else:
            books.filled(ts, item, mine)
    for name, trade in books.open.items():
        trade.net += books.results[name].net(prices)
    return sorted(books.results.values(), key=lambda one: (one.name == NO_PAIR, one.name))


def _parts(items: list[Any], fills: Sequence[Mapping[str, Any]]) -> list[list[Part]]:
    """Return the parts of pairs of each item: of decisions what crossed, and of fills."""
    known: dict[str, tuple[str, str]] = {}
    parts = [list[Part]() for _ in items]
    places, traded = list[list[Part]](), list[Ordered | Traded]()
    for item, mine in zip(items, parts, strict=True):
        if isinstance(item, PairEvent) or (isinstance(item, dict) and "amount" in item):
            continue
        places.append(mine)
        if isinstance(item, Decision):
            traded.append(Ordered(_targets(item, known)))
        else:
            own = item["kind"] == "order" and bool(item["decision_id"])
            traded.append(Traded(item["instrument"], _signed(item), own))
    lots: dict[str, Decimal] = {}
    for row in fills:
        lot = Decimal(1).scaleb(min(0, int(Decimal(row["quantity"]).as_tuple().exponent)))
        lots[row["instrument"]] = min(lot, lots.get(row["instrument"], lot))
    for part in attributed(traded, lots):
        places[part.event].append(part)
    return parts


def _targets(
    decision: Decision, known: dict[str, tuple[str, str]]
) -> dict[str, tuple[tuple[str, str], Legs]]:
    """Return a decision's targets; pairs that it has no more want nothing."""
    wanted: dict[str, dict[str, Decimal]] = {}
    for line in decision.targets:
        for name, quantity in (line.parts or {}).items():
            wanted.setdefault(name, {})[line.instrument] = Decimal(quantity)
    for name, of in wanted.items():
        first, second = of
        known[name] = (first, second) if pair_name((first, second)) == name else (second, first)
    return {
        name: (legs, (wanted[name][legs[0]], wanted[name][legs[1]]) if name in wanted else NONE)
        for name, legs in known.items()
    }


def _signed(fill: Mapping[str, Any]) -> Decimal:
    return Decimal(fill["quantity"]) * (-1 if fill["side"] == "SELL" else 1)


def _shares(total: Decimal, quantities: Sequence[Decimal]) -> list[Decimal]:
    """Split money in proportion; the shares add up to it exactly."""
    whole = sum(quantities, ZERO)
    shares = [
        (total * q / whole).quantize(_SHARE, ROUND_DOWN) if whole else ZERO for q in quantities[:-1]
    ]
    return [*shares, total - sum(shares, ZERO)]


class _Books:
    """Results so far, and trades that are open."""

    def __init__(self, prices: Mapping[str, Decimal]) -> None:
        self.results: dict[str, PairResult] = {}
        self.open: dict[str, PairTrade] = {}
        self._prices = prices
        self._entered: dict[str, Mapping[str, Any]] = {}

    def _result(self, pair: str) -> PairResult:
        return self.results.setdefault(pair, PairResult(pair))

    def happened(self, event: PairEvent) -> None:
        facts = event.facts
        if event.kind == "enter":
            self._entered[facts["pair"]] = facts["trade"]
        elif event.kind == "leave" and facts["pair"] in self.open:
            trade = self.open[facts["pair"]]
            trade.cause, trade.z_exit = facts["cause"], facts.get("z")
        elif event.kind == "ended":
            result = self._result(facts["pair"])
            result.unhedged.append((facts["seconds"], facts["value_seconds"]))
            result.cuts.update([facts["cut"]] if facts["cut"] else [])

    def crossed(self, ts: int, decision: Decision, parts: Iterable[Part]) -> None:
        at = {line.instrument: line.price for line in decision.targets}
        for part in parts:
            price = at[part.instrument] or self._prices[part.instrument]
            leg = LegMoney(part.quantity, -part.quantity * Decimal(str(price)))
            self._book(ts, part.pair, part.instrument, leg)

    def filled(self, ts: int, fill: Mapping[str, Any], parts: Iterable[Part]) -> None:
        given = [(part.pair, part.quantity) for part in parts]
        rest = _signed(fill) - sum((quantity for _, quantity in given), ZERO)
        given += [(NO_PAIR, rest)] if rest else []
        quantities = [quantity for _, quantity in given]
        fees = _shares(Decimal(fill["fee"]), quantities)
        slipped = _shares(Decimal(fill["slippage"] or 0), quantities)
        price = Decimal(fill["price"])
        for (pair, quantity), fee, slippage in zip(given, fees, slipped, strict=True):
            leg = LegMoney(quantity, -quantity * price, fees=fee, slippage=slippage)
            self._book(ts, pair, fill["instrument"], leg)

    def funded(self, row: Mapping[str, Any]) -> None:
        instrument, nobody = row["instrument"], LegMoney()
        legs = (result.legs.get(instrument, nobody) for result in self.results.values())
        holders = [leg for leg in legs if leg.held]
        if not holders:
            holders = [self._result(NO_PAIR).legs.setdefault(instrument, nobody)]
        shares = _shares(Decimal(row["amount"]), [leg.held for leg in holders])
        for leg, share in zip(holders, shares, strict=True):
            leg.funding += share

    def _book(self, ts: int, pair: str, instrument: str, part: LegMoney) -> None:
        """Book a part of a fill or of a crossing, and the trade that it opens or closes."""
        result = self._result(pair)
        if pair != NO_PAIR and pair not in self.open:
            facts = self._entered.get(pair, {})
            side, z = facts.get("side", 0), facts.get("z")
            self.open[pair] = trade = PairTrade(ts, side, z, -_money(result))
            result.trades.append(trade)
        leg = result.legs.setdefault(instrument, LegMoney())
        leg.held += part.held
        leg.cash += part.cash
        leg.fees += part.fees
        leg.slippage += part.slippage
        if pair in self.open and not any(found.held for found in result.legs.values()):
            trade = self.open.pop(pair)
            trade.closed, trade.net = ts, trade.net + _money(result)


def _money(result: PairResult) -> Decimal:
    """Return what all legs of a pair that holds nothing have brought."""
    return result.net(dict.fromkeys(result.legs, ZERO))
