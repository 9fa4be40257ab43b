"""The dashboard's server: who may ask what, its pages by numbers made by hand, its events."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from decimal import Decimal as D
from pathlib import Path

import msgspec
import pytest
import yaml
from typer.testing import CliRunner

from actors.records.journal_files import NAME
from config.durations import SECOND_NS
from config.errors import DeskError
from live_nodes.dashboard.access import add_token
from live_nodes.dashboard.app import Settings, run
from live_nodes.local.actions import actions
from live_nodes.local.folder import node_document, state_folder
from live_nodes.local.mailbox import pending
from live_nodes.local.releases import RUNS
from live_nodes.reports.live_result import live_result
from perpdesk import build_app
from strategies.messages import Action, Decision, Target, Verdict
from tests.live_nodes.dashboard.served import PASSWORD, Events, Visitor, serving, visiting
from tests.live_nodes.documents import guard, node_file
from tests.live_nodes.reports.journals import BTC, DAY, ETH, HOUR, Days, two_days
from tests.waiting import slack

NODE = "mine.practice"


def node(folder: Path) -> tuple[Path, Path]:
    """Return the document of a node, and its state folder."""
    file = node_file(
        folder,
        state=str(folder / "state"),
        universe={"instruments": [BTC]},
        strategies={"rev": {"use": "tests.live_nodes.desk_strategies:Steady"}},
        actors={"daily": guard("daily_loss:DailyLoss", limit_pct=0.03)},
    )
    return file, state_folder(node_document(file))


@pytest.fixture
def visitor(tmp_path: Path) -> Iterator[Visitor]:
    """Somebody who looks at a node that traded on two days, and is gone."""
    file, folder = node(tmp_path)
    two_days(folder)
    with visiting(tmp_path, file) as one:
        yield one


def test_nobody_sees_anything_without_signing_in(tmp_path: Path) -> None:
    file, folder = node(tmp_path)
    two_days(folder)
    with serving(tmp_path, file) as (address, secret), Visitor(base_url=address) as visitor:
        told = visitor.get("/api/session")
        assert told.status_code == 401
        assert told.json()["set_up"] is True
        for path in ("desk", "strategies", "positions", "trades", "trades.csv", "results"):
            assert visitor.get(f"/api/{path}").status_code == 401
        for path in ("risk", "config", "logs", "book", "strategies/rev"):
            assert visitor.get(f"/api/nodes/{NODE}/{path}").status_code == 401
        assert visitor.get("/api/events").status_code == 401
        assert visitor.act(f"/api/nodes/{NODE}/halt", reason="why").status_code == 401
        visitor.sign_in(secret)
        headers = visitor.get("/api/session").headers
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == "no-store"
        cookie = visitor.post("/api/logout", headers={"X-CSRF-Token": visitor.csrf}).headers
        assert "HttpOnly" in cookie["set-cookie"]
        assert "SameSite=strict" in cookie["set-cookie"]
        assert visitor.get("/api/desk").status_code == 401
        # Its own events are told, whoever asks for another host is not.
        told = visitor.get("/", headers={"Host": "evil.example"})
        assert told.status_code == 403
        assert visitor.get("/", headers={"Host": "desk.example:8600"}).status_code == 200
    assert [one.action for one in actions(tmp_path / "access")] == ["signed in"]


def test_a_token_reads_and_does_nothing(tmp_path: Path) -> None:
    file, folder = node(tmp_path)
    two_days(folder)
    with serving(tmp_path, file) as (address, _):
        token = add_token(tmp_path / "access" / "access.json", "wall")
        headers = {"Authorization": f"Bearer {token}"}
        with Visitor(base_url=address, headers=headers) as visitor:
            assert visitor.page("/api/desk")["nodes"][0]["node"] == NODE
            assert visitor.page("/api/session")["read_only"] is True
            assert visitor.act(f"/api/nodes/{NODE}/halt", reason="why").status_code == 401
            visitor.headers["Authorization"] += "x"
            assert visitor.get("/api/desk").status_code == 401
    assert pending(folder) == []


def test_profit_is_net_of_fees_and_funding_and_a_deposit_is_no_gain(visitor: Visitor) -> None:
    desk = visitor.page("/api/desk")
    row = desk["nodes"][0]
    assert row["state"] == "dead"
    assert row["health"] == "bad"
    assert desk["total"]["real"] is None
    assert D(desk["total"]["play"]["equity"]) == D("12019.48")
    (found,) = visitor.page("/api/strategies")["rows"]
    # 20 of the price, less 0.1 and 0.12 of fees and 0.3 of funding.
    assert D(found["realized"]) == D("19.48")
    assert D(found["fees"]) == D("0.22")
    assert D(found["funding"]) == D("-0.3")
    assert D(found["slippage"]) == D("0.5")
    assert found["trips"] == 1
    assert found["figures"]["basis"] == "account"
    assert found["figures"]["sharpe"] is None
    # From 10,000 to 10,009.9, and with the 2,000 that were paid in to 12,019.48.
    grown = 10009.9 / 10000 * 12019.48 / 12009.9
    assert found["figures"]["total_return"] == pytest.approx(grown - 1)
    # Its curve is the account's; only figures and drawdown are without the deposit.
    equity = visitor.page(f"/api/nodes/{NODE}/strategies/rev")["equity"]
    assert equity["curve"][-1][1] == 12019.48
    assert equity["drawdown"][-1][1] == 0
    (trip,) = visitor.page("/api/trips")["rows"]
    assert (trip["side"], trip["exit"], D(trip["net"])) == ("LONG", "120", D("19.48"))


def test_coins_beyond_whole_lots_are_a_fee_as_they_are_in_the_report(tmp_path: Path) -> None:
    """A fee in coins leaves 1.99 of 2 coins bought at 100, and 0.008 that are no lot."""
    pair, (file, folder) = "AUSDT-SPOT.BYBIT", node(tmp_path)
    days = Days(folder)
    days.snapshot(DAY, "1000", {})
    days.fill(DAY + HOUR, "2", "100", "0.002", instrument=pair, fee_coin="A")
    days.snapshot(DAY + 2 * HOUR, "999", {pair: ("1.99", "100", "100")})
    days.fill(DAY + 3 * HOUR, "-1.99", "110", "0", instrument=pair)
    days.snapshot(DAY + 4 * HOUR, "1018.9", {pair: ("0", "0", "110")})
    days.journal.close()
    with visiting(tmp_path, file) as visitor:
        (row,) = visitor.page("/api/strategies")["rows"]
        trips = visitor.page("/api/trips")["rows"]
    assert (D(row["fees"]), D(row["realized"]), row["trips"]) == (D(1), D("18.9"), 1)
    assert [trip["closed"] is None for trip in trips] == [False]
    (share,) = live_result(folder, DAY, DAY + 24 * HOUR).by_strategy
    assert share.net == pytest.approx(18.9)


def test_two_strategies_earn_apart_from_the_first_fee_on(tmp_path: Path) -> None:
    file, folder = node(tmp_path)
    days = Days(folder)
    days.snapshot(DAY, "10000", {})
    days.fill(DAY + HOUR, "1", "100", "0.1")
    days.fill(DAY + 2 * HOUR, "-1", "120", "0.12")
    days.fill(DAY + 3 * HOUR, "2", "50", "0.2", strategy="other", instrument=ETH)
    days.fill(DAY + 4 * HOUR, "-1", "40", "0.04", strategy="other", instrument=ETH)
    days.journal.close()
    with visiting(tmp_path, file) as visitor:
        one, other = visitor.page("/api/strategies")["rows"]
    assert (D(one["realized"]), D(other["realized"])) == (D("19.78"), D("-10.24"))
    assert one["figures"]["basis"] == other["figures"]["basis"] == "realized"
    assert one["figures"]["total_return"] == pytest.approx(19.78 / 10000)
    assert other["figures"]["total_return"] == pytest.approx(-10.24 / 10000)
    assert other["figures"]["max_drawdown"] == pytest.approx(10.24 / 10000)
    assert [x for _, x in one["curve"]] == [-0.1, 19.78]


def test_what_was_traded_by_hand_has_a_row_of_its_own(tmp_path: Path) -> None:
    file, folder = node(tmp_path)
    days = Days(folder)
    days.snapshot(DAY, "10000", {})
    days.fill(DAY + HOUR, "1", "100", "0.1")
    days.fill(DAY + 2 * HOUR, "3", "50", "0.2", strategy="", instrument=ETH)
    days.fill(DAY + 3 * HOUR, "-3", "40", "0.1", strategy="", instrument=ETH)
    days.paid(DAY + 4 * HOUR, "-100", "TRANSFER_IN", "USDT")
    days.journal.close()
    with visiting(tmp_path, file) as visitor:
        own, hand = visitor.page("/api/strategies")["rows"]
        page = visitor.page(f"/api/nodes/{NODE}/strategies/by%20hand")
        (desk,) = visitor.page("/api/desk")["nodes"]
    assert (own["strategy"], D(own["realized"])) == ("rev", D("-0.1"))
    assert (hand["strategy"], hand["use"], hand["trips"]) == ("by hand", None, 1)
    assert D(hand["realized"]) == D("-30.3")
    assert [D(fill["price"]) for fill in page["fills"]] == [40, 50]
    # Nothing of it can be halted.
    assert desk["strategies"] == ["rev"]


def test_one_of_two_strategies_earns_on_what_the_account_has_by_then(tmp_path: Path) -> None:
    """100 on 10,000, then 1,001 on 100,100, and -910.1 on 91,010.01 after 10,090.99 have left."""
    file, folder = node(tmp_path)
    days = Days(folder)
    days.snapshot(DAY, "10000", {})
    days.fill(DAY + HOUR, "1", "100", "0", strategy="other", instrument=ETH)
    made = (
        ("1", "1000"),
        ("-1", "1100"),
        ("1", "1000"),
        ("-1", "2001"),
        ("1", "1000"),
        ("-1", "89.9"),
    )
    for hour, (quantity, price) in enumerate(made, start=2):
        days.fill(DAY + hour * HOUR, quantity, price, "0")
    days.paid(DAY + 3 * HOUR + 1, "-90000", "TRANSFER_IN", "USDT")
    # Right before the loss.
    days.paid(DAY + 6 * HOUR + 1, "10090.99", "TRANSFER_OUT", "USDT")
    days.journal.close()
    with visiting(tmp_path, file) as visitor:
        one, _ = visitor.page("/api/strategies")["rows"]
        equity = visitor.page(f"/api/nodes/{NODE}/strategies/rev")["equity"]
    lost = 910.1 / 91_010.01
    assert D(one["realized"]) == D("190.9")
    assert one["figures"]["total_return"] == pytest.approx(1.01 * 1.01 * (1 - lost) - 1)
    assert one["figures"]["max_drawdown"] == pytest.approx(lost)
    assert equity["drawdown"][-1][1] == pytest.approx(-lost)
    # The curve has what was earned, as it is.
    assert equity["curve"][-1][1] == 10190.9


def test_a_journal_that_is_broken_hides_no_other_node(tmp_path: Path) -> None:
    file, folder = node(tmp_path)
    two_days(folder)
    broken = tmp_path / "state" / "broken" / "practice"
    broken.mkdir(parents=True)
    (broken / NAME).write_bytes(b"no database at all, and longer than its head of 100 bytes" * 9)
    with visiting(tmp_path, file, tmp_path / "state") as visitor:
        desk = visitor.page("/api/desk")
        assert [bool(row["error"]) for row in desk["nodes"]] == [True, False]
        assert D(desk["total"]["play"]["equity"]) == D("12019.48")
        for path in ("strategies", "positions"):
            assert list(visitor.page(f"/api/{path}")["errors"]) == ["broken.practice"]
        for path in ("nodes/broken.practice/logs?source=notes", "trades.csv?node=broken.practice"):
            assert visitor.get(f"/api/{path}").status_code == 503


def test_a_node_whose_journal_is_gone_says_so_and_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder = node(tmp_path)
    two_days(folder)
    monkeypatch.setattr("live_nodes.dashboard.app._FOUND_S", 0.0)
    with visiting(tmp_path, tmp_path / "state") as visitor:
        assert [row["error"] for row in visitor.page("/api/desk")["nodes"]] == [None]
        (folder / NAME).rename(folder / "elsewhere.db")
        (row,) = visitor.page("/api/desk")["nodes"]
        assert "no journal yet" in row["error"]
        damaged = b"no database at all, and longer than its head of 100 bytes" * 9
        (folder / NAME).write_bytes(damaged)
        (row,) = visitor.page("/api/desk")["nodes"]
        assert row["error"].startswith(f"{folder / NAME}: it is damaged (file is not a database)")


def test_trades_are_filtered_and_continue_and_leave_as_csv(visitor: Visitor) -> None:
    page = visitor.page("/api/trades?limit=2")
    assert [row["kind"] for row in page["rows"]] == ["Trade", "TRANSFER_IN"]
    rest = visitor.page(f"/api/trades?limit=9&cursor={page['next']}")
    assert [row["kind"] for row in rest["rows"]] == ["Funding", "Trade"]
    assert rest["next"] is None
    assert [r["side"] for r in visitor.page("/api/trades?side=SELL")["rows"]] == ["SELL"]
    later = (DAY + 30 * HOUR) // 1_000_000
    assert len(visitor.page(f"/api/trades?from={later}&strategy=rev")["rows"]) == 1
    assert visitor.get("/api/trades?from=x").status_code == 400
    assert visitor.get("/api/trades?cursor=x").status_code == 400
    lines = visitor.get("/api/trades.csv?kind=Trade").text.splitlines()
    assert lines[0].startswith("ts,node,strategy,symbol,side,quantity,price")
    assert [line.split(",")[4:7] for line in lines[1:]] == [
        ["SELL", "1", "120"],
        ["BUY", "1", "100"],
    ]


def test_risk_config_logs_and_a_missing_recording_say_what_there_is(visitor: Visitor) -> None:
    risk = visitor.page(f"/api/nodes/{NODE}/risk")
    assert [line["guard"] for line in risk["guards"]] == ["daily", "operator"]
    config = visitor.page(f"/api/nodes/{NODE}/config")
    assert config["running"] == {"release": None, "same": False}
    values = {line["path"]: line for line in config["values"]}
    assert values["actors.daily.params.limit_pct"]["value"] == "0.03"
    assert values["actors.daily.params.limit_pct"]["origin"].rpartition("/")[2].startswith("node")
    assert values["on_stop"]["origin"] == "default"
    book = visitor.page(f"/api/nodes/{NODE}/book")
    assert book["available"] is False
    assert "watch.record: true" in book["why"]
    assert visitor.page(f"/api/nodes/{NODE}/logs")["lines"] == []
    assert visitor.get(f"/api/nodes/{NODE}/logs?source=../../x").status_code == 400
    assert visitor.get("/api/nodes/nobody/risk").status_code == 404
    assert visitor.get("/results/../../etc/passwd/report.html").status_code == 404


def test_logs_hide_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DESK_API_SECRET", "s3cret-of-mine")
    file, folder = node(tmp_path)
    two_days(folder)
    text = "2026-01-01T00:00:01.250Z [WARN] sent s3cret-of-mine with api_key=abcdef to https://u:p@host\n"
    (folder / "node.log").write_text(f"half a line\n2026-01-01T00:00:00Z [INFO] fine\n{text}")
    alert = {"ts": 1_000_000, "level": "warning", "kind": "k", "text": "token=abc"}
    (folder / "alerts.jsonl").write_bytes(b"half\n" + msgspec.json.encode(alert) + b"\n")
    with visiting(tmp_path, file) as visitor:
        log = f"/api/nodes/{NODE}/logs"
        lines = visitor.page(f"{log}?level=WARNING")["lines"]
        (found,) = visitor.page(f"{log}?source=alerts&level=WARNING&contains=TOKEN")["lines"]
        assert (found["ts"], found["level"], found["text"]) == (1, "warning", "token=***")
        assert visitor.page(f"{log}?source=alerts&level=ERROR")["lines"] == []
        assert visitor.page(f"{log}?source=notes&contains=nothing such")["lines"] == []
    assert lines == [
        {
            "ts": 1_767_225_601_250,
            "level": "WARN",
            "text": "sent *** with api_key=*** to https://***@host",
        }
    ]


def test_a_halt_needs_the_page_a_reason_and_the_password_and_waits_for_a_dead_node(
    tmp_path: Path,
) -> None:
    file, folder = node(tmp_path)
    two_days(folder)
    with visiting(tmp_path, file) as visitor:
        path = f"/api/nodes/{NODE}/halt"
        sent = {"reason": "odd fills", "password": PASSWORD}
        assert visitor.post(path, json=sent).status_code == 403
        forged = {"X-CSRF-Token": visitor.csrf, "Sec-Fetch-Site": "cross-site"}
        assert visitor.post(path, json=sent, headers=forged).status_code == 403
        refused = visitor.act(path, reason="odd fills", password="wrong")
        assert (refused.status_code, refused.json()["reauthenticate"]) == (401, True)
        for reason in (" ", "x" * 1001):
            assert visitor.act(path, reason=reason, password=PASSWORD).status_code == 400
        assert pending(folder) == []
        done = visitor.act(path, **sent).json()
        assert done["done"] is False
        (request,) = pending(folder)
        assert request.reason == "odd fills (dashboard, 127.0.0.1)"
        assert visitor.page("/api/desk")["nodes"][0]["waiting"][0]["command"] == "halt"
        taken = visitor.act(f"/api/nodes/{NODE}/release", guard="operator", **sent)
        assert taken.status_code == 200
        assert pending(folder) == []
        unknown = visitor.act(f"/api/nodes/{NODE}/release", guard="dayly", **sent)
        assert unknown.status_code == 400
        assert "did you mean daily?" in unknown.json()["error"]
        # Nor does a strategy that somebody edits meanwhile keep it from being halted.
        file.write_text(file.read_text().replace("desk_strategies:Steady", "desk_strategies:Ste"))
        assert visitor.act(path, **sent).json()["done"] is False
        assert (
            "operator"
            in visitor.act(path.replace("halt", "release"), guard="operator", **sent).text
        )
        # Nor one that is refused by now; but a release is of what is to run.
        (folder / RUNS).write_text(file.read_text())
        file.write_text(file.read_text() + "gone: 1\n")
        halted = visitor.act(path, **sent).json()
        assert (halted["done"], "gone: unknown key" in halted["text"]) == (False, True)
        released = visitor.act(path.replace("halt", "release"), guard="operator", **sent)
        assert "gone: unknown key" in released.json()["error"]
    assert "action refused" in [one.action for one in actions(tmp_path / "access")]


def test_what_a_node_writes_comes_as_an_event_within_a_second(tmp_path: Path) -> None:
    file, folder = node(tmp_path)
    days = Days(folder)
    days.snapshot(DAY, "10000", {})
    with visiting(tmp_path, file) as visitor:
        events = Events(visitor)
        visitor.page("/api/desk")
        wrote = time.time()
        days.fill(DAY + HOUR, "1", "100", "0.1")
        fill, came = events.of("fill")
        assert (fill["side"], fill["price"], fill["node"]) == ("BUY", "100", NODE)
        assert came - wrote < slack(1)
        target = Target(instrument=BTC, score=-2.0, current="1", target="0.5", order="-0.5")
        days.journal.decision(
            Decision(
                strategy="rev", ts=DAY, data_ts=DAY, kind="rebalance", equity="10000",
                targets=(target,),
            )
        )  # fmt: skip
        days.journal.verdict(Verdict(action=Action.FLATTEN, guard="daily", reason="a loss"))
        assert events.of("verdict")[0]["action"] == "flatten"
        assert events.of("decision")[0]["node"] == NODE
        # A late one, from before, is booked where it belongs.
        days.fill(DAY + SECOND_NS, "-1", "130", "0", execution_id="late")
        page = visitor.page(f"/api/nodes/{NODE}/strategies/rev")
        assert D(page["totals"]["realized"]) == D("29.9")
        assert page["decisions"][0]["why"] == ["BTCUSDT sells 0.5: 1 to 0.5, score -2"]
        assert page["signals"]["rows"][0]["strength"] == 1.0
        assert visitor.page("/api/strategies")["rows"][0]["halted"] is True
    days.journal.close()


def test_nodes_are_found_below_a_folder_and_it_listens_to_this_machine_only(
    tmp_path: Path,
) -> None:
    file, folder = node(tmp_path)
    two_days(folder)
    (folder / "document.yaml").write_text(yaml.safe_dump(yaml.safe_load(file.read_text())))
    with visiting(tmp_path, tmp_path / "state") as visitor:
        assert [row["node"] for row in visitor.page("/api/desk")["nodes"]] == [NODE]
        assert visitor.page(f"/api/nodes/{NODE}/risk")["node"] == NODE
    refused = CliRunner().invoke(build_app(), ["dashboard", str(file), "--host", "0.0.0.0"])
    assert refused.exception is not None
    assert "--allow-remote" in str(refused.exception)
    settings = Settings(places=(file,), results=(), access=tmp_path / "access.json")
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(DeskError, match=f"1:{taken}: Address already in use; --port names"):
            run(settings, "127.0.0.1", taken, print)
