"""The formats that `perpdesk catalog import` knows: the readers in `catalog.providers`."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import catalog.providers
from catalog.providers.base import Import, ImportOptions
from config.errors import InputError, did_you_mean

Reader = Callable[[Sequence[Path], ImportOptions], Import | Iterator[Import]]


def formats() -> dict[str, Reader]:
    """Find the readers: modules of `catalog.providers` that have a function ``read``."""
    found = {}
    for module in pkgutil.iter_modules(catalog.providers.__path__):
        read = getattr(importlib.import_module(f"catalog.providers.{module.name}"), "read", None)
        if read is not None:
            found[module.name] = read
    return found


def read(name: str, paths: Sequence[Path], options: ImportOptions) -> Iterator[Import]:
    """Read files of a format, part by part.

    Raises
    ------
    InputError
        When there is no such format, or a file is not what it should be.
    """
    known = formats()
    if name not in known:
        near = did_you_mean(name, known)
        hint = f" (did you mean {near}?)" if near else ""
        raise InputError(f"no format {name!r}; there are {', '.join(known)}{hint}")
    parts = known[name](paths, options)
    if isinstance(parts, Import):
        yield parts
    else:
        yield from parts
