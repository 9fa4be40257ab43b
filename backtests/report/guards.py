"""What the guards did: what each asked for and held back, what it cost or saved, each verdict."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import yaml

from backtests.report.drawing import Drawings
from backtests.report.formats import (
    UNDEFINED,
    date,
    money,
    number,
    percent,
    size_of,
    span,
    table,
    text,
    value,
)
from backtests.report.guard_acts import Acts, acts
from backtests.report.report_data import Material
from backtests.report.spans import Span
from backtests.report.verdict_lanes import STRICTNESS, scope_of, when
from backtests.results.tables import ALL

SHOWN = 40
"""Verdicts that the table has room for."""


def guards(material: Material, _: Drawings) -> str:
    """What each guard did and what that was worth, then verdict by verdict."""
    keys, found = _keys(material), material.spans
    if not keys and not found:
        return "<p>This run had no guards.</p>"
    did = acts(found, material.orders, material.fills, material.positions, material.decisions)
    if not did:
        return (
            f"<p>{_counted(keys)} watched and had nothing to say: no verdict, no order refused. "
            "Without them every order would have been the same.</p>"
        )
    return _by_guard(material, keys, did) + _verdicts(found)


def legend(found: Sequence[Span]) -> str:
    """What the colours below the curve mean; empty where nothing stood."""
    used = {span.action for span in found}
    swatches = "".join(
        f'<span class="swatch"><i class="{action}"></i>{action.replace("_", " ")}</span>'
        for action in STRICTNESS
        if action in used
    )
    if not swatches:
        return ""
    return (
        f'<p class="hint">{swatches}Below the curve: when each guard held something back, in the '
        "colour of the strictest that stood. Behind it: what was asked of the whole desk or of a "
        "strategy.</p>"
    )


def _by_guard(material: Material, keys: list[str], did: dict[str, Acts]) -> str:
    costs = _costs(material)
    worth = ["Saved, USDT", "Drawdown without", "Ends without at"] if costs else []
    head = ["", *worth, "Tripped", "Stood", "Refused", "Held back", "Closed"]
    rows = [
        [
            text(key),
            *_worth(costs, key),
            number(done.tripped, 0),
            span(done.stood) if done.stood else UNDEFINED,
            number(done.refused, 0),
            number(done.held_back, 0),
            number(done.closed, 0),
        ]
        for key, done in did.items()
    ]
    if costs:
        rows.append(["All of them", *_worth(costs, ALL), *[""] * 5])
    idle = [key for key in keys if key not in did]
    return (
        table(head, rows, kind="total" if costs else "")
        + _explained(material, costs)
        + _stood_by(idle)
    )


def _stood_by(keys: list[str]) -> str:
    """Say of guards that left no trace why no run was made without them."""
    if not keys:
        return ""
    names = text(", ".join(keys))
    if len(keys) == 1:
        return (
            f"<p>One more stood by: {names}. It gave no verdict and refused no order: without it "
            "the run is the same, so it saved and cost nothing.</p>"
        )
    return (
        f"<p>{len(keys)} more stood by: {names}. They gave no verdict and refused no order: "
        "without any one of them the run is the same, so each saved and cost nothing.</p>"
    )


def _explained(material: Material, costs: dict[str, dict[str, Any]]) -> str:
    words = (
        "Refused: orders that the gate turned away. Held back: orders that strategies did not even "
        "send. Closed: positions that were open when the guard said flatten, and closed while "
        "that stood. "
    )
    if not costs:
        return (
            f'<p class="hint">{words}What each guard cost or saved was not worked out '
            "(--no-guard-costs).</p>"
        )
    summary = material.summary
    ruined = "".join(
        f"<p>Without {'any guard' if key == ALL else text(key)} the account is liquidated on "
        f"{date(row['liquidated_at'])}.</p>"
        for key, row in costs.items()
        if row["liquidated_at"] is not None
    )
    return (
        f'<p class="hint">{words}Saved: what the run ends with, '
        f"{number(summary['ending_equity'], 2)} USDT, less what the very same run ends with "
        "without that one guard; negative is what it cost. With all of them the largest drawdown "
        f"is {percent(summary['max_drawdown'], 2)}. The lines do not add up: where two guards "
        "would have acted, leaving out one alone changes little. What a guard cost or saved once, "
        "on one stretch of history, says little about the next.</p>" + ruined
    )


def _verdicts(found: Sequence[Span]) -> str:
    if not found:
        return ""
    rows = [
        [
            when(one.begin),
            "the end" if one.open else when(one.end),
            text(one.guard),
            scope_of(one.scope),
            f'<td><span class="swatch"><i class="{text(one.action)}"></i>'
            f"{size_of(one.action, one.multiplier)}</span>",
            value(one.measured),
            value(one.limit),
            f'<td class="wide">{text(one.reason)}',
        ]
        for one in found[:SHOWN]
    ]
    head = ["From, UTC", "To", "Guard", "Scope", "Asked", "Measured", "Limit", "Why"]
    note = (
        f'<p class="hint">Showing the first {SHOWN} of {len(found):,}; verdicts.parquet has all.'
        "</p>"
        if len(found) > SHOWN
        else ""
    )
    return "<h3>Verdicts</h3>" + table(head, rows, words=(0, 1, 2, 3, 4, 7), kind="verdicts") + note


def _worth(costs: dict[str, dict[str, Any]], key: str) -> list[str]:
    if not costs:
        return []
    row = costs.get(key)
    if row is None:
        return [UNDEFINED] * 3
    return [
        money(float(row["saved"])),
        percent(row["max_drawdown"], 2),
        number(float(row["ending_equity"]), 2),
    ]


def _costs(material: Material) -> dict[str, dict[str, Any]]:
    if material.guard_costs is None:
        return {}
    return {row["guard"]: row for row in material.guard_costs.to_pylist()}


def _keys(material: Material) -> list[str]:
    """Return the guards' keys: of the costs, else, where they are not told, of the document."""
    if material.guard_costs is not None:
        return [key for key in material.guard_costs.column("guard").to_pylist() if key != ALL]
    document = yaml.safe_load(material.result.config_yaml) or {}
    actors = document.get("actors") or {}
    return [str(key) for key, made in actors.items() if made.get("enabled", True)]


def _counted(keys: list[str]) -> str:
    return "One guard" if len(keys) == 1 else f"{len(keys)} guards"
