"""Import the class at the address in ``use``; only allowed packages are imported."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
import pkgutil
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from config.errors import InputError, did_you_mean

ROOMS = ("strategies", "actors")
SHIPPED = ("strategies", "actors.guards")
"""Packages with a component in a file of its own."""
WANTED = {
    "strategies": (
        "strategy",
        "strategies.base:DeskStrategy, or, where it ranks a universe, from "
        "strategies.rebalance.config:PanelRebalancer",
    ),
    "actors": ("guard", "actors.guards.core.guard:Guard"),
}
"""What stands in a room, and what a class of one's own derives from there."""
_ROOM_OF = {
    "strategies.base:DeskStrategy": "strategies",
    "actors.guards.core.guard:Guard": "actors",
    "actors.desk.guard:GuardActor": "actors",
}
_ABSTRACT: dict[type[Any], bool] = {}
_ADDRESS = re.compile(r"^([A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*):([A-Za-z_]\w*)$", re.ASCII)


class AddressError(InputError):
    """The address is wrong; `suggestion` is the nearest right one, `moved_to` that of today."""

    def __init__(self, message: str, suggestion: str = "", moved_to: str = "") -> None:
        self.message, self.suggestion, self.moved_to = message, suggestion, moved_to
        hint = f" (did you mean {suggestion}?)" if suggestion else ""
        super().__init__(message + hint)


def resolve(use: str, allow: Iterable[str] = ()) -> type[Any]:
    """Return the class at an address ``package.module:Class``; its ``Config`` is a msgspec Struct.

    ``allow`` are packages outside the project; a package that is not allowed is never imported.
    Raises AddressError for a bad form, a package that is not allowed, or an unknown class.
    """
    match = _ADDRESS.match(use)
    if match is None:
        raise AddressError(
            f"{use!r} is no address; it must look like strategies.xs_reversal:XSReversal"
        )
    module_name, class_name = match.groups()
    packages = (*ROOMS, *allow)
    if not _is_allowed(module_name, packages):
        top, _, rest = module_name.partition(".")
        near = did_you_mean(top, packages)
        raise AddressError(
            f"package {top!r} is not allowed; allowed are {', '.join(packages)}"
            " (a document allows more under the key allow)",
            f"{near}.{rest}:{class_name}" if near else "",
        )
    try:
        module = _import(module_name, class_name, packages)
    except AddressError as error:
        _refuse_old_address(use, class_name, error.suggestion)
        raise
    found = getattr(module, class_name, None)
    if found is None:
        _refuse_old_address(use, class_name)
        near = did_you_mean(class_name, (cls.__name__ for cls in classes_of(module)))
        raise AddressError(
            f"module {module_name} has no class {class_name}",
            f"{module_name}:{near}" if near else "",
        )
    config = getattr(found, "Config", None)
    if not inspect.isclass(found) or not is_struct(config):
        raise AddressError(
            f"{use} is no component: a component is a class whose Config is a msgspec Struct"
        )
    if _is_abstract(found):
        raise AddressError(f"{use} is only the base of strategies; name one derived from it")
    return found


def resolve_or_none(use: str, allow: Iterable[str] = ()) -> type[Any] | None:
    """Return the class at an address, None where the address is wrong."""
    try:
        return resolve(use, allow)
    except AddressError:
        return None


def misplaced(cls: type[Any] | None, use: str, room: str, allow: Iterable[str] = ()) -> str:
    """Return why the class at an address can't stand in a room, empty where it belongs there.

    Classes are known by the names of their bases: the engine is not imported for that. Where there
    is none, None, the address says it, but for a package of the user's own among ``allow``.
    """
    if cls is None:
        other = next(name for name in ROOMS if name != room)
        is_elsewhere = use.startswith(f"{other}.") and other not in allow
        return f"{use} belongs under {other}, not under {room}" if is_elsewhere else ""
    names = (f"{base.__module__}:{base.__name__}" for base in cls.__mro__)
    found = next((_ROOM_OF[name] for name in names if name in _ROOM_OF), "")
    if not found and isinstance(getattr(cls, "engine", None), str):
        found = "strategies"  # A pure one, which names the class that runs it.
    if found == room:
        return ""
    if not found:
        what, base = WANTED[room]
        return f"{use} is no {what}: derive it from {base}"
    return f"{use} is a {WANTED[found][0]}, and belongs under {found}, not under {room}"


