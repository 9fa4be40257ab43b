"""Compare a recorded session with its replay: decisions, order intents, refusals, verdicts.

What is compared is equal to the last digit, with times and order ids, or it is not the same. The
engine's random ids are in none of it. Nothing is compared after the node began to stop, and nothing
that the venue did: its events are the recording's.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from actors.records.journal_files import NAME
from actors.records.journal_reading import connect
from config.documents import Node
from live_nodes.node.replay import Played, replayed
from live_nodes.node.stream import JOURNAL, Output, Recording, Turn, thawed

KINDS = ("decision", "intent", "refusal", "verdict", "error")
_SHOWN, _LONGEST = 8, 400


@dataclass(frozen=True)
class Divergence:
    """The first turn of which something else came: both sides, and what the turn was."""

    number: int
    turn: str
    live: list[str]
    replay: list[str]
    fields: list[str]
    """Where the first pair differs: field, live, replay."""
    inputs: list[str]
    """Newest records of the instruments in which they differ, up to this turn."""
    strayed: str
    trace: str
    """Where the replay raised an error that live was not raised."""


@dataclass
class Parity:
    """Outcome of a comparison; `counts` are (same, live, replay) by kind."""

    folder: str
    turns: int = 0
    last: int = -1
    counts: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    cut: str = ""
    jumps: list[tuple[int, int]] = field(default_factory=list)
    """(record, next record) where the numbers jump: those between are missing."""
    edited: list[str] = field(default_factory=list)
    """Fields in which the node's document is not the recorded one, which is replayed."""
    altered: list[str] = field(default_factory=list)
    first: Divergence | None = None
    strayed: int = 0
    """Turns that asked other questions than live, such as the time once more."""
    astray: str = ""
    unrecorded: list[str] = field(default_factory=list)
    """What the journal has of the recorded time and the recording has not."""

    @property
    def share(self) -> float | None:
        """Part of all outputs, of either side, that are the same; None without any.

        Also None where records are missing: how much was live is not known.
        """
        same = sum(found[0] for found in self.counts.values())
        every = sum(max(found[1:]) for found in self.counts.values())
        return same / every if every and not self.jumps else None

    @property
    def holds(self) -> bool:
        """Whether there was something to compare, and all of it is the same."""
        return self.share == 1.0 and not (
            self.first or self.altered or self.strayed or self.unrecorded
        )


class Comparison:
    """Takes the turns of a replay one by one."""

    def __init__(self, folder: Path) -> None:
        self.found = Parity(str(folder))
        self.taken: dict[str, Counter[Any]] = {kind: Counter() for kind in _ROWS}
        self.until = 0
        self._same, self._live, self._replay = Counter[str](), Counter[str](), Counter[str]()
        self._newest: dict[tuple[str, str], Turn] = {}

    def take(self, played: Played) -> None:
        """Compare what came of a turn."""
        turn, found = played.turn, self.found
        found.turns, found.last = found.turns + 1, turn.number
        if turn.is_altered:
            found.altered.append(turn_text(turn))
        self._note_inputs(turn)
        self._note_outputs(turn)
        ours, theirs = turn.outputs, played.outputs
        self._live.update(output.kind for output in ours)
        self._replay.update(output.kind for output in theirs)
        pairs = zip(ours, theirs, strict=False)
        self._same.update(one.kind for one, other in pairs if one == other)
        if played.strayed:
            found.strayed += 1
            found.astray = found.astray or f"{turn_text(turn)}: {played.strayed}"
        if found.first is None and ours != theirs:
            found.first = self._divergence(played)

    def finish(self, cut: str) -> Parity:
        """Return the outcome; ``cut`` is why the recording ended early."""
        found = self.found
        found.cut = cut
        found.counts = {
            kind: (self._same[kind], self._live[kind], self._replay[kind]) for kind in KINDS
        }
        return found

    def _note_inputs(self, turn: Turn) -> None:
        if turn.name.startswith("data"):
            (data,) = thawed(turn.args)
            kind = getattr(data, "bar_type", None)
            name = kind.instrument_id if kind is not None else getattr(data, "instrument_id", None)
            if name is not None:
                self._newest[name.value, type(data).__name__] = turn

    def _note_outputs(self, turn: Turn) -> None:
        # Readings of a clock that only counts are far lower.
        self.until = max([self.until, *(r for r in turn.reads if isinstance(r, int))])
        for output in turn.outputs:
            if output.kind == "intent":
                facts = msgspec.json.decode(output.text)
                self.taken["intent"][tuple(facts[name] for name in _INTENT)] += 1
            elif output.kind in _ROWS:
                self.taken[output.kind][output.text] += 1

    def _divergence(self, played: Played) -> Divergence:
        turn = played.turn
        pairs = [(a, b) for a, b in zip(turn.outputs, played.outputs, strict=False) if a != b]
        fields = differences(*pairs[0]) if pairs else []
        said = " ".join(output.text.decode() for output in (*turn.outputs, *played.outputs))
        newest = sorted(
            (turn for (name, _), turn in self._newest.items() if name in said),
            key=lambda turn: -turn.number,
        )
        inputs = [turn_text(turn) for turn in newest]
        # Those with a value that only the replay has; without such, all.
        values = [text.rpartition(" ")[2] for text in fields]
        inputs = [text for text in inputs if any(v in text for v in values)] or inputs
        return Divergence(
            number=turn.number,
            turn=turn_text(turn),
            live=[output_text(output) for output in turn.outputs],
            replay=[output_text(output) for output in played.outputs],
            fields=fields,
            inputs=inputs,
            strayed=played.strayed,
            trace=played.trace if any(out.kind == "error" for out in played.outputs) else "",
        )


