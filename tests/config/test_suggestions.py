"""Inputs of new users, each with the words that tell what is right."""

import pytest

from config.validate import validate, validate_with_files

RUN = """kind: backtest
name: t
catalog: nowhere
window: {start: 2023-02-01, end: 2023-04-01}
strategies: {r: {use: "strategies.xs_reversal:XSReversal", params: {%s}}}
"""
NODE = """kind: node
name: t
tag: t
environment: practice
account: {name: main}
strategies: {r: {use: "strategies.xs_reversal:XSReversal"}}
"""


def said(tmp_path, text):
    """Return the messages about a document, each behind its line, path and colon."""
    file = tmp_path / "t.yaml"
    file.write_text(text, encoding="utf-8")
    return [str(problem).removeprefix(f"{file}:") for problem in validate(file)]


@pytest.mark.parametrize(
    ("params", "words"),
    [
        ("fraction: 20%", "fraction: expected a number, was '20%'; 0.2 means 20 %"),
        ("fraction: 20", "<= 1.0, was 20; 0.2 means 20 %"),
        ("depth_bps: 0.1%", "was '0.1%'; basis points: 10 means 0.1 %"),
        ("gross_leverage: 2x", "was '2x'; write 2"),
        ("min_turnover: '1,000'", "write numbers as 1234.5, without commas"),
        ("every: 1day", "was '1day' (did you mean 1d?)"),
        ("every: 2 weeks", "(did you mean 14d?)"),
        ("interval: 60min", "was '60min' (did you mean 1h?)"),
        ("at: 0:05", """a clock time such as "00:05", was '0:05' (did you mean 00:05?)"""),
        ("at: 9:30", "was '9:30' (did you mean 09:30?)"),
        ("at: 30:00", """a clock time such as "00:05", was '30:00'"""),
        ("exclude: [BTCUSDT-SPOTT.BYBIT]", "(did you mean BTCUSDT-SPOT.BYBIT?)"),
        ("exclude: [BTCUSDT]", "no instrument is BTCUSDT (did you mean BTCUSDT-LINEAR.BYBIT?)"),
        ("api_key: abcdef", "api_key: never stands in a document"),
    ],
)
def test_a_parameter_is_answered_with_what_was_meant(tmp_path, params, words):
    (found,) = said(tmp_path, RUN % params)
    assert found.endswith(words) or "never stands" in words
    assert words in found
    assert "abcdef" not in found


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ("\tdescription: x\n", "6:1: tabs can't indent YAML: use spaces"),
        ("universe:\n  exclude:\n\t- x\n", "8:1: tabs can't indent YAML: use spaces"),
        (
            "universe:\n   exclude: []\n  instruments: ['*']\n",
            "8:3: wrong indent: this line is indented by 2, the one above by 3; "
            "keys of one mapping begin in one column",
        ),
        ("universe:{exclude: []}\n", "a space must follow the colon"),
        ("universe:\n  exclude:[X]\n", "was 'exclude:[X]': a space must follow each colon"),
        ("universe: {exclude: [*-SPOT.BYBIT]}\n", "of * @ ` % & needs quotes"),
        ("description: a: b\n", "text that holds a colon and a space needs quotes"),
        ("description: 'open\nseed: 1\n", "6:14: a quote is not closed"),
        ("description: 'it's'\n", "a quote, a comma or a bracket is missing before this"),
        ("venue: {fees: {linear: {maker: 0.02%, taker: 0}}}\n", "0.0002 means 0.02 %"),
        # Fees in percent: Bybit's VIP 5, and a maker's rebate.
        ("venue: {fees: {linear: {maker: 0.0001, taker: 0.032}}}\n", "0.00032 means 0.032 %"),
        ("venue: {fees: {linear: {maker: 0.01, taker: 0}}}\n", "was 0.01; 0.0001 means 0.01 %"),
        ("venue: {fees: {spot: {maker: -0.005, taker: 0}}}\n", "-0.00005 means -0.005 %"),
        ("venue: {execution_interval: 5min}\n", "(did you mean 5m?)"),
        (
            "venue: {market: bok}\n",
            "one of auto, candles, quotes, book, was 'bok' (did you mean book?)",
        ),
        ("universe: {instruments: [BTC/USDT]}\n", "(did you mean BTCUSDT-LINEAR.BYBIT?)"),
        ("universe: {exclude: ['*USDT']}\n", "(did you mean *USDT-LINEAR.BYBIT?)"),
    ],
)
def test_a_wrong_line_is_answered_with_its_remedy(tmp_path, more, words):
    (found,) = said(tmp_path, RUN % "" + more)
    assert found.endswith(words)


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            "alerts: {channels: {chat: DESK_CHAT}}",
            "alerts.channels.chat: expected a mapping of keys, was 'DESK_CHAT'; "
            "they are addresses, severity, per_hour, digest, quiet, escalation",
        ),
        ("metrics: 9400", "expected a mapping of keys, was 9400; they are port, host"),
        ("metrics: {port: 9400, host: 'http://x'}", "a host such as 127.0.0.1, was 'http://x'"),
        ("alerts: {alive: {every: 1}}", "text, was 1; write 1s, 1m, 1h or 1d for a time, else '1'"),
        ("watch: {sweep_every: 10s}", "a number, was '10s'; write 10 where seconds are counted"),
        ("expected: {fees: {linear: {maker: 0, taker: 0.02}}}", "was 0.02; 0.0002 means 0.02 %"),
        ("watch: {record: sure}", "watch.record: expected true or false, was 'sure'"),
    ],
)
def test_an_option_of_a_node_is_answered_with_its_remedy(tmp_path, more, words):
    (found,) = said(tmp_path, NODE + more)
    assert found.endswith(words)


