"""Read symbols as exchanges, ccxt, freqtrade and TradingView write them; refuse other contracts."""

from __future__ import annotations

import re
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from catalog.instruments import PRODUCTS, instrument_id, split_symbol

LINEAR, SPOT = "LINEAR", "SPOT"
DOLLARS = ("USDT", "USDC")
"""Settlement coins of the perpetuals that the catalog keeps."""
PRODUCT_WORDS = {
    **dict.fromkeys(("spot",), SPOT),
    **dict.fromkeys(
        ("linear", "perp", "perps", "perpetual", "perpetuals", "swap", "swaps"), LINEAR
    ),
    **dict.fromkeys(("futures", "future", "um", "usdm"), LINEAR),
}
"""Words in names of files and folders that say a product."""
KIND_WORDS = {
    **dict.fromkeys(("mark", "markprice", "markpriceklines"), "mark"),
    **dict.fromkeys(("funding", "fundingrate"), "funding"),
    **dict.fromkeys(("premium", "premiumindex", "premiumindexklines"), "index"),
    **dict.fromkeys(("index", "indexprice", "indexpriceklines"), "index"),
}
"""Words in names of files and folders that say what the prices are."""

_OWN = re.compile(rf"([A-Z0-9]+)-({'|'.join(PRODUCTS)})(\.BYBIT)?")
_OPTION = re.compile(r"-\d+(\.\d+)?-[CP]$")
_YYMMDD = r"\d{2}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])"
_DATED = re.compile(rf"[-_]({_YYMMDD}|\d{{1,2}}[A-Z]{{3}}\d{{2}})$|USD[TC]?[FGHJKMNQUVXZ]\d{{2}}$")
_PERPETUAL = re.compile(r"([-_]?PERP|[-_]SWAP|[-_]PERPETUAL|\.P)$")


class Market(NamedTuple):
    """What a text says about an instrument; no product where it does not say."""

    symbol: str
    product: str | None
    certain: bool
    """False for ``BTC/USDT``: spot for ccxt, but some files write perpetuals like this."""


def parse_market(text: str) -> Market:
    """Read ``BTCUSDT``, ``BTC/USDT``, ``BTC/USDT:USDT``, ``BTC_USDT_USDT``, ``BTCUSDT.P``.

    Raises ValueError for unknown quote coins, and with the reason for dated futures, options and
    inverse contracts.
    """
    symbol = text.strip().upper()
    own = _OWN.fullmatch(symbol)
    if own:
        split_symbol(own[1])
        return Market(own[1], own[2], True)
    if refused := contract_refused(text):
        raise ValueError(refused)
    if "/" not in symbol:
        symbol = symbol.rpartition(":")[2]
    bare = _PERPETUAL.sub("", symbol)
    pair, _, settle = bare.partition(":")
    parts = re.split(r"[/_\-]", pair)
    if len(parts) == 3 and not settle:
        settle = parts.pop()
    if len(parts) > 2 or (settle and len(parts) < 2):
        raise ValueError(f"symbol {text!r} is not like BTCUSDT, BTC/USDT or BTC/USDT:USDT")
    base, quote = split_symbol("".join(parts))
    if len(parts) == 2 and parts[1] != quote:
        raise ValueError(f"symbol {text!r}: quote coin {parts[1]} is not known")
    name = base + quote
    if settle or bare != symbol:
        settle = settle or quote
        if settle != quote or quote not in DOLLARS:
            raise ValueError(inverse(text))
        return Market(name, LINEAR, True)
    if "/" in pair:
        return Market(name, SPOT, False)
    if quote in ("USD", *DOLLARS):
        return Market(name, None, False)
    return Market(name, SPOT, True)


def contract_refused(text: str) -> str:
    """Return why an option or a dated future is refused, or nothing for other symbols."""
    symbol = text.strip().upper()
    for pattern, name in ((_OPTION, "an option"), (_DATED, "a dated future")):
        if pattern.search(symbol):
            return f"symbol {text!r} is {name}: only perpetuals and spot are kept"
    return ""


def inverse(text: str) -> str:
    """Return why a contract that is settled in its coin is refused."""
    return (
        f"symbol {text!r} is an inverse contract, settled in its coin: only perpetuals in USDT or "
        "USDC and spot are kept (a spot pair: --product spot)"
    )


def resolve(text: str, given: str | None, hint: str | None) -> tuple[str, bool]:
    """Return the instrument id of a symbol, and whether its product was assumed.

    ``given`` is --product; ``hint`` comes from the names of file and folders. Raises ValueError
    for contracts that are not kept, and for a product against the symbol's own.
    """
    market = parse_market(text)
    if given and market.certain and given != market.product:
        raise ValueError(f"symbol {text!r} is {market.product}, but --product says {given}".lower())
    said = market.product if market.certain else None
    known = given or said or hint or market.product
    product = known or LINEAR
    if product == LINEAR and split_symbol(market.symbol)[1] not in DOLLARS:
        raise ValueError(inverse(text))
    return instrument_id(market.symbol, product), not known


def hinted(path: Path, words: dict[str, str], unsure: Collection[str] = ()) -> str | None:
    """Return what the file's name, else its nearest folder, says in a table of words.

    A word counts in a file's name, or as the whole name of a folder below the home folder. Names
    that say two things say nothing. Folders named by an ``unsure`` word say nothing either.
    """
    home = Path.home()
    path = path.relative_to(home) if path.is_relative_to(home) else path
    stem = path.name.split(".")[0].lower()
    folders = ([p.lower()] for p in path.parts[-2::-1] if p.lower() not in unsure)
    for place in (re.findall(r"[a-z]+", stem), *folders):
        found = {words[word] for word in place if word in words}
        if len(found) > 1:
            return None
        if found:
            return found.pop()
    return None


def symbol_in_name(name: str) -> str:
    """Return the symbol in a file's name such as ``Binance_BTCUSDT_1h.csv``.

    Raises ValueError when there is none, several, or one of a contract that is not kept.
    """
    stem = re.sub(r"\.(csv|json|parquet|feather|tsv|txt|gz|zip)\b", "", name, flags=re.IGNORECASE)
    dated = re.search(rf"[A-Za-z]_{_YYMMDD}(?!\d)", stem)
    words = re.split(r"[^A-Za-z0-9.]+|\.(?!P\b)", stem)
    pairs = [a + b for a, b in pairwise(words) if b.upper() in DOLLARS]
    tradingview = bool(re.match(r"[A-Z]+_[A-Z0-9]+, ?\w+", stem))
    sure, rest = {}, {}
    for word in (*words, *pairs):
        try:
            market = parse_market(word)
        except ValueError:
            continue
        if market.symbol.endswith(DOLLARS):
            sure[market.symbol] = word
        elif word.isupper():
            rest[market.symbol] = word
    found = sure or rest
    if not found:
        raise ValueError("no column symbol, and no symbol such as BTCUSDT in the file's name")
    if len(found) > 1:
        raise ValueError(f"no column symbol, and several in the file's name: {', '.join(found)}")
    symbol, word = found.popitem()
    if dated:
        raise ValueError(f"{name} is of a dated future: only perpetuals and spot are kept")
    # TradingView marks perpetuals with .P: its BYBIT_BTCUSDT is the spot pair.
    return f"{symbol}-{SPOT}" if tradingview else word


def has_symbol(name: str) -> bool:
    """Whether a file's name has one symbol that is kept."""
    try:
        return bool(symbol_in_name(name))
    except ValueError:
        return False
