"""Alerts of a node: where they go and how often, what they watch, and the sign that it lives."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from config.documents.base import ComponentKey, EnvironmentName, Part, Whole
from config.durations import CLOCK, DURATION

AlertDuration = Annotated[str, Field(pattern=DURATION)]
UtcTime = Annotated[str, Field(pattern=CLOCK)]
Severity = Literal["info", "warning", "critical"]
NoTrade = dict[ComponentKey, AlertDuration]
Share = Annotated[float, Field(gt=0, le=1)]


DESK = "desk"


def _under(key: str, written: Any) -> BeforeValidator:
    """Take a plain value for a mapping of one key; `written` is the type of both."""
    return BeforeValidator(
        lambda v: {key: v} if type(v) in (int, float, str) else v,
        json_schema_input_type=written,
    )


class QuietHours(Part):
    """Hours of each day, UTC, in which little leaves; the rest shares a message at their end."""

    start: UtcTime
    """Clock time of their start, such as ``22:00``."""
    end: UtcTime
    """Clock time of their end, on the next day where it is not after the start."""
    passes: Literal["warning", "critical", "nothing"] = "critical"
    """Least severity that still leaves at once."""

    @model_validator(mode="after")
    def _have_length(self) -> QuietHours:
        if self.start == self.end:
            raise ValueError("start and end are the same time: leave out quiet for no quiet hours")
        return self


class Escalation(Part):
    """Which alerts of the node come here too, as critical, because nobody seems to act."""

    severity: Severity = "critical"
    """Least severity that counts."""
    stands: AlertDuration | None = "15m"
    """A halt, a silent guard, positions not flat or a broken rule that stands so long; null for
    none."""
    repeats: Annotated[Whole, Field(ge=2, le=1000)] | None = None
    """The same alert so many times ``within`` a time; null for none."""
    within: AlertDuration = "30m"
    """Time in which repetitions count."""

    @model_validator(mode="after")
    def _find_something(self) -> Escalation:
        if self.stands is None and self.repeats is None:
            raise ValueError("without stands and repeats nothing escalates")
        return self


class AlertChannelTerms(Part):
    """One place that gets alerts, and how often it may be disturbed."""

    addresses: EnvironmentName
    """Name of the environment variable that holds addresses of apprise, separated by spaces."""
    severity: Literal[Severity, "escalated"] = "info"
    """Least severity that is sent; ``escalated`` takes only what escalates."""
    per_hour: Annotated[Whole, Field(ge=1, le=720)] | None = None
    """Most messages in any hour, where more alerts share the next; null for no limit, and none for
    critical ones."""
    digest: AlertDuration | None = None
    """Gather alerts below critical into one message each such period of UTC (``1h``: at full hours,
    ``1d``: at midnight); null sends at once."""
    quiet: QuietHours | None = None
    """Hours in which little leaves; null for none."""
    escalation: Escalation | None = None
    """What comes here because it repeats or stands; null for nothing."""

    @model_validator(mode="after")
    def _get_something(self) -> AlertChannelTerms:
        if self.severity == "escalated" and self.escalation is None:
            raise ValueError("severity escalated needs an escalation: nothing comes here otherwise")
        return self


class CostRule(Part):
    """Fees and slippage of our fills against the model's."""

    over: Share
    """Share by which the costs exceed the model's, such as 0.20."""
    within: AlertDuration = "1d"
    """Newest fills that are measured."""
    fills: Annotated[Whole, Field(ge=1, le=10_000)] = 20
    """Fewest fills that say anything."""
    slippage_bps: Annotated[float, Field(ge=0, le=1000)] = 2.0
    """Slippage of fills that take, basis points, as in the backtest's ``venue.slippage``; makers
    have none. The fees are ``expected.fees``, else Bybit's of VIP 0."""


class DriftRule(Part):
    """Positions against the newest decisions (of strategies that rebalance), as a share of equity.

    What a protective order or a guard closed since is no drift.
    """

    over: Share
    """Sum of the differences, such as 0.05 of equity."""
    stands: AlertDuration = "10m"
    """How long it must stand: orders take their time."""


class AlertRules(Part):
    """Conditions that raise an alert when they begin, and another when they end."""

    severity: Severity = "warning"
    """Severity of the alert at the beginning; that of the end is info."""
    no_trade_for: Annotated[NoTrade | None, _under(DESK, AlertDuration | NoTrade | None)] = None
    """Time without a fill, by strategy; ``desk`` is a fill of any, as is a time alone. Null is
    not watched."""
    cost_over_model: Annotated[CostRule | None, _under("over", Share | CostRule | None)] = None
    """Costs above the model's; a number alone is ``over``. Null is not watched."""
    drift_from_target: Annotated[DriftRule | None, _under("over", Share | DriftRule | None)] = None
    """Positions off their targets; a number alone is ``over``. Null is not watched."""


class Alive(Part):
    """A sign of life, whose absence is noticed outside: this machine can't report its own end."""

    ping: EnvironmentName | None = None
    """Name of the environment variable with an http(s) address of a dead man's switch, such as
    healthchecks.io or Uptime Kuma: it is fetched while trading makes progress. Null for none."""
    every: AlertDuration = "1m"
    """Pause between two pings; let the switch wait for some of them."""
    message: AlertDuration | None = None
    """Pause between two alerts of severity info that say that it runs; null for none."""


class AlertTerms(Part):
    """Channels, rules, and the sign of life."""

    channels: dict[Annotated[str, Field(pattern=r"^[a-z0-9_]{1,16}$")], AlertChannelTerms] = Field(
        default_factory=dict
    )
    """Channels by a name of yours."""
    rules: AlertRules = AlertRules()
    """What raises alerts beside guards, closings and the node itself."""
    alive: Alive = Alive()
    """Sign of life."""


def _of_one_name(given: Any) -> Any:
    return {"channels": {"channel": {"addresses": given}}} if isinstance(given, str) else given


Alerting = Annotated[
    AlertTerms | None,
    BeforeValidator(_of_one_name, json_schema_input_type=EnvironmentName | AlertTerms | None),
]
"""Alerts of a node, or only the name of the variable with their addresses."""
