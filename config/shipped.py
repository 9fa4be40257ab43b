"""Documents that come with perpdesk, by name: ``perpdesk:setups/xs_reversal``."""

from __future__ import annotations

from pathlib import Path

from config.errors import did_you_mean

PREFIX = "perpdesk:"
ROOT = Path(__file__).parents[1]
FOLDERS = {
    "presets": "config/presets",
    "setups": "config/setups",
    "runs": "backtests/runs",
    "nodes": "live_nodes/nodes",
    "markets": "live_nodes/practice/markets",
    "ingests": "catalog/ingests",
}


def names(group: str) -> list[str]:
    """Return the names of a group of `FOLDERS`, sorted."""
    files = sorted((ROOT / FOLDERS[group]).glob("*.yaml"))
    return [f"{PREFIX}{group}/{file.stem}" for file in files]


def file_of(name: str | Path) -> Path:
    """Return the file of a shipped name; any other path stays as it is."""
    text = str(name)
    if not text.startswith(PREFIX):
        return Path(name)
    group, _, stem = text.removeprefix(PREFIX).removesuffix(".yaml").partition("/")
    return ROOT / FOLDERS.get(group, group) / f"{stem}.yaml"


def suggest_shipped(name: str) -> str:
    """Return the shipped name that is nearest to one that does not exist, empty for none."""
    return did_you_mean(name, (one for group in FOLDERS for one in names(group)))
