"""Guards on the account itself."""

from __future__ import annotations

from typing import ClassVar

from actors.desk.guard import Guard
from actors.guards import account_mismatch
from actors.guards.core.guard import Rule
from actors.guards.core.params import GuardParams


class AccountMismatch(Guard):
    """Stops entries when the venue says something else of the account than the desk's books.

    Until the trader has looked and releases it.
    """

    Config: ClassVar[type[GuardParams]] = account_mismatch.AccountMismatchParams
    rule: ClassVar[Rule] = account_mismatch.RULE
