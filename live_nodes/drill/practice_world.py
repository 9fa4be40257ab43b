"""The practice world of a drill: a real node on its own practice exchange, as processes.

The exchange's admin port causes events; results are read there and in the node's journal. A restart
is a kill -9.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from actors.guards.core import drill
from actors.guards.core.drill import Scene, Step, facts_of
from actors.records.journal_reading import read
from catalog.instruments import split_id
from config.errors import DeskError, InputError
from config.resolved import Resolved
from live_nodes.bybit.rest import market_fields
from live_nodes.drill.documents import ACCOUNT, exchange_yaml, node_yaml, quantity
from live_nodes.drill.node_process import NodeProcess
from live_nodes.drill.world import (
    DrillError,
    Instruction,
    RefusedEntry,
    Restarted,
    TimedVerdict,
    World,
    WorldName,
    first_of_each_scope,
    write_instruction,
)
from live_nodes.local.mailbox import MailAnswer, MailRequest, answer, ask
from live_nodes.local.practice_process import Endpoint, ensure_exchange, stop_exchange
from strategies.refusals import refusal_of

STARTS_WITHIN = 60.0
ANSWERS_WITHIN = 15.0
GONE_WITHIN = 5.0
AFTER_RESTART = 2.5
"""Seconds of retries after a restart."""
PHASE = 0.7
"""Fraction of a period after which prices move."""
_POLL = 0.05
LOG_TAIL = 6


class PracticeWorld(World):
    """A node with one guard and its exchange, in an empty `folder`.

    `stopped` is set when the drill is cancelled; `changed` are parameters that the drill changes.
    """

    name: WorldName = "practice"

    def __init__(
        self,
        resolved: Resolved,
        scene: Scene,
        folder: Path,
        stopped: threading.Event,
        changed: Mapping[str, object],
    ) -> None:
        self._resolved, self._scene, self._folder, self._stopped = resolved, scene, folder, stopped
        self._changed = changed
        self._state = folder / "state"
        self._orders = folder / "instructions.json"
        self._exchange = folder / "exchange"
        self._document = folder / "node.yaml"
        self._log = folder / "node.log"
        self._endpoint: Endpoint | None = None
        self._process: NodeProcess | None = None

    def start(self) -> None:
        """Start the exchange and the node; returns once the strategy runs."""
        document = self._folder / "exchange.yaml"
        document.write_text(exchange_yaml(self._resolved, self._scene), encoding="utf-8")
        self._endpoint = ensure_exchange(document, self._exchange)
        text = node_yaml(
            self._resolved, self._scene, self._endpoint, self._state, self._orders, self._changed
        )
        self._document.write_text(text, encoding="utf-8")
        self._start_node()

    def restart(self, insist: Instruction) -> Restarted:
        """Kill the node and start it again; return its first verdicts and what was refused."""
        with read(self._node) as journal:
            before = journal.runs()[0].id
        self._kill()
        write_instruction(self._orders, insist)
        self._start_node()
        self.advance(AFTER_RESTART)
        with read(self._node) as journal:
            verdicts = [v for run, _, v in journal.verdicts_of(self._scene.key) if run > before]
            began = journal.runs()[0].started
        refusals = tuple(refusal for refusal in self.refusals() if refusal.at >= began)
        return Restarted(first_of_each_scope(verdicts), refusals)

    def close(self) -> None:
        """Kill the node and stop the exchange."""
        try:
            self._kill()
        finally:
            try:
                stopped = stop_exchange(self._exchange)
            except DeskError:
                stopped = False
            if not stopped:
                self._kill_exchange()
            self._wait_for_exchange()

    def now(self) -> int:
        """Return this machine's time."""
        return time.time_ns()

    def advance(self, seconds: float) -> None:
        """Wait, and check that the node still runs."""
        if self._stopped.wait(seconds):
            raise DrillError("broken off")
        code = None if self._process is None else self._process.code
        if code is not None:
            raise DrillError(f"the node ended with {code}: {self._log_tail()}")

    def instruct(self, instruction: Instruction) -> None:
        """Write the instruction into the strategy's file."""
        write_instruction(self._orders, instruction)

    def _perform(self, step: Step) -> int | None:
        began = self.now()
        match step:
            case drill.Move(instrument, by):
                self._admin("POST", "/move", {**market_fields(instrument), "by": f"{by:.10f}"})
            case drill.Moves(instruments, rows, every):
                # Late in each period of the pace: samples are taken at its start, and must not
                # see one price of a row without the other.
                due = (time.time() // every + PHASE) * every
                for row in rows:
                    due += every
                    self.advance(max(0.0, due - time.time()))
                    moves = [
                        {**market_fields(instrument), "by": f"{by:.10f}"}
                        for instrument, by in zip(instruments, row, strict=True)
                    ]
                    began = self.now()
                    self._admin("POST", "/moves", {"moves": moves})
                self.advance(every)
            case drill.Book(instrument, kind, bps, seconds):
                body = {**market_fields(instrument), kind: f"{bps:.6f}", "seconds": seconds}
                self._admin("POST", "/book", body)
            case drill.Silence(instrument, seconds):
                self._fault("silence", _on_public("drop", instrument, seconds))
            case drill.Late(instrument, by, seconds):
                self._fault("late", _on_public("delay", instrument, seconds) | {"by": by})
            case drill.Funding(instrument, before, _):
                # A new rate: the adapter reports funding only when time and rate change.
                rate = market_fields(instrument) | {"rate": "0.0003"}
                settled = self._admin("POST", "/funding", rate)
                began = max(began, round((settled["time_ms"] / 1e3 - before) * 1e9))
            case drill.Announced(title, seconds):
                self._admin("POST", "/announce", {"title": title, "seconds": seconds})
            case drill.Rejects(_, times, _, _):
                # 110007: the balance is not enough for new order, the most usual rejection.
                refused = {"op": "order.create", "ret_code": 110007, "message": "drill"}
                self._fault("rejects", {"model": "ret_code", "times": times, **refused})
            case drill.Failures(_, within):
                # By time, not by count: the engine sends the same requests and may meet them.
                fault = {"model": "http", "path": "/v5/order/realtime", "status": 500}
                self._fault("failures", fault | {"seconds": within})
            case drill.Strange(instrument, weight):
                size = quantity(weight, self.price(instrument), facts_of(instrument).lot)
                side = "Buy" if size > 0 else "Sell"
                by_hand = {"account": ACCOUNT, "side": side, "qty": f"{abs(size):f}"}
                self._admin("POST", "/external_order", market_fields(instrument) | by_hand)
            case drill.KillSwitch():
                self._mail(MailRequest(command="flatten", reason="drill"))
            case drill.Slips(instrument, bps, times, _, every):
                thin = {"gap": f"{bps:.6f}", "seconds": times * every + 60}
                self._admin("POST", "/book", market_fields(instrument) | thin)
            case drill.Mended():
                for path in ("/faults", "/book", "/funding", "/announce"):
                    self._admin("DELETE", path)
            case _:
                raise TypeError(f"the strategy does it, not the exchange: {step}")
        return began

    def price(self, instrument: str) -> Decimal:
        """Return the exchange's last price."""
        assert self._endpoint is not None
        query = urlencode(market_fields(instrument))
        found = _ask(f"{self._endpoint.http}/v5/market/tickers?{query}")
        return Decimal(found["result"]["list"][0]["lastPrice"])

    def positions(self) -> dict[str, Decimal]:
        """Return the exchange's positions."""
        account = self._admin("GET", "/state")["accounts"][ACCOUNT]
        found = {
            f"{row['symbol']}-LINEAR.BYBIT": Decimal(row["size"])
            * (-1 if row["side"] == "Sell" else 1)
            for row in account["positions"]
        }
        for coin in account["wallet"]["coins"]:
            if coin["coin"] not in ("USDT", "USDC") and Decimal(coin["balance"]):
                found[f"{coin['coin']}USDT-SPOT.BYBIT"] = Decimal(coin["balance"])
        return {name: size for name, size in found.items() if size}

    def verdicts(self) -> list[TimedVerdict]:
        """Return the guard's verdicts of the journal."""
        with read(self._node) as journal:
            return [TimedVerdict(at, v) for _, at, v in journal.verdicts_of(self._scene.key)]

    def refusals(self) -> list[RefusedEntry]:
        """Return the refused entries of the journal."""
        with read(self._node) as journal:
            return [
                RefusedEntry(row["ts"], refusal_of(row["refused"]))
                for row in journal.intents()
                if row["refused"] and row["operation"] == "submit"
            ]

    def release(self, scope: str, *, accept: bool) -> str:
        """Send a request to the mailbox, as `perpdesk risk release` does."""
        request = MailRequest(
            command="release", guard=self._scene.key, scope=scope, accept=accept, reason="drill"
        )
        found = self._mail(request)
        return "" if found.done else found.text

    @property
    def _node(self) -> Path:
        return self._state / f"drill-{self._scene.key}" / "practice"

    def _mail(self, request: MailRequest) -> MailAnswer:
        found = answer(self._node, ask(self._node, request), ANSWERS_WITHIN)
        if found is None:
            raise DrillError(
                f"the node did not answer a {request.command} within {ANSWERS_WITHIN:g} s"
            )
        return found

    def _start_node(self) -> None:
        self._process = NodeProcess(["live", str(self._document)], self._log)
        until = time.monotonic() + STARTS_WITHIN
        while not self._runs():
            if time.monotonic() >= until:
                raise DrillError(f"the node did not run in {STARTS_WITHIN:g} s: {self._log_tail()}")
            self.advance(_POLL)

    def _runs(self) -> bool:
        assert self._process is not None
        try:
            with read(self._node) as journal:
                runs = journal.runs()
        except InputError:
            # The node has not made its journal yet.
            return False
        return bool(runs) and runs[0].pid == self._process.pid and runs[0].phase == "running"

    def _kill(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.kill()

    def _kill_exchange(self) -> None:
        if self._endpoint is None:
            return
        try:
            # Only if it is still that process: another one may have its id by now.
            if self._admin("GET", "/health")["pid"] == self._endpoint.pid:
                os.kill(self._endpoint.pid, signal.SIGKILL)
        except (OSError, DrillError):
            return

    def _wait_for_exchange(self) -> None:
        """Wait for the end of its process: it answers before that."""
        until = time.monotonic() + GONE_WITHIN
        while self._endpoint is not None and time.monotonic() < until:
            try:
                gone, _ = os.waitpid(self._endpoint.pid, os.WNOHANG)
            except ChildProcessError:
                return
            if gone:
                return
            time.sleep(_POLL)

    def _log_tail(self) -> str:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return " / ".join(line.strip() for line in lines[-LOG_TAIL:] if line.strip())

    def _fault(self, name: str, fault: dict[str, Any]) -> None:
        self._admin("POST", "/faults", {name: fault})

    def _admin(self, method: str, path: str, body: dict[str, Any] | None = None) -> Any:
        assert self._endpoint is not None
        found = _ask(self._endpoint.admin + path, method, body)
        if isinstance(found, dict) and "error" in found:
            raise DrillError(f"the exchange refused {path}: {found['error']}")
        return found


def _on_public(model: str, instrument: str, seconds: float) -> dict[str, Any]:
    topic = f"*.{split_id(instrument)[0]}"
    return {"model": model, "channel": "public", "topic": topic, "seconds": seconds}


# On this machine, so without a proxy.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def _ask(address: str, method: str = "GET", body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(address, data, method=method)
    try:
        with _OPENER.open(request, timeout=5.0) as answer:
            return json.load(answer)
    except urllib.error.HTTPError as error:
        if error.headers.get_content_type() != "application/json":
            raise DrillError(f"{address}: HTTP {error.code}") from None
        return json.load(error)
