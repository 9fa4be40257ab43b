"""The report's section on the source of its figures: fills, parameters, data."""

from __future__ import annotations

from typing import Any

from backtests.report.formats import UNDEFINED, date, facts, symbol, table, text
from backtests.report.report_data import ReportData

OWN_VENUE = "bybit"
INVENTED = "simulated"
COMPONENTS = {"strategies": "Strategy", "actors": "Guard"}
"""Parts of a document that hold components by key, and what one of them is."""


def notes(report: ReportData) -> list[str]:
    """Return warnings to read before the figures, as HTML sentences."""
    return [text(warning) for warning in report.summary["warnings"]] + [
        text(sentence) for sentence in stand_ins(report.result.provenance)
    ]


def stand_ins(provenance: list[dict[str, Any]]) -> list[str]:
    """Return a sentence for each source other than the venue, and for assumed facts."""
    found = []
    for venue in sorted({record["source_venue"] or "unknown" for record in provenance}):
        records = [r for r in provenance if (r["source_venue"] or "unknown") == venue]
        ids = sorted({name for record in records for name in record["instruments"]})
        some = f"{len(ids)} instruments" if len(ids) != 1 else symbol(ids[0])
        if venue.lower() == INVENTED:
            found.append(
                f"The market is invented ({records[0]['source']}): the figures show that "
                "the machinery works and say nothing about real markets."
            )
        elif venue.lower() == "unknown":
            found.append(f"Where the prices of {some} come from is not recorded.")
        elif venue.lower() != OWN_VENUE:
            found.append(
                f"Data of {venue.capitalize()} stand in for Bybit's ({some}): prices, volumes and "
                "funding there are similar, not the same."
            )
    return found


def how_filled(report: ReportData) -> str:
    """Describe how orders fill, and at what costs."""
    how = report.summary["how_filled"]
    rows = [
        ["Fills", text(how["mode"].replace("_", " "))],
        [
            "Valued every" if how["mode"] in ("book", "quotes") else "Execution candles",
            text(how["interval"]),
        ],
        ["Slippage", text(how["slippage"])],
    ]
    if "path" in how:
        rows.append(["Path inside candles", text(how["path"].replace("_", " "))])
    venue = report.result.document.get("venue") or {}
    for product, fees in (venue.get("fees") or {}).items():
        rows.append(
            [
                f"Fees, {text(product)}",
                f"maker {_bps(fees.get('maker'))}, taker {_bps(fees.get('taker'))}",
            ]
        )
    if "leverage" in venue:
        rows.append(["Most leverage that the order gate allows", f"{text(venue['leverage'])}×"])
    return f"<p>{text(how['words'])}</p>{facts(rows, (0, 1))}"


def parameters(report: ReportData) -> str:
    """Show the resolved document: a table for each strategy, guard and part, then as it stands."""
    tables = [
        f'<div class="group"><h3>{text(title)}</h3>'
        + facts([[text(name).replace(".", ".<wbr>"), text(value)] for name, value in rows], (0, 1))
        + "</div>"
        for title, rows in grouped(report.result.document).items()
    ]
    return (
        f'<div class="groups">{"".join(tables)}</div>'
        + "<details><summary>The resolved document, which reruns to the same "
        f"(config.yaml)</summary><pre>{text(report.result.config_yaml)}</pre></details>"
    )


def grouped(document: dict[str, Any]) -> dict[str, list[tuple[str, str]]]:
    """Return the document's values by heading: one a component, one a part, one for the rest."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for part, value in document.items():
        if part in COMPONENTS and isinstance(value, dict):
            for key, component in value.items():
                rows = [(path.removeprefix("params."), words) for path, words in flat(component)]
                groups[f"{COMPONENTS[part]} {key}"] = rows
        elif isinstance(value, dict) and value:
            groups[str(part).capitalize()] = flat(value)
        else:
            groups.setdefault("Run", []).extend(flat(value, str(part)))
    return groups


def provenance(report: ReportData) -> str:
    """Show each import that the run read."""
    records = report.result.provenance
    if not records:
        return "<p>The catalog kept no record of where these data come from.</p>"
    rows = []
    for record in records:
        read = "<br>".join(
            _together(f"{text(kind)} {count:,}") for kind, count in sorted(record["rows"].items())
        )
        first, last, inferred = (record[name] for name in ("first", "last", "inferred"))
        guessed = f" ({inferred} with guessed facts)" if inferred else ""
        rows.append(
            [
                text(record["source"]),
                text(record["source_venue"] or "unknown"),
                f"{_together(f'{date(first)} –')} {_together(date(last))}" if last else UNDEFINED,
                f"{len(record['instruments'])}{guessed}",
                read or UNDEFINED,
                text(record["note"] or UNDEFINED),
            ]
        )
    head = ["Source", "Prices of", "Range", "Instruments", "Rows", "Note"]
    return table(head, rows, words=range(6), kind="sources") + _files(records) + _hashes(report)


def flat(value: Any, path: str = "") -> list[tuple[str, str]]:
    """Return the dotted paths of a document's values, in its order."""
    if isinstance(value, dict) and value:
        return [
            line
            for key, inner in value.items()
            for line in flat(inner, f"{path}.{key}" if path else str(key))
        ]
    if isinstance(value, list):
        return [(path, ", ".join(str(item) for item in value) or "none")]
    if isinstance(value, bool):
        return [(path, "yes" if value else "no")]
    return [(path, "none" if value is None or value == {} else str(value))]


def _files(records: list[dict[str, Any]]) -> str:
    files = [file for record in records for file in record["files"]]
    if not files:
        return ""
    rows = [
        [text(f["name"]), f"{f['bytes']:,}", f"<td><code>{text(f['sha256'])}</code>"] for f in files
    ]
    count = f"{len(files)} files" if len(files) != 1 else "One file"
    return (
        f"<details><summary>{count} read, with their hashes</summary>"
        + table(["File", "Bytes", "SHA-256"], rows)
        + "</details>"
    )


def _hashes(report: ReportData) -> str:
    summary = report.summary
    rows = [
        [name, f"<code>{text(summary[key])}</code>"]
        for name, key in (
            ("Data hash", "data_hash"),
            ("Document hash", "config_hash"),
            ("Engine", "engine_version"),
        )
    ]
    return (
        "<p>The same document, data and versions give the same decisions, orders, fills and "
        "figures.</p>" + facts(rows, (0, 1))
    )


def _together(html: str) -> str:
    return f'<span class="together">{html}</span>'


def _bps(fee: Any) -> str:
    return UNDEFINED if fee is None else f"{float(fee) * 1e4:g} bps"
