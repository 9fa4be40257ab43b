"""Addresses of components, and their parameters against their own config classes."""

import sys
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import pytest
from msgspec import Meta
from nautilus_trader.config import StrategyConfig
from nautilus_trader.model.identifiers import InstrumentId

from config.components import AddressError, resolve, shipped_addresses
from config.errors import DocumentErrors
from config.load import examine
from config.params import build_params, check_params, complete_params, parameter_fields
from config.validate import validate
from strategies.pairs import PairsConfig


class Band(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    low: Annotated[float, Meta(ge=0.0)] = 0.0
    high: Annotated[float, Meta(le=1)]


class PlainConfig(StrategyConfig, frozen=True, kw_only=True, forbid_unknown_fields=True):
    desk_fields: ClassVar[frozenset[str]] = frozenset({"key", "instruments"})

    key: str
    instruments: tuple[str, ...]
    fast: Annotated[int, Meta(ge=1, le=100)]
    slow: Annotated[int, Meta(ge=1)] = 20
    mode: Literal["calm", "wild"] = "calm"
    size: Decimal = Decimal("1.5")
    hedge: InstrumentId | None = None
    names: tuple[Annotated[str, Meta(pattern="^[A-Z]+$")], ...] = ()
    band: Band | None = None

    def check(self) -> list[tuple[str, str]]:
        if self.fast >= self.slow:
            return [("fast", f"must be below slow, which is {self.slow}")]
        return []


class PlainStrategy:
    Config: ClassVar[type[PlainConfig]] = PlainConfig


def words(**params: Any) -> list[tuple[str, str, str]]:
    return [
        (".".join(map(str, wrong.path)), wrong.message, wrong.suggestion)
        for wrong in check_params(PlainConfig, params)
    ]


def test_a_document_may_set_the_strategys_own_fields_only():
    assert list(parameter_fields(PlainConfig)) == [
        *("fast", "slow", "mode", "size", "hedge", "names", "band")
    ]


def test_every_wrong_parameter_is_named_at_once():
    assert words(
        fast=0,
        slow="many",
        mode="wlid",
        names=["A", "b"],
        band={"low": -1, "hihg": 1},
        sice=3,
        key="mine",
        order_id_tag="x",
    ) == [
        ("sice", "unknown parameter", "size"),
        ("key", "is set by the desk, not by a document", ""),
        ("order_id_tag", "is set by the desk, not by a document", ""),
        ("fast", "expected a whole number >= 1, was 0", ""),
        ("slow", "expected a whole number, was 'many'", ""),
        ("mode", "must be one of calm, wild, was 'wlid'", "wild"),
        ("names.1", "must be text matching ^[A-Z]+$, was 'b'", "B"),
        ("band.hihg", "unknown parameter", "high"),
        ("band.low", "expected a number >= 0.0, was -1", ""),
    ]


WHOLE = "expected a whole number, was "


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"fast": 1, "mode": "wild", "band": {"high": 0.5}, "names": ["A"], "size": 2}, []),
        ({}, [("fast", "is missing", "")]),
        ({"fast": 20}, [("fast", "must be below slow, which is 20", "")]),
        ({"fast": True}, [("fast", f"{WHOLE}true", "")]),
        ({"fast": 1.5}, [("fast", f"{WHOLE}1.5", "")]),
        ({"fast": None}, [("fast", f"{WHOLE}nothing", "")]),
        ({"fast": [1]}, [("fast", f"{WHOLE}a list", "")]),
        ({"fast": {"a": 1}}, [("fast", f"{WHOLE}a mapping", "")]),
    ],
)
def test_parameters_are_complete_fit_together_and_are_not_silently_converted(params, found):
    assert words(**params) == found


def test_a_wrong_text_of_an_engines_type_is_named():
    [(path, message, _)] = words(fast=1, hedge="BTC")
    assert (path, message[-9:]) == ("hedge", "was 'BTC'")


def test_parameters_are_converted_to_the_classs_types():
    given = {"fast": 2, "size": "0.1", "hedge": "BTCUSDT-LINEAR.BYBIT", "band": {"high": 1}}
    built = build_params(PlainStrategy, given)
    assert built == {
        "fast": 2,
        "size": Decimal("0.1"),
        "hedge": InstrumentId.from_str("BTCUSDT-LINEAR.BYBIT"),
        "band": Band(high=1.0),
    }
    with pytest.raises(DocumentErrors, match="fast: expected a whole number >= 1"):
        build_params(PlainStrategy, {"fast": 0})


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    at: Annotated[float, Meta(gt=0)]
    size: Annotated[float, Meta(ge=0, lt=1)] | Literal["close"]


class StepsConfig(msgspec.Struct, frozen=True, kw_only=True):
    steps: Annotated[
        tuple[Step, ...], Meta(min_length=1, max_length=2, extra_json_schema={"uniqueItems": True})
    ]


