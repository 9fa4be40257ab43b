"""A recorded session on practice, replayed: the same, changed by a tick, and cut off."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import shutil
import time
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nautilus_trader.common.events import TimeEvent
from nautilus_trader.core.uuid import UUID4
from nautilus_trader.model.data import FundingRateUpdate, MarkPriceUpdate, QuoteTick
from nautilus_trader.model.identifiers import InstrumentId
from nautilus_trader.model.objects import Price, Quantity
from nautilus_trader.test_kit.stubs.events import TestEventStubs
from nautilus_trader.test_kit.stubs.execution import TestExecStubs
from typer.testing import CliRunner

from config.documents import Node
from live_nodes.local.endpoints import Endpoints
from live_nodes.local.keys import KeyPair, Secret
from live_nodes.node.launch import launch
from live_nodes.node.recording import newest
from live_nodes.node.report import RunOptions
from live_nodes.node.stream import STREAM, Recording, Turn, frozen, thawed, write_block
from live_nodes.node.tape import Recorder
from live_nodes.node.turns import DATA_NOW
from live_nodes.operate.parity import Parity, beside_journal, compare, report_lines
from perpdesk import build_app
from tests.live_nodes.documents import BTC, ETH, STEADY, daily, node_of
from tests.live_nodes.practice.background import background

BTC_ID = InstrumentId.from_str(BTC)
PAIR = "BTCUSDT-SPOT.BYBIT"
ONE, TWO = Price.from_str("1.0"), Price.from_str("2.0")
EXAMPLES = [
    TimeEvent("t", UUID4(), 3, 4),
    MarkPriceUpdate(BTC_ID, ONE, 3, 4),
    FundingRateUpdate(BTC_ID, Decimal("0.0001"), ts_event=3, ts_init=4),
    QuoteTick(BTC_ID, ONE, TWO, Quantity.from_int(1), Quantity.from_int(1), 3, 4),
    TestExecStubs.limit_order().init_event,
    TestEventStubs.order_rejected(TestExecStubs.limit_order()),
    TestEventStubs.margin_account_state(),
]

Replays = Callable[[Path], Parity]


def record(where: Endpoints, folder: Path, kind: str) -> None:
    """Trade until fees breach a guard, which closes everything; decide again meanwhile."""
    params: dict[str, Any] = {
        "interval": "1m",
        "every": "3s",
        "fraction": 0.5,
        "max_weight": 0.5,
        "min_age_days": 0,
        "turnover_lookback": 1,
        "execution": {"tactic": "taker"},
    }
    strategies: dict[str, Any] = {"steady": {"use": STEADY, "params": params}}
    names = [BTC, ETH]
    if kind == "books and coins":
        rests = {"tactic": "maker_first", "deadline": "2s", "reprice_every": "1s"}
        params |= {"execution": rests, "max_spread_bps": 20, "min_depth": 1000}
        coins = params | {"side": "long_only", "fraction": 1.0, "gross_leverage": 0.2}
        names.append(PAIR)
        strategies["steady"]["instruments"] = [BTC, ETH]
        strategies["coins"] = {"use": STEADY, "params": coins, "instruments": [PAIR]}
    if kind == "basis":
        # Opened where nothing is gained, and planned to be closed so far below that it pays.
        params = {"pairs": [[PAIR, BTC]], "threshold": {"open_bps": -10, "close_bps": -500}}
        params |= {"half_life": "1s", "look": "100ms", "report_every": "1s", "max_position": 20_000}
        strategies = {"basis": {"use": "strategies.basis_arbitrage:BasisArbitrage"}}
        strategies["basis"]["params"] = params | {"execution": {"tactic": "taker"}}
        names = [BTC, PAIR]
    document = node_of(
        strategies=strategies,
        universe={"instruments": names},
        actors={"daily": daily(limit_pct=0.5 if kind == "lost fill" else 0.0001)},
        risk={"every": 0.5},
        watch={"record": True},
    )
    keys = KeyPair(Secret("practice-anna"), Secret("practice-secret-anna"))
    launch(
        document,
        where,
        keys,
        folder,
        "hash",
        RunOptions(seconds=15 if kind == "lost fill" else 9),
        print,
    )


@pytest.fixture(scope="module")
def fresh() -> Iterator[ProcessPoolExecutor]:
    """A process without backtests: the engine keeps the simulated venue of one for good."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        yield pool


