"""report.html of a study: verdict and gates, then how the search went and what to make of it.

One page in the look of a backtest's report (``backtests/report``). Where the screen was refused
there is no best candidate: the page has what there is. To add a section: a function that takes the
`Study` and the Drawings and returns HTML, and its line in `SECTIONS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from actors import measures
from actors.measures import DAY, Floats, Integers
from backtests.optimize import judge, robustness
from backtests.optimize.identity import provenance
from backtests.optimize.plan import Found
from backtests.report.charts import Chart, Drawings, line, times
from backtests.report.formats import (
    UNDEFINED,
    date,
    hundredths,
    number,
    percent,
    table,
    text,
    tile_row,
    tone,
    value,
)
from backtests.report.page import page, write_page
from backtests.studies.importance import Importances, binned, importances
from backtests.studies.monte_carlo import monte_carlo
from backtests.studies.search_space import draw, place_of
from backtests.studies.selection import min_track_record, moments
from backtests.studies.splits import Span

FILE = "report.html"
DRAWN, LINES, BARS, MAPS, FOLDS = 2_000, 300, 12, 3, 40
"""Most trials, lines of parallel coordinates, importances, maps and folds that are shown."""
ASKED = 4_096
"""Places all over the space at which importances are measured."""


class Study:
    """What sections share: the trials that have an objective, their scores and places."""

    def __init__(self, found: Found) -> None:
        self.found, self.space = found, found.study.search
        self.names = short_names(list(self.space))
        scored = {i: found.objective(returns) for i, returns in found.race.items()}
        self.race = np.array([i for i, score in scored.items() if np.isfinite(score)], np.int64)
        self.scores = np.array([scored[i] for i in self.race])
        self.places = np.array([self.place(found.candidates[i]) for i in self.race])
        self.word = found.study.objective.replace("_pct", ", %").capitalize()

    def place(self, candidate: dict[str, Any]) -> list[float]:
        """Return where a candidate is, from 0 to 1 in each parameter."""
        return [place_of(self.space[path], candidate[path]) for path in self.space]

    @cached_property
    def full(self) -> dict[int, float]:
        """The objectives of event-driven runs, where defined."""
        scored = {i: self.found.objective(self.found.full[i]) for i in sorted(self.found.full)}
        return {i: score for i, score in scored.items() if np.isfinite(score)}

    @cached_property
    def importances(self) -> Importances:
        """What explains the objective."""
        kept = _evenly(len(self.race), DRAWN)
        asked = [self.place(candidate) for candidate in draw(self.space, "random", ASKED, 0)]
        return importances(self.places[kept], self.scores[kept], np.array(asked))


def short_names(paths: Sequence[str]) -> list[str]:
    """Return the last word of each path, or all of it where two have the same."""
    last = [path.rpartition(".")[2] for path in paths]
    return [word if last.count(word) == 1 else path for word, path in zip(last, paths, strict=True)]


def write(found: Found, folder: Path, why: str = "") -> Path:
    """Write the report; `why` says why there are no gates."""
    return write_page(folder / FILE, render(found, why))


def render(found: Found, why: str = "") -> str:
    """Return the report of a study as one HTML page."""
    study, drawings = Study(found), Drawings()
    written = [(key, word, title, make(study, drawings)) for key, word, title, make in SECTIONS]
    failed = why or ", ".join(gate.name for gate in found.gates if not gate.passed)
    verdict = f'<b class="bad">Refused</b>: {text(failed)}'
    if found.accepted:
        verdict = '<b class="good">Accepted</b>: every gate passed'
    (start, end), name = found.window, text(found.study.name)
    header = (
        f'<div class="eyebrow">perpdesk study</div><h1>{name}</h1><p>{verdict}</p>'
        f"<p>{date(start)} – {date(end - 1)}, UTC · {number((end - start) / DAY, 0)} days · "
        f"{text(found.study.backtest)} · {text(found.study.method)}, seed {found.study.seed}</p>"
    )
    origin = provenance(found.base)
    return page(
        f"{name} · perpdesk study",
        header,
        [text(note) for note in notes(found)],
        [section for section in written if section[3]],
        drawings,
        between=_tiles(found) if found.gates else "",
        footer=" · ".join(f"{key} {text(each[:40])}" for key, each in origin.items()),
    )


def notes(found: Found) -> list[str]:
    """Return what to read first."""
    words, around = [], found.sensitivity
    if found.gates and found.held is not None and not found.held_looked_at:
        words.append("The hold-out stays closed: an earlier gate failed.")
    if found.held_seen:
        others = f"{found.held_seen:,} other candidates were run on its days before"
        words.append(f"The hold-out is not fresh: {others}.")
    words += [found.held_refused] * bool(found.held_refused)
    words += [f"{path} changes nothing at the best candidate." for path in found.dead]
    words += [f"The screen does not see {path}." for path in found.unseen]
    if around.get("shape") == "spike":
        kept = percent(around["plateau"], 0)
        words.append(f"The best is a spike: its neighbours keep {kept} of it, in the median.")
    for path in around.get("at_an_end", ()):
        words.append(f"{path} is at an end of its range: what lies beyond was not tried.")
    words += [f"Not stressed: {found.stress_refused}"] * bool(found.stress_refused)
    if found.refused:
        words.append(f"{len(found.refused):,} candidates were refused, such as: {found.refusal}")
    return words


def _tiles(found: Found) -> str:
    """What no gate has: beside the gates, in sample and in the bad tail."""
    around, of = found.sensitivity, found.monte_carlo
    earned, fell = (of[key]["worst_5"] for key in ("total_return_pct", "max_drawdown"))
    return tile_row(
        ("Return", hundredths(found.figures[found.best]["return_pct"]), "in sample"),
        ("Worst 5 % of paths", hundredths(earned), "or less"),
        ("Worst 5 % of drawdowns", percent(fell), "or deeper"),
        ("Neighbours keep", percent(around["plateau"], 0), around["shape"] or ""),
    )


# -- sections --------------------------------------------------------------------------------------


def gates(study: Study, _: Drawings) -> str:
    """Each gate with what was measured, and the seeds that were tried before."""
    rows = []
    for gate in study.found.gates:
        mark, word = ("met", "passed") if gate.passed else ("missed", "failed")
        badge = f'<span class="badge {mark}">{word}</span>'
        rows.append([text(gate.name), value(gate.measured), text(gate.wanted), badge])
    for seed, measured in study.found.seeds:
        rows.append(
            [f"seed {seed}, tried before", value(measured), study.found.study.until or "", ""]
        )
    if not rows:
        return ""
    returns = study.found.full[study.found.best]
    needed = number(min_track_record(moments(returns)), 0)
    return table(["", "Measured", "Wanted", ""], rows, words=(0, 2)) + _hint(
        f"Days of such returns that show a Sharpe above zero with 95 %: {needed} (minimum track "
        f"record length; {UNDEFINED}: none do). There are {len(returns):,}."
    )


def parameters(study: Study, _: Drawings) -> str:
    """The parameters found, and how often other windows and draws find the same."""
    found, rows = study.found, []
    if found.best < 0:
        return ""
    for name, (path, dimension) in zip(study.names, study.space.items(), strict=True):
        stable = found.stability.get(path, {})
        ends = dimension.choice or dimension.int or dimension.float or ()
        rows.append(
            [
                f'<code title="{text(path)}">{text(name)}</code>',
                f"<b>{_shown(found.candidates[found.best][path])}</b>",
                (", " if dimension.choice else " – ").join(map(_shown, ends)),
                percent(stable.get("windows"), 0),
                percent(stable.get("draws"), 0),
                "no effect" if path in found.dead else "",
            ]
        )
    head = ["", "Best", "Searched", "Same in windows", "Same in draws", ""]
    return table(head, rows, words=(0, 2, 5)) + _hint(
        "The same: at most a neighbour's step away, or the same choice. Windows: what each "
        "training chose. Draws: the best of half of the candidates, as another seed might have had "
        "them."
    )


def walk(study: Study, drawings: Drawings) -> str:
    """Equity in sample, of the best over the whole window, and out of sample."""
    found, outside = study.found, study.found.out_of_sample
    if outside is None:
        return ""
    inside = measures.growth(found.full[found.best])
    ends = found.window.start + DAY * np.arange(len(inside))
    tested = np.flatnonzero(outside.days)
    at = np.concatenate((ends[tested[:1]], ends[tested + 1]))
    data = [line("Best, in sample", ends, inside, "@muted", 1.5, "dot")]
    for place, returns in enumerate(outside.returns):
        drawn = line("Chosen before, out of sample", at, measures.growth(returns), "@accent", 1.8)
        data.append(drawn | {"showlegend": place == 0})
    for curve in data:
        curve["hovertemplate"] = "%{y:.3f}"
    shapes = []
    if found.study.folds.method == "walk_forward":
        shapes = [_shade(*times(list(split.test[0]))) for split in found.splits[::2]]
    window = {"type": "date", "range": times(list(found.window))}
    return (
        _chart(drawings, "walk", 380, data, "", "Equity", xaxis=window, shapes=shapes)
        + _folds(study, outside.chosen)
        + _hint(
            "Both begin at 1. Each test is earned by the candidate that was best in the training "
            "before it; nothing that a test decides has seen it."
        )
    )


def _folds(study: Study, chosen: list[int]) -> str:
    found, rows = study.found, []
    for split, best in list(zip(found.splits, chosen, strict=False))[:FOLDS]:
        returns = found.full.get(best, np.zeros(len(judge.days_of(found.window, ()))))
        parts = [returns[judge.days_of(found.window, spans)] for spans in split]
        took = found.candidates[best] if best >= 0 else {}
        names = [
            f"{name} {_shown(took[path])}"
            for name, path in zip(study.names, study.space, strict=True)
            if path in took and path not in found.dead
        ]
        scores = [number(measures.sharpe(part, judge.YEAR)) for part in parts]
        rows.append([*map(_dates, split), *scores, ", ".join(names) or "none ran"])
    head = ["Training", "Test", "Sharpe in training", "In the test", "Chosen"]
    return table(head, rows, words=(0, 1, 4))


def fan(study: Study, drawings: Drawings) -> str:
    """Resampled days: the fan, the bad tail, and ruin at the drawdown tiers."""
    found, block = study.found, study.found.monte_carlo
    if not block or block["total_return_pct"]["median"] is None:
        return ""
    returns = found.full[found.best]
    paths = monte_carlo(returns, seed=found.study.seed)
    x, (low, lower, middle, upper, high) = paths.places, paths.fan

    def between(name: str, bottom: Floats, top: Floats, opacity: float) -> list[dict[str, Any]]:
        unseen: dict[str, Any] = {"hoverinfo": "skip", "line": {"width": 0}}
        filled: dict[str, Any] = {"fill": "tonexty", "fillcolor": f"@accent/{opacity}"}
        edge = _marks("", x, top, "", mode="lines", showlegend=False, **unseen)
        return [edge, _marks(name, x, bottom, "", mode="lines", **unseen, **filled)]

    def curve(name: str, x: Any, y: Floats, colour: str) -> dict[str, Any]:
        return _marks(name, x, y, "", mode="lines", line={"color": colour, "width": 2})

    data = [
        *between("9 of 10 paths", low, high, 0.1),
        *between("Half of the paths", lower, upper, 0.22),
        curve("As it was", np.arange(len(returns) + 1), measures.growth(returns), "@muted"),
        curve("Median", x, middle, "@accent"),
        curve("Bad tail: the worst 5 %", x, low, "@bad"),
    ]
    trades, band = block["trades"], block["band"]
    rows = []
    for name, of in ((f"{block['days']:,} days", block), (f"{trades['count']:,} trades", trades)):
        earned, fell = of["total_return_pct"], of["max_drawdown"]
        money = [hundredths(earned[key]) for key in ("median", "best_5")]
        depth = [percent(fell[key]) for key in ("worst_5", "median")]
        rows.append([name, _gain(earned["worst_5"]), *money, *depth])
    least, most = (hundredths(band[key][-1]) for key in ("lower_pct", "upper_pct"))
    head = ["Resampled", "Return: worst 5 %", "median", "best 5 %", "Drawdown: worst 5 %", "median"]
    tiers = [[percent(float(tier), 0), percent(share)] for tier, share in block["ruin"].items()]
    return (
        _chart(drawings, "fan", 400, data, "Days", "Equity")
        + table(head, rows)
        + table(["A drawdown of", "is reached with probability"], tiers, kind="targets")
        + _hint(
            "1,000 paths of resampled stretches (stationary bootstrap) of the days that it was "
            "chosen by: expect less. The worst 5 % of paths end there or lower, or fall so deep or "
            f"deeper. A canary is to stay within a band, {least} to {most} on day "
            f"{robustness.BAND_DAYS}, as nine of ten paths do on all days before."
        )
    )


def stress(study: Study, _: Drawings) -> str:
    """The best candidate run again under worse conditions."""
    rows = [
        [
            text(row["name"].capitalize()),
            number(row["sharpe"]),
            _gain(row["return_pct"]),
            percent(row["max_drawdown"]),
            number(row["trades"], 0),
        ]
        for row in study.found.stress
    ]
    return table(["", "Sharpe", "Return", "Max drawdown", "Trades"], rows) if rows else ""


def sensitivity(study: Study, drawings: Drawings) -> str:
    """The best candidate's neighbours: plateau or spike."""
    around = study.found.sensitivity
    if not around or not around["neighbours"] or study.found.best not in study.full:
        return ""
    short, bars = dict(zip(study.space, study.names, strict=True)), {}
    for one in around["neighbours"][::-1]:
        ((path, other),) = one["parameters"].items()
        bars[f"{short[path]} {_shown(other)}"] = one["objective"] or 0.0
    reached = study.full[study.found.best]
    colours = ["@accent/0.55"] * len(bars) + ["@good"]
    said = ""
    if around["shape"]:
        kept, worst = percent(around["plateau"], 0), percent(around["worst"], 0)
        said = f"A {around['shape']}: neighbours keep {kept} of the best's {study.word} in the "
        said += f"median, the worst of them {worst}. "
    half = robustness.PLATEAU * reached
    dashed = {"color": "@bad", "width": 1.5, "dash": "dash"}
    level = {"type": "line", "x0": half, "x1": half, "yref": "paper", "y0": 0, "y1": 1}
    return _bars(
        drawings,
        "neighbours",
        bars | {"best": reached},
        colours,
        study.word,
        shapes=[level | {"line": dashed}],
    ) + _hint(
        f"{said}A neighbour is a step away in one parameter, or a twentieth of the range where "
        f"that is longer. From {percent(robustness.PLATEAU, 0)} on (dashed) it is called a plateau."
    )


