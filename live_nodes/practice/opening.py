"""From a document and a state file to an exchange with its market: new, or as it was."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from config.documents.exchange import ExchangeDocument, ReplayMarket
from config.errors import InputError
from live_nodes.practice.exchange.exchange import Exchange
from live_nodes.practice.exchange.model import AccountSpec, FeeRates
from live_nodes.practice.exchange.records import Printed
from live_nodes.practice.exchange.store import StateFile
from live_nodes.practice.faults.faults import Faults
from live_nodes.practice.market.feed import CandleSource
from live_nodes.practice.market.path_market import PathMarket
from live_nodes.practice.market.random_market import RandomSource


@dataclass
class Opened:
    """An exchange and its market, ready to be served."""

    exchange: Exchange
    market: PathMarket


def open_exchange(
    document: ExchangeDocument, store: StateFile, faults: Faults, now_ms: int
) -> Opened:
    """Make the exchange that the document describes, with what the state file remembers.

    Facts of the market are written at the first start. Raises InputError when the state file
    belongs to another market or has accounts that the document lacks, or the catalog's window is
    over.
    """
    _same_market(document, store)
    market = PathMarket(
        source=_source(document, store, now_ms),
        seed=document.market.seed,
        depth=document.market.depth,
        update_ms=_update_ms(document),
        began_ms=_once(store, "began_ms", now_ms),
        moves=store.fact("moves") or (),
        settlements=store.fact("called") or (),
    )
    market.halted = faults.halted
    accounts = [_account(document, name) for name in document.accounts]
    exchange = Exchange(market.symbols(now_ms), accounts, salt=document.name)
    rows = store.rows()
    unknown = sorted({getattr(row, "account", "") for row in rows} - {"", *document.accounts})
    if unknown:
        raise InputError(
            f"accounts: the state file {store.path} has an account {unknown[0]} that the document "
            "does not have; add it again, or give another file by --state"
        )
    exchange.restore(rows)
    store.save(event for event in exchange.drain() if not isinstance(event, Printed))
    return Opened(exchange, market)


def _once[T](store: StateFile, name: str, value: T) -> T:
    """Return a fact of the first start, kept now if this is it."""
    kept = store.fact(name)
    if kept is None:
        store.keep_fact(name, value)
        return value
    found: T = kept
    return found


def _same_market(document: ExchangeDocument, store: StateFile) -> None:
    """Refuse a state file of another market: its orders and prices would make no sense."""
    market = document.market.model_dump(mode="json", exclude={"depth", "updates_per_second"})
    kept = _once(store, "market", market)
    if kept != market:
        changed = sorted(key for key in {*kept, *market} if kept.get(key) != market.get(key))
        raise InputError(
            f"market.{changed[0]}: the state file {store.path} was made with "
            f"{kept.get(changed[0])!r}; delete it to begin again, or give another file by --state"
        )


def _source(document: ExchangeDocument, store: StateFile, now_ms: int) -> CandleSource:
    if not isinstance(document.market, ReplayMarket):
        return RandomSource(document.market)
    # The catalog brings the engine with it: two seconds that a random market does not need.
    from live_nodes.practice.market.replay_market import (
        Anchor,
        ReplaySource,
        choose_anchor,
        open_catalog,
    )

    catalog = open_catalog(document.market)
    kept = store.fact("anchor") or asdict(choose_anchor(document.market, catalog, now_ms))
    anchor = Anchor(**_once(store, "anchor", kept))
    data_hash = catalog.data_hash()
    if _once(store, "catalog", data_hash) != data_hash:
        raise InputError(
            f"market.catalog: {document.market.catalog} has changed since the state file "
            f"{store.path} was made; delete the state file to begin again"
        )
    source = ReplaySource(catalog, anchor)
    if now_ms >= source.end_ms:
        raise InputError(
            f"market.catalog: the window of {document.market.catalog} is over for the state file "
            f"{store.path}; delete the state file to begin again"
        )
    return source


def _update_ms(document: ExchangeDocument) -> int:
    market = document.market
    if isinstance(market, ReplayMarket) or market.updates_per_second is None:
        return document.update_ms
    symbols = sum(len(spec.products) for spec in market.symbols.values())
    # All symbols change together, at most a thousand times a second.
    return max(1, round(1_000 * symbols / float(market.updates_per_second)))


def _account(document: ExchangeDocument, name: str) -> AccountSpec:
    spec = document.accounts[name]
    return AccountSpec(
        name=name,
        balances=(("USDT", spec.balance),),
        leverage=spec.leverage,
        linear_fees=FeeRates(spec.fees.linear.maker, spec.fees.linear.taker),
        spot_fees=FeeRates(spec.fees.spot.maker, spec.fees.spot.taker),
    )
