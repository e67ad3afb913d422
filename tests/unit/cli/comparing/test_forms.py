"""A report as Markdown, as a page and as a plot, with names that look like markup."""

from __future__ import annotations

import sys
from dataclasses import replace
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from descriptions import CLASSIFIER, golden_of, onnx_model, pickled_model
from pilotlight.model.contract import contract_changes
from pilotlight.model.golden import Values
from pilotlight.model.signature import Output
from pilotlight.model.tensor import BYTES, FP32
from pilotlight_cli.comparing.markdown import markdown
from pilotlight_cli.comparing.page import page
from pilotlight_cli.comparing.plot import NothingToDraw, draw
from pilotlight_cli.comparing.predictions import Answers, compare_answers
from pilotlight_cli.comparing.report import Report, document
from pilotlight_cli.comparing.running import Timing
from pilotlight_cli.comparing.sides import Side
from pilotlight_cli.main import app
from pilotlight_cli.sandbox.limits import DEFAULT

if TYPE_CHECKING:
    from selenium.webdriver import Chrome

HOSTILE = "<b>`$x_{|\n@team"


@pytest.fixture
def report(tmp_path: Path) -> Report:
    """Return a report of two classifiers with a hostile label and, of one, a hostile feature and a refused row."""
    outputs = (Output("label", BYTES, (-1,), "label"), Output("scores", FP32, (-1, 2), "probabilities"))
    before = replace(CLASSIFIER, outputs=outputs, labels=("good", HOSTILE))
    after = replace(before, inputs=(replace(before.inputs[0], feature_names=("mean radius", HOSTILE)),))
    sides = tuple(
        Side(
            name,
            replace(model, signature=signature),
            tmp_path,
            golden_of(signature),
            tmp_path,
            DEFAULT.limits(0),
            is_published=False,
            notes=(),
        )
        for name, model, signature in (("old.pkl", pickled_model(), before), (HOSTILE, onnx_model(), after))
    )
    old = Answers(
        (
            Values("label", BYTES, (3,), ("good", "good", HOSTILE)),
            Values("scores", FP32, (3, 2), (0.75, 0.25, 0.5, 0.5, 0.25, 0.75)),
        ),
        (1, 2, 3),
        {},
    )
    new = Answers(
        (Values("label", BYTES, (2,), ("good", HOSTILE)), Values("scores", FP32, (2, 2), (0.75, 0.25, 0.375, 0.625))),
        (1, 2),
        {3: HOSTILE},
    )
    found = compare_answers((before, after), (old, new), {"label": ["good", "good", "good"]})
    timings = (Timing(12.5, 0.25), Timing(2.0, None))
    return Report((sides[0], sides[1]), contract_changes(before, after), timings, 5, "rows.csv", found, (HOSTILE,))


def test_markdown_has_all_of_the_report_and_no_markup_of_a_model(report: Report) -> None:
    text = markdown(report)
    assert "**The contract breaks callers:**\n\n- features renamed, `mean texture` -> " in text
    assert "| load | `12.5 ms` | `2.0 ms` |\n| one row | `0.250 ms` | `not measured` |" in text
    assert "Predictions for 2 rows of `rows.csv`" in text
    assert "| `label` | differ | 1 of 2 (50.00 %) |\n|  | as the file expects | 2 of 2 (100.00 %) before, 1" in text
    assert "| `scores` | largest difference | 0.125 (row 2: 0.5 -> 0.375) |" in text
    assert "- `label`, row 2: `good` -> `<b>\\x60$x_{\\x7c\\n@team`" in text
    assert "refuses 1 row, such as `row 3: <b>" in text
    shown = text.replace("`<b>\\x60$x_{\\x7c\\n@team`", "").replace("`row 3: <b>\\x60$x_{\\x7c\\n@team`", "")
    assert "@team" not in shown


def test_a_report_without_predictions_and_changes_is_short(report: Report) -> None:
    short = replace(report, predictions=None, changes=())
    assert "The contract is the same." in markdown(short)
    assert "The contract is the same." in page(short)
    assert "Predictions" not in markdown(short) + page(short)
    assert "predictions" not in document(short)


def test_a_page_needs_nothing_from_elsewhere_and_runs_nothing(report: Report) -> None:
    text = page(report)
    assert HOSTILE not in text
    assert HOSTILE in unescape(text)
    for forbidden in ("<script", "http:", "https:", "src=", "url(", "@import", "<link"):
        assert forbidden not in text


def test_a_page_reads_well_in_a_browser(report: Report, browser: Chrome, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    file.write_text(page(report), encoding="utf-8")
    browser.get(file.as_uri())

    def texts(selector: str) -> list[str]:
        return [element.text for element in browser.find_elements("css selector", selector)]

    assert texts("h2") == ["Contract", "Predictions for 2 rows of rows.csv"]
    assert texts("h3") == ["label", "scores"]
    assert texts(".breaking")[0] == "breaking"
    assert "row 2 good <b>`$x_{| @team" in texts("section:first-of-type tr")
    bars = browser.find_elements("css selector", ".bar")
    assert [bar.size["width"] > 0 for bar in bars] == [True] * 2
    assert len(browser.find_elements("css selector", "svg circle")) == 4
    width = browser.execute_script("return document.documentElement.scrollWidth - window.innerWidth")
    assert width <= 0
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []  # type: ignore[no-untyped-call]


def test_a_plot_is_a_png_that_differs_with_the_predictions(report: Report, tmp_path: Path) -> None:
    draw(report, tmp_path / "one.png")
    assert report.predictions
    (label, scores) = report.predictions.outputs
    equal = replace(scores, after=scores.before)
    draw(
        replace(report, predictions=replace(report.predictions, outputs=(label, equal))),
        tmp_path / "other.png",
    )
    one, other = ((tmp_path / name).read_bytes() for name in ("one.png", "other.png"))
    assert one.startswith(b"\x89PNG")
    assert one != other
    with pytest.raises(NothingToDraw, match="give rows with --rows"):
        draw(replace(report, predictions=None), tmp_path / "none.png")


def test_a_plot_says_which_extra_it_needs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delitem(sys.modules, "pilotlight_cli.comparing.plot")
    for name in [name for name in sys.modules if name.split(".")[0] == "matplotlib"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    result: Any = CliRunner().invoke(app, ["diff", "a.onnx", "b.onnx", "--plot", str(tmp_path / "p.png")])
    assert result.exit_code == 1
    assert "'pilotlight diff --plot' needs matplotlib" in result.stderr
    assert "pip install 'pilotlight[plot]'" in result.stderr
