"""A strategy or guard that ends the process, as by sys.exit: an error with its place."""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from contextlib import contextmanager

from config.errors import DeskError


class ProcessEndedError(DeskError):
    """Code of a component ended the process."""


def ended_by(error: SystemExit, besides: str = "") -> ProcessEndedError:
    """Return the error that says who ended the process, and where; ``besides`` follows."""
    frames = list(traceback.walk_tb(error.__traceback__))
    owners = (frame.f_locals.get("self") for frame, _ in reversed(frames))
    found = ((owner, getattr(getattr(owner, "config", None), "key", "")) for owner in owners)
    owner, key = next(((owner, key) for owner, key in found if key), (None, ""))
    kind = type(owner)
    who = f"{key} ({kind.__module__}:{kind.__qualname__})" if key else "code of a component"
    frame, line = frames[-1]
    return ProcessEndedError(
        f"{who} ends the process, by {error!r} at {frame.f_code.co_filename}:{line}; to end with "
        f"an error, raise any other exception{besides}"
    )


@contextmanager
def no_exits(besides: str = "") -> Iterator[None]:
    """Raise ProcessEndedError where code of a component ends the process."""
    try:
        yield
    except SystemExit as error:
        raise ended_by(error, besides) from error
