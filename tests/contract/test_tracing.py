"""Spans of the function in each cloud's own runtime and of the server, in a collector."""

from __future__ import annotations

import json

import pytest

from harness import Pinned, pinned, stored
from otlp_collector import collecting, values
from repository import SAMPLE
from running import RUNTIMES, running

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
BODY = json.dumps({"features": [0.5] * 30}).encode()


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return pinned(SAMPLE / "model.onnx", "sample", tmp_path_factory.mktemp("sample"))


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_sampled_request_has_a_span_below_the_callers_which_its_line_names(runtime: str, sample: Pinned) -> None:
    with (
        collecting() as collector,
        stored("aws" if runtime == "aws" else "gcp", sample) as store,
        running(runtime, sample, store, OTEL_EXPORTER_OTLP_ENDPOINT=collector.url) as (send, log),
    ):
        for flags in ("00", "01"):
            headers = {"content-type": "application/json", "traceparent": f"00-{TRACE}-{PARENT}-{flags}"}
            assert send("POST", "/predict", headers, BODY).status == 200
        assert send("GET", "/health", {}, b"").status == 200
        (span,) = collector.wait_for(spans=1)
        lines = [line for line in log.events("request") if line["route"] == "/predict"]
    assert (span.trace_id.hex(), span.parent_span_id.hex(), span.name) == (TRACE, PARENT, "POST /predict")
    assert values(span.attributes)["pilotlight.model.name"] == "sample"
    named = [line.get("span_id", line.get("logging.googleapis.com/spanId")) for line in lines]
    assert named == [PARENT, span.span_id.hex()]
