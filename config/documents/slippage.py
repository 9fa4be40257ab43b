"""Slippage by name: how much worse than the reference price a market order fills.

The reference is the price that stood when the order reached the venue. To add a model: one class
here, and nowhere else, with its parameters, and its name in ``Slippage``; documents, their JSON
Schema, the simulated venue, the screen, the stress row and the report take it from there.
"""

from __future__ import annotations

from abc import abstractmethod
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from config.documents.base import Part
from config.errors import DeskError

BPS = Decimal(10_000)
DEAREST = Decimal("0.99")
"""What a stress may charge at most, a fraction of the price."""
UNSTATED_BPS = Decimal(2)
"""Where a document has no slippage there is nothing to multiply: a stress charges this instead."""


class SlippageModel(Part):
    """The base of all models: what a document says, and what follows from it."""

    @abstractmethod
    def fraction(self, notional: Decimal) -> Decimal:
        """Return how much worse an order of this notional (USDT) fills, a fraction of the price."""

    @abstractmethod
    def times(self, factor: int) -> SlippageModel:
        """Return the same model that many times worse, for the stress row."""

    def charged(self, notional: Decimal) -> Decimal:
        """Return `fraction`; raise DeskError where no price can be made worse by it."""
        found = self.fraction(notional)
        if isinstance(found, Decimal) and found.is_finite() and 0 <= found < 1:
            return found
        raise DeskError(
            f"venue.slippage: {type(self).__name__}.fraction({notional:f}) must return a finite "
            f"Decimal from 0 to below 1, was {found!r}"
        )

    @property
    def smallest(self) -> Decimal:
        """The fraction that the smallest order pays: the screen knows no sizes."""
        return self.charged(Decimal(0))

    @property
    def described(self) -> str:
        """The model and its parameters, for the report."""
        terms = self.model_dump(mode="json")
        name = str(terms.pop("model"))
        return f"{name} ({', '.join(f'{k} {v}' for k, v in terms.items())})" if terms else name


class NoSlippage(SlippageModel):
    """Market orders fill at the reference price."""

    model: Literal["none"] = "none"

    def fraction(self, notional: Decimal) -> Decimal:
        """Return zero."""
        return Decimal(0)

    def times(self, factor: int) -> SlippageModel:
        """Return a fixed slippage, as there is none to multiply."""
        return FixedBpsSlippage(bps=UNSTATED_BPS * factor)


class FixedBpsSlippage(SlippageModel):
    """Market orders fill worse than the reference price by a fixed part of it."""

    model: Literal["fixed_bps"] = "fixed_bps"
    bps: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(1000))]
    """Hundredths of a percent."""

    def fraction(self, notional: Decimal) -> Decimal:
        """Return the fixed part, whatever the size."""
        return self.bps / BPS

    def times(self, factor: int) -> SlippageModel:
        """Return it with more basis points."""
        return self.model_copy(update={"bps": self.bps * factor})


class BasePlusSizeSlippage(SlippageModel):
    """Market orders fill worse by ``base + min(notional / per, cap)``, a fraction of the price."""

    model: Literal["base_plus_size"] = "base_plus_size"
    base: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal("0.1"))] = Decimal("0.0005")
    """Fraction that every order pays."""
    per: Annotated[Decimal, Field(gt=Decimal(0))] = Decimal(10_000)
    """Notional (USDT) at which the size part alone would be the whole price."""
    cap: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal("0.5"))] = Decimal("0.01")
    """Largest size part, a fraction."""

    def fraction(self, notional: Decimal) -> Decimal:
        """Return base and size part.

        With the defaults the size part reaches its cap at a notional of 100, so the model is harsh
        on purpose; a larger ``per`` softens it.
        """
        return self.base + min(notional / self.per, self.cap)

    def times(self, factor: int) -> SlippageModel:
        """Return it with a larger base and cap, reached by smaller orders, below the whole price.

        Only a cap of more than 23 % is cut at the stress row's factor of three.
        """
        base = self.base * factor
        cap = min(self.cap * factor, DEAREST - base)
        return self.model_copy(update={"base": base, "per": self.per / factor, "cap": cap})

    @property
    def described(self) -> str:
        """The model and its parameters, for the report."""
        base, cap = (f"{(part * 100).normalize():f} %" for part in (self.base, self.cap))
        each = f"0.01 % more for each {self.per / BPS:,f} USDT of the order"
        return f"base_plus_size: {base} of the price, and {each}, at most {cap} more"


Slippage = Annotated[
    NoSlippage | FixedBpsSlippage | BasePlusSizeSlippage, Field(discriminator="model")
]
