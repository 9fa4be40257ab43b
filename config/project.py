"""`perpdesk init`: write a project of one's own into a folder."""

from __future__ import annotations

from pathlib import Path

from config.errors import InputError
from config.schema import FOLDER as SCHEMAS

TEMPLATE = Path(__file__).parent / "project_template"


def write_project(folder: Path) -> list[Path]:
    """Write every file of the template and the schemas; refuse before any when one exists."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"{folder}: a file stands there; give a folder")
    sources = {
        folder / str(source.relative_to(TEMPLATE)).removesuffix(".txt"): source
        for source in sorted(TEMPLATE.rglob("*"))
        if source.is_file()
    }
    sources |= {folder / "schemas" / file.name: file for file in sorted(SCHEMAS.glob("*.json"))}
    there = [str(target) for target in sources if target.exists()]
    if there:
        raise InputError(f"{folder}: {', '.join(there)} would be overwritten; give another folder")
    try:
        for target, source in sources.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(source.read_text(encoding="utf-8"), encoding="utf-8")
    except OSError as error:
        raise InputError(f"{folder}: can't be written ({error.strerror})") from None
    return list(sources)
