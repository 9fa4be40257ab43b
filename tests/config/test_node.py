"""The node's document: what it takes, and what it refuses by name."""

from pathlib import Path

import pytest

from config.documents import Node
from config.load import examine, load
from config.validate import validate

NODE = """\
kind: node
name: mine
environment: practice
tag: a1
account: {name: main}
strategies: {one: {use: "strategies.xs_reversal:XSReversal"}}
"""
URLS = """\
venue_urls:
  http: http://127.0.0.1:1
  ws_public: ws://127.0.0.1:1/v5/public
  ws_private: ws://127.0.0.1:1/v5/private
  ws_trade: ws://127.0.0.1:1/v5/trade
"""


def problems_of(file: Path) -> list[str]:
    return [f"{problem.path}: {problem.message}" for problem in examine(file)[1]]


def test_a_node_needs_little_and_watches_closely(write):
    node = load(write("node.yaml", NODE)).document
    assert isinstance(node, Node)
    assert node.watch.half_open == 5.0
    assert node.watch.feed_silence == 30.0
    assert node.watch.policies.foreign_orders == "ignore"
    assert node.on_stop == "keep"


def test_only_addresses_of_this_machine_take_the_place_of_bybits(write):
    file = write("node.yaml", NODE + URLS.replace("http://127.0.0.1:1", "http://example.com"))
    (problem,) = problems_of(file)
    assert problem.startswith("venue_urls.http: ")
    assert "127.0.0.1" in problem


@pytest.mark.parametrize("slash", ["http: http://127.0.0.1:1/", "http: http://127.0.0.1:1/v5"])
def test_an_http_address_ends_before_its_path(write, slash):
    file = write("node.yaml", NODE + URLS.replace("http: http://127.0.0.1:1", slash))
    (problem,) = problems_of(file)
    assert problem.startswith("venue_urls.http: ")


def test_confirm_knows_one_word(write):
    (problem,) = problems_of(write("node.yaml", NODE + "confirm: main\n"))
    assert problem.startswith("confirm: ")


def test_confirmed_mainnet_takes_no_other_address(write):
    text = NODE.replace("practice", "mainnet") + "confirm: mainnet\n" + URLS
    (problem,) = problems_of(write("node.yaml", text))
    assert "leave out venue_urls" in problem


def test_spot_is_refused_to_what_sells_short(write):
    select, long = 'pairs:Pairs", params: {select: {}}', 'XSReversal", params: {side: long_only}'
    text = NODE + "universe: {instruments: ['ETH*-LINEAR*', 'BTC*']}\n"
    for environment in ("practice", "paper"):
        for use, places in (
            (f'"strategies.{select}', ["universe.instruments[1]"]),
            (f'"strategies.xs_reversal:{long}', []),
        ):
            mine = text.replace('"strategies.xs_reversal:XSReversal"', use)
            mine = mine.replace("practice", environment)
            found = [p for p in validate(write("node.yaml", mine)) if "spot" in p.message]
            assert [p.path for p in found] == places
