"""Which positions and orders a verdict's scope covers, in our books and at the venue. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from decimal import Decimal

from actors.closing.facts import EXTERNAL, Key, Policy, View
from strategies.order_ids import owner_of

ZERO = Decimal(0)


def covering(scopes: Mapping[str, int], key: Key, policy: Policy) -> int | None:
    """Return since when a scope covers the position or order, the earliest, None when none does."""
    if key.owner == EXTERNAL and not _takes_external(key.instrument, policy):
        return None
    names = ["desk", f"instrument:{key.instrument}"]
    if key.owner != EXTERNAL:
        names.append(f"strategy:{key.owner}")
    return min((scopes[name] for name in names if name in scopes), default=None)


def covers(scopes: Mapping[str, int], key: Key, policy: Policy) -> bool:
    """Whether a scope covers the position or order."""
    return covering(scopes, key, policy) is not None


def left_at_venue(
    scopes: Mapping[str, int], dust: Collection[Key], view: View, policy: Policy
) -> list[str]:
    """Return what the venue shows in the scopes that should be gone, in words."""
    assert view.venue is not None
    found = []
    for name, quantity in sorted(view.venue.positions.items()):
        if not _covers_at_venue(scopes, name, policy):
            continue
        stays = sum(
            (
                held
                for key, held in view.positions.items()
                if key.instrument == name and (key in dust or not covers(scopes, key, policy))
            ),
            ZERO,
        )
        terms = view.terms.get(name)
        if abs(quantity - stays) >= (ZERO if terms is None else terms.lot) and quantity != stays:
            found.append(f"{name}: the venue holds {quantity:f}, our books {stays:f}")
    for order_id, name in sorted(view.venue.orders.items()):
        ours = owner_of(order_id) is not None
        if _covers_at_venue(scopes, name, policy) and (ours or policy.external != "leave"):
            found.append(f"{name}: order {order_id} is still open at the venue")
    return found


def _takes_external(instrument: str, policy: Policy) -> bool:
    if policy.external == "universe":
        return instrument in policy.owners
    return policy.external == "all"


def _covers_at_venue(scopes: Mapping[str, int], instrument: str, policy: Policy) -> bool:
    """Whether a scope covers the instrument: at the venue nothing says whose a position is."""
    owner = policy.owners.get(instrument)
    if owner is None:
        return policy.external == "all" and covers(scopes, Key(EXTERNAL, instrument), policy)
    return covers(scopes, Key(owner, instrument), policy)
