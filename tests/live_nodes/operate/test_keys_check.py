"""`perpdesk keys check`: what a key may do at the venue, and what is dangerous about it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from live_nodes.local.practice_process import Endpoint
from live_nodes.node.key_rights import key_findings
from live_nodes.practice.wire.access import KeyTerms
from perpdesk import build_app
from tests.live_nodes.documents import node_file
from tests.live_nodes.killing import venue_urls
from tests.live_nodes.practice.background import background

NOW = datetime(2026, 1, 1, tzinfo=UTC)
TRADES = KeyTerms().permissions
FULL = TRADES | {"Wallet": ("AccountTransfer", "Withdraw")}


@pytest.mark.parametrize(
    ("answer", "found", "remedies"),
    [
        (
            {"permissions": {"Wallet": []}, "ips": ["1.2.3.4"], "expiredAt": ""},
            ["may not move money", "bound to 1.2.3.4", "none given"],
            "",
        ),
        (
            {"permissions": {"Wallet": ["Withdraw"]}, "ips": ["*"]},
            ["the key may withdraw", "works from any address", "none given"],
            "rights addresses",
        ),
        (
            {"permissions": {"Wallet": ["SubMemberTransfer"]}, "ips": ["1.2.3.4", "::1"]},
            ["the key may move money between accounts: SubMember", "bound to 1.2.3.4, ::1", "none"],
            "rights",
        ),
        (
            {"expiredAt": "2026-01-14T23:59:59Z"},
            ["may not", "works from any", "expires at 2026-01-14 23:59 UTC, in 13 days"],
            "addresses expiry",
        ),
        ({"expiredAt": "2026-01-15T00:00:00Z"}, ["may", "works", "expires at 2026"], "addresses"),
        ({"expiredAt": "1970-01-01T00:00:00Z"}, ["may not", "works", "none given"], "addresses"),
    ],
)
def test_what_a_key_may_beyond_trading_is_judged(
    answer: dict[str, Any], found: list[str], remedies: str
) -> None:
    findings = key_findings(answer, NOW)
    assert [f.check for f in findings] == ["rights", "addresses", "expiry"]
    for finding, words in zip(findings, found, strict=True):
        assert finding.found.startswith(words)
    assert " ".join(finding.check for finding in findings if finding.remedy) == remedies


@pytest.mark.parametrize(
    ("terms", "code", "grades"),
    [
        (KeyTerms(ips=("127.0.0.1",)), 0, "keys ok trading ok rights ok addresses ok expiry ok"),
        (
            KeyTerms(permissions=FULL, expires=datetime.now(UTC) + timedelta(days=3)),
            0,
            "keys ok trading ok rights warn addresses warn expiry warn",
        ),
        (KeyTerms(read_only=True), 3, "keys ok trading bad rights ok addresses warn expiry ok"),
        (
            KeyTerms(permissions={"Spot": ("SpotTrade",)}),
            3,
            "keys ok trading bad rights ok addresses warn expiry ok",
        ),
        (KeyTerms(ips=("1.2.3.4",)), 3, "keys ok venue bad"),
        (KeyTerms(expires=NOW), 3, "keys ok venue bad"),
    ],
)
def test_the_command_warns_and_refuses_what_could_not_trade(
    tmp_path: Path, terms: KeyTerms, code: int, grades: str
) -> None:
    with background() as running:
        running.server.venue.key_terms["anna"] = terms
        urls = venue_urls(Endpoint.of(0, running.port, 0))
        only = {"instruments": ["*-LINEAR.BYBIT"]}
        file = node_file(tmp_path, venue_urls=urls, state=str(tmp_path), universe=only)
        done = CliRunner().invoke(build_app(), ["keys", "check", str(file), "--json"])
    assert done.exit_code == code, done.output
    checks = json.loads(done.stdout)["checks"]
    assert " ".join(f"{row['check']} {row['grade']}" for row in checks) == grades
    assert "practice-" not in done.output


def test_paper_needs_no_key(tmp_path: Path) -> None:
    file = node_file(tmp_path, environment="paper")
    done = CliRunner().invoke(build_app(), ["keys", "check", str(file)])
    assert (done.exit_code, "none needed (paper)" in done.stdout) == (0, True)
