"""Let systemd-analyze verify units and score how exposed a service is."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

ANALYZE = "systemd-analyze"


def verified(files: Sequence[Path]) -> list[str]:
    """Return what systemd finds wrong with units; nothing where it is not installed."""
    lines = _analyze("verify", "--man=no", *map(str, files)).stderr.splitlines()
    return [line for line in lines if any(file.name in line for file in files)]


def exposure(service: Path) -> float | None:
    """Return how exposed a service is, from 0 to 10; None where systemd does not say it."""
    said = _analyze("security", "--offline=yes", "--no-pager", str(service)).stdout
    found = re.search(r"Overall exposure level.*?: ([0-9.]+)", said)
    return float(found[1]) if found else None


def _analyze(*words: str) -> subprocess.CompletedProcess[str]:
    if shutil.which(ANALYZE) is None:
        return subprocess.CompletedProcess(words, 127, "", "")
    return subprocess.run([ANALYZE, *words], capture_output=True, text=True, check=False)
