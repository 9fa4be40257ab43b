"""`perpdesk compare`: figures side by side, both curves, and what the documents differ in."""

import json
from dataclasses import replace

from typer.testing import CliRunner

from backtests.results.result import write
from perpdesk import build_app
from tests.backtests.report_pages import charts_of, section, without_plotly, words
from tests.builders import DAY, small_record


def compared(tmp_path, *options):
    one = small_record()
    other = replace(
        one,
        name="shorter",
        config_yaml=one.config_yaml + "note: other\n",
        data_hash="fade" * 16,
        end_ns=one.end_ns + DAY,
        warnings=["Nothing was hedged."],
    )
    folders = [str(write(record, tmp_path / record.name).path) for record in (one, other)]
    out = tmp_path / "page.html"
    done = CliRunner().invoke(build_app(), ["compare", *folders, "--out", str(out), *options])
    assert done.exit_code == 0, done.output
    return done, out.read_text("utf-8")


def test_the_page_has_the_figures_side_by_side_and_both_curves(tmp_path):
    page = without_plotly(compared(tmp_path)[1])
    assert "net profit (USDT) 7.70 7.70" in words(section(page, "figures"))
    assert "note – other" in words(section(page, "documents"))
    drawn = charts_of(page)["compared"]["data"]
    assert [(d["name"], d["yaxis"], len(d["y"])) for d in drawn] == [
        ("A small", "y", 5),
        ("A small", "y2", 5),
        ("B shorter", "y", 5),
        ("B shorter", "y2", 5),
    ]
    # 1000, 1009.4, 1025, 984, 1007.7
    assert drawn[0]["y"] == [0.0, 0.0094, 0.025, -0.016, 0.0077]


def test_the_command_says_what_makes_them_hard_to_compare(tmp_path):
    done, _ = compared(tmp_path, "--json")
    found = json.loads(done.stdout)
    assert [r["net_profit"] for r in found["results"]] == [7.7, 7.7]
    assert found["differences"] == {"note": ["–", "other"]}
    assert [words.split(":")[0].split(" (")[0] for words in found["warnings"]] == [
        "The windows differ",
        "They read different data or instruments",
        "B",
    ]


def test_one_result_alone_is_refused(tmp_path):
    folder = write(small_record(), tmp_path / "one").path
    done = CliRunner().invoke(build_app(), ["compare", str(folder)])
    assert "compare takes 2 to 26 result folders, was given 1" in str(done.exception)
