"""From a document to its guards: the one factory of both worlds."""

from __future__ import annotations

from actors.desk.guard import Guard
from config.components import resolve
from config.documents.setup import Setup
from config.params import build_params


def guards_of(setup: Setup) -> dict[str, Guard]:
    """Return the enabled guards by key, in the document's order.

    Raises
    ------
    AddressError
        When an address leads nowhere.
    DocumentErrors
        When parameters are wrong.
    """
    made = {}
    for key, component in setup.actors.items():
        if not component.enabled:
            continue
        cls = resolve(component.use, setup.allow)
        if issubclass(cls, Guard):
            made[key] = cls(key, cls.Config(**build_params(cls, component.params)))
    return made
