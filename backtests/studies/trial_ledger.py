"""Trial ledger: every backtest and trial ever run on a data set counts against the next best one.

One SQLite file for all studies, or a PostgreSQL database for many machines. Each trial is written
when it begins and when it ends, each in a transaction of its own, so that a killed study goes on
where it was: `begin` returns what is already known. A candidate counts once, however often it is
run, by whichever study.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from actors.measures import Floats
from backtests.studies.ledger_database import URLS, PostgresServer, SqliteFile
from config.catalogs import url_of
from config.durations import minute_text
from config.errors import DeskError, GateRefused, InputError
from config.reading import digest

VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS trials (
    number {number},
    data TEXT NOT NULL, start_ns BIGINT NOT NULL, end_ns BIGINT NOT NULL,
    stage TEXT NOT NULL, candidate TEXT NOT NULL,
    study TEXT NOT NULL, parameters TEXT NOT NULL,
    state TEXT NOT NULL, sharpe DOUBLE PRECISION, figures TEXT NOT NULL, why TEXT NOT NULL,
    began_ns BIGINT NOT NULL, ended_ns BIGINT,
    UNIQUE (data, start_ns, end_ns, stage, candidate)
);
CREATE TABLE IF NOT EXISTS hold_outs (
    data TEXT NOT NULL, start_ns BIGINT NOT NULL, end_ns BIGINT NOT NULL,
    study TEXT NOT NULL, candidate TEXT NOT NULL, opened_ns BIGINT NOT NULL
);
CREATE TABLE IF NOT EXISTS daily_returns (number BIGINT PRIMARY KEY, days {bytes} NOT NULL);
CREATE TABLE IF NOT EXISTS codes (number BIGINT PRIMARY KEY, code TEXT NOT NULL);
"""
_OF_NO_EFFECT = ("name", "description", "window", "report", "slice_days", "catalog")
RUNNING, DONE, PRUNED, FAILED = "running", "done", "pruned", "failed"
REFUSED = "refused"
_KEY = "data = ? AND start_ns = ? AND end_ns = ? AND stage = ? AND candidate = ?"
_INSERT = (
    "INSERT INTO trials (data, start_ns, end_ns, stage, candidate, study, parameters, began_ns,"
    " state, figures, sharpe, ended_ns, why) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')"
    " ON CONFLICT (data, start_ns, end_ns, stage, candidate)"
)
_REPLACE = "INSERT INTO {0} VALUES (?, ?) ON CONFLICT (number) DO UPDATE SET {1} = excluded.{1}"
_RAN = f"state != '{REFUSED}' AND NOT (state = '{PRUNED}' AND stage = 'screen')"
"""Earlier versions wrote a draw that was refused as pruned in the screen, where nothing else is."""
_OVERLAPS = "data = ? AND start_ns < ? AND end_ns > ?"


class DataSet(NamedTuple):
    """What a trial is run on: data of one name, or hash, and a window; UNIX nanoseconds (UTC).

    Trials on overlapping windows of the same data count for each other: to move the window by a
    day makes no luck undone.
    """

    name: str
    start_ns: int
    end_ns: int


class Trial(NamedTuple):
    """A trial as the ledger knows it; `figures` are empty unless it is done."""

    number: int
    candidate: str
    parameters: dict[str, Any]
    state: str
    figures: dict[str, float | None]
    why: str


def ledger_path() -> Path | str:
    """Return the one ledger of a working directory, or what PERPDESK_TRIALS names: file or URL."""
    named = os.environ.get("PERPDESK_TRIALS") or "results/trials.sqlite"
    if named.startswith(URLS):
        return named
    if "://" in named or re.match(r"postgres(ql)?:|\w+\s*=", named, re.IGNORECASE):
        # Not repeated: it may hold a password, which would become a file's name.
        raise InputError("PERPDESK_TRIALS: a file, or a URL that begins with postgresql://")
    return Path(named)


def candidate_of(document: Mapping[str, Any], data_hash: str) -> str:
    """Return the hash of all that a trial's outcome depends on, but for its window.

    `document` is a backtest's, complete; `data_hash` that of the catalog: a trial on older data is
    run again.
    """
    kept = {key: value for key, value in document.items() if key not in _OF_NO_EFFECT}
    return digest({"document": kept, "data": data_hash})


