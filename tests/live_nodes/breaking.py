"""A node whose limits are breached and that is killed there, over and over, on one state folder.

A `Victim` holds positions under guards. A round breaches its limits by moving a price, kills it at
the n-th boundary after that, starts it again on what it left, and compares: what its guards had
kept before the kill, what they keep after the restart, what the exchange has executed. Released,
it enters again, and the next round begins: each kill costs one start.
"""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, Self

import yaml

from actors.records.journal_reading import JournalReader, read
from config.durations import DAY_NS
from live_nodes.local.mailbox import MailAnswer, MailRequest, answer, ask
from tests.live_nodes.documents import guard
from tests.live_nodes.killing import Ground, GroundNode, Job, exit_of, positions_of
from tests.waiting import eventually

ZERO = Decimal(0)
SHRINK = 1
FIRST, SECOND = "94", "90"
"""Where the price of AAA falls to: 100 of them have lost 600, and 1,000."""
WANTS = {"AAA": "100", "BBB": "-100", "CCC": "200"}
PRICES = {"AAA": "100", "BBB": "50", "CCC": "20"}
GUARDS: dict[str, Any] = {
    "tiers": guard(
        "drawdown_tiers:DrawdownTiers",
        tiers=[{"at": 0.003, "size": 0.5}, {"at": 0.9, "size": "flatten"}],
    ),
    "daily": guard("daily_loss:DailyLoss", limit_currency=400.0, action="halt_entries"),
    "max": guard("max_drawdown:MaxDrawdown", limit_currency=800.0),
    "trades": guard("trades_per_day:TradesPerDay", limit=100_000),
    "losses": guard("consecutive_losses:ConsecutiveLosses", losses=1_000),
}
"""The fall to 94 shrinks and halts, that to 90 closes all; the others only count."""
COUNTING = {key: GUARDS[key] for key in ("trades", "losses")}
"""Without a limit on losses: fees of many rounds add up."""
HALTS = ("tiers", "daily", "max")
BREACHED = {"tiers": "shrink", "daily": "halt_entries", "max": "flatten"}
"""What stands after both falls."""
TAG = "kr"
RISK = {"every": 0.1, "heartbeat": 5.0, "exit_grace": 0.4, "deadline": 20.0}


class Field(Ground):
    """A practice exchange whose prices stay where a test moves them."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        document = yaml.safe_load(self.market.read_text())
        document["market"]["volatility"] = 0.00001
        self.market.write_text(yaml.safe_dump(document), encoding="utf-8")
        self.living: Victim | None = None

    def __exit__(self, *error: object) -> None:
        self.end()
        super().__exit__(*error)

    def end(self) -> None:
        """End the node that a failed test has left."""
        if self.living is not None:
            self.living.kill()

    def __enter__(self) -> Self:
        super().__enter__()
        moves = [{"symbol": f"{base}USDT", "price": price} for base, price in PRICES.items()]
        self.tell("/moves", moves=moves)
        return self


def instrument(base: str) -> str:
    """Return the id of a coin's perpetual."""
    return f"{base}USDT-LINEAR.BYBIT"


WANTED = {instrument(base): Decimal(quantity) for base, quantity in WANTS.items()}


@dataclass
class Kept:
    """What a guard keeps."""

    state: Any
    latches: list[dict[str, Any]]


