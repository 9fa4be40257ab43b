"""The node: the setup that was tested, now with an environment and an account."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from config.base import DocumentName, Part
from config.setup import Setup

EnvironmentName = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{2,63}$")]


class Keys(Part):
    """Where the secrets are found: names of environment variables, never the secrets."""

    api_key_env: EnvironmentName
    """Name of the variable that holds the API key."""
    api_secret_env: EnvironmentName
    """Name of the variable that holds the API secret."""


class Account(Part):
    """The trading account."""

    name: DocumentName
    """What the journal and the alerts call it."""
    keys: Keys | None = None


class Node(Setup):
    """A setup that trades."""

    kind: Literal["node"] = "node"  # type: ignore[assignment]
    environment: Literal["practice", "paper", "demo", "testnet", "mainnet"]
    """Which venue the orders go to; only ``mainnet`` is real money."""
    confirm: str | None = None
    """Sentence by which the trader confirms a gate; null where none asks for it."""
    catalog: Annotated[str, Field(min_length=1)] | None = None
    """Folder of the catalog for history before the start, relative to the working directory."""
    account: Account
    tag: Annotated[str, Field(pattern=r"^[a-z0-9]{1,4}$")]
    """Tag of this node in order ids."""
    on_stop: Literal["keep", "flatten"] = "keep"
    """What happens to positions when the node stops."""