@pytest.mark.parametrize(
    ("steps", "path", "message", "suggestion"),
    [
        ([{"at": 1, "size": "clse"}], ("steps", 0, "size"), "must be a number or close", "close"),
        ([{"at": 1, "size": 2}], ("steps", 0, "size"), "expected a number < 1.0, was 2", ""),
        ([{"at": 1, "size": 0}, {"at": 2}], ("steps", 1, "size"), "is missing", ""),
        ([{"at": 1, "size": 0, "sise": 0}], ("steps", 0, "sise"), "unknown parameter", "size"),
        ([3], ("steps", 0), "expected a mapping of keys, was 3", ""),
        ([], ("steps",), "must have 1 or more items, has 0", ""),
        ([{"at": n, "size": 0} for n in (1, 2, 3)], ("steps",), "must have 2 or fewer items", ""),
        ([{"at": 1, "size": 0}] * 2, ("steps", 1), "is given twice", ""),
    ],
)
def test_each_item_of_a_list_of_mappings_is_checked_apart(steps, path, message, suggestion):
    [wrong] = check_params(StepsConfig, {"steps": steps})
    assert (wrong.path, wrong.suggestion) == (path, suggestion)
    assert wrong.message.startswith(message)


LEGS = ["BTCUSDT-LINEAR.BYBIT", "ETHUSDT-LINEAR.BYBIT"]


@pytest.mark.parametrize(
    ("params", "path"),
    [
        # Not "give pairs, or select": they were given.
        ({"pairs": [[LEGS[0], 5]]}, ("pairs", 0, 1)),
        ({"pairs": [LEGS[:1]]}, ("pairs", 0)),
        ({"pairs": 5}, ("pairs",)),
        ({"select": 5}, ("select",)),
        ({"pairs": [LEGS], "entry": "two", "exit": 3}, ("entry",)),
        ({"pairs": [["BTCUSDT-SPOT.BYBIT", LEGS[1]]]}, ("pairs", 0, 0)),
        ({"pairs": [LEGS, LEGS[::-1]]}, ("pairs", 1)),
        # 800 is only too long beside the default of the other.
        (
            {"pairs": [LEGS], "hedge": {"z_lookback": "x"}, "volatility": {"lookback": 800}},
            ("hedge", "z_lookback"),
        ),
    ],
)
def test_what_does_not_go_with_the_default_of_a_wrong_value_is_not_said(params, path):
    assert [wrong.path for wrong in check_params(PairsConfig, params)] == [path]
    also = check_params(PairsConfig, params | {"risk": -1})
    assert {wrong.path for wrong in also} == {path, ("risk",)}


def test_complete_parameters_are_plain_values_with_defaults():
    assert complete_params(PlainStrategy, {"fast": 2}) == {
        "fast": 2,
        "slow": 20,
        "mode": "calm",
        "size": "1.5",
        "hedge": None,
        "names": [],
        "band": None,
    }


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("os:system", "package 'os' is not allowed"),
        ("strategiesx.evil:Evil", "package 'strategiesx' is not allowed"),
        ("strategies", "is no address"),
        ("strategies.xs_reversal:XSReversal()", "is no address"),
        ("strategies..x:Y", "is no address"),
        ("strategies.messages:Verdict", "is no component"),
        ("strategies.messages:encode", "is no component"),
        ("strategies.nothing.deeper:X", "there is no module strategies.nothing"),
        ("actors.losses:DailyLoss", "has moved: write actors.guards.daily_loss:DailyLoss"),
        ("actors.markets:SpreadGate", "has moved: write actors.guards.spread:SpreadGate"),
        (
            "strategies.panel_rebalancer:PanelRebalancer",
            "has moved to strategies.rebalance.config:PanelRebalancer, which is only a base",
        ),
        ("actors.guard:Guard", "has moved to actors.guards.core.guard:Guard, which is only a base"),
        ("strategies.rebalance.config:PanelRebalancer", "is only the base of strategies"),
    ],
)
def test_a_wrong_address_is_refused_in_words(use, words):
    with pytest.raises(AddressError, match=words.replace("(", r"\(")):
        resolve(use)


def test_every_component_is_found_from_an_old_address_and_a_misspelt_one():
    addresses = list(shipped_addresses())
    assert "strategies.xs_reversal:XSReversal" in addresses
    assert not any("Rebalancer" in address or "DeskStrategy" in address for address in addresses)
    for address in addresses:
        assert issubclass(resolve(address).Config, msgspec.Struct)
        room, _, name = address.rpartition(".")
        module, _, cls = name.partition(":")
        with pytest.raises(AddressError, match=f"has moved: write {address}$"):
            resolve(f"{room.partition('.')[0]}.gone.by:{cls}")
        for near in (f"{room}.{module}z:{cls}", f"{room}.{module}:{cls}z"):
            with pytest.raises(AddressError) as refusal:
                resolve(near)
            assert refusal.value.suggestion == address


