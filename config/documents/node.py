"""The node: the setup that was tested, now with an environment and an account."""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, ValidationInfo, field_validator

from config.documents.alerts import Alerting
from config.documents.backtest import Targets
from config.documents.base import DocumentName, EnvironmentName, Part
from config.documents.deploy import Deploy
from config.documents.setup import Setup
from config.documents.venue import Fees
from config.documents.watch import WatchSettings
from config.suggestions import HOST

Environment = Literal["practice", "paper", "demo", "testnet", "mainnet"]
"""Where orders go; only ``mainnet`` is real money."""

FilePath = Annotated[str, Field(min_length=1)]
Seconds = Annotated[float, Field(gt=0, le=3600)]
LOOPBACK = ("127.0.0.1", "localhost")


def _on_this_machine(url: str) -> str:
    if urlsplit(url).hostname not in LOOPBACK:
        raise ValueError(
            "must be an address of this machine (127.0.0.1 or localhost): "
            "Bybit's own addresses follow from the environment"
        )
    return url


HttpUrl = Annotated[str, Field(pattern=r"^http://[^/]+$"), AfterValidator(_on_this_machine)]
WsUrl = Annotated[str, Field(pattern=r"^ws://[^/]+/.*[^/]$"), AfterValidator(_on_this_machine)]


class Keys(Part):
    """Where the secrets are found: names of environment variables, never the secrets."""

    api_key_env: EnvironmentName
    """Name of the variable that holds the API key."""
    api_secret_env: EnvironmentName
    """Name of the variable that holds the API secret."""


class Account(Part):
    """The trading account."""

    name: DocumentName
    """What the journal and the alerts call it; on the practice exchange, whose account it is."""
    keys: Keys | None = None
    """Null takes the names that belong to the environment: ``BYBIT_API_KEY`` and
    ``BYBIT_API_SECRET`` for mainnet, ``BYBIT_TESTNET_…`` and ``BYBIT_DEMO_…`` for the others;
    the practice exchange and paper need none."""
    balance: Annotated[Decimal, Field(gt=Decimal(0), le=Decimal(10**12))] = Decimal(100_000)
    """USDT that paper trading starts with; the other environments ask the venue."""
    leverage: Literal["check", "set"] = "check"
    """What the start does about a perpetual whose leverage at the venue is below what the
    strategies need (their ``gross_leverage``, else ``limits.leverage``): ``check`` refuses,
    ``set`` sets it there."""


class Practice(Part):
    """The practice exchange that the node starts by itself when none is running."""

    market: FilePath = "perpdesk:markets/demo"
    """Document of the exchange, relative to the working directory, or the name of a shipped one."""


class VenueUrls(Part):
    """Addresses on this machine that take the place of Bybit's, for tests; no slash at the end."""

    http: HttpUrl
    """Such as ``http://127.0.0.1:18080``."""
    ws_public: WsUrl
    """Such as ``ws://127.0.0.1:18080/v5/public``, before the product."""
    ws_private: WsUrl
    """Such as ``ws://127.0.0.1:18080/v5/private``."""
    ws_trade: WsUrl
    """Such as ``ws://127.0.0.1:18080/v5/trade``."""


class Limits(Part):
    """What the order gate holds every order to."""

    leverage: Annotated[Decimal, Field(ge=Decimal(1), le=Decimal(100))] = Decimal(5)
    """Largest gross notional per unit of equity."""


class ExpectedFees(Part):
    """The account's fee rates by product; null is not checked."""

    linear: Fees | None = None
    """USDT perpetuals."""
    spot: Fees | None = None
    """Spot pairs."""


class Expected(Part):
    """How the account must be set up at the venue for the node to start."""

    fees: ExpectedFees = ExpectedFees()
    """Rates that were tested with; higher ones at the venue refuse the start."""
    position_mode: Literal["one_way"] = "one_way"
    """One net position an instrument; the desk's books know no other."""
    margin_mode: Literal["cross", "isolated", "portfolio"] | None = "cross"
    """The account's margin mode; null is not checked."""


