"""What pages say of recordings, releases, results and journals of older versions."""

from __future__ import annotations

import json
import zlib
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nautilus_trader.model.data import BookOrder, OrderBookDelta, OrderBookDeltas, TradeTick
from nautilus_trader.model.enums import AggressorSide, BookAction, OrderSide
from nautilus_trader.model.identifiers import InstrumentId, TradeId
from nautilus_trader.model.objects import Price, Quantity

from actors.records.order_facts import OrderFacts
from config.durations import DAY_NS, SECOND_NS
from live_nodes.dashboard import books, depth, files
from live_nodes.dashboard.books import Curve, thinned
from live_nodes.dashboard.pages import NodePages, ms
from live_nodes.dashboard.sources import find
from live_nodes.local.mailbox import MailRequest, ask
from live_nodes.local.releases import DOCUMENT, STUDY, Move, Releases
from live_nodes.node.stream import STREAM, Turn, frozen, write_block
from strategies.messages import SHRINK, Decision, Target
from tests.live_nodes.deploy.studies import study_folder
from tests.live_nodes.documents import node_file, node_values
from tests.live_nodes.reports.journals import BTC, DAY, HOUR, Days, two_days

NAME = InstrumentId.from_str(BTC)
SECOND = SECOND_NS


def delta(action: BookAction, side: OrderSide, price: str, size: str, ts: int) -> OrderBookDelta:
    order = BookOrder(side, Price.from_str(price), Quantity.from_str(size), 0)
    return OrderBookDelta(NAME, action, order, 0, 0, ts, ts)


def block(path: Path, *data: Any) -> None:
    with path.open("ab") as file:
        raw = [frozen((one,)) for one in data]
        write_block(file, [Turn(n, "data at once", r, zlib.crc32(r)) for n, r in enumerate(raw)])


def pages(folder: Path) -> NodePages:
    """Return the pages of a node that traded on two days, in ``folder/state``."""
    file = node_file(folder, state=str(folder / "state"), name="n")
    (node,) = find([file])
    return NodePages(node)


