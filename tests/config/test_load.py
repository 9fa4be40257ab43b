"""Extending, merging, overriding, and knowing where each value came from."""

from decimal import Decimal
from pathlib import Path

import pytest

from config.documents import Backtest, FixedBpsSlippage, Latency, NoSlippage
from config.errors import DocumentErrors
from config.load import examine, load
from config.reading import Origin
from tests.config.conftest import Write
from tests.config.shipped import DOCUMENTS, ROOT

DEMO = "backtests/runs/xs_reversal_demo.yaml"

PARENT = """\
venue:
  leverage: 2
  slippage: {model: fixed_bps, bps: 3}
universe:
  instruments: [BTCUSDT-LINEAR.BYBIT, ETHUSDT-LINEAR.BYBIT]
"""
SETUP = """\
kind: setup
name: parent
strategies:
  one: {use: "strategies.xs_reversal:XSReversal", params: {lookback: 2, skip: 1}}
"""
CHILD = """\
kind: backtest
name: child
extends: [parent.yaml, sub/setup.yaml]
catalog: somewhere
window: {start: 2024-01-01, end: 2024-02-01}
strategies: {one: {params: {lookback: 5}}}
"""


@pytest.fixture
def child(write: Write) -> Path:
    write("parent.yaml", PARENT)
    write("sub/setup.yaml", SETUP)
    return write("child.yaml", CHILD)


def test_mappings_merge_and_the_child_wins(child):
    document = load(child).document
    assert isinstance(document, Backtest)
    assert (document.kind, document.name) == ("backtest", "child")
    assert document.strategies["one"].params == {"lookback": 5, "skip": 1}
    assert document.venue.leverage == 2


def test_lists_replace_and_later_parents_win(child, write):
    # The second parent extends the first, too: that is no cycle.
    write("sub/setup.yaml", SETUP + "extends: ../parent.yaml\nvenue: {leverage: 4}\n")
    write("child.yaml", CHILD + "universe: {instruments: [SOLUSDT-LINEAR.BYBIT]}\n")
    document = load(child).document
    assert document.universe.instruments == ("SOLUSDT-LINEAR.BYBIT",)
    assert document.venue.leverage == 4


def test_an_override_wins_over_the_file(child):
    resolved = load(child, ["venue.leverage=3", "strategies.one.params.lookback=7"])
    assert resolved.document.venue.leverage == 3
    assert resolved.document.strategies["one"].params["lookback"] == 7
    assert resolved.origin(("venue", "leverage")) == Origin("--set")


def test_every_value_knows_who_gave_it(child):
    resolved = load(child)
    folder = str(child.parent)
    assert resolved.origin(("venue", "leverage")) == Origin(f"{folder}/parent.yaml", 2, 13)
    column = SETUP.splitlines()[3].index("1}}") + 1
    assert resolved.origin(("strategies", "one", "params", "skip")) == Origin(
        f"{folder}/sub/setup.yaml", 4, column
    )
    assert resolved.origin(("strategies", "one", "params", "lookback")).file == str(child)
    assert resolved.origin(("seed",)) == Origin("default")


def test_another_model_of_slippage_starts_afresh(child):
    # Merged key by key, the parent's bps would be an unknown key of the model "none".
    assert load(child, ["venue.slippage.model=none"]).document.venue.slippage == NoSlippage()
    changed = load(child, ["venue.slippage.bps=1.5"]).document.venue.slippage
    assert changed == FixedBpsSlippage(bps=Decimal("1.5"))
    # Amounts are exact as written.
    assert str(load(DEMO).document.venue.fees.linear.taker) == "0.00055"


def test_null_takes_an_inherited_latency_away(child, write):
    write("parent.yaml", PARENT.replace("venue:", "venue:\n  latency: {orders: {base: 20}}"))
    with pytest.raises(DocumentErrors, match=r"parent\.yaml:2:.*write latency: null"):
        load(child, ["venue.market=candles"])
    write("child.yaml", CHILD + "venue: {latency: null, market: candles}\n")
    assert load(child).document.venue.latency == Latency()


