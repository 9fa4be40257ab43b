"""Whatever a document holds, the answer is a document or problems with places, never a crash."""

import copy
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from config.load import load
from config.reading import Dumper
from config.validate import validate
from tests.config.shipped import DOCUMENTS, keys_of

GOOD = [load(file).data for file in DOCUMENTS]
words = sorted({step for file in DOCUMENTS for key in keys_of(file) for step in key.path})
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text("aZ0.*[]:/${}- \u00e9", max_size=6)
    | st.sampled_from(["setup", "backtest", "node", "study", "ingest", "none", "fixed_bps"])
    | st.sampled_from(["strategies.xs_reversal:XSReversal", "2024-01-01", "5m", "${HOME}", "all"])
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(words) | st.text("ab1", max_size=3), inner, max_size=4)
    ),
    max_leaves=12,
)
kinds = st.sampled_from(["setup", "backtest", "node", "study", "ingest"])


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("any") / "any.yaml"


@given(
    kind=kinds,
    document=st.dictionaries(st.sampled_from(words), values, max_size=5),
    settings_=st.lists(st.tuples(st.sampled_from(words), values), max_size=2),
)
def test_any_document_gets_an_answer(file, kind, document, settings_):
    text = yaml.dump({"kind": kind, **document}, Dumper=Dumper, allow_unicode=True)
    file.write_text(text, encoding="utf-8")
    overrides = [f"{name}={value}" for name, value in settings_]
    for problem in validate(file, overrides):
        assert problem.file in (str(file), "--set")
        assert problem.line > 0 or problem.file == "--set"
        assert problem.message


@given(text=st.text("ab:-[]{},&*!#|>'\"%@`?~ \n\t0", max_size=30))
def test_any_text_gets_an_answer(file, text):
    file.write_text(text, encoding="utf-8")
    assert validate(file)


@given(data=st.data())
def test_a_good_document_with_any_part_replaced_gets_an_answer(file, data):
    good = data.draw(st.sampled_from(GOOD))
    document = copy.deepcopy(good)
    holder = document
    while True:
        key = data.draw(st.sampled_from(sorted(holder)))
        if not (isinstance(holder[key], dict) and holder[key]) or data.draw(st.booleans()):
            break
        holder = holder[key]
    holder[key] = data.draw(values)
    file.write_text(yaml.dump(document, Dumper=Dumper, allow_unicode=True), encoding="utf-8")
    assert all(problem.line for problem in validate(file))
    if not validate(file):
        assert load(file).config_hash
        assert yaml.safe_load(load(file).to_yaml())["kind"] == document["kind"]