def test_a_recorded_book_is_shown_as_it_was_and_as_it_is(tmp_path: Path) -> None:
    node = pages(tmp_path)
    two_days(node.source.folder)
    stream = node.source.folder / "recordings" / "a" / STREAM
    stream.parent.mkdir(parents=True)
    add, update, delete = BookAction.ADD, BookAction.UPDATE, BookAction.DELETE
    begin = DAY + 12 * HOUR - 30 * SECOND
    whole = [
        OrderBookDelta.clear(NAME, 0, begin, begin),
        delta(add, OrderSide.BUY, "99.5", "2", begin),
        delta(add, OrderSide.BUY, "99.0", "7", begin),
        delta(add, OrderSide.SELL, "100.5", "3", begin),
    ]
    block(stream, OrderBookDeltas(NAME, whole))
    later = begin + 60 * SECOND
    block(
        stream,
        TradeTick(
            NAME, Price.from_str("100.5"), Quantity.from_str("3"), AggressorSide.BUYER,
            TradeId("t"), later - SECOND, later - SECOND,
        ),
        OrderBookDeltas(NAME, [delta(delete, OrderSide.BUY, "99.5", "0", later)]),
        OrderBookDeltas(NAME, [delta(update, OrderSide.BUY, "99.0", "5", later)]),
    )  # fmt: skip
    now = node.book("", None, 60)
    assert (now["kind"], now["instruments"]) == ("book", [BTC])
    assert now["frames"][-1]["bids"] == [("99.0", "5")]
    assert now["frames"][0]["bids"] == [("99.5", "2"), ("99.0", "7")]
    assert [(t["price"], t["side"]) for t in now["trades"]] == [("100.5", "BUY")]
    # The node bought meanwhile.
    assert [fill["side"] for fill in now["fills"]] == ["BUY"]
    then = node.book(BTC, (begin + 10 * SECOND) // 1_000_000, 5)
    assert {tuple(frame["bids"]) for frame in then["frames"]} == {(("99.5", "2"), ("99.0", "7"))}
    assert then["trades"] == []
    # It goes on from where it had read.
    block(stream, OrderBookDeltas(NAME, [delta(add, OrderSide.BUY, "99.9", "1", later + SECOND)]))
    assert node.book(BTC, None, 60)["frames"][-1]["bids"][0] == ("99.9", "1")
    assert "no book of X" in node.book("X", None, 60)["why"]


@pytest.mark.parametrize("scope", ["desk", "strategy:steady", "strategy:other"])
def test_a_halt_that_waits_for_a_nodes_start_halts_its_strategies_entries(
    tmp_path: Path, scope: str
) -> None:
    node = pages(tmp_path)
    two_days(node.source.folder)
    halted = {row["strategy"]: row["halted"] for row in node.comparison()}
    assert not halted["steady"]
    ask(node.source.folder, MailRequest(command="halt", scope=scope, reason="news"))
    halted = {row["strategy"]: row["halted"] for row in node.comparison()}
    assert halted["steady"] == (scope != "strategy:other")


def test_open_orders_are_followed_without_searching_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    node = pages(tmp_path)
    days = Days(node.source.folder)
    days.snapshot(DAY, "10000", {})

    def asks(name: str) -> OrderFacts:
        return OrderFacts("submit", name, "steady", BTC, "BUY", Decimal(1), DAY, Decimal(90))

    days.journal.intended(asks("one"))
    assert node.desk()["orders"] == 1
    days.journal.intended(asks("two"))
    days.journal.adopt(asks("unknown"), "v", "ACCEPTED")
    assert node.desk()["orders"] == 2
    days.journal.outcome("one", "FILLED")
    assert node.desk()["orders"] == 1
    shown = node.strategy("steady")["orders"][0]
    assert (shown["id"], shown["status"]) == ("two", "INTENDED")
    # One that recovery found at the venue is found by a search.
    monkeypatch.setattr(books, "SEARCH_S", 0.0)
    assert node.desk()["orders"] == 2
    days.journal.close()


def test_the_books_of_a_long_recording_are_kept_so_often_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(depth, "MARKS", 4)
    stream = tmp_path / "recordings" / "a" / STREAM
    stream.parent.mkdir(parents=True)
    for minute in range(40):
        ts = DAY + minute * 60 * SECOND
        bid = delta(BookAction.ADD, OrderSide.BUY, f"{minute + 1}", "1", ts)
        whole = [OrderBookDelta.clear(NAME, 0, ts, ts), bid]
        block(stream, OrderBookDeltas(NAME, whole))
    followed = depth._Followed(stream.parent)
    assert not followed.reads_on()
    assert 2 <= len(followed.marks) <= 4
    for minute in (0, 7, 31, 39):
        at = DAY + minute * 60 * SECOND
        frames, _ = followed.window(BTC, at, at + SECOND)
        assert frames[-1]["bids"] == [(f"{minute + 1}", "1")]


def test_the_return_since_a_release_stands_beside_its_studys_band(tmp_path: Path) -> None:
    node = pages(tmp_path)
    folder = node.source.folder
    days = Days(folder)
    days.snapshot(DAY, "10000", {})
    days.fill(DAY + HOUR, "1", "100", "0", strategy="steady")
    days.snapshot(DAY + DAY_NS, "10200", {})
    days.snapshot(DAY + 2 * DAY_NS, "11500", {})
    assert "no release of this node has a study" in node.strategy("steady")["band_why"]
    study = (study_folder(tmp_path / "st", band=(-5.0, 5.0)) / "best.json").read_bytes()
    releases = Releases(folder)
    with releases.locked():
        for on_stop, before in (("keep", None), ("flatten", 0)):
            values = node_values(state=str(tmp_path / "state"), name="n", on_stop=on_stop)
            more = {"study": "st", "before": before, "reason": ""}
            written = {DOCUMENT: json.dumps(values).encode(), STUDY: study}
            releases.write(written, config="c", source="s", **more)
        releases.move(Move(number=1, ts=DAY, by="anna", why="", kind="deploy"))
    band = node.strategy("steady")["band"]
    assert [row[:3] for row in band["days"][:2]] == [(1, -5.0, 5.0), (2, -10.0, 10.0)]
    assert [round(row[3], 9) for row in band["days"][:2]] == [2.0, 15.0]
    assert band["days"][2][3] is None
    assert band["inside"] is False
    config = node.config()
    assert config["diff"]["rows"] == [{"path": "on_stop", "left": '"keep"', "right": '"flatten"'}]
    assert [row["number"] for row in config["releases"]] == [1, 0]
    days.journal.close()


def test_results_of_all_kinds_are_listed_the_newest_first_and_a_broken_one_too(
    tmp_path: Path,
) -> None:
    study_folder(tmp_path / "results" / "st")
    run = tmp_path / "results" / "deep" / "run"
    run.mkdir(parents=True)
    (run / "summary.json").write_text("{")
    day = tmp_path / "n" / "practice" / "reports" / "2026-01-01.html"
    day.parent.mkdir(parents=True)
    day.write_text("<p>")
    rows = {row["kind"]: row for row in files.results([tmp_path / "results", day.parent]).values()}
    assert rows["daily_report"]["name"] == "n 2026-01-01"
    assert rows["daily_report"]["report"].startswith("/results/")
    assert "can't be read" in rows["backtest"]["error"]
    assert rows["backtest"]["report"] is None
    assert rows["study"]["report"] is None


def test_a_study_is_listed_with_its_figures_out_of_sample(tmp_path: Path) -> None:
    # Those of the whole window are of the days that it was chosen by.
    best = {
        "study": "st",
        "window": ["2024-01-01 00:00", "2024-11-01 00:00"],
        "accepted": True,
        "figures": {"return_pct": 300.0, "sharpe": 6.0, "calmar": 9.0, "max_drawdown": 0.1},
        "out_of_sample": {"days": 180, "sharpe": 0.4, "max_drawdown": 0.25},
    }
    (tmp_path / "st").mkdir()
    (tmp_path / "st" / "best.json").write_text(json.dumps(best))
    (row,) = files.results([tmp_path]).values()
    known = {name: value for name, value in row["figures"].items() if value is not None}
    assert known == {"sharpe": 0.4, "max_drawdown": 0.25}


def test_a_thinned_curve_keeps_its_ends_and_its_extremes() -> None:
    curve = Curve()
    for second in range(10_000):
        curve.add(second * SECOND, 5.0 if second == 4321 else -5.0 if second == 777 else 0.0)
    found = thinned(curve.arrays(), 100)
    assert len(found) <= 100
    assert {(4_321_000, 5.0), (777_000, -5.0), (0, 0.0), (9_999_000, 0.0)} <= set(found)


@pytest.mark.parametrize(("environment", "known"), [("paper", True), ("practice", False)])
def test_deposits_are_known_on_paper_which_has_none_and_else_of_the_venue(
    tmp_path: Path, environment: str, known: bool
) -> None:
    (node,) = find([node_file(tmp_path, state=str(tmp_path / "s"), environment=environment)])
    days = Days(node.folder, environment)
    days.snapshot(DAY, "10000", {})
    days.journal.close()
    assert NodePages(node).desk()["day"]["flows_known"] is known


def test_alerts_and_secrets_in_them(tmp_path: Path) -> None:
    node = pages(tmp_path)
    two_days(node.source.folder)
    lines = [{"ts": 1_000_000, "level": "warning", "kind": "k", "text": "token=abc"}]
    text = b"\n".join([b"half", *map(msgspec.json.encode, lines), b""])
    (node.source.folder / "alerts.jsonl").write_bytes(text)
    (alert,) = node.desk()["alerts"]
    assert (alert["ts"], alert["level"], alert["text"]) == (1, "warning", "token=***")
    # Each guard says that it measures again, and a warning from before is still seen.
    with (node.source.folder / "alerts.jsonl").open("ab") as file:
        for second in range(2, 50):
            line = {"ts": second * 1_000_000, "level": "info", "kind": "k", "text": "again"}
            file.write(msgspec.json.encode(line) + b"\n")
    shown = node.desk()["alerts"]
    assert [alert["ts"] for alert in shown] == [*range(49, 30, -1), 1]


def test_shrinks_under_a_standing_shrink_are_folded_and_are_no_last_decision(
    tmp_path: Path,
) -> None:
    node, other = pages(tmp_path), "ETHUSDT-LINEAR.BYBIT"
    days = Days(node.source.folder)
    days.snapshot(DAY, "10000", {})

    def decide(minute: int, kind: str, instrument: str = BTC, guard: str = "") -> None:
        ts, by = DAY + minute * 60 * SECOND, {"held_back_by": guard} if guard else {}
        days.journal.decision(
            Decision(
                strategy="steady", ts=ts, data_ts=ts, kind=kind, equity="10000",
                targets=(Target(instrument=instrument, order="1", score=2.0, **by),),
                note=guard and f"1 of 2 {instrument} is entered",
            )
        )  # fmt: skip

    decide(0, "rebalance")
    decide(1, "rebalance")
    for minute in range(2, 62):
        decide(minute, SHRINK, guard="tiers")
    decide(62, SHRINK, other, "tiers")
    decide(63, SHRINK, guard="rate")
    decide(64, SHRINK, guard="tiers")
    days.journal.close()

    found = node.strategy("steady")
    minutes = [((row["ts"] - ms(DAY)) // 60_000, row["kind"]) for row in found["decisions"]]
    assert minutes == [
        (64, SHRINK), (63, SHRINK), (62, SHRINK), (1, "rebalance"), (0, "rebalance"),
    ]  # fmt: skip
    # Minutes 2 to 61, and 64.
    assert found["decisions"][0]["note"] == f"1 of 2 {BTC} is entered (the last of 61)"
    assert found["decisions"][1]["note"] == f"1 of 2 {BTC} is entered"
    assert found["signals"]["ts"] == ms(DAY + 60 * SECOND)
    assert node.comparison()[0]["last_decision"] == ms(DAY + 60 * SECOND)
    last = node.status().last_decision
    assert last is not None
    assert last.ts == DAY + 60 * SECOND
