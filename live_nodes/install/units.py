"""Write systemd units of a node: service, daily report, backup and weekly study, hardened.

No unit holds a secret: systemd loads each from a file (``LoadCredential=``), else the node finds it
in ``.env`` or the keystore. What one machine needs otherwise belongs into a drop-in
(``systemctl edit``): the next install writes these files anew.
"""

from __future__ import annotations

import os
import pwd
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from config.documents import Node
from config.errors import InputError

ENCRYPTED = ".cred"
"""Ending of files of ``systemd-creds encrypt``."""
_HARDENING = """\
NoNewPrivileges=yes
CapabilityBoundingSet=
ProtectSystem=strict
ProtectHome=read-only
PrivateTmp=yes
PrivateDevices=yes
PrivateUsers=yes
PrivateMounts=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
LockPersonality=yes
RemoveIPC=yes
KeyringMode=private
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallFilter=~@privileged
SystemCallErrorNumber=EPERM
UMask=0077
"""
# No MemoryDenyWriteExecute: numba compiles at run time.
_LATE = "Nice=10\nCPUWeight=20\nIOSchedulingClass=idle\n"
"""What is no trading gives way to it."""
_NODE = """\
Type=notify
NotifyAccess=main
WatchdogSec=60
TimeoutStartSec=120
TimeoutStopSec={stop:g}
KillMode=mixed
Restart=on-failure
RestartSec=30
RestartPreventExitStatus=2
SuccessExitStatus=130
OOMScoreAdjust=-500
"""
# A document that is wrong (2) stays wrong; a gate that refuses (3) may be a venue that is down, and
# nothing watches the positions meanwhile, so a start is tried again without end.


@dataclass(frozen=True)
class Site:
    """What the units of a node run, where and as whom; all paths are absolute."""

    node: Node
    file: Path
    project: Path
    user: str
    study: Path | None = None
    credentials: Mapping[str, Path] = field(default_factory=dict)

    @property
    def state(self) -> Path:
        """Folder that the node writes to."""
        return self.project / self.node.state


def units(site: Site) -> dict[str, str]:
    """Return the text of each unit by its file name.

    Raises InputError if a path can't stand in a unit.
    """
    name, node = f"perpdesk-{site.node.name}", site.node
    what = f"{node.name} ({node.environment})"
    keys = "".join(_credential(name, path) for name, path in site.credentials.items())
    own, file = str(site.state), str(site.file)
    report = ["report", file, "--day", "yesterday"]
    found = {
        f"{name}.service": _service(
            site, f"node {what}", ["live", file],
            _NODE.format(stop=node.stop_deadline + 30) + keys, own,
            ordering="Wants=network-online.target\nAfter=network-online.target time-sync.target\n"
            "StartLimitIntervalSec=0\n",
            install="\n[Install]\nWantedBy=multi-user.target\n",
        ),
        f"{name}-report.service": _job(site, f"daily report of {what}", report, keys, own),
        f"{name}-report.timer": _timer(f"daily report of {what}", "*-*-* 00:05:00 UTC"),
        f"{name}-backup.service": _job(site, f"backup of {what}", ["backup", file], "", own),
        f"{name}-backup.timer": _timer(f"backup of {what}", "*-*-* *:35:00 UTC"),
    }  # fmt: skip
    if site.study is not None:
        study = f"study {site.study.stem}"
        command = ["optimize", str(site.study)]
        # It writes results/ and reads catalogs, whose versions it locks.
        found[f"{name}-study.service"] = _job(site, study, command, "", str(site.project))
        found[f"{name}-study.timer"] = _timer(study, "Sun *-*-* 02:00:00 UTC")
    return found


def _job(site: Site, what: str, command: list[str], keys: str, writes: str) -> str:
    return _service(site, what, command, f"Type=oneshot\n{_LATE}{keys}", writes)


def _service(
    site: Site, what: str, command: list[str], own: str, writes: str, *, ordering: str = "",
    install: str = "",
) -> str:  # fmt: skip
    words = " ".join(map(_word, (*program(), *command)))
    return (
        f"{_head(what)}{ordering}\n[Service]\n{own}User={site.user}\n"
        f"WorkingDirectory={_path(site.project)}\nExecStart={words}\n"
        f"Environment=PYTHONUNBUFFERED=1 NUMBA_CACHE_DIR=/tmp/numba\n"
        f"ReadWritePaths={_word(writes)}\n{_HARDENING}{install}"
    )


def _timer(what: str, calendar: str) -> str:
    return (
        f"{_head(what)}\n[Timer]\nOnCalendar={calendar}\nPersistent=yes\nAccuracySec=1s\n"
        "\n[Install]\nWantedBy=timers.target\n"
    )


def _head(what: str) -> str:
    return (
        "# Written by `perpdesk install systemd`; changes belong into `systemctl edit`.\n"
        f"[Unit]\nDescription=perpdesk {what}\n"
    )


def _credential(name: str, path: Path) -> str:
    kind = "LoadCredentialEncrypted" if path.suffix == ENCRYPTED else "LoadCredential"
    return f"{kind}={name}:{_path(path)}\n"


def _word(text: str) -> str:
    plain = _path(text)
    return f'"{plain}"' if " " in plain else plain


def _path(text: object) -> str:
    # Units expand % and $, and quote as a shell.
    if not str(text).isprintable() or set(str(text)) & set("\"'\\$"):
        raise InputError(f"{str(text)!r}: has quotes, $ or the like, which can't stand in a unit")
    return str(text).replace("%", "%%")


def program() -> tuple[str, ...]:
    """Return the command that runs this perpdesk: its checkout's, else the installed one."""
    checkout = Path(__file__).parents[2] / "perpdesk.py"
    if checkout.is_file() and checkout.with_name("config").is_dir():
        return sys.executable, str(checkout)
    return (str(Path(sys.executable).with_name("perpdesk")),)


def owner(folder: Path) -> str:
    """Return the user who owns a folder, who runs the node.

    Raises InputError where that is no user of this machine.
    """
    try:
        return pwd.getpwuid(os.stat(folder).st_uid).pw_name
    except KeyError:
        raise InputError(
            f"{folder}: its owner is no user of this machine; name one (--user)"
        ) from None
