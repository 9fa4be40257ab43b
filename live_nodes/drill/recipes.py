"""What breaches each kind of guard: one recipe a class, by the class's address.

A recipe makes a `Plan` of a `Scene`: what must be held, what happens, and which verdict must come,
just beyond the document's own limit. A class without one can't be drilled, and is an error.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from actors.guards.core.drill import Plan, Scene
from live_nodes.drill import of_accounts, of_activity, of_exposure, of_losses, of_markets

Recipe = Callable[[Scene], Plan]

RECIPES: Mapping[str, Recipe] = {
    "actors.losses:ConsecutiveLosses": of_losses.consecutive_losses,
    "actors.losses:DailyLoss": of_losses.daily_loss,
    "actors.losses:DrawdownTiers": of_losses.drawdown_tiers,
    "actors.losses:MaxDrawdown": of_losses.max_drawdown,
    "actors.losses:SessionProfit": of_losses.session_profit,
    "actors.losses:SymbolLoss": of_losses.symbol_loss,
    "actors.activity:Cooldown": of_activity.cooldown,
    "actors.activity:ErrorRate": of_activity.error_rate,
    "actors.activity:OrderRate": of_activity.order_rate,
    "actors.activity:Rejections": of_activity.rejections,
    "actors.activity:SlippageBreaches": of_activity.slippage_breaches,
    "actors.activity:TradesPerDay": of_activity.trades_per_day,
    "actors.markets:CrossedBook": of_markets.crossed_book,
    "actors.markets:FundingWindow": of_markets.funding_window,
    "actors.markets:LatencyGate": of_markets.latency_gate,
    "actors.markets:Maintenance": of_markets.maintenance,
    "actors.markets:PriceJump": of_markets.price_jump,
    "actors.markets:SpreadGate": of_markets.spread_gate,
    "actors.markets:StaleFeed": of_markets.stale_feed,
    "actors.markets:Unhedged": of_markets.unhedged,
    "actors.exposure:AssetCaps": of_exposure.asset_caps,
    "actors.exposure:ClusterCaps": of_exposure.cluster_caps,
    "actors.exposure:Correlation": of_exposure.correlation,
    "actors.exposure:ExposureCaps": of_exposure.exposure_caps,
    "actors.exposure:FreeMargin": of_exposure.free_margin,
    "actors.exposure:LiquidationDistance": of_exposure.liquidation_distance,
    "actors.exposure:PositionCap": of_exposure.position_cap,
    "actors.exposure:Volatility": of_exposure.volatility,
    "actors.accounts:AccountMismatch": of_accounts.account_mismatch,
    "live_nodes.node.operator_desk:OperatorGuard": of_accounts.operator,
}
"""By the address in ``use``."""


def recipe_of(cls: type, recipes: Mapping[str, Recipe] = RECIPES) -> Recipe | None:
    """Return the recipe of a guard's class, or of the nearest class that it is derived from."""
    for base in cls.__mro__:
        found = recipes.get(f"{base.__module__}:{base.__qualname__}")
        if found is not None:
            return found
    return None
