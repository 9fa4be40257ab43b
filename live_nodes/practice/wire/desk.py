"""Where requests are carried out, however they came: by REST or over the trade link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from live_nodes.practice.exchange.model import Event, Refusal
from live_nodes.practice.wire.limits import Allowance, Limits
from live_nodes.practice.wire.venue import Venue

Json = dict[str, Any]
BATCH = "-batch"
TOO_MANY = (10006, "Too many visits. Exceeded the API Rate Limit.")
NOT_FOUND = (10017, "Route not found.")


@dataclass(frozen=True)
class Asked:
    """One request.

    Parameters
    ----------
    account : str
        Who asks; empty for public requests.
    params : mapping
        Query or body.
    now_ms : int
        The exchange's true clock.
    granted : int
        How many orders of a batch the rate limit has room for.
    """

    account: str
    params: Mapping[str, Any]
    now_ms: int
    granted: int = 1


@dataclass(frozen=True)
class Answer:
    """What a request is answered, and what it did.

    Parameters
    ----------
    code, message : int, str
        Bybit's retCode and retMsg.
    result, ext : dict
        Bybit's result and retExtInfo.
    allowance : Allowance, optional
        What is left of the rate limit.
    events : list of Event
        What the exchange did: kept already, to be published by whoever sends the answer.
    """

    code: int = 0
    message: str = "OK"
    result: Json = field(default_factory=dict)
    ext: Json = field(default_factory=dict)
    allowance: Allowance | None = None
    events: list[Event] = field(default_factory=list)


Handler = Callable[[Venue, Asked], Json]


class Desk:
    """Carries out requests.

    Parameters
    ----------
    venue : Venue
        The exchange in operation.
    limits : Limits
        How often one may ask.
    handlers : mapping of str to Handler
        What is done for each path; a handler returns Bybit's ``result`` (a batch's also has
        ``retExtInfo`` under that key) or raises Refusal.
    """

    def __init__(self, venue: Venue, limits: Limits, handlers: Mapping[str, Handler]) -> None:
        self._venue = venue
        self._limits = limits
        self._handlers = handlers

    def answer(self, path: str, account: str, params: Mapping[str, Any]) -> Answer:
        """Carry out a request; what it did is kept when this returns."""
        handler = self._handlers.get(path)
        if handler is None:
            return Answer(*NOT_FOUND)
        now_ms = self._venue.clock_ms()
        count = 1
        if path.endswith(BATCH) and isinstance(params.get("request"), list):
            count = max(1, len(params["request"]))
        spot = params.get("category") == "spot"
        allowance = self._limits.take(account, path, spot, now_ms, count) if account else None
        if allowance is not None and not allowance.granted:
            return Answer(*TOO_MANY, allowance=allowance)
        granted = allowance.granted if allowance is not None else count
        try:
            result = handler(self._venue, Asked(account, params, now_ms, granted))
        except Refusal as refusal:
            return Answer(refusal.code, refusal.message, allowance=allowance)
        ext = result.pop("retExtInfo", {})
        return Answer(result=result, ext=ext, allowance=allowance, events=self._venue.commit())
