"""The demo's basis: the stated process, on whole ticks, the same each time."""

from pathlib import Path

import numpy as np
import pytest

from catalog.demo.basis import DEVIATION_BPS, HALF_LIFE_S, BasisParams, draw, generate
from catalog.storage.store import Catalog
from catalog.verify import verify
from config.errors import InputError
from tests.catalog.market import BTC, FOREVER
from tests.catalog.test_catalog_commands import run

SPOT = "BTCUSDT-SPOT.BYBIT"


def test_half_of_a_basis_is_gone_in_five_minutes_and_its_deviation_is_the_stated_one():
    basis = np.concatenate([draw(BasisParams(seed=s, hours=240)).basis for s in range(4)])
    half = int(HALF_LIFE_S)
    slope = np.dot(basis[:-half], basis[half:]) / np.dot(basis[:-half], basis[:-half])
    # 40 days have 8,000 independent values.
    assert slope == pytest.approx(0.5, abs=0.03)
    assert basis.std() == pytest.approx(DEVIATION_BPS, rel=0.03)
    assert abs(basis.mean()) < 1.0


def test_a_catalog_of_it_is_sound_and_quotes_have_the_drawn_basis(tmp_path: Path):
    done = run("demo", "--basis", "--hours", "2", "--catalog", tmp_path)
    assert done.exit_code == 0, done.stdout
    catalog = Catalog(tmp_path)
    assert verify(catalog) == []
    spot, perp = (catalog.series("quotes", "", name, 0, FOREVER) for name in (SPOT, BTC))
    assert (perp.column("ts").to_numpy() - spot.column("ts").to_numpy() == 100_000_000).all()
    mids = [(t.column("bid").to_numpy() + t.column("ask").to_numpy()) / 2 for t in (spot, perp)]
    drawn = draw(BasisParams(hours=2)).basis
    # Half a tick of 0.1 USDT each is 0.03 bps of 16,500.
    assert (mids[1] / mids[0] - 1) * 1e4 == pytest.approx(drawn, abs=0.1)


def test_it_is_the_same_each_time_and_another_with_another_seed():
    one, again = (generate(BasisParams(hours=0.5)).tables for _ in "12")
    assert all(one[key].equals(again[key]) for key in one)
    other = generate(BasisParams(hours=0.5, seed=2)).tables
    assert not one["quotes", "", SPOT].equals(other["quotes", "", SPOT])


def test_parts_of_minutes_and_options_of_other_markets_are_refused():
    with pytest.raises(InputError, match="whole minutes"):
        BasisParams(hours=0.001)
    for words in (["--books"], ["--perps", "5"]):
        done = run("demo", "--basis", *words)
        assert isinstance(done.exception, InputError)