class Victim(GroundNode):
    """A node that holds its positions under guards."""

    ground: Field

    def __init__(
        self, ground: Field, account: str, strategy: str = "Eager", **changes: Any
    ) -> None:
        by_id = {
            key: {instrument(base): value for base, value in values.items()}
            for key, values in (("wants", WANTS), ("prices", PRICES))
        }
        document: dict[str, Any] = {
            "tag": TAG,
            "universe": {"instruments": sorted(WANTED)},
            "risk": RISK,
            "actors": GUARDS,
            "strategies": {
                "eager": {"use": f"tests.live_nodes.desk_strategies:{strategy}", "params": by_id}
            },
        }
        super().__init__(ground, account, document | changes)
        self.fatal = ground.folder / f"{account}.fatal"

    # Its lives -----------------------------------------------------------------------------------

    def begin(self, die_at: int | None = None) -> None:  # type: ignore[override]
        """Start it; it dies at that boundary of its start, if one is given."""
        self.ground.living = self
        self.fatal.write_text(str(die_at or 0))
        kept = self.ground.folder / f"{self.account}-{self.lives + 1}.kept"
        super().begin(counts=(kept, self.fatal, die_at is not None))

    def command(self, *arguments: str, die_at: int = 0) -> int:
        """Run a command about it in another process, maybe cut; return its exit code."""
        beside = self.ground.folder / f"{self.account}-command"
        fatal = beside.with_suffix(".fatal")
        fatal.write_text(str(die_at))
        job = Job(
            [*arguments[:2], str(self.file), *arguments[2:]],
            beside.with_suffix(".out"),
            beside.with_suffix(".reached"),
            counts=(Path(os.devnull), fatal, True),
        )
        return exit_of(job.start())

    def arm(self, fatal: int | str) -> None:
        """Begin to count boundaries now; it dies at the one of that number, or so named."""
        armed = self.reached().count("armed")
        self.fatal.write_text(str(fatal))
        os.kill(self.pid, signal.SIGUSR1)
        self.until(lambda: self.reached().count("armed") > armed, "the count")

    def disarm(self) -> bool:
        """Let it live from here on; return whether it was in time."""
        armed = self.reached().count("armed")
        self.fatal.write_text("0")
        with suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGUSR1)
        return self.until(lambda: self.reached().count("armed") > armed, "the end of the count")

    def kill(self) -> str:
        """End it by SIGKILL if it has not ended; return where it died."""
        if not self.dead:
            os.kill(self.pid, signal.SIGKILL)
        code = exit_of(self.process)
        self.ground.living = None
        assert code == -signal.SIGKILL, self.said()
        last = self.reached()[-1:]
        return last[0].removeprefix("died: ") if last and last[0].startswith("died") else "killed"

    def stop(self) -> None:
        """End it as a user does."""
        os.kill(self.pid, signal.SIGTERM)
        code = exit_of(self.process)
        self.ground.living = None
        assert code == 0, self.said()

    def until(self, wanted: Callable[[], object], what: str) -> bool:
        """Wait until something holds, True, or it is dead, False."""
        found = eventually(
            lambda: "it holds" if wanted() else self.dead and "it is dead",
            lambda: f"{what}\n{self.said()}",
        )
        return found == "it holds"

    @property
    def runs(self) -> bool:
        """Whether its strategies run."""
        return "runs (pid" in self.said()

    # What others do ------------------------------------------------------------------------------

    def price(self, price: str) -> None:
        """Move the price of AAA."""
        self.ground.tell("/move", symbol="AAAUSDT", price=price)

    def asks(self, **request: Any) -> None:
        """Leave a request in its mailbox, and wait until it is done."""
        name = ask(self.folder, MailRequest(reason="the test", **request))
        found = eventually(lambda: answer(self.folder, name, 0.0) or self.dead, self.said)
        assert isinstance(found, MailAnswer), self.said()
        assert found.done, found.text

    def holds(self) -> None:
        """Wait until it holds what it wants, and knows it."""
        assert self.until(lambda: self.positions() == WANTED, "positions"), self.said()
        assert self.until(lambda: self.journal(settled), "outcome of its orders")

    def released(self) -> None:
        """Let it go on, from where prices were at the beginning."""
        before = len(self.said())
        self.price(PRICES["AAA"])
        # It buys more of what is cheap: until it knows the price, it would.
        whole = f"BUY {Decimal(WANTS['AAA']):.2f} AAA"
        assert self.until(lambda: whole in self.said()[before:], "price"), self.said()
        for key in self.journal(standing):
            self.asks(command="release", guard=key, accept=True)
        self.holds()

    # Its own books -------------------------------------------------------------------------------

    def journal[T](self, asked: Callable[[JournalReader], T]) -> T:
        """Ask its journal, of a node that lives or ended."""
        with read(self.folder) as journal:
            return asked(journal)

    def left(self) -> dict[str, Kept]:
        """Return what its guards have kept."""
        return self.from_copy(_states, {})

    def kept(self) -> list[tuple[str, Kept]]:
        """Return every state that a guard committed in the present life, in order."""
        lines = [json.loads(line) for line in self.lines("kept")]
        return [(line["guard"], Kept(line["state"], line["latches"])) for line in lines]

    @property
    def flat(self) -> bool:
        """Whether the exchange has neither position nor open order of it."""
        account = self.at_the_exchange()
        return not positions_of(account) and not account["open_orders"]


def settled(journal: JournalReader) -> bool:
    """Whether no order's outcome is missing."""
    return not journal.unsettled()


def booked(journal: JournalReader) -> bool:
    """Whether it knows that it is flat, and what became of every order."""
    return settled(journal) and not any(journal.explained().values())


def standing(journal: JournalReader) -> dict[str, str]:
    """Return the actions that stand on the desk by guards of the document and the operator."""
    found = [v for _, v in journal.standing() if not v.guard.startswith("node.")]
    return {v.guard: v.action.name.lower() for v in found if v.scope == "desk"}


def _states(journal: JournalReader) -> dict[str, Kept]:
    found = {o: json.loads(v) for o, v in journal.states("state").items() if o.startswith("guard:")}
    return {o.removeprefix("guard:"): Kept(k["state"], k["latches"]) for o, k in found.items()}


# What must be so ---------------------------------------------------------------------------------