def overfit(study: Study, drawings: Drawings) -> str:
    """The distribution of logits behind the probability of overfitting."""
    found = study.found.overfit
    if found is None or not len(found.logits):
        return ""
    width = max(float(np.abs(found.logits).max()), 1e-6) / 20
    # One edge is zero, which counts as overfit: bins hold their upper edge.
    centres = width * (np.arange(-20, 21) - 0.5)
    counts = np.bincount(np.ceil(found.logits / width - 1e-9).astype(int) + 20, minlength=41)
    colours = ["@good" if x > 0 else "@bad" for x in centres]
    bars = _marks("", centres, counts, "", type="bar", marker={"color": colours})
    across = "Logit of the rank in the other half"
    return _chart(drawings, "logits", 280, [bars], across, "Ways", showlegend=False) + _hint(
        f"In {percent(found.probability)} of {len(found.logits):,} ways to choose by one half of "
        "the days, the candidate that was best there is not above the median in the other half "
        f"(red); in {percent(found.loss)} it loses money there. Slope of its Sharpe in the other "
        f"half over that in the one: {number(found.slope)}."
    )


def history(study: Study, drawings: Drawings) -> str:
    """The trials in their order, and the best so far."""
    if not len(study.race):
        return ""
    highest = np.maximum.accumulate(study.scores)
    rises = np.flatnonzero(np.diff(highest, prepend=-np.inf) > 0)
    kept = np.union1d(rises, _evenly(len(study.race), DRAWN))
    x, screened = study.race[kept] + 1, bool(study.found.screened)
    drawn = "Screened" if screened else "Run event by event"
    data = [_marks(drawn, x, study.scores[kept], "@muted/0.45", 5)]
    if screened and study.full:
        ran = np.array(list(study.full.items()))
        data.append(_marks("Run event by event", ran[:, 0] + 1, ran[:, 1], "@btc", 7))
    steps = {"color": "@accent", "width": 2, "shape": "hv"}
    data.append(_marks("Best so far", x, highest[kept], "", mode="lines", line=steps))
    return _chart(drawings, "history", 320, data, "Candidate", study.word)