def output_text(output: Output) -> str:
    """Return an output as one line."""
    return f"{output.kind} {output.text.decode()}"


def turn_text(turn: Turn) -> str:
    """Return a turn as one line: number, call, arguments."""
    args = ", ".join(str(value) for value in thawed(turn.args))
    text = " ".join(f"record {turn.number:,} ({turn.name}): {args}".split())
    return shortened(text)


def shortened(text: str) -> str:
    """Return a text of at most a few lines."""
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"


def differences(live: Output, replay: Output) -> list[str]:
    """Return the fields in which two outputs differ, with the instrument of their line.

    >>> a = Output("verdict", b'{"scope":"desk","rows":[{"instrument":"X","price":1.5}]}')
    >>> b = Output("verdict", b'{"scope":"desk","rows":[{"instrument":"X","price":1.6}]}')
    >>> differences(a, b)
    ['rows.X.price: live 1.5, replay 1.6']
    """
    if live.kind != replay.kind:
        return [f"live {live.kind}, replay {replay.kind}"]
    return [*_differ(msgspec.json.decode(live.text), msgspec.json.decode(replay.text), "")]


def _differ(live: Any, replay: Any, path: str) -> Iterator[str]:
    if isinstance(live, dict) and isinstance(replay, dict):
        for name in sorted(live.keys() | replay.keys()):
            yield from _differ(live.get(name), replay.get(name), f"{path}.{name}")
    elif isinstance(live, list) and isinstance(replay, list) and len(live) == len(replay):
        for number, (one, other) in enumerate(zip(live, replay, strict=True)):
            name = one.get("instrument", number) if isinstance(one, dict) else number
            yield from _differ(one, other, f"{path}.{name}")
    elif live != replay:
        yield f"{path.removeprefix('.')}: live {live}, replay {replay}"


def compare(folder: Path, node: Node | None = None) -> Parity:
    """Replay the recording in a folder and compare it, also with the journal beside it.

    Where ``node`` differs from the recorded document is named; it is not replayed.
    """
    recording = Recording(folder)
    comparison = Comparison(folder)
    header = replayed(recording, folder, comparison.take)
    found = comparison.finish(recording.cut)
    found.jumps = recording.jumps
    if node is not None:
        differing = _differ(header.node, node.model_dump(mode="json"), "")
        found.edited = [text.partition(":")[0] for text in differing]
    found.unrecorded = beside_journal(folder, comparison.taken, comparison.until)
    return found


