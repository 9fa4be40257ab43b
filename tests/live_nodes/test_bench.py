"""The live benchmarks measure what they say: both strategies answer their own signal's books."""

from __future__ import annotations

import pytest

from tests.bench.live import journal, wire

SECONDS = 3.0


@pytest.mark.slow
def test_both_strategies_answer_nearly_every_book_of_their_signal() -> None:
    found = wire.measured(SECONDS)
    sent = SECONDS * wire.UPDATES_PER_SECOND / 2
    for name in ("ours", "bare"):
        assert 0.8 * sent <= len(found[name]) <= sent + 2
        assert found[name] == sorted(found[name])
        assert 0 < found[name][0] < 1e9


def test_the_journal_s_commits_are_timed(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(journal, "COMMITS", 20)
    monkeypatch.setattr(journal, "WARM", 1)
    found = journal.taken(tmp_path_factory.mktemp("journal"))
    assert len(found) == 20
    assert 0 < found[0] <= found[-1]