def classes_of(module: Any) -> list[type[Any]]:
    """Return the concrete component classes that a module itself defines."""
    return [
        value
        for value in vars(module).values()
        if inspect.isclass(value)
        and value.__module__ == module.__name__
        and is_struct(value.__dict__.get("Config"))
        and not _is_abstract(value)
    ]


def shipped_addresses() -> Iterator[str]:
    """Yield the sorted addresses of the project's components, without the classes in `base`."""
    for room in SHIPPED:
        if importlib.util.find_spec(room.partition(".")[0]) is None:
            continue
        package = importlib.import_module(room)
        for found in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
            if found.name == "base":
                continue
            module = _import(f"{room}.{found.name}", "", SHIPPED)
            for cls in sorted(classes_of(module), key=lambda cls: cls.__name__):
                yield f"{module.__name__}:{cls.__name__}"


def _refuse_old_address(use: str, class_name: str, suggestion: str = "") -> None:
    for address in shipped_addresses() if use.startswith(ROOMS) else ():
        module_name, _, name = address.partition(":")
        if name == class_name and address != suggestion:
            raise AddressError(f"{use} has moved: write {address}", moved_to=address)
        for base in getattr(sys.modules[module_name], name).__mro__[1:]:
            if base.__name__ == class_name and base.__module__.startswith(ROOMS):
                raise AddressError(
                    f"{use} has moved to {base.__module__}:{class_name}, which is only a base;"
                    " name a class derived from it"
                )


def _is_allowed(module_name: str, packages: Iterable[str]) -> bool:
    return any(module_name == name or module_name.startswith(f"{name}.") for name in packages)


def _import(module_name: str, class_name: str, packages: Iterable[str]) -> Any:
    parent, _, name = module_name.rpartition(".")
    try:
        if importlib.util.find_spec(module_name) is None:
            raise AddressError(
                f"there is no module {module_name}"
                + ("" if parent else "; is its folder on the Python path?"),
                _near_address(parent, name, class_name, packages),
            )
        return importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name and (module_name == error.name or module_name.startswith(f"{error.name}.")):
            raise AddressError(
                f"there is no module {error.name}; is its folder on the Python path?"
            ) from error
        raise AddressError(f"module {module_name} needs {error.name}, which is missing") from error
    except AddressError:
        raise
    except (Exception, SystemExit) as error:
        # A user's module may raise anything while it is imported; its own line is what helps.
        frames = traceback.extract_tb(error.__traceback__)
        place = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
        if isinstance(error, SyntaxError):
            place = f" at {error.filename}:{error.lineno}"
        what = "it exits" if isinstance(error, SystemExit) else type(error).__name__
        words = f"{what}: {error}" if str(error) else what
        raise AddressError(f"module {module_name} can't be imported: {words}{place}") from error


def _near_address(parent: str, name: str, class_name: str, packages: Iterable[str]) -> str:
    near = f"{parent}.{did_you_mean(name, _siblings(parent))}"
    if near.endswith(".") or not _is_allowed(near, packages):
        return ""
    try:
        found = [cls.__name__ for cls in classes_of(_import(near, class_name, packages))]
    except AddressError:
        return ""
    cls = class_name if class_name in found else did_you_mean(class_name, found)
    return f"{near}:{cls}" if cls else ""


def _siblings(parent: str) -> list[str]:
    package = sys.modules.get(parent)
    paths = getattr(package, "__path__", None)
    return [found.name for found in pkgutil.iter_modules(paths)] if paths else []


def is_struct(value: object) -> bool:
    """Whether a value is a msgspec Struct's class."""
    return inspect.isclass(value) and issubclass(value, msgspec.Struct)


def _is_abstract(cls: type[Any]) -> bool:
    if cls not in _ABSTRACT:
        # The engine's base classes have no ABCMeta: `inspect.isabstract` alone would miss these.
        _ABSTRACT[cls] = any(
            getattr(inspect.getattr_static(cls, name, None), "__isabstractmethod__", False)
            for name in dir(cls)
        )
    return _ABSTRACT[cls]
