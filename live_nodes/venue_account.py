"""A live account has what the venue says, whatever else ran in this process. Engine-specific.

The engine decides by the venue's name, for the whole process, whether it works balances out by
itself: once a backtest or a paper node has run, it takes every fee off a live balance too, and the
venue's word comes first or last as it happens.
"""

from __future__ import annotations

from nautilus_trader.accounting.accounts.base import Account
from nautilus_trader.accounting.accounts.cash import CashAccount
from nautilus_trader.accounting.accounts.margin import MarginAccount
from nautilus_trader.accounting.factory import AccountFactory
from nautilus_trader.model.enums import AccountType
from nautilus_trader.model.events import AccountState

from catalog.instruments import VENUE

LIVE = "UNIFIED"
"""How the Bybit adapter calls a live account; simulated ones have numbers."""


class VenueAccount:
    """Makes the engine's own kinds of accounts: a live one is never worked out."""

    def __new__(cls, event: AccountState, calculated: bool) -> Account:
        """Return the account of a first state."""
        kind = CashAccount if event.account_type == AccountType.CASH else MarginAccount
        return kind(event, calculated and event.account_id.get_id() != LIVE)


def believe_the_venue() -> None:
    """Have accounts made so; safe to call again."""
    if not _registered:
        AccountFactory.register_account_type(VENUE, VenueAccount)
        _registered.append(VENUE)


_registered: list[str] = []
