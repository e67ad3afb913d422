"""The pages on AWS: their tables are those of the template, and their queries ask for fields of the log's lines."""

from __future__ import annotations

import re

import pytest

import emf
from docs import pages
from docs.pages import Block
from pilotlight.telemetry import ColdStart, Served
from pilotlight_cli.aws import costs
from pilotlight_cli.aws.release import FUNCTION, PARAMETER, release_digest
from pilotlight_cli.aws.template import effective_values
from templates import TEMPLATE, UNFOLDED

PAGE = "docs/guides/operate-on-aws.md"
TEXT = pages.read(PAGE)
QUERIES = [block for block in pages.blocks(PAGE, TEXT) if block.language == "text"]
SETTINGS = pages.table(pages.section(pages.read("docs/reference/settings.md"), "## AWS parameters"))
COSTS = pages.section(pages.read("docs/reference/costs.md"), "## AWS")

# What CloudWatch Logs Insights has of its own: commands, functions, words, and the times that a bin may be wide.
INSIGHTS = {
    *("filter", "fields", "stats", "sort", "limit", "by", "desc", "and", "as"),
    *("count", "sum", "pct", "max", "floor", "bin", "m", "timestamp"),
}
MARK = "\N{MULTIPLICATION SIGN}"


def test_every_parameter_of_the_template_is_listed_with_its_default() -> None:
    listed = {row[0].strip("`"): row[1].strip("`") for row in SETTINGS}
    assert listed == {name: value or "empty" for name, value in effective_values(TEMPLATE, {}).items()}


def test_the_marked_parameters_are_those_that_make_a_release(tmp_path_factory: pytest.TempPathFactory) -> None:
    package = tmp_path_factory.mktemp("package")
    values = effective_values(TEMPLATE, {})
    before = release_digest(TEMPLATE, package, values)
    shaping = {name for name in values if release_digest(TEMPLATE, package, {**values, name: "another"}) != before}
    assert PARAMETER not in shaping
    assert {row[0].strip("`") for row in SETTINGS if row[2] == MARK} == shaping


def test_the_alarms_are_those_that_a_deployment_looks_at() -> None:
    text = pages.read("docs/concepts/safe-releases.md")
    rows = pages.table("".join(text.partition("| Alarm | Rings when")[1:]))
    watched = UNFOLDED["Resources"][FUNCTION]["Properties"]["DeploymentPreference"]["Alarms"]
    assert [row[0].strip("`") for row in rows] == [alarm["Ref"] for alarm in watched]


def test_the_prices_are_those_that_the_command_reckons_with() -> None:
    for price in (*costs.READY.values(), costs.SNAPSHOT, costs.RESTORE):
        assert f"{price:.10f}" in COSTS
    assert f"A month has {costs.HOURS} hours." in " ".join(COSTS.split())


def test_the_start_modes_are_the_templates() -> None:
    rows = pages.table(COSTS)
    assert [row[0].strip("`") for row in rows] == TEMPLATE["Parameters"]["StartMode"]["AllowedValues"]


@pytest.mark.parametrize("query", QUERIES, ids=lambda block: block.place)
def test_a_query_asks_for_fields_that_the_lines_have(query: Block) -> None:
    start = ColdStart("failed", "m", 1, {"total": 1.0}, 1, 1, "why")
    request = Served("id", "GET", "/version", 500, 1.0, "m", 1, code="internal", error="why")
    record = start if '"cold_start"' in query.text else request
    fields = {*emf.to_line(record, "Pilotlight", 0.0), *(f"phases_ms.{name}" for name in start.phases_ms)}
    named = re.findall(r"\b[A-Za-z][A-Za-z_.]*[A-Za-z_]\b|\bm\b", re.sub(r'"[^"]*"', "", query.text))
    made = set(re.findall(r"\bas (\w+)", query.text))
    assert QUERIES
    assert {name for name in named if not name.endswith(".")} <= fields | made | INSIGHTS


def test_the_log_groups_are_the_templates() -> None:
    groups = [
        resource["Properties"]["LogGroupName"]["Fn::Sub"].replace("${AWS::StackName}", "<stack>")
        for resource in TEMPLATE["Resources"].values()
        if resource["Type"] == "AWS::Logs::LogGroup"
    ]
    assert groups
    assert set(groups) <= set(pages.code_spans(TEXT))
