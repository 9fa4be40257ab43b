"""Dockerfile and compose.yaml: each part fits the others, and nothing is open to the network.

`docker compose config` checks the form where it is installed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from config.validate import checked
from perpdesk import build_app

PROJECT = Path(__file__).parents[3]
FOLDER = PROJECT / "live_nodes" / "install"
COMPOSE: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (FOLDER / "Dockerfile").read_text(encoding="utf-8")


def docker_composes() -> bool:
    command = ["docker", "compose", "version"]
    return bool(shutil.which("docker")) and subprocess.run(command, check=False).returncode == 0


@pytest.mark.skipif(not docker_composes(), reason="needs docker with its plugin compose")
def test_docker_takes_the_file() -> None:
    command = ["docker", "compose", "-f", str(FOLDER / "compose.yaml"), "config", "-q"]
    subprocess.run(command, check=True)


@pytest.mark.skipif(shutil.which("hadolint") is None, reason="needs hadolint")
def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    subprocess.run(["hadolint", str(FOLDER / "Dockerfile")], check=True)


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (prometheus)")
def test_prometheus_takes_its_file_and_the_alert_rules(tmp_path: Path) -> None:
    for file in (FOLDER / "prometheus.yaml", FOLDER.parent / "monitoring" / "alerts.yml"):
        shutil.copy(file, tmp_path)
    command = ["promtool", "check", "config", str(tmp_path / "prometheus.yaml")]
    subprocess.run(command, check=True)


def test_services_name_what_is_there() -> None:
    assert set(SERVICES) == {"node", "dashboard", "prometheus", "grafana", "postgres"}
    for name, service in SERVICES.items():
        assert set(service.get("depends_on", ())) <= set(SERVICES), name
        assert set(service.get("secrets", ())) <= set(COMPOSE["secrets"]), name
        for volume in service["volumes"]:
            source = volume.partition(":")[0]
            there = (FOLDER / source).exists() if source[0] == "." else source in COMPOSE["volumes"]
            assert there, f"{name}: {volume}"
        if "build" in service:
            context = (FOLDER / service["build"]["context"]).resolve()
            assert context == PROJECT
            assert (context / service["build"]["dockerfile"]).is_file()
        else:
            assert re.fullmatch(r"[a-z/]+:v?[0-9][\w.-]*", service["image"]), "a fixed version"


def test_nothing_is_reached_from_elsewhere_and_no_secret_stands_in_the_file() -> None:
    for name, service in SERVICES.items():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ())), name
        assert "no-new-privileges:true" in service["security_opt"], name
        for variable, value in service.get("environment", {}).items():
            if re.search("PASSWORD|SECRET|KEY", variable):
                assert value.startswith("/run/secrets/"), variable
    confined = {name for name, s in SERVICES.items() if s.get("read_only")}
    assert confined == set(SERVICES) - {"postgres"}
    assert all(SERVICES[name]["cap_drop"] == ["ALL"] for name in confined)


def test_the_desk_runs_commands_of_perpdesk_and_prometheus_asks_its_node() -> None:
    command = typer.main.get_command(build_app())
    for name in ("node", "dashboard"):
        words = [re.sub(r"\$\{\w+:-(.*)\}", r"\1", word) for word in SERVICES[name]["command"]]
        own = command.commands[words[0]]  # type: ignore[attr-defined]
        own.make_context(words[0], words[1:])
    assert (PROJECT / re.sub(r"\$\{\w+:-(.*)\}", r"\1", SERVICES["node"]["command"][1])).is_file()
    asked = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())["scrape_configs"]
    assert asked[0]["static_configs"] == [{"targets": ["node:9400"]}]
    settings = [word.removeprefix("--set=") for word in SERVICES["node"]["command"][2:]]
    node = checked(PROJECT / "live_nodes/nodes/xs_reversal_practice.yaml", settings).document
    assert (node.metrics.port, node.metrics.host) == (9400, "0.0.0.0")
    assert node.mirror in SERVICES["node"]["secrets"]


def test_the_image_has_the_project_and_neither_keys_nor_root() -> None:
    copied = re.findall(r"^COPY (\S+) (\S+)$", DOCKERFILE, re.MULTILINE)
    assert all((PROJECT / source).exists() for source, _ in copied)
    rooms = {path.parent.name for path in PROJECT.glob("*/__init__.py")} - {"tests"}
    assert {target for _, target in copied} == rooms | {"./"}
    ignored = (FOLDER / "Dockerfile.dockerignore").read_text().split()
    assert {"**/.env", "secrets", "live_nodes/state"} <= set(ignored)
    users = re.findall(r"^USER (\S+)$", DOCKERFILE, re.MULTILINE)
    assert users == ["1000"]
    assert DOCKERFILE.index("\nUSER") < DOCKERFILE.index("\nENTRYPOINT")
