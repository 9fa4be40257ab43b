"""File of a recorded session: what strategies and guards saw, in the order in which they saw it.

A session is a row of turns. A turn is one call from outside: a market event, an order event, a
timer, a guards' evaluation. It has its arguments, the clock's readings and answers of other parts
during the call, and what came of it: decisions, order intents, verdicts.

The file is append-only. It consists of blocks of about a second: three unsigned 32-bit numbers
(compressed length, length, CRC-32), then turns as compressed MessagePack. Engine objects are
pickled, as the engine has no other form for all of them; `thawed` makes objects of this project and
of its libraries only.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

import msgspec
import pyarrow as pa
from nautilus_trader.common.events import TimeEvent
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.data import IndexPriceUpdate, MarkPriceUpdate
from nautilus_trader.model.events import OrderEvent

from config.errors import InputError

FORMAT = 3
STREAM, JOURNAL = "stream", "journal.db"
BEGIN, END = "begin", "end"
"""Names of the first turn, and of the last one after an orderly stop."""
_BLOCK = struct.Struct("<III")
_ZSTD = pa.Codec("zstd", compression_level=1)
_TRUSTED = {
    *("nautilus_trader", "numpy", "pyarrow", "decimal", "msgspec", "copyreg"),
    *("strategies", "actors", "catalog", "config", "live_nodes"),
}
_BUILTINS = {"frozenset", "set", "slice", "complex", "bytearray"}


class Answer(msgspec.Struct, array_like=True, frozen=True):
    """Answer of a part that is not replayed, such as a link's state; `value` is frozen."""

    name: str
    value: bytes


class Output(msgspec.Struct, array_like=True, frozen=True):
    """A decision, intent, refusal or verdict, as JSON."""

    kind: str
    text: bytes


class Turn(msgspec.Struct, array_like=True, frozen=True):
    """One call; `args` are frozen, `digest` is their CRC-32 at the time of recording.

    `reads` are readings of clocks (nanoseconds) and answers, in the order of the questions.
    """

    number: int
    name: str
    args: bytes
    digest: int
    reads: list[int | Answer] = []
    outputs: list[Output] = []

    @property
    def is_altered(self) -> bool:
        """Whether the arguments are not those that were recorded."""
        return zlib.crc32(self.args) != self.digest


def frozen(value: Any) -> bytes:
    """Return an object as bytes."""
    return pickle.dumps(value, pickle.HIGHEST_PROTOCOL)


class _Thawing(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        trusted = module.partition(".")[0] in _TRUSTED
        if not trusted and not (module == "builtins" and name in _BUILTINS):
            raise pickle.UnpicklingError(f"{module}.{name} has no place in a recording")
        return super().find_class(module, name)


def thawed(raw: bytes) -> Any:
    """Return the object of `frozen`."""
    return _Thawing(io.BytesIO(raw)).load()


def _made_of(kind: type[Any], values: dict[str, Any]) -> Any:
    return kind.from_dict(values)


def _timer(name: str, number: str, event: int, init: int) -> TimeEvent:
    return TimeEvent(name, UUID4.from_str(number), event, init)


# The engine can't pickle these.
for _kind in (MarkPriceUpdate, IndexPriceUpdate):
    copyreg.pickle(_kind, lambda u: (type(u), (u.instrument_id, u.value, u.ts_event, u.ts_init)))
for _kind in OrderEvent.__subclasses__():
    copyreg.pickle(_kind, lambda e: (_made_of, (type(e), type(e).to_dict(e))))
# It pickles this one without its times.
copyreg.pickle(TimeEvent, lambda e: (_timer, (e.name, e.id.value, e.ts_event, e.ts_init)))


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Turn]).decode


def write_block(file: BinaryIO, turns: Iterable[Turn]) -> None:
    """Append turns to the file; the operating system has them when this returns."""
    raw = _encode(list(turns))
    packed = _ZSTD.compress(raw, asbytes=True)
    file.write(_BLOCK.pack(len(packed), len(raw), zlib.crc32(packed)) + packed)
    file.flush()


class Recording:
    """A recorded session, read block by block.

    ``cut`` says where and why the file ends early, once all was read; it is empty where it does
    not. ``jumps`` are (number, next number) of turns read so far that do not follow each other.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / STREAM
        if not self._path.is_file():
            raise InputError(f"{folder}: no recording here")
        self.cut = ""
        self.jumps: list[tuple[int, int]] = []

    def __iter__(self) -> Iterator[Turn]:
        """Yield all turns up to the first damaged block; raise InputError if there is none."""
        turn, last = None, -1
        self.jumps = []
        for _, block in self.blocks():
            for turn in block:
                if turn.number != last + 1:
                    self.jumps.append((last, turn.number))
                last = turn.number
                yield turn
        if turn is None:
            raise InputError(f"{self._path}: no recording: {self.cut or 'it is empty'}")
        if not self.cut and turn.name != END:
            self.cut = "the node was killed, or has not stopped yet"

    def blocks(self, start: int = 0) -> Iterator[tuple[int, list[Turn]]]:
        """Yield the place behind each block, and its turns, up to the first damaged one."""
        self.cut = ""
        with self._path.open("rb") as file:
            file.seek(start)
            while head := file.read(_BLOCK.size):
                place = f"{file.tell() - len(head):,}"
                packed_size, size, crc = _BLOCK.unpack(head.ljust(_BLOCK.size, b"\0"))
                packed = file.read(packed_size)
                if not packed or len(packed) < packed_size:
                    self.cut = f"the file is cut off in the block at byte {place}"
                    return
                if zlib.crc32(packed) != crc:
                    self.cut = f"the block at byte {place} is damaged"
                    return
                raw = _ZSTD.decompress(packed, decompressed_size=size, asbytes=True)
                yield file.tell(), _decode(raw)