class Gates(Part):
    """What must hold before a strategy starts. All times are in seconds."""

    max_clock_skew: Annotated[float, Field(gt=0, le=5)] = 1.0
    """Largest difference between this machine's clock and the venue's; Bybit refuses requests
    that are off by more than their receive window of 5 s."""
    request_timeout: Seconds = 5.0
    """How long one answer of the venue may take before the start."""
    connect_timeout: Seconds = 30.0
    """How long connecting and logging in may take; before, as long a rate limit is waited out."""
    reconcile_timeout: Seconds = 30.0
    """How long reconciling and comparing our books with the venue's may take."""
    warm_up_timeout: Seconds = 300.0
    """How long fetching history may take."""
    balance_tolerance: Annotated[Decimal, Field(ge=Decimal(0), le=Decimal(1000))] = Decimal("0.01")
    """Difference of the wallet balance, USDT, that the comparison lets pass."""


class MetricsSettings(Part):
    """Figures of the node for Prometheus, and whether it lives, over HTTP."""

    port: Annotated[int, Field(ge=1024, le=65535)] | None = None
    """Port of ``/metrics``, ``/healthz`` and ``/readyz``, one for each node; null serves none."""
    host: Annotated[str, Field(pattern=HOST)] = "127.0.0.1"
    """Address that it listens on; whoever reaches it reads equity and positions without a
    password, so only this machine's by default."""


class LiveReports(Part):
    """Reports of what the node did."""

    daily: bool = False
    """Whether a running node makes a report of each UTC day five minutes after it, ``reports/``
    in its state folder, and sends its summary to where alerts go. A process of its own makes it."""
    targets: Targets | None = None
    """What the trader hopes for; reports show it beside what was achieved."""


class Node(Setup):
    """A setup that trades."""

    kind: Literal["node"] = "node"  # type: ignore[assignment]
    environment: Environment
    """Which venue the orders go to; only ``mainnet`` is real money."""
    confirm: Literal["mainnet"] | None = None
    """``mainnet`` confirms that real money may be traded; nothing else needs a confirmation."""
    catalog: FilePath | None = None
    """Folder of a catalog that lists the instruments, so that ``perpdesk validate`` can check the
    universe without the venue, relative to the working directory."""
    account: Account
    tag: Annotated[str, Field(pattern=r"^[a-z0-9]{1,4}$")]
    """Tag of this node in order ids."""
    state: FilePath = "live_nodes/state"
    """Folder below which the node's own folder holds journal, log and audit files, relative to
    the working directory."""
    practice: Practice = Practice()
    """Where ``environment: practice`` gets its exchange from."""
    venue_urls: VenueUrls | None = None
    """Addresses on this machine that take the place of the environment's; null takes its own."""
    limits: Limits = Limits()
    """What the order gate holds every order to."""
    expected: Expected = Expected()
    """How the account must be set up."""
    gates: Gates = Gates()
    """What must hold before a strategy starts."""
    watch: WatchSettings = WatchSettings()
    """What is watched while it trades."""
    alerts: Alerting = None
    """Where alerts go: the name of the environment variable that holds addresses of apprise
    (Telegram, Discord, e-mail and a hundred others), separated by spaces, or channels, rules and a
    sign of life; null writes them to a file only."""
    metrics: MetricsSettings = MetricsSettings()
    """Figures for Prometheus."""
    message_bus: EnvironmentName | None = None
    """Name of the environment variable that holds the address of a Redis, which gets orders,
    fills, positions and account states of Nautilus's message bus as streams:
    ``redis://user:password@host:6379``, ``rediss://`` with TLS; null sends nothing."""
    mirror: EnvironmentName | None = None
    """Name of the environment variable that holds the URL of a PostgreSQL database into which a
    process beside the node copies its journal; null copies it nowhere."""
    on_stop: Literal["keep", "flatten"] = "keep"
    """What happens to positions when the node stops."""
    stop_deadline: Annotated[float, Field(ge=5, le=600)] = 30.0
    """Seconds within which a stop must be over."""
    reports: LiveReports = LiveReports()
    """Reports of what it did, also by ``perpdesk report``."""
    deploy: Deploy = Deploy()
    """How releases get to this node, with ``perpdesk deploy``."""

    @field_validator("venue_urls")
    @classmethod
    def _mainnet_has_no_other_address(
        cls, urls: VenueUrls | None, earlier: ValidationInfo
    ) -> VenueUrls | None:
        given = earlier.data
        if urls and given.get("environment") == "mainnet" and given.get("confirm") == "mainnet":
            raise ValueError("mainnet that is confirmed trades at Bybit: leave out venue_urls")
        return urls
