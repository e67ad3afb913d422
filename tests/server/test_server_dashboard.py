"""The dashboard, held to Grafana's own types: unknown fields and values are errors. No Grafana has drawn it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from prometheus import COMPOSE
from strict_types import Typed, errors

DASHBOARD: dict[str, Any] = json.loads((COMPOSE / "grafana/pilotlight.json").read_text())
PARTS = {"timeseries": "TimeSeries", "stat": "Stat", "heatmap": "Heatmap", "bargauge": "BarGauge"}
PARTLY = "Partly<Plain<{}>>"


def typed(dashboard: dict[str, Any]) -> list[Typed]:
    """Return the dashboard, and what its panels have for their plugins, each with its type."""
    found = [Typed(dashboard, "Dashboard", "@grafana/schema", "Plain<{}>")]
    for panel in dashboard["panels"]:
        kind = panel["type"]
        module = f"@grafana/schema/dist/esm/raw/composable/{kind}/panelcfg/x/{PARTS[kind]}PanelCfg_types.gen"
        found.append(Typed(panel.get("options", {}), "Options", module, PARTLY))
        if custom := panel["fieldConfig"]["defaults"].get("custom"):
            found.append(Typed(custom, "FieldConfig", module, PARTLY))
    return found


def test_grafanas_types_know_every_field_and_value(tmp_path: Path) -> None:
    assert errors(tmp_path, typed(DASHBOARD)) == []


def test_the_types_are_of_the_grafana_that_compose_runs() -> None:
    image = yaml.safe_load((COMPOSE / "compose.yaml").read_text())["services"]["grafana"]["image"]
    package = json.loads((COMPOSE.parents[1] / "tools/manifests/package.json").read_text())
    assert image.partition(":")[2] == package["dependencies"]["@grafana/schema"]


def test_a_misspelt_field_or_a_wrong_value_is_found(tmp_path: Path) -> None:
    text = json.dumps(DASHBOARD)
    changes = ['"gridPos"', '"unit"', '"includeAll"', '"schemaVersion"', '"calcs"', '"fillOpacity"', '"cellGap"']
    wrong = [text.replace(name, f'{name[:-1]}s"') for name in changes]
    wrong += [text.replace('"multi"', '"several"'), text.replace('"absolute"', '"relative"')]
    documents = [json.loads(each) for each in wrong]
    assert all(each != DASHBOARD for each in documents)
    parts = [(number, part) for number, each in enumerate(documents) for part in typed(each)]

    found = {parts[number][0] for number, _ in errors(tmp_path, [part for _, part in parts])}

    assert found == set(range(len(documents)))