def test_a_suggested_address_loads_and_there_is_none_without():
    with pytest.raises(AddressError) as refusal:
        resolve("strategies.rebalancer:Nobody")
    assert refusal.value.suggestion == ""


def test_a_package_that_is_not_allowed_is_never_imported():
    sys.modules.pop("this", None)
    with pytest.raises(AddressError):
        resolve("this:Zen")
    assert "this" not in sys.modules


@pytest.fixture
def own_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    package = tmp_path / "my_ideas"
    package.mkdir()
    (package / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield package
    for name in [name for name in sys.modules if name.split(".")[0] == "my_ideas"]:
        del sys.modules[name]


IDEA = """\
from typing import ClassVar
import msgspec

class IdeaConfig(msgspec.Struct, frozen=True, kw_only=True):
    depth: int = 3

class Idea:
    Config: ClassVar = IdeaConfig
    engine: ClassVar = "my_ideas.idea:Engine"
"""


def test_a_package_of_the_users_own_is_allowed_by_the_document(own_package, write):
    (own_package / "idea.py").write_text(IDEA)
    text = "kind: setup\nname: mine\nallow: [my_ideas]\nstrategies:\n  one:\n"
    text += "    use: my_ideas.idea:Idea\n    params: {dept: 4}\n"
    _, problems = examine(write("mine.yaml", text))
    assert [(problem.line, problem.suggestion) for problem in problems] == [(7, "depth")]
    _, problems = examine(write("mine.yaml", text.replace("allow: [my_ideas]\n", "")))
    assert "package 'my_ideas' is not allowed" in problems[0].message


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("def x(:\n", r"SyntaxError.*bad\.py:1"),
        ("x = 1\nraise RuntimeError('not today')\n", r"RuntimeError: not today at .*bad\.py:2"),
        ("import sys\n\nsys.exit('set MODEL')\n", r"it exits: set MODEL at .*bad\.py:3"),
        ("import no_such_library\n", "needs no_such_library, which is missing"),
    ],
)
def test_a_module_that_cannot_be_imported_is_named_with_its_line(own_package, source, words):
    (own_package / "bad.py").write_text(source)
    with pytest.raises(AddressError, match=words):
        resolve("my_ideas.bad:Bad", ["my_ideas"])


OWN = """\
from actors.desk.guard import GuardActor
from actors.guards.core.guard import Guard
from actors.guards.core.params import GuardParams
from strategies.xs_reversal import XSReversal

class Calm(Guard):
    Config = GuardParams

class Actor(GuardActor):
    Config = GuardParams

class Plain:
    Config = GuardParams

class Idea(XSReversal):
    pass
"""


@pytest.mark.parametrize(
    ("room", "name", "words"),
    [
        ("actors", "Calm", None),
        ("actors", "Actor", None),
        ("strategies", "Idea", None),
        ("actors", "Plain", " is no guard: derive it from actors.guards.core.guard:Guard"),
        ("strategies", "Plain", " is no strategy: derive it from strategies.base:DeskStrategy, or"),
        ("actors", "Idea", " is a strategy, and belongs under strategies, not under actors"),
        ("strategies", "Calm", " is a guard, and belongs under actors, not under strategies"),
        ("strategies", "Actor", " is a guard, and belongs under actors, not under strategies"),
    ],
)
def test_a_class_of_the_users_own_stands_in_its_room(own_package, write, room, name, words):
    (own_package / "own.py").write_text(OWN)
    text = f"kind: setup\nname: mine\nallow: [my_ideas]\n{room}:\n  one:\n"
    file = write("mine.yaml", text + f"    use: my_ideas.own:{name}\n")
    problems = [problem for problem in examine(file)[1] if problem.path.startswith(room)]
    if words is None:
        assert problems == []
    else:
        assert [(one.file, one.line, one.path) for one in problems] == [
            (str(file), 6, f"{room}.one.use")
        ]
        assert problems[0].message.startswith(f"my_ideas.own:{name}{words}")


@pytest.mark.parametrize(
    ("use", "also"),
    [
        ("actors.guards.max_drawdown:MaxDrawdown", []),
        ("actors.guards.max_drawdown:Max", ["module actors.guards.max_drawdown has no class Max"]),
        ("actors.gard:Max", ["there is no module actors.gard"]),
    ],
)
def test_a_guard_under_strategies_is_sent_to_its_room_and_what_else_is_wrong_is_said(
    write, use, also
):
    """That it trades what another strategy trades too is no help."""
    rev = "rev: {use: 'strategies.xs_reversal:XSReversal'}"
    limit = "params: {limit_pct: 5.0}"
    text = f"kind: setup\nname: a\nstrategies:\n  {rev}\n  one: {{use: '{use}', {limit}}}\n"
    first, *others = validate(write("mine.yaml", text))
    assert first.message.startswith(use)
    assert first.message.endswith("belongs under actors, not under strategies")
    assert [problem.message for problem in others] == also