def beside_journal(folder: Path, taken: Mapping[str, Counter[Any]], until: int) -> list[str]:
    """Return where the recording and the node's journal differ, in the recorded time.

    ``taken`` are recorded outputs by kind, ``until`` is the last time (UNIX nanoseconds, UTC). A
    journal that was moved since is not compared, which is said as well.
    """
    journal = folder.parent.parent / NAME
    if not journal.is_file():
        return [f"{journal} is gone: the recording could not be compared with it"]
    with (
        closing(connect(folder / JOURNAL, "ro")) as before,
        closing(connect(journal, "ro")) as after,
    ):
        (run,) = before.execute("SELECT max(id) FROM runs").fetchone()
        written: dict[str, Counter[Any]] = {kind: Counter() for kind in _ROWS}
        late: dict[str, Counter[Any]] = {kind: Counter() for kind in _ROWS}
        for kind, (table, columns, where) in _ROWS.items():
            (seen,) = before.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()
            rows = after.execute(
                f"SELECT ts, {columns} FROM {table} WHERE run = ? AND id > ?{where}", (run, seen)
            )
            for ts, *row in rows:
                counted = written if ts <= until else late
                counted[kind][row[0] if len(row) == 1 else tuple(row)] += 1
    found = []
    for kind in _ROWS:
        missing = (written[kind] - taken[kind]).total()
        foreign = (taken[kind] - written[kind] - late[kind]).total()
        if missing:
            found.append(f"{missing} {kind}s of the journal are not in the recording")
        if foreign:
            found.append(f"{foreign} {kind}s of the recording are not in the journal")
    return found


_INTENT = ("operation", "client_order_id", "ts")
_ROWS = {
    "decision": ("decisions", "payload", ""),
    "intent": ("intents", ", ".join(_INTENT[:2]) + ", ts", " AND refused IS NULL"),
    # The node's own verdicts are inputs; a guard that left the document says nothing itself.
    "verdict": ("verdicts", "payload", " AND guard NOT LIKE 'node.%'"),
}
"""By kind: the journal's table, its columns, and a condition."""


def report_lines(found: Parity) -> list[str]:
    """Return the outcome in lines."""
    lines = [f"recording {found.folder}: {found.turns:,} records replayed"]
    if found.edited:
        fields = ", ".join(found.edited[:_SHOWN]) + ", …" * (len(found.edited) > _SHOWN)
        lines.append(f"replayed as recorded: the node's document differs by now in {fields}")
    for record, following in found.jumps:
        lines.append(
            f"the recording lacks records {record + 1:,} to {following - 1:,}"
            if following > record
            else f"the recording is out of order: record {record:,} is followed by {following:,}"
        )
    if found.cut:
        lines.append(f"the recording ends early, after record {found.last:,}: {found.cut}")
    lines += [
        f"  {kind + 's':10} {live:6,} live {replay:6,} replay {same:6,} identical"
        for kind, (same, live, replay) in found.counts.items()
    ]
    if found.jumps:
        lines.append("how much is identical is not known: records are missing or out of order")
    elif found.share is None:
        lines.append("nothing to compare: the node decided and sent nothing")
    else:
        lines.append(f"identical: {math.floor(found.share * 10_000) / 100:g} %")
    lines += [f"changed since it was recorded: {text}" for text in found.altered[:_SHOWN]]
    first = found.first
    if first is not None:
        lines.append(f"first divergence at {first.turn}")
        lines += [f"  {text}" for text in first.fields[:_SHOWN]]
        lines += [f"  live:   {shortened(text)}" for text in first.live or ["nothing"]]
        lines += [f"  replay: {shortened(text)}" for text in first.replay or ["nothing"]]
        lines += [f"  newest input: {text}" for text in first.inputs[:_SHOWN]]
        if first.strayed:
            lines.append(f"  in this turn of the replay: {first.strayed}")
        lines += [f"  {line}" for line in first.trace.splitlines()]
    if found.strayed:
        lines.append(
            f"{found.strayed:,} records took another way inside; the first: {found.astray}"
        )
    return lines + [f"journal: {text}" for text in found.unrecorded]