def test_keys_that_lost_their_indent_are_told_where_they_belong(tmp_path):
    assert said(tmp_path, RUN % "" + "venue:\nleverage: 3\n") == [
        "6:7: venue: expected a mapping of keys, was nothing: indent its keys further than its own",
        "7:1: leverage: unknown key here; it belongs under venue, indented further",
    ]


def test_all_errors_of_one_component_come_at_once(tmp_path):
    wrong = "fraction: 0.9, lookbak: 2, at: '23:00', every: 1h, exclude: [BTC], interval: 2d"
    paths = [found.split(": ")[1].rpartition(".")[2] for found in said(tmp_path, RUN % wrong)]
    assert paths == ["fraction", "lookbak", "at", "exclude[0]", "interval"]


@pytest.mark.parametrize(
    ("use", "words"),
    [
        ("actors.guards.daily_los:DailyLoss", "did you mean actors.guards.daily_loss:DailyLoss?"),
        ("actors.guards.daily_loss:DailyLos", "did you mean actors.guards.daily_loss:DailyLoss?"),
        ("actors.losses:DailyLoss", "has moved: write actors.guards.daily_loss:DailyLoss"),
    ],
)
def test_a_wrong_address_hides_no_wrong_parameter(tmp_path, use, words):
    more = f"actors: {{g: {{use: '{use}', params: {{limit_pct: 5%, x: 1}}}}}}\n"
    address, limit, key = said(tmp_path, RUN % "" + more)
    assert words in address
    assert limit.endswith("0.05 means 5 %")
    assert "g.params.x: unknown parameter" in key


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            "strategies: {s: {use: 'strategies.pairs:Pairs', params: {max_weight: 5,"
            " pairs: [[BTCUSDT-LINEAR.BYBIT, ETHUSDT-LINEAR.BYBIT]]}}}",
            "max_weight: expected a number <= 1.0, was 5; 0.05 means 5 %",
        ),
        (
            "actors: {slips: {use: 'actors.guards.slippage_breaches:SlippageBreaches',"
            " params: {limit_bps: 0.005}}}",
            "limit_bps: expected a number >= 0.1, was 0.005",
        ),
    ],
)
def test_a_size_or_a_slippage_in_another_unit_is_refused(tmp_path, more, words):
    head = NODE.partition("strategies")[0] if more.startswith("strategies") else NODE
    (found,) = said(tmp_path, head + more)
    assert found.endswith(words)


def test_a_wrong_value_raises_no_error_that_it_may_not_mean(tmp_path):
    # Meant was long_only, with which 0.9 is right.
    (found,) = said(tmp_path, RUN % "fraction: 0.9, side: longonly")
    assert "did you mean long_only?" in found


@pytest.mark.parametrize("key", ["api_key", "bybit_api_secret", "password"])
@pytest.mark.parametrize(
    "place", ["{name: main, %s: hunter2}", "{name: main, keys: {%s: hunter2}}"]
)
def test_a_secret_in_a_document_is_refused_and_not_printed(tmp_path, key, place):
    text = NODE.replace("{name: main}", place % key)
    found = next(line for line in said(tmp_path, text) if "never stands in a document" in line)
    assert "account.keys" in found
    assert "hunter2" not in "".join(said(tmp_path, text))


@pytest.mark.parametrize(
    "more",
    [
        "limits: {leverage: ${LEVERAGE}}\n",
        "limits: {leverage: ${LEVERAG:-2}}\n",
        "limits: {\n  leverage: ${LEVERAGE}}\n",
        "universe: {instruments: [${COIN}, 'ETH*']}\n",
    ],
)
def test_a_variable_without_quotes_inside_braces_hides_no_other_error(tmp_path, monkeypatch, more):
    monkeypatch.setenv("LEVERAGE", "2")
    monkeypatch.setenv("COIN", "BTC*")
    place, quotes = said(tmp_path, NODE.replace("practice", "practise") + more)
    assert "did you mean practice?" in place
    assert quotes.endswith('inside { } and [ ] write "${NAME}" in quotes')


def test_a_backtest_takes_no_variable_inside_braces(tmp_path):
    assert said(tmp_path, RUN % "" + "venue: {leverage: ${LEVERAGE}}\n") == [
        '6:19: venue.leverage: inside { } and [ ] write "${NAME}" in quotes',
        "6:19: venue.leverage: ${NAME} is read in node documents only; write the value",
    ]


def test_a_variable_without_braces_is_refused(tmp_path):
    assert said(tmp_path, NODE + "state: $HOME/desk\n") == [
        "7:8: state: a variable is written with braces, as ${NAME}"
    ]


def test_validate_refuses_mainnet_that_is_not_confirmed(tmp_path):
    file = tmp_path / "t.yaml"
    file.write_text(NODE.replace("practice", "mainnet"), encoding="utf-8")
    (problem,), unchecked, _ = validate_with_files(file)
    assert (problem.line, problem.path) == (4, "environment")
    assert "confirm: mainnet" in problem.message
    assert unchecked == ["whether the universe's instruments exist: the node names no catalog"]
    file.write_text(file.read_text() + "confirm: mainnet\n", encoding="utf-8")
    assert validate_with_files(file)[0] == []