Record = Callable[[str], Path]


@pytest.fixture(scope="module")
def recorded_session(
    fresh: ProcessPoolExecutor, tmp_path_factory: pytest.TempPathFactory
) -> Record:
    def made(kind: str) -> Path:
        state = tmp_path_factory.mktemp("state")
        # Looks at a basis need books that change. What is imported alters a process's nodes.
        from tests.live_nodes.stage import stage

        with stage() if kind in ("basis", "lost fill") else background() as exchange:
            if kind == "lost fill":
                exchange.play("fill_lost")
            fresh.submit(record, exchange.where, state, kind).result(300)
        return newest(state)

    return made


@pytest.fixture(scope="module")
def session(recorded_session: Record) -> Path:
    return recorded_session("candles")


@pytest.fixture
def replay(fresh: ProcessPoolExecutor) -> Replays:
    return lambda folder: fresh.submit(compare, folder).result(300)


def changed(session: Path, at: int, change: Callable[[Turn], Turn]) -> Path:
    """Return a copy of the recording beside it with one turn changed."""
    folder = session.with_name(f"changed-{at}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(session, folder)
    turns = list(Recording(session))
    with (folder / STREAM).open("wb") as file:
        write_block(file, [*turns[:at], change(turns[at]), *turns[at + 1 :]])
    return folder


def one_tick_up(turn: Turn) -> Turn:
    (mark,) = thawed(turn.args)
    price = mark.value
    moved = Price(price.as_decimal() + Decimal(1).scaleb(-price.precision), price.precision)
    args = (MarkPriceUpdate(mark.instrument_id, moved, mark.ts_event, mark.ts_init),)
    return msgspec.structs.replace(turn, args=frozen(args))


def price_before_first_order(session: Path) -> tuple[int, int]:
    """Return the numbers of the first order's turn, and of the newest price of its instrument."""
    turns = list(Recording(session))
    order = next(t for t in turns if any(out.kind == "intent" for out in t.outputs))
    intent = next(out for out in order.outputs if out.kind == "intent")
    instrument = msgspec.json.decode(intent.text)["instrument"]
    marks = [
        turn.number
        for turn in turns[: order.number]
        if turn.name.startswith("data")
        and isinstance(data := thawed(turn.args)[0], MarkPriceUpdate)
        and data.instrument_id.value == instrument
    ]
    return order.number, marks[-1]


def test_a_session_replays_to_the_same(session: Path, replay: Replays) -> None:
    found = replay(session)
    assert found.holds, report_lines(found)
    assert found.share == 1.0
    assert found.cut == ""
    assert all(found.counts[kind][0] for kind in ("decision", "intent", "verdict")), found.counts
    # Two entries and two exits at least, and the halt of the guard.
    assert found.counts["intent"][0] >= 4


def test_a_session_on_books_with_coins_beside_replays_to_the_same(
    recorded_session: Record, replay: Replays
) -> None:
    folder = recorded_session("books and coins")
    found = replay(folder)
    assert found.holds, report_lines(found)
    seen, sent = Counter[str](), Counter[tuple[str, str]]()
    for turn in Recording(folder):
        seen.update(type(thawed(turn.args)[0]).__name__ for _ in [0] if turn.name == DATA_NOW)
        for out in turn.outputs:
            if out.kind == "intent":
                facts = msgspec.json.decode(out.text)
                sent[facts["instrument"], facts["order_type"]] += 1
    assert seen["OrderBookDeltas"] >= 3
    # Entries by limits; then the guard closes, of the contracts nothing may be there yet.
    assert {(BTC, "LIMIT"), (PAIR, "LIMIT")} <= sent.keys(), sent
    assert "MARKET" in {kind for _, kind in sent}, sent
    assert found.counts["verdict"][0]


def test_a_session_in_which_a_wallet_was_doubted_replays_to_the_same(
    recorded_session: Record, replay: Replays
) -> None:
    """Nothing was heard of a fill whose fee the wallet shows, until it was asked for."""
    found = replay(recorded_session("lost fill"))
    assert found.holds, report_lines(found)


def test_a_basis_replays_the_same_looks_decisions_and_orders(
    recorded_session: Record, replay: Replays
) -> None:
    """Opened, closed by the guard on daily losses, and held back then, counted each second."""
    found = replay(recorded_session("basis"))
    assert found.holds, report_lines(found)
    assert found.counts["decision"][0] >= 3
    assert found.counts["intent"][0] >= 4
    assert found.counts["verdict"][0]


def test_a_change_of_the_recording_by_one_tick_is_found_at_its_record(
    session: Path, replay: Replays
) -> None:
    order, price = price_before_first_order(session)
    found = replay(changed(session, price, one_tick_up))
    assert not found.holds
    assert [text.split(" (")[0] for text in found.altered] == [f"record {price:,}"]
    assert found.first is not None
    assert found.first.number == order


def test_another_price_live_than_in_the_replay_is_found_by_what_came_of_it(
    session: Path, replay: Replays
) -> None:
    """Nothing in the file says that it was changed."""
    order, price = price_before_first_order(session)

    def sealed(turn: Turn) -> Turn:
        turn = one_tick_up(turn)
        return msgspec.structs.replace(turn, digest=zlib.crc32(turn.args))

    found = replay(changed(session, price, sealed))
    assert not found.holds
    assert found.altered == []
    assert found.first is not None
    assert found.first.number == order
    assert [text.partition(":")[0] for text in found.first.fields] == ["reference_price"]
    assert found.first.inputs[0].startswith(f"record {price:,} (")
    assert found.share is not None
    assert 0.5 < found.share < 1


def test_records_that_are_missing_inside_are_said_and_nothing_is_wholly_identical(
    session: Path, replay: Replays
) -> None:
    turns = list(Recording(session))
    data = (turn for turn in turns if turn.name.startswith("data"))
    at = next(turn.number for turn in data if not turn.outputs)
    folder = changed(session, at, lambda turn: turn)
    with (folder / STREAM).open("wb") as file:
        write_block(file, turns[:at] + turns[at + 1 :])
    found = replay(folder)
    assert (found.jumps, found.share, found.holds) == ([(at - 1, at + 1)], None, False)
    assert f"the recording lacks records {at:,} to {at:,}" in "\n".join(report_lines(found))


def test_a_block_that_is_missing_or_there_twice_is_a_jump_of_the_numbers(tmp_path: Path) -> None:
    turns = [Turn(number, "x", b"", 0) for number in range(8)]
    with (tmp_path / STREAM).open("wb") as file:
        for first, last in ((0, 2), (4, 6), (4, 6), (6, 7)):
            write_block(file, turns[first:last])
    recording = Recording(tmp_path)
    assert len(list(recording)) == 7
    assert recording.jumps == [(1, 4), (5, 4)]
    found = Parity("f", jumps=recording.jumps)
    text = "\n".join(report_lines(found))
    assert "the recording lacks records 2 to 3" in text
    assert "record 5 is followed by 4" in text


def test_fields_of_the_document_that_were_edited_since_are_named(
    session: Path, fresh: ProcessPoolExecutor
) -> None:
    """What was recorded is replayed: without these words, they would seem to have been tried."""
    (header,) = thawed(next(iter(Recording(session))).args)
    node = Node.model_validate(header.node)
    same, other = node, node.model_copy(update={"on_stop": "flatten"})
    assert node.on_stop != other.on_stop
    found = [fresh.submit(compare, session, one).result(300) for one in (same, other)]
    assert [one.edited for one in found] == [[], ["on_stop"]]
    assert "the node's document differs by now in on_stop" in "\n".join(report_lines(found[1]))


def test_nothing_can_be_set_for_a_replay() -> None:
    done = CliRunner().invoke(build_app(), ["parity", "node.yaml", "--set", "name=other"])
    assert done.exit_code == 2
    assert "No such option" in done.output


@pytest.mark.parametrize(("lost", "words"), [(20, "cut off in the block"), (0, "is damaged")])
def test_a_file_that_lost_its_end_is_compared_up_to_there_and_says_so(
    session: Path, replay: Replays, lost: int, words: str
) -> None:
    folder = changed(session, 0, lambda turn: turn)
    raw = bytearray((session / STREAM).read_bytes())
    raw[-20] ^= 1
    (folder / STREAM).write_bytes(raw[: len(raw) - lost])
    found = replay(folder)
    assert words in found.cut
    assert found.last < list(Recording(session))[-1].number
    assert found.share == 1.0
    assert f"ends early, after record {found.last:,}" in "\n".join(report_lines(found))


def test_what_only_the_journal_has_is_said(session: Path) -> None:
    empty: dict[str, Counter[Any]] = {kind: Counter() for kind in ("decision", "intent", "verdict")}
    found = beside_journal(session, empty, time.time_ns())
    assert [text.partition(" ")[2] for text in found] == [
        f"{kind}s of the journal are not in the recording" for kind in empty
    ]


def test_no_code_of_others_is_run_by_reading_a_recording() -> None:
    with pytest.raises(pickle.UnpicklingError, match="no place in a recording"):
        thawed(pickle.dumps(os.getcwd))


@pytest.mark.parametrize("made", EXAMPLES, ids=lambda made: type(made).__name__)
def test_engine_objects_come_back_whole(made: Any) -> None:
    again = thawed(frozen(made))
    assert type(again) is type(made)
    for name in ("ts_event", "ts_init", "value", "id", "reason", "rate", "last_px", "bid_price"):
        assert getattr(again, name, None) == getattr(made, name, None)


# Where a recording fails --------------------------------------------------------------------------


def recorded(folder: Path, play: Callable[[Recorder], None]) -> list[str]:
    """Record calls; return what was said of failures."""
    said: list[str] = []

    async def run() -> None:
        recorder = Recorder(said.append)
        recorder.begin(folder, "the start")
        play(recorder)
        recorder.end("the end")

    asyncio.run(run())
    return said


def test_a_handler_that_raises_raises_and_its_error_is_part_of_the_recording(
    tmp_path: Path,
) -> None:
    def play(recorder: Recorder) -> None:
        with pytest.raises(ZeroDivisionError):
            recorder.wrap("divide", lambda by: 1 // by)(0)
        assert recorder.wrap("divide", lambda by: 1 // by)(1) == 1

    assert recorded(tmp_path, play) == []
    turns = {turn.number: turn.outputs for turn in Recording(tmp_path) if turn.name == "divide"}
    assert [len(outputs) for outputs in turns.values()] == [1, 0]
    assert b"ZeroDivisionError" in turns[1][0].text


@pytest.mark.parametrize(
    ("argument", "why"),
    [("text", "No space left on device"), (lambda: None, "Can't pickle")],
    ids=["full disk", "no bytes"],
)
def test_what_can_not_be_recorded_ends_the_recording_and_no_call(
    tmp_path: Path, argument: Any, why: str
) -> None:
    def play(recorder: Recorder) -> None:
        if why.startswith("No space"):
            recorder._file = open("/dev/full", "wb")  # noqa: SIM115 - the recorder closes it
        handle = recorder.wrap("handle", lambda seen: seen)
        assert handle(argument) is argument
        recorder._save()
        assert handle(argument) is argument
        assert (recorder._file, recorder._turns) == (None, [])

    said = recorded(tmp_path, play)
    assert said[0].startswith("watch.record: nothing is recorded from here on")
    assert why in said[0]
