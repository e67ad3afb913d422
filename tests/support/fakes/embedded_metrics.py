"""CloudWatch's reading of log lines in the embedded metric format: the data that it stores of each metric.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any


def metric_data(lines: Iterable[str]) -> dict[str, list[dict[str, Any]]]:
    """Return the data of all metric lines, by namespace, as PutMetricData accepts them."""
    data: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for line in lines:
        document = _document(line)
        for directive in document.get("_aws", {}).get("CloudWatchMetrics", ()):
            data[directive["Namespace"]] += _data(document, directive)
    return data


def _document(line: str) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _data(document: dict[str, Any], directive: dict[str, Any]) -> Iterator[dict[str, Any]]:
    time = datetime.fromtimestamp(document["_aws"]["Timestamp"] / 1000, UTC)
    for names in directive["Dimensions"]:
        dimensions = [{"Name": name, "Value": document[name]} for name in names]
        for metric in directive["Metrics"]:
            yield {
                "MetricName": metric["Name"],
                "Dimensions": dimensions,
                "Timestamp": time,
                "Value": document[metric["Name"]],
                "Unit": metric["Unit"],
            }
