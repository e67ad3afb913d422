"""The alerts on the server: each one waits for what it says, and a cluster gets the same ones."""

from __future__ import annotations

from pathlib import Path

import yaml

from docs import pages
from manifests import MANIFESTS
from pilotlight_cli.rendering.kubernetes import RULES
from prometheus import checked, needs_prometheus

CASES = Path(__file__).with_name("rules_test.yaml")
JOB = 'job="pilotlight"'


def test_every_alert_has_a_case_in_which_it_rings_and_says_what_to_do() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    ringing = {
        check["alertname"]
        for case in yaml.safe_load(CASES.read_text())["tests"]
        for check in case["alert_rule_test"]
        if check["exp_alerts"]
    }
    assert {rule["alert"] for rule in group["rules"]} == ringing
    for rule in group["rules"]:
        assert rule["labels"].keys() == {"severity"}
        assert rule["annotations"].keys() == {"summary", "description"}
        assert rule["expr"].count(JOB) == rule["expr"].count("pilotlight_") + rule["expr"].count("up{")


def test_the_reference_has_every_alert() -> None:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    rows = pages.table(pages.section(pages.read("docs/reference/logs-and-metrics.md"), "## Alerts on the server"))
    assert [row[:2] for row in rows] == [[f"`{rule['alert']}`", rule["labels"]["severity"]] for rule in group["rules"]]


@needs_prometheus
def test_each_alert_rings_for_what_it_watches_and_for_nothing_else() -> None:
    checked("promtool", "test", "rules", CASES)


@needs_prometheus
def test_the_operator_of_a_cluster_gets_the_same_alerts(tmp_path: Path) -> None:
    document = yaml.safe_load((MANIFESTS / "components/monitoring/prometheusrule.yaml").read_text())
    own = yaml.safe_load(RULES.read_text().replace(JOB, 'job=~"breast-cancer(-canary)?"'))
    assert document["spec"] == own
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(document["spec"]))
    assert "SUCCESS: 5 rules found" in checked("promtool", "check", "rules", "--lint-fatal", file)
