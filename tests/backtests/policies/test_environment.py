"""The environment: Gymnasium's own checks, and a backtest's money to the cent."""

import warnings
from decimal import Decimal
from pathlib import Path

import msgspec
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from backtests.policies.artifacts import write
from backtests.policies.baselines import by_threshold, play
from backtests.policies.environment import BasisEnv, episode
from backtests.policies.looks import looks_of, pair_of, tape_of
from backtests.run import prepare, run
from catalog.providers.demo_books import BookParams, generate
from catalog.storage.writer import CatalogWriter
from config.errors import InputError
from strategies.basis.features import FEATURES
from strategies.basis.policy import policy_of
from strategies.basis.threshold import Act, Threshold
from tests.backtests.policies.conftest import PAIR, Documents
from tests.backtests.policies.test_walk_forward import leaf

CENT = Decimal("0.01")
SIDES = ("maker", "taker")


def environment(documents: Documents, *overrides: str) -> BasisEnv:
    pair = pair_of(documents(*overrides))
    return BasisEnv(tape_of(pair), pair)


def test_it_passes_gymnasiums_own_checks(document: Documents):
    env = environment(document, "window.end=2025-03-03 00:30")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env, skip_render_check=True)


def test_an_episode_earns_what_the_backtest_earns_funding_included(document: Documents):
    # Funding is settled at 08:00, in the position; at the end it is flat, so that all is money.
    window = "window.end=2025-03-03 09:58"
    pair = pair_of(document(window))
    env = BasisEnv(tape_of(pair), pair)
    ledger = episode(env, pair.rules.threshold.act)
    outcome = run(prepare(document(window)))
    assert ledger.fills == len(outcome.tables["fills"]) >= 20
    assert ledger.turnover == outcome.turnover
    assert ledger.funding == outcome.funding != 0
    # The engine rounds each fee to eight decimals.
    assert abs(ledger.fees - outcome.fees) < CENT / 1000
    assert not ledger.quantities
    assert abs(ledger.cash - outcome.ending_equity) < CENT / 1000


def test_what_is_opened_for_funding_is_held_for_it_by_strategy_environment_and_baselines(
    document: Documents,
):
    """Levels close at once what a basis of -3.9 to -3.2 opens: costs are 0.8, funding pays 1."""
    costs = [f"venue.fees.{leg}.{side}=0.00002" for leg in ("spot", "linear") for side in SIDES]
    params = {"threshold": "{open_bps: -3.9, close_bps: -4}", "horizon": "510m"}
    own = [f"strategies.basis.params.{name}={value}" for name, value in params.items()]
    window = "window.end=2025-03-03 09:58"
    alone = document(*costs, *own, window, "strategies.basis.params.funding_alone=true")
    pair = pair_of(alone)
    tape, levels = tape_of(pair), pair.rules.threshold
    env = BasisEnv(tape, pair)
    ledger, outcome = episode(env, levels.act), run(prepare(alone))
    assert ledger.fills == len(outcome.tables["fills"])
    assert ledger.funding == outcome.funding > 0
    looks = looks_of(tape, pair)
    trades = play(looks, by_threshold(looks, levels)).trades
    assert trades == (ledger.fills / 2 + env.position) / 2
    assert trades < 20


def test_a_trained_policy_of_other_levels_earns_in_an_episode_what_it_earns_in_the_backtest(
    document: Documents, tmp_path: Path
):
    """Planned to be closed at 0, entries pay from 30 on; at the document's -25 from 5 on."""
    window = "window.end=2025-03-03 03:00"
    trained = pair_of(document(window))
    facts = {"params": msgspec.to_builtins(trained.rules), "fees": [str(f) for f in trained.fees]}
    facts |= {"low": [-1e9] * len(FEATURES), "high": [1e9] * len(FEATURES)}
    write(tmp_path, "other", Threshold(open_bps=40.0, close_bps=0.0), leaf(99.0), facts)
    chosen = f"{{folder: {tmp_path}, name: other, version: '1'}}"
    found = document(window, f"strategies.basis.params.policy={chosen}")
    pair = pair_of(found)
    env = BasisEnv(tape_of(pair), pair)
    ledger, outcome = episode(env, policy_of(pair.rules).act), run(prepare(found))
    assert ledger.turnover == outcome.turnover > 0
    assert ledger.fills == len(outcome.tables["fills"])