def test_a_file_must_say_its_own_kind(child, write):
    write("child.yaml", CHILD.replace("kind: backtest\n", ""))
    _, problems = examine(child)
    assert [problem.message for problem in problems] == [
        "kind is missing; it must be one of setup, backtest, node, study, ingest, exchange, "
        "scenario"
    ]


def test_a_parent_that_gives_a_value_where_keys_belong_is_named(child, write):
    write("parent.yaml", "strategies: none\n")
    _, problems = examine(child)
    assert (problems[0].file, problems[0].line) == (str(child.parent / "parent.yaml"), 1)
    assert problems[0].message.startswith("expected a mapping of keys")


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("venue.leverage", "--set: 'venue.leverage' is not of the form path.to.key=value"),
        ("=3", "--set: '=3' is not of the form path.to.key=value"),
        ("venue..leverage=3", "--set: 'venue..leverage=3' is not of the form path.to.key=value"),
        ("venue.leverage=[", "--set: venue.leverage: YAML syntax: while parsing a flow node"),
        ("venue.leverage=0", "--set: venue.leverage: must be greater than or equal to 1, was 0"),
        ("venue.levrage=3", "--set: venue.levrage: unknown key (did you mean leverage?)"),
        ("extends=x.yaml", "--set: extends: can't be overridden; write a document"),
        ("strategies.one.params.lookback=", "--set: strategies.one.params.lookback: expected"),
    ],
)
def test_a_wrong_override_is_named(child, setting, expected):
    _, problems = examine(child, [setting])
    assert [str(problem)[: len(expected)] for problem in problems] == [expected]


def test_an_override_may_be_a_list_or_have_a_dot_in_its_path(child):
    resolved = load(child, ["universe.exclude=[XRP*, ADA*]"])
    assert resolved.document.universe.exclude == ("XRP*", "ADA*")
    _, problems = examine(child, ['strategies."one.two".use=3'])
    assert problems[0].path == 'strategies."one.two"'


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda file: file.name)
def test_a_document_written_out_loads_to_the_same_hash(file, write):
    resolved = load(file)
    again = load(write("config.yaml", resolved.to_yaml()))
    assert again.config_hash == resolved.config_hash
    # Written out, components have their defaults as well.
    apart = {"strategies", "actors"}
    assert again.document.model_dump(exclude=apart) == resolved.document.model_dump(exclude=apart)
    assert again.to_yaml() == resolved.to_yaml()
    assert "extends" not in again.data


def test_the_hash_sees_values_and_not_their_spelling(child):
    plain = load(child).config_hash
    assert load(child, ["venue.leverage=2.0"]).config_hash == plain
    assert load(child, ["seed=0"]).config_hash == plain
    assert load(child, ["strategies.one.params.fraction=0.2"]).config_hash == plain
    assert load(child, ["venue.leverage=2.5"]).config_hash != plain
    assert load(child, ["strategies.one.params.fraction=0.21"]).config_hash != plain


def test_a_file_that_is_not_there_or_no_text_is_an_error(tmp_path):
    with pytest.raises(DocumentErrors, match="there is no such file"):
        load(tmp_path / "nothing.yaml")
    (tmp_path / "x.yaml").write_bytes(b"kind: \xff\xfe")
    with pytest.raises(DocumentErrors, match="is not UTF-8 text"):
        load(tmp_path / "x.yaml")


def test_windows_ends_and_a_byte_order_mark_do_no_harm(write):
    text = (ROOT / "config/setups/xs_reversal.yaml").read_text("utf-8")
    text = text.replace("../presets", str(ROOT / "config/presets"))
    file = write("x.yaml", "")
    file.write_bytes(b"\xef\xbb\xbf" + text.replace("\n", "\r\n").encode())
    assert load(file).config_hash == load("config/setups/xs_reversal.yaml").config_hash