def importance(study: Study, drawings: Drawings) -> str:
    """What explains the objective: parameters alone, and pairs."""
    found, names = study.importances, study.names
    named = {names[i]: share for i, share in found.alone.items()}
    pairs = {f"{names[i]} × {names[j]}": share for (i, j), share in found.pairs.items()}
    named |= {name: share for name, share in pairs.items() if share >= 0.01}
    shown = dict(sorted(named.items(), key=lambda one: one[1])[-BARS:])
    if not shown:
        return ""
    return _bars(
        drawings,
        "importance",
        shown,
        "@accent/0.7",
        "Share of the variance",
        tickformat=".0%",
        rangemode="tozero",
    ) + _hint(
        "What a parameter explains alone, and two only together (×), of the variance of the "
        f"objective all over the space, by a random forest of {len(study.race):,} trials (fANOVA)."
    )


def parallel(study: Study, drawings: Drawings) -> str:
    """Parallel coordinates: a line a candidate over all parameters."""
    count = len(study.names)
    if len(study.race) < 2 or count < 2:
        return ""
    order = np.argsort(study.scores, kind="stable")
    # All of the best tenth, and others evenly.
    best = max(1, min(len(order) // 10, LINES // 3))
    rest, top = order[:-best], order[-best:]
    rest = rest[_evenly(len(rest), LINES - best)]
    rng, data = np.random.default_rng(0), []
    for name, chosen, colour, width in (
        ("Worse half", rest[: len(rest) // 2], "@muted/0.22", 1.0),
        ("Better half", rest[len(rest) // 2 :], "@btc/0.4", 1.0),
        ("Best tenth", top, "@accent/0.75", 1.3),
    ):
        apart = rng.uniform(-0.015, 0.015, (len(chosen), count))
        data.append(_lines(name, study.places[chosen] + apart, colour, width))
    if study.found.best >= 0:
        place = study.place(study.found.candidates[study.found.best])
        data.append(_lines("Best", np.array([place]), "@good", 3))
    axes = {"tickvals": list(range(count)), "ticktext": study.names, "showgrid": True}
    return _chart(
        drawings,
        "parallel",
        380,
        data,
        "",
        "",
        xaxis=axes | {"type": "linear", "range": [-0.2, count - 0.8]},
        yaxis={"showticklabels": False, "showgrid": False, "range": [-0.12, 1.12]},
        annotations=_ends(study),
        hovermode=False,
    )


def _ends(study: Study) -> list[dict[str, Any]]:
    """Return what stands at each axis: its ends, or all of a few choices."""
    found = []
    for across, dimension in enumerate(study.space.values()):
        values = dimension.choice or dimension.int or dimension.float or ()
        for each in values if len(values) <= 6 else (values[0], values[-1]):
            at = place_of(dimension, each)
            side = "top" if at < 0.01 else "bottom" if at > 0.99 else "middle"
            beside = {"xanchor": "left" if side == "middle" else "center", "yanchor": side}
            place = {"x": across, "y": at + 0.03 * ((side == "bottom") - (side == "top"))}
            said = {"text": _shown(each), "font": {"size": 11, "color": "@muted"}}
            said |= {"bgcolor": "@panel/0.75"} if side == "middle" else {}
            found.append(place | beside | said | {"showarrow": False})
    return found


def maps(study: Study, drawings: Drawings) -> str:
    """The mean objective over the most important pairs of parameters."""
    found, paths = study.importances, list(study.space)
    worth = {
        pair: together + found.alone[pair[0]] + found.alone[pair[1]]
        for pair, together in found.pairs.items()
        if not {paths[i] for i in pair} & set(study.found.dead)
    }
    chosen = sorted(worth, key=worth.__getitem__, reverse=True)[:MAPS]
    if not chosen:
        return ""
    html = "".join(
        f"<div><h3>{text(study.names[i])} across, {text(study.names[j])} up</h3>"
        f"{_map(study, drawings, i, j)}</div>"
        for i, j in chosen
    )
    return f'<div class="pair">{html}</div>' + _hint(
        f"{study.word}: the mean of the trials in a cell; empty where none was. The ring is the "
        "best candidate."
    )


def _map(study: Study, drawings: Drawings, one: int, other: int) -> str:
    (across, columns), (up, rows) = _cells(study, one), _cells(study, other)
    cells = [
        [study.scores[(across == x) & (up == y)] for x in range(len(columns))]
        for y in range(len(rows))
    ]
    heat = {
        "type": "heatmap",
        "x": columns,
        "y": rows,
        "z": [[round(float(c.mean()), 4) if len(c) else None for c in row] for row in cells],
        "customdata": [[len(c) for c in row] for row in cells],
        "colorscale": [[0, "@page"], [1, "@accent"]],
        "colorbar": {"thickness": 10, "outlinewidth": 0, "tickfont": {"size": 10}},
        "hovertemplate": "%{x}, %{y}: %{z:.3g}, of %{customdata} trials<extra></extra>",
    }
    data: list[dict[str, Any]] = [heat]
    ring = {"symbol": "circle-open", "size": 15, "color": "@bad", "line": {"width": 3}}
    for place in np.flatnonzero(study.race == study.found.best):
        at = {"x": [columns[across[place]]], "y": [rows[up[place]]]}
        data.append(
            {"type": "scatter", "mode": "markers", "marker": ring, "hoverinfo": "skip"} | at
        )
    named: dict[str, Any] = {"xaxis": {"type": "category"}, "yaxis": {"type": "category"}}
    names = study.names[one], study.names[other]
    return _chart(drawings, f"map-{one}-{other}", 340, data, *names, **named, showlegend=False)


def _cells(study: Study, which: int) -> tuple[Integers, list[str]]:
    """Return the bin of each trial's value, and the bins' names: a value, or from and to."""
    known, bins = np.unique(binned(study.places[:, which]), return_inverse=True)
    path, names = list(study.space)[which], []
    for each in range(len(known)):
        held = [study.found.candidates[i][path] for i in study.race[bins == each]]
        one = isinstance(held[0], bool | str | None) or min(held) == max(held)
        names.append(_shown(held[0]) if one else f"{min(held):.3g}–{max(held):.3g}")
    return bins, names


def fidelity(study: Study, drawings: Drawings) -> str:
    """The screen beside the full run, for the candidates that were run."""
    found, sample, data = study.found, set(study.found.sample), []
    screened = dict(zip(study.race.tolist(), study.scores.tolist(), strict=True))
    both = [i for i in study.full if i in screened] if found.screened else []
    for name, wanted, colour in (("Nominated", False, "@btc"), ("Sample", True, "@accent")):
        mine = [i for i in both if (i in sample) == wanted]
        y = np.array([study.full[i] for i in mine])
        data += [_marks(name, np.array([screened[i] for i in mine]), y, colour, 8)] * bool(mine)
    if not data:
        return ""
    words = f"{study.word}, screened", f"{study.word}, event by event"
    least = number(found.study.stages.least_fidelity)
    return _chart(drawings, "fidelity", 360, data, *words) + _hint(
        "Across by the screen, up event by event. Rank correlation "
        f"{number(found.fidelity)} over the sample of {len(sample)}, from the best of the screen "
        f"to the worst; at least {least} is needed."
    )


SECTIONS: tuple[tuple[str, str, str, Callable[[Study, Drawings], str]], ...] = (
    ("gates", "Gates", "Gates", gates),
    ("parameters", "Parameters", "Parameters found", parameters),
    ("walk", "Walk-forward", "Equity in and out of sample", walk),
    ("carlo", "Monte Carlo", "Monte Carlo", fan),
    ("stress", "Stress", "Stress", stress),
    ("plateau", "Plateau", "Plateau or spike", sensitivity),
    ("overfitting", "Overfitting", "Probability of overfitting", overfit),
    ("history", "History", "History of trials", history),
    ("importance", "Importance", "What matters", importance),
    ("parallel", "Parallel", "Parallel coordinates", parallel),
    ("maps", "Maps", "Maps of the most important pairs", maps),
    ("fidelity", "Screen", "Screen beside full runs", fidelity),
)
"""Anchor, menu entry, title and function of each section; one without HTML is left out."""


# -- parts -----------------------------------------------------------------------------------------


def _evenly(count: int, most: int) -> Integers:
    return np.linspace(0, count - 1, min(count, most)).astype(np.int64)


def _shown(value: Any) -> str:
    return text(value if isinstance(value, str) else json.dumps(value))


def _gain(value: float | None) -> str:
    return f'<td class="n {tone(value)}">{hundredths(value)}</td>'


def _dates(spans: Sequence[Span]) -> str:
    return f"{date(spans[0].start)} – {date(spans[-1].end - 1)}"


def _hint(words: str) -> str:
    return f'<p class="hint">{words}</p>'


def _chart(
    drawings: Drawings,
    key: str,
    height: int,
    data: list[dict[str, Any]],
    across: str,
    up: str,
    **more: Any,
) -> str:
    axes = {
        "xaxis": {"type": "linear", "title": {"text": across}},
        "yaxis": {"title": {"text": up}},
    }
    for axis, given in axes.items():
        given |= more.pop(axis, {})
    return drawings.place(Chart(key, height, data, axes | more))


def _marks(name: str, x: Any, y: Any, colour: str, size: int = 0, **more: Any) -> dict[str, Any]:
    given = {"type": "scatter", "mode": "markers", "marker": {"color": colour, "size": size}}
    points = {"x": np.round(x, 5).tolist(), "y": np.round(y, 5).tolist()}
    return {"name": name} | given | points | more


def _lines(name: str, rows: Floats, colour: str, width: float) -> dict[str, Any]:
    """Return lines over all axes as one curve with gaps."""
    x = [*range(rows.shape[1]), None] * len(rows)
    y = [each for row in np.round(rows, 4).tolist() for each in (*row, None)]
    drawn = {"type": "scatter", "mode": "lines", "line": {"color": colour, "width": width}}
    return {"name": name, "x": x, "y": y} | drawn


def _bars(
    drawings: Drawings,
    key: str,
    values: dict[str, float],
    colours: str | list[str],
    across: str,
    shapes: Sequence[dict[str, Any]] = (),
    **axis: Any,
) -> str:
    bars = {
        "type": "bar",
        "orientation": "h",
        "y": [text(name) for name in values],
        "x": [round(each, 4) for each in values.values()],
        "marker": {"color": colours},
        "hovertemplate": f"%{{y}}: %{{x:{axis.get('tickformat', '.3g')}}}<extra></extra>",
    }
    up = {"type": "category", "showgrid": False, "ticks": "", "dtick": 1}
    return _chart(
        drawings,
        key,
        90 + 24 * len(values),
        [bars],
        across,
        "",
        xaxis={"showgrid": True, "zeroline": True} | axis,
        yaxis=up,
        bargap=0.3,
        showlegend=False,
        shapes=list(shapes),
    )


def _shade(start: str, end: str) -> dict[str, Any]:
    over = {"type": "rect", "x0": start, "x1": end, "yref": "paper", "y0": 0, "y1": 1}
    return over | {"fillcolor": "@accent/0.07", "line": {"width": 0}, "layer": "below"}
