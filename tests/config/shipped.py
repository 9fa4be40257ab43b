"""The YAML that the project ships, and every key in it."""

import shutil
from dataclasses import dataclass
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
PRESETS = sorted((ROOT / "config" / "presets").glob("*.yaml"))
DOCUMENTS = sorted(
    file
    for folder in (
        "config/setups",
        "backtests/runs",
        "live_nodes/nodes",
        "live_nodes/practice/markets",
        "catalog/ingests",
    )
    for file in (ROOT / folder).glob("*.yaml")
)
EVERY_FILE = [*PRESETS, *DOCUMENTS]


@dataclass(frozen=True)
class Key:
    """One key of a shipped file.

    `line` is one-based; `key` and `value` are the stretches of text that it and its value take;
    `shape` is what the value is: mapping, list or scalar.
    """

    file: Path
    path: tuple[str, ...]
    line: int
    key: tuple[int, int]
    value: tuple[int, int]
    shape: str
    text: str

    def __str__(self) -> str:
        return f"{self.file.name}:{self.line}:{'.'.join(self.path)}"


def keys_of(file: Path) -> list[Key]:
    """Return every key of a file, found by PyYAML alone: our reader is what is tested."""
    found: list[Key] = []

    def visit(node: yaml.Node, path: tuple[str, ...]) -> None:
        if not isinstance(node, yaml.MappingNode):
            return
        for key, value in node.value:
            inner = (*path, key.value)
            shape = {"mapping": "mapping", "sequence": "list"}.get(value.id, "scalar")
            found.append(
                Key(
                    file,
                    inner,
                    key.start_mark.line + 1,
                    (key.start_mark.index, key.end_mark.index),
                    (value.start_mark.index, value.end_mark.index),
                    shape,
                    value.value if shape == "scalar" else "",
                )
            )
            visit(value, inner)

    visit(yaml.compose(file.read_text(encoding="utf-8")), ())
    return found


def copy_all(folder: Path) -> None:
    """Copy every shipped file below the folder, so that `extends` finds its parents there."""
    for file in EVERY_FILE:
        target = folder / file.relative_to(ROOT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)


def readers_of(file: Path) -> list[Path]:
    """Return the documents in which the file's values count: itself, and those that extend it."""
    named = [other for other in DOCUMENTS if file.name in _extended(other)]
    return [other for other in sorted({file, *named}) if other not in PRESETS]


def _extended(file: Path) -> list[str]:
    """Return the names of what a file extends; one that it names otherwise gives it no values."""
    named = yaml.safe_load(file.read_text(encoding="utf-8")).get("extends", [])
    return [Path(name).name for name in ([named] if isinstance(named, str) else named)]