def test_books_are_walked_level_by_level_as_the_backtest_does(document: Documents, tmp_path: Path):
    with CatalogWriter(tmp_path / "books") as writer:
        for part in generate(BookParams(hours=0.25))[0]:
            writer.add(part)
    # The books' basis pays no fees of 31 bps.
    costs = [f"venue.fees.{leg}.{side}=0.00001" for leg in ("spot", "linear") for side in SIDES]
    params = {"half_life": "1m", "max_position": 20000, "threshold": "{open_bps: 2, close_bps: -2}"}
    found = document(
        f"catalog={tmp_path / 'books'}",
        "window={start: 2025-03-03 07:02, end: 2025-03-03 07:15}",
        "venue.market=book",
        *costs,
        *(f"strategies.basis.params.{name}={value}" for name, value in params.items()),
    )
    pair = pair_of(found)
    ledger = episode(BasisEnv(tape_of(pair), pair), pair.rules.threshold.act)
    outcome = run(prepare(found))
    # More fills than legs: an order took several levels.
    assert ledger.fills == len(outcome.tables["fills"]) > 4
    assert ledger.turnover == outcome.turnover
    assert abs(ledger.fees - outcome.fees) < CENT / 1000


def test_rewards_sum_to_the_change_of_net_equity_and_a_round_trip_at_once_costs_it(
    document: Documents,
):
    env = environment(document, "window.end=2025-03-03 01:00")
    _, info = env.reset()
    start, rewards = info["equity"], 0.0
    wished = np.random.default_rng(1)
    is_over = False
    while not is_over:
        action = wished.choice(3, p=[0.98, 0.01, 0.01])
        _, reward, _, is_over, info = env.step(action)
        rewards += reward
    assert env.ledger.fills > 4
    assert rewards == pytest.approx(float(info["equity"] - start))
    assert rewards < 0.0


def test_what_the_strategy_would_not_do_holds(document: Documents):
    env = environment(document, "strategies.basis.params.min_edge_bps=100")
    assert episode(env, lambda *_: Act.OPEN).fills == 0
    assert episode(env, lambda *_: Act.CLOSE).fills == 0


def test_looks_are_the_environments_features_while_flat(document: Documents):
    pair = pair_of(document("window.end=2025-03-03 00:20"))
    tape = tape_of(pair)
    looks, env = looks_of(tape, pair), BasisEnv(tape, pair)
    _, info = env.reset()
    rows, is_over = [info["features"]], False
    while not is_over:
        _, _, _, is_over, info = env.step(Act.HOLD)
        rows.append(info["features"])
    first = len(tape.ts) - len(rows)
    assert np.array_equal(np.array(rows), looks.features[first:], equal_nan=True)
    # Nothing is known before a half-life of ten minutes has passed.
    assert 590 < first < 610
    assert not looks.allowed[:first].any()


def test_a_round_trips_cost_is_four_fees_and_the_spreads(document: Documents):
    pair = pair_of(document("window.end=2025-03-03 00:20"))
    looks = looks_of(tape_of(pair), pair)
    spread = looks.features[:, FEATURES.index("exit_bps")] - looks.features[:, 0]
    assert looks.cost == pytest.approx(31.0 + spread, abs=0.05)


def test_a_document_with_several_pairs_is_refused(document: Documents):
    one = document()
    component = one.strategies["basis"]
    ether = [name.replace("BTC", "ETH") for name in PAIR]
    both = component.model_copy(update={"params": component.params | {"pairs": [PAIR, ether]}})
    with pytest.raises(InputError, match="2 pairs, and a policy learns from one"):
        pair_of(one.model_copy(update={"strategies": {"basis": both}}))