class TrialLedger:
    """The trials in a file, or in PostgreSQL; safe for many processes, each with its own object.

    Raises DeskError where it can't be read or written, or is of a newer perpdesk.
    """

    def __init__(self, place: Path | str, clock_ns: Callable[[], int] = time.time_ns) -> None:
        self._place, self._clock_ns = place, clock_ns
        self._base = PostgresServer(place) if isinstance(place, str) else SqliteFile(place)
        with self._named():
            version = self._base.open(_SCHEMA, VERSION)
        if version > VERSION:
            self.close()
            raise DeskError(
                f"{self._base.name}: written by a newer perpdesk (ledger version {version}, this "
                f"one knows {VERSION}); use that one"
            )

    def data_set(self, catalog: Path | str, start_ns: int, end_ns: int) -> DataSet:
        """Return the data of a catalog, by its place beside the ledger: both may move together.

        PostgreSQL lies beside nothing: there it is the place in the working directory, which is the
        same on machines that have the same project, or the whole path of a catalog elsewhere.
        """
        place, at_home = Path(catalog).resolve(), Path.cwd()
        if url := url_of(catalog):
            name = url
        elif isinstance(self._place, Path):
            name = os.path.relpath(place, self._place.resolve().parent)
        else:
            name = str(place.relative_to(at_home) if place.is_relative_to(at_home) else place)
        return DataSet(name, start_ns, end_ns)

    def begin(
        self,
        study: str,
        data: DataSet,
        candidate: str,
        parameters: Mapping[str, Any],
        stage: str = "full",
    ) -> Trial:
        """Count a trial and return it: done or pruned where its outcome is already known.

        `candidate` is a hash of all that makes it differ from others: parameters, seed, universe,
        costs; not of the window, which `data` has. One that was killed or failed is run again.
        """
        with self._transaction():
            begun = self._begun(study, data, candidate, parameters, stage)
            self._base.execute(f"{_INSERT} DO NOTHING", (*begun, RUNNING, "{}", None, None))
            key = (*data, stage, candidate)
            again = f"UPDATE trials SET state = ?, why = '' WHERE state IN (?, ?) AND {_KEY}"
            self._base.execute(again, (RUNNING, FAILED, REFUSED, *key))
            (found,) = self._trials(_KEY, key)
        return found

    def finish(
        self,
        number: int,
        figures: Mapping[str, float | None],
        returns: Floats | None = None,
        code: str = "",
    ) -> None:
        """Write a trial's figures, and the returns of its days for studies that go on later.

        `code` is a hash of the code that ran it.

        ``sharpe`` among the figures is the annual one, None if undefined.
        """
        self._end(number, DONE, figures, "", returns, code)

    def returns(self, number: int, code: str | None = None) -> Floats | None:
        """Return the daily returns of a trial that is done, None where it wrote none.

        None too where other code than `code` ran it.
        """
        sql = "SELECT days, code FROM daily_returns LEFT JOIN codes USING (number) WHERE number = ?"
        rows = [row for row in self._read(sql, (number,)) if code in (None, row[1])]
        return np.frombuffer(rows[0][0], dtype="<f8") if rows else None

    def refuse(self, number: int, why: str) -> None:
        """Write that a trial that has begun was refused before it ran: it does not count."""
        with self._transaction():
            sql = "UPDATE trials SET state = ?, why = ? WHERE number = ? AND state = ?"
            self._base.execute(sql, (REFUSED, why, number, RUNNING))

    def prune(
        self,
        number: int,
        why: str,
        figures: Mapping[str, float | None] | None = None,
        returns: Floats | None = None,
        code: str = "",
    ) -> None:
        """Write that a trial was given up; it counts.

        What it was until then may be written too, as of one that is finished.
        """
        self._end(number, PRUNED, figures or {}, why, returns, code)

    def fail(self, number: int, why: str) -> None:
        """Write that a trial broke; it counts, and is run again when it begins again."""
        self._end(number, FAILED, {}, why)

    def record(
        self,
        study: str,
        data: DataSet,
        stage: str,
        tried: Iterable[tuple[str, Mapping[str, Any], Mapping[str, float | None]]],
    ) -> None:
        """Write many trials that are done, in one transaction: candidate, parameters, figures."""
        rows = [
            (*self._begun(study, data, candidate, parameters, stage), DONE, *self._outcome(figures))
            for candidate, parameters, figures in tried
        ]
        with self._transaction():
            self._base.execute_many(
                f"{_INSERT} DO UPDATE SET state = excluded.state, figures = excluded.figures,"
                " sharpe = excluded.sharpe, ended_ns = excluded.ended_ns",
                rows,
            )

    def count(self, data: DataSet, but: str = "") -> int:
        """Return how many candidates were tried on the data, by all studies, whatever came of them.

        What ran in several stages, or on several windows that overlap this one, counts once; the
        candidate `but` does not. Nor does a draw that was refused before it ran, by its component
        or for lack of data: it had no chance to be the best. What broke while it ran has looked at
        the data, and counts.
        """
        sql = (
            f"SELECT count(DISTINCT candidate) FROM trials WHERE {_OVERLAPS} AND {_RAN}"
            " AND candidate != ?"
        )
        return int(self._read(sql, (*_window(data), but))[0][0])

    def sharpes(self, data: DataSet) -> Floats:
        """Return the annual Sharpe ratio of each candidate tried on the data that has one.

        The newest of several trials counts; candidates come in the order of their first.
        """
        sql = (
            "SELECT sharpe FROM (SELECT sharpe, number, max(number) OVER each AS newest,"
            " min(number) OVER each AS oldest FROM trials"
            f" WHERE {_OVERLAPS} AND sharpe IS NOT NULL WINDOW each AS (PARTITION BY candidate))"
            " AS tried WHERE number = newest ORDER BY oldest"
        )
        return np.array([row[0] for row in self._read(sql, _window(data))], dtype=np.float64)

    def trials(self, study: str) -> list[Trial]:
        """Return the trials that a study was the first to begin, in that order."""
        with self._named():
            return self._trials("study = ?", (study,))

    def open_hold_out(self, study: str, data: DataSet, candidate: str) -> None:
        """Record that a candidate is judged on a hold-out, which is possible once.

        The same candidate may be judged again, after a kill: nothing new is learned from it.
        Raises GateRefused when another was judged on overlapping data before.
        """
        with self._transaction():
            opened = self._base.execute(
                f"SELECT study, candidate, opened_ns FROM hold_outs WHERE {_OVERLAPS}",
                _window(data),
            ).fetchall()
            for by, judged, opened_ns in opened:
                if judged != candidate:
                    raise GateRefused(
                        f"hold-out: study {by} opened it on {minute_text(opened_ns)} for another "
                        "candidate; a second look is no test: wait for newer data, or hold out "
                        "other data"
                    )
            if not opened:
                values = (*data, study, candidate, self._clock_ns())
                self._base.execute("INSERT INTO hold_outs VALUES (?, ?, ?, ?, ?, ?)", values)

    def close(self) -> None:
        """Close the file or connection; safe to call twice."""
        self._base.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begun(
        self, study: str, data: DataSet, candidate: str, parameters: Mapping[str, Any], stage: str
    ) -> tuple[Any, ...]:
        text = json.dumps(dict(parameters), sort_keys=True, default=str)
        return (*data, stage, candidate, study, text, self._clock_ns())

    def _end(
        self,
        number: int,
        state: str,
        figures: Mapping[str, float | None],
        why: str,
        returns: Floats | None = None,
        code: str = "",
    ) -> None:
        with self._transaction():
            changed = self._base.execute(
                "UPDATE trials SET state = ?, why = ?, figures = ?, sharpe = ?, ended_ns = ?"
                " WHERE number = ?",
                (state, why, *self._outcome(figures), number),
            ).rowcount
            if not changed:
                raise ValueError(f"trial {number}: {self._base.name} has none of that number")
            if returns is not None:
                days = returns.astype("<f8").tobytes()
                self._base.execute(_REPLACE.format("daily_returns", "days"), (number, days))
                self._base.execute(_REPLACE.format("codes", "code"), (number, code))

    def _outcome(self, figures: Mapping[str, float | None]) -> tuple[str, float | None, int]:
        # A figure that is not defined is null: JSON has no NaN, and SQL no comparison with it.
        known = {k: None if v is None or not np.isfinite(v) else v for k, v in figures.items()}
        return json.dumps(known, sort_keys=True), known.get("sharpe"), self._clock_ns()

    def _trials(self, where: str, values: tuple[Any, ...]) -> list[Trial]:
        rows = self._base.execute(
            "SELECT number, candidate, parameters, state, figures, why FROM trials"
            f" WHERE {where} ORDER BY number",
            values,
        ).fetchall()
        return [Trial(n, c, json.loads(p), s, json.loads(f), why) for n, c, p, s, f, why in rows]

    def _read(self, sql: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        with self._named():
            return self._base.execute(sql, values).fetchall()

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        with self._named():
            self._base.begin()
            try:
                yield
            except BaseException:
                self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")

    @contextmanager
    def _named(self) -> Iterator[None]:
        try:
            yield
        except self._base.failures as error:
            why = self._base.said(error)
            raise DeskError(f"{self._base.name}: the trial ledger can't be used: {why}") from error


def _window(data: DataSet) -> tuple[str, int, int]:
    return data.name, data.end_ns, data.start_ns
