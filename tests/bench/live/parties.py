"""The processes of a benchmark: the exchange, our node as a trader starts it, and the bare one."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import msgspec
import yaml

from tests.bench.live.meter import Reading, Spec, readings
from tests.bench.live.paced_market import TRADED, Name, own_signal, signal_names

CHANNELS = ("public", "private", "trade")
ROOT = Path(__file__).resolve().parents[3]
STOP_S = 20.0
POLL_S = 0.02
NEVER = {"entry": 1.0, "exit": -1.0}
SCALPS: dict[str, Any] = {
    "candle": "1h",
    "fusion": {"thresholds": dict.fromkeys(("low", "normal", "high"), NEVER)},
}


class VenueProcess:
    """The exchange, `signals` of whose symbols change; runs inside a ``with``."""

    def __init__(self, signals: int) -> None:
        self.signals = signals
        self.port = 0

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.live.venue_process", str(self.signals)],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.port = self._answer()["port"]
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        _ended(self._process)

    def tell(self, do: str, **more: Any) -> dict[str, Any]:
        """Let it do something and return its answer."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"the exchange ended with {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        return answer


class Party:
    """A node's process, ``ours`` or ``bare``, which is also its account.

    `folder` takes its files; a second start goes on in it. When it `trades` it answers its own
    signal by orders, one of `every` so many changes, and listens to no other unless to `all_books`.
    With `guards` ours has the standard ones, and with `scalps` the scalper's signals; `changes`
    replace top-level keys of its document.
    """

    def __init__(
        self,
        name: Name,
        venue: VenueProcess,
        folder: Path,
        *,
        trades: bool,
        every: int = 1,
        guards: bool = False,
        all_books: bool = False,
        scalps: bool = False,
        changes: dict[str, Any] | None = None,
    ) -> None:
        self._changes = changes or {}
        self.name, self._venue, self._guards, self._scalps = name, venue, guards, scalps
        self._folder = folder / name
        self._folder.mkdir()
        self.meter = self._folder / "meter.jsonl"
        names = signal_names(venue.signals)
        own = own_signal(name)
        names = names if all_books or not trades else [own]
        self._spec = Spec(
            port=venue.port,
            account=name,
            signals=tuple(map(_id, names)),
            answered=_id(own),
            traded=_id(TRADED[1]) if trades else None,
            every=every,
            meter=str(self.meter),
        )
        self._process: subprocess.Popen[bytes] | None = None
        self.started_ns = 0

    def start(self) -> None:
        command = self._ours() if self.name == "ours" else self._bare()
        with (self._folder / "output").open("ab") as output:
            self.started_ns = time.monotonic_ns()
            self._process = subprocess.Popen(
                [sys.executable, "-m", *command],
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )

    def stop(self) -> None:
        """Ask it to stop and wait for that."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            _ended(self._process)

    def kill(self) -> None:
        assert self._process is not None
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def readings(self) -> list[Reading]:
        """Return what it told of itself so far."""
        return readings(self.meter)

    def wait(self, wanted: Callable[[], bool], what: str, seconds: float = 180.0) -> None:
        """Wait until something holds; raise RuntimeError with the node's last output if not."""
        deadline = time.monotonic() + seconds
        assert self._process is not None
        while not wanted():
            ended = self._process.poll()
            if ended is not None or time.monotonic() > deadline:
                said = (self._folder / "output").read_text(encoding="utf-8", errors="replace")
                how = f"ended with {ended}" if ended is not None else f"{what} did not come"
                raise RuntimeError(f"{self.name}: {how}:\n{said[-2000:]}")
            time.sleep(POLL_S)

    def first_order_ns(self) -> int:
        """Wait for its first order since the exchange's last ``begin``; return when it came in."""

        def arrivals() -> list[int]:
            return list(self._venue.tell("report")["arrivals"].get(self.name, []))

        self.wait(lambda: bool(arrivals()), "an order")
        return arrivals()[0]

    def _bare(self) -> list[str]:
        file = self._folder / "spec.json"
        file.write_bytes(msgspec.json.encode(self._spec))
        return ["tests.bench.live.bare", str(file)]

    def _ours(self) -> list[str]:
        links = f"ws://127.0.0.1:{self._spec.port}/v5"
        traded = self._spec.traded
        signals = list(self._spec.signals)
        names = ("answered", "traded", "every", "meter")
        params: dict[str, Any] = {name: getattr(self._spec, name) for name in names}
        if self._scalps:
            use, own = "EchoScalp", SCALPS | {"every": 1}  # It looks twenty times a second at most
        else:
            use, own = "Echo", {"signals": signals}
        echo = {"use": f"tests.bench.live.echo:{use}", "params": params | own}
        document = {
            "kind": "node",
            "name": "bench",
            "environment": "practice",
            "tag": "be",
            "account": {"name": self.name},
            "state": str(self._folder / "state"),
            "allow": ["tests"],
            "universe": {"instruments": [*signals, *([traded] if traded else [])]},
            "strategies": {"echo": echo},
            "venue_urls": {f"ws_{link}": f"{links}/{link}" for link in CHANNELS}
            | {"http": f"http://127.0.0.1:{self._spec.port}"},
            # The pace is Bybit's limit, which the exchange of the benchmark does not have.
            "watch": {"throttle": {"per_second": 1000, "burst": 1000}},
        }
        if self._guards:
            document["extends"] = str(ROOT / "config/presets/risk_standard.yaml")
            # It pays fees with each trade, and would soon rest.
            document["actors"] = {"losses": {"enabled": False}}
        document |= self._changes
        file = self._folder / "node.yaml"
        file.write_text(yaml.safe_dump(document), encoding="utf-8")
        return ["perpdesk", "live", str(file)]


@contextmanager
def party(name: Name, venue: VenueProcess, **settings: Any) -> Iterator[Party]:
    """Run a node until the block ends; `settings` as of `Party`."""
    with tempfile.TemporaryDirectory(prefix="perpdesk-bench-") as folder:
        made = Party(name, venue, Path(folder), **settings)
        made.start()
        try:
            yield made
        finally:
            made.stop()


def _id(symbol: str) -> str:
    return f"{symbol}-LINEAR.BYBIT"


def _ended(process: subprocess.Popen[Any]) -> None:
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