def lost_by(before: dict[str, Kept], after: list[tuple[str, Kept]]) -> list[str]:
    """Return what guards had kept before a kill and did not keep after it, in words."""
    wrong = []
    for key, kept in after:
        was = before.get(key)
        if was is None:
            continue
        if key in HALTS and not _same_day(was.state, kept.state):
            wrong.append(f"{key} kept {was.state} before, {kept.state} after")
        standing = [_lasting(latch) for latch in kept.latches]
        wrong += [
            f"{key} forgot {latch}" for latch in was.latches if _lasting(latch) not in standing
        ]
        if key == "trades":
            now = kept.state["opened"]
            fell = [name for name, number in was.state["opened"].items() if now[name] < number]
            wrong += [f"trades of {name} fell" for name in fell]
    return wrong


def _lasting(latch: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in latch.items() if name != "until"}


def _same_day(before: Any, after: Any) -> bool:
    """Whether marks are the same; a day that began meanwhile has another."""
    if before == after:
        return True
    days = "equity" in before and after["equity"]["day"] > before["equity"]["day"]
    return bool(days and after["equity"]["day"] == time.time_ns() // DAY_NS)


def wrong_at_the_exchange(victim: Victim, since: int, halts: tuple[str, ...] = HALTS) -> list[str]:
    """Return what the exchange has executed of a flat victim that it should not have, in words."""
    account = victim.at_the_exchange()
    wrong = [f"it holds {positions_of(account)}"] if positions_of(account) else []
    wrong += [f"order {row['order_link_id']} is open" for row in account["open_orders"]]
    wrong += _crossed(account)
    kept = victim.left()
    wrong += [f"{key} does not halt" for key in halts if not kept[key].latches]
    # A shrink lets smaller entries through.
    halted = min(
        (x["since"] for key in halts for x in kept[key].latches if x["action"] > SHRINK), default=0
    )

    def entered(journal: JournalReader) -> list[str]:
        ours = {row.client_order_id: row for row in journal.orders_since(0)}
        unknown = [
            f"the exchange has order {row['order_link_id']}, the journal has not"
            for row in [*account["past_orders"], *account["open_orders"]]
            # The kill switch closes without the node, and can't turn anything round.
            if row["order_link_id"] not in ours and not row["reduce_only"]
        ]
        late = [
            f"entry {name} left {(row.created - halted) / 1e9:.3f} s after the halt"
            for name, row in ours.items()
            # What reconciliation infers has ids of its own, and never was at the exchange.
            if name.startswith(f"{TAG}-")
            and row.created > max(since, halted)
            and not row.is_exit
            and row.status != "DENIED"
        ]
        explained = {name: q for name, q in journal.explained().items() if q}
        wrongly = [f"its journal explains {explained}"] if explained else []
        return unknown + late + wrongly

    wrong += victim.journal(entered)
    opened, losses = _trips(account, day=kept["trades"].state["day"])
    if kept["trades"].state["opened"] != opened:
        wrong.append(f"trades counted {kept['trades'].state['opened']}, there were {opened}")
    row = kept["losses"].state["rows"].get("desk", {"count": 0})
    if row["count"] != losses:
        wrong.append(f"losses counted {row['count']}, there were {losses} in a row")
    return wrong


def _fills(account: dict[str, Any]) -> list[tuple[str, Decimal, Decimal, Decimal, int]]:
    """Return instrument, signed quantity, price, fee and UTC day of trades, the oldest first."""
    sign = {"Buy": 1, "Sell": -1}
    return [
        (
            f"{row['symbol']}-LINEAR.BYBIT",
            sign[row["side"]] * Decimal(row["qty"]),
            Decimal(row["price"]),
            Decimal(row["fee"]),
            row["time_ms"] * 10**6 // DAY_NS,
        )
        for row in reversed(account["executions"])
        if row["exec_type"] == "Trade"
    ]


def _crossed(account: dict[str, Any]) -> list[str]:
    """Return where a position was on the other side of zero than it is wanted."""
    held: dict[str, Decimal] = {}
    wrong = []
    for name, quantity, *_ in _fills(account):
        held[name] = held.get(name, ZERO) + quantity
        if held[name] * WANTED[name] < 0:
            wrong.append(f"{name} was turned round to {held[name]}")
    return wrong


def _trips(account: dict[str, Any], day: int) -> tuple[dict[str, int], int]:
    """Return round trips that a day opened by instrument, and how many lost at last in a row."""
    held: dict[str, Decimal] = {}
    cash: dict[str, Decimal] = {}
    opened: dict[str, int] = {}
    losses = 0
    for name, quantity, price, fee, opened_on in _fills(account):
        if not held.get(name):
            if opened_on == day:
                opened[name] = opened.get(name, 0) + 1
            cash[name] = ZERO
        held[name] = held.get(name, ZERO) + quantity
        cash[name] -= quantity * price + fee
        if not held[name]:
            losses = losses + 1 if cash[name] < 0 else 0
    return opened, losses
