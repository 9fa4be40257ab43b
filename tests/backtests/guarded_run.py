"""A run in which many guards have something to say, for tests and for a process of its own.

``python -m tests.backtests.guarded_run`` prints what became of it, the same under any hash seed.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import msgspec

from actors.desk.guard import GuardActor
from actors.guards.consecutive_losses import ConsecutiveLosses
from actors.guards.cooldown import Cooldown
from actors.guards.core.guard import Guard
from actors.guards.core.snapshot import Input
from actors.guards.daily_loss import DailyLoss
from actors.guards.drawdown_tiers import DrawdownTiers
from actors.guards.exposure_caps import ExposureCaps
from actors.guards.funding_window import FundingWindow
from actors.guards.max_drawdown import MaxDrawdown
from actors.guards.order_rate import OrderRate
from actors.guards.position_cap import PositionCap
from actors.guards.price_jump import PriceJump
from actors.guards.rejections import Rejections
from actors.guards.slippage_breaches import SlippageBreaches
from actors.guards.stale_feed import StaleFeed
from actors.guards.symbol_loss import SymbolLoss
from actors.guards.trades_per_day import TradesPerDay
from backtests.engine.build import BacktestDesk
from backtests.engine.feed import Settlement
from strategies.messages import Verdict, encode
from tests.actors.guards.playing import plain
from tests.builders_engine import A, B, Candles, Script, at, play, taker_fee, trading, venue

C = "CCCUSDT-LINEAR.BYBIT"
HOURS = 120


def guards() -> dict[str, GuardActor]:
    """Return guards with limits so tight that each says something."""
    made: dict[str, tuple[type[Guard[Any, Any]], dict[str, Any]]] = {
        "tiers": (
            DrawdownTiers,
            {"tiers": [{"at": 0.005, "size": 0.5}, {"at": 0.01, "size": 0.25}]},
        ),
        "max": (MaxDrawdown, {"limit_pct": 0.015, "action": "flatten", "release": "12h"}),
        "daily": (DailyLoss, {"limit_pct": 0.005, "action": "reduce_only"}),
        "symbol": (SymbolLoss, {"limit_currency": 150.0, "release": "6h"}),
        "losses": (ConsecutiveLosses, {"release": "3h", "losses": 2}),
        "trades": (TradesPerDay, {"limit": 1}),
        "cooldown": (Cooldown, {"after_trade": "1h", "after_loss": "4h"}),
        "rate": (OrderRate, {"count": 2, "window": "1h", "release": "1h"}),
        "slips": (SlippageBreaches, {"limit_bps": 5.0, "release": "2h"}),
        "rejects": (Rejections, {}),
        "position": (PositionCap, {"limit_pct": 0.1}),
        "caps": (ExposureCaps, {"leverage": 0.2}),
        "funding": (FundingWindow, {}),
        "jump": (PriceJump, {"limit_pct": 0.03, "window": "1h", "release": "2h"}),
        "stale": (StaleFeed, {"limit": "2h", "release": "recovered"}),
    }
    return {
        key: GuardActor(key, cls(msgspec.convert(params, cls.Config)))
        for key, (cls, params) in made.items()
    }


def walk(seed: int) -> Candles:
    """Return candles of a market that moves a few per cent an hour, with a gap."""
    rng = random.Random(seed)
    opens: list[float | None] = []
    closes: list[float | None] = []
    price = 100.0
    for hour in range(HOURS):
        opened = price
        price = round(max(20.0, price * (1 + rng.gauss(0, 0.02))), 2)
        gap = seed == 3 and 40 <= hour < 45
        opens.append(None if gap else round(opened, 2))
        closes.append(None if gap else price)
    return Candles(opens, closes)


def script(key: str, names: tuple[str, ...], seed: int) -> Script:
    rng = random.Random(seed)
    plan: dict[int, Callable[[Script], None]] = {}
    for hour in range(1, HOURS):
        if rng.random() < 0.6:
            plan[at(hour)] = trading(rng.choice(names), str(rng.randint(-20, 20) or 1))
    return Script(plan, key)


def run(
    heard: list[Input], said: list[Verdict], made: dict[str, GuardActor] | None = None
) -> BacktestDesk:
    """Run two heedless strategies under the guards; what is seen and said goes into the lists."""
    settlements = [
        Settlement(at(hour), name, Decimal("0.001"), Decimal(100))
        for hour in range(8, HOURS, 8)
        for name in (A, B, C)
    ]
    return play(
        {A: walk(1), B: walk(2), C: walk(3)},
        script("one", (A, B), 1),
        script("two", (C,), 2),
        document=venue(fees=taker_fee("0.0006")),
        guards=guards() if made is None else made,
        settlements=settlements,
        hear={"risk.seen": heard.append, "verdicts.*": said.append},
    )


def digest() -> str:
    heard: list[Input] = []
    said: list[Verdict] = []
    desk = run(heard, said)
    found = hashlib.sha256()
    for seen in heard:
        found.update(msgspec.json.encode(seen, enc_hook=plain, order="deterministic"))
    for verdict in said:
        found.update(encode(verdict))
    for fill, _ in desk.accountant.fills:
        found.update(repr(fill).encode())
    return f"{len(heard)} seen, {len(said)} said, {found.hexdigest()}"


if __name__ == "__main__":
    print(digest())
