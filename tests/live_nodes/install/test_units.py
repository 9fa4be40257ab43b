"""Units of systemd: systemd finds nothing wrong, and what they run exists."""

from __future__ import annotations

import os
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import typer.main
from typer.testing import CliRunner

from config.errors import InputError
from live_nodes.install.units import Site, owner, units
from live_nodes.install.verify import ANALYZE, exposure, verified
from perpdesk import build_app
from tests.live_nodes.documents import node_file, node_of

needs_systemd = pytest.mark.skipif(
    shutil.which(ANALYZE) is None, reason="needs systemd-analyze (apt-get install systemd)"
)
SITE = Site(node_of(), Path("/desk/node.yaml"), Path("/desk"), "root")


def lines(text: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in text.splitlines() if line.startswith(f"{key}=")]


@needs_systemd
def test_systemd_finds_nothing_wrong_and_the_services_are_hardly_exposed(tmp_path: Path) -> None:
    study = Path("backtests/studies/noise.yaml").absolute()
    words = ["install", "systemd", str(node_file(tmp_path, state=str(tmp_path / "state")))]
    words += ["--to", str(tmp_path), "--study", str(study), "--user", "daemon"]
    words += ["--credential", "BYBIT_API_KEY=/etc/desk/key"]
    done = CliRunner().invoke(build_app(), words)
    assert done.exit_code == 0, done.output
    is_told = f"chown -R daemon {tmp_path / 'state'}" in done.stderr
    assert is_told == (owner(tmp_path / "state") != "daemon")
    files = [Path(line) for line in done.stdout.split()]
    assert len(files) == 7
    assert verified(files) == []
    for file in files:
        if file.suffix == ".service":
            score = exposure(file)
            assert score is not None
            assert score < 2
    assert "exposure 1." in done.stderr
    broken = files[0].read_text().replace("Type=notify", "Type=nonsense")
    files[0].write_text(broken)
    assert "nonsense" in verified(files)[0]


def test_a_unit_that_runs_another_document_is_not_replaced(tmp_path: Path) -> None:
    """Both of the name ``mine``: one of practice, and one with money, that would end it."""
    words = ["--to", str(tmp_path / "units"), "--user", "daemon"]
    # A path that is part of the other.
    folders = [tmp_path / "srv" / "one%", tmp_path / "srv"]
    folders[0].mkdir(parents=True)
    one, two = (node_file(folder, state=str(tmp_path)) for folder in folders)
    two = two.rename(tmp_path / "srv" / "node.yam")
    for file in (one, one, two):
        done = CliRunner().invoke(build_app(), ["install", "systemd", str(file), *words])
        assert isinstance(done.exception, InputError) == (file == two), done.output
    unit = tmp_path / "units" / "perpdesk-mine.service"
    assert f"{unit} runs another document than {two}" in str(done.exception)
    assert str(one).replace("%", "%%") in unit.read_text()


def test_every_command_of_the_units_is_one_of_perpdesk() -> None:
    command = typer.main.get_command(build_app())
    found = units(replace(SITE, study=Path("/desk/study.yaml")))
    run = {name: shlex.split(lines(text, "ExecStart")[0]) for name, text in found.items()
           if name.endswith(".service")}  # fmt: skip
    python, script, *words = run["perpdesk-mine.service"]
    assert words == ["live", "/desk/node.yaml"]
    assert os.access(python, os.X_OK)
    assert Path(script).is_file()
    assert len(run) == 4
    for name, (_, _, word, *words) in run.items():
        own = command.commands[word]  # type: ignore[attr-defined]
        own.make_context(word, words)
        if name != "perpdesk-mine.service":
            assert lines(found[name.replace(".service", ".timer")], "OnCalendar")[0].endswith("UTC")
    assert lines(found["perpdesk-mine-report.timer"], "OnCalendar") == ["*-*-* 00:05:00 UTC"]


def test_the_node_is_watched_restarts_and_writes_its_state_only() -> None:
    text = units(replace(SITE, node=node_of(stop_deadline=45)))["perpdesk-mine.service"]
    wanted = {
        "Type": "notify", "WatchdogSec": "60", "Restart": "on-failure", "TimeoutStopSec": "75",
        "RestartPreventExitStatus": "2", "ReadWritePaths": "/desk/live_nodes/state",
        "WorkingDirectory": "/desk", "User": "root",
    }  # fmt: skip
    assert {key: lines(text, key)[0] for key in wanted} == wanted


def test_secrets_come_as_files_and_stand_in_no_unit() -> None:
    files = {"BYBIT_API_KEY": Path("/etc/desk/key"), "DESK_ALERTS": Path("/etc/desk/alerts.cred")}
    found = units(replace(SITE, credentials=files))
    plain, encrypted = ["BYBIT_API_KEY:/etc/desk/key"], ["DESK_ALERTS:/etc/desk/alerts.cred"]
    for name in ("perpdesk-mine.service", "perpdesk-mine-report.service"):
        assert lines(found[name], "LoadCredential") == plain
        assert lines(found[name], "LoadCredentialEncrypted") == encrypted
    assert lines(found["perpdesk-mine-backup.service"], "LoadCredential") == []
    words = ["install", "systemd", "node.yaml", "--credential", "BYBIT_API_KEY=s3cr3t"]
    refused = CliRunner().invoke(build_app(), words)
    assert refused.exception.exit_code == 2  # type: ignore[union-attr]
    assert "s3cr3t" not in f"{refused.exception}{refused.output}"


def test_paths_are_quoted_and_those_that_no_unit_can_have_refused() -> None:
    text = units(replace(SITE, file=Path("/my desk/100%.yaml")))["perpdesk-mine.service"]
    assert lines(text, "ExecStart")[0].endswith('live "/my desk/100%%.yaml"')
    for odd in ('/a"b', "/a\nb", "/a$b"):
        with pytest.raises(InputError, match="can't stand in a unit"):
            units(replace(SITE, file=Path(odd)))
