"""Facts of instruments, guessed and known, and what the engine makes of them."""

from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.engine import to_nautilus
from catalog.inference import decimals_seen, infer_from_series
from catalog.instruments import decimals, split_symbol
from catalog.series import PRICES
from catalog.storage.manifest import SeriesKey
from tests.catalog.market import HOUR, START, told

FEES = (Decimal("0.0002"), Decimal("0.00055"))


@pytest.mark.parametrize(
    ("step", "count"), [("0.01", 2), ("0.0010", 3), ("0.5", 1), ("1", 0), ("10", 0), ("1E-8", 8)]
)
def test_a_step_tells_its_decimals(step, count):
    assert decimals(step) == count


@given(ticks=st.lists(st.integers(1, 10**9), min_size=1, max_size=100), count=st.integers(0, 8))
def test_decimals_are_recovered_from_the_prices_written_with_them(ticks, count):
    needed = max(decimals(str(Decimal(tick).scaleb(-count))) for tick in ticks)
    values = np.array([float(Decimal(tick).scaleb(-count)) for tick in ticks])
    assert decimals_seen(values) == needed


def test_the_noise_of_a_sum_is_no_decimal_and_averaged_prices_get_five_significant_figures():
    parts = np.round(np.random.default_rng(1).random(288) * 1000, 1)
    assert decimals_seen(np.array([parts.sum(), 2.5]), 1e-13) == 1
    assert decimals_seen(np.array([100 / 3, 200 / 7])) == 3


def test_guessed_facts_say_that_they_are_guessed():
    key = SeriesKey("bars", "1h", "PEPEUSDT-LINEAR.BYBIT")
    columns = {name: [0.00123, 0.0012] for name in PRICES}
    table = pa.table({"ts": [START + HOUR, START + 2 * HOUR], **columns, "volume": [5.0, 6.0]})
    info = infer_from_series(key.instrument, [(key, table)], "x")
    assert info.inferred
    assert (info.tick, info.lot, info.min_notional) == ("0.00001", "1", "5")
    assert (info.base, info.settle, info.listed_ns) == ("PEPE", "USDT", START)


def test_instruments_carry_steps_fees_and_listing_into_the_engine():
    info = told(tick="0.10", lot="0.001", max_qty="1190", listed_ns=START, delisted_ns=START + 5)
    perp, pair = to_nautilus(info, *FEES), to_nautilus(told(product="SPOT"), *FEES)
    assert (perp.price_precision, str(perp.price_increment)) == (1, "0.1")
    assert (perp.size_precision, str(perp.size_increment)) == (3, "0.001")
    assert str(perp.max_quantity) == "1190.000"
    assert perp.min_notional.as_decimal() == 5
    assert (perp.maker_fee, perp.taker_fee) == FEES
    assert perp.margin_init == perp.margin_maint == 0
    # A delisting is not known before it comes.
    assert perp.info == {"listed_ns": START}
    assert type(pair).__name__ == "CurrencyPair"
    assert str(pair.id) == "BTCUSDT-SPOT.BYBIT"


def test_a_symbol_is_split_at_its_quote_coin():
    assert split_symbol("1000PEPEUSDT") == ("1000PEPE", "USDT")
    assert split_symbol("ETHBTC") == ("ETH", "BTC")
    with pytest.raises(ValueError, match="ends in none of"):
        split_symbol("USDT")


@pytest.mark.parametrize(
    ("field", "value"), [("tick", "0"), ("lot", "-1"), ("min_notional", "five"), ("product", "X")]
)
def test_facts_that_make_no_sense_are_refused_by_name(field, value):
    with pytest.raises(ValueError, match=field):
        told(**{field: value})
