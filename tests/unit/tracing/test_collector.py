"""The variables of OpenTelemetry that say where spans go."""

from __future__ import annotations

import pytest

from pilotlight.errors import SettingsError
from pilotlight.tracing.collector import read_collector

BASE, OWN = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
AT = {BASE: "http://collector:4318"}


@pytest.mark.parametrize(
    ("environ", "url"),
    [
        (AT, "http://collector:4318/v1/traces"),
        ({BASE: "http://collector:4318/"}, "http://collector:4318/v1/traces"),
        ({BASE: "https://a.example/otlp/"}, "https://a.example:443/otlp/v1/traces"),
        ({OWN: "http://collector/own"}, "http://collector:80/own"),
        ({OWN: "http://collector"}, "http://collector:80/"),
        ({**AT, OWN: "https://[::1]:1/x"}, "https://::1:1/x"),
    ],
)
def test_the_path_for_traces_is_added_to_the_endpoint_of_all_signals(environ: dict[str, str], url: str) -> None:
    found = read_collector(environ, "m")
    assert f"http{'s' * found.address.tls}://{found.address.host}:{found.address.port}{found.target}" == url


@pytest.mark.parametrize(
    ("environ", "resource"),
    [
        ({}, {"service.name": "m"}),
        ({"K_SERVICE": "predict", "K_REVISION": "r1"}, {"service.name": "predict", "service.version": "r1"}),
        ({"OTEL_SERVICE_NAME": "mine", "K_SERVICE": "predict"}, {"service.name": "mine"}),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a%2Cb, team = x"}, {"service.name": "a,b", "team": "x"}),
    ],
)
def test_the_service_has_the_name_that_it_is_given_or_the_platforms(
    environ: dict[str, str], resource: dict[str, str]
) -> None:
    assert read_collector(AT | environ, "m").resource == resource


def test_a_variable_for_traces_precedes_that_for_all_signals() -> None:
    environ = {
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1000",
        "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT": "2500",
        "OTEL_EXPORTER_OTLP_HEADERS": "a=1",
        "OTEL_EXPORTER_OTLP_TRACES_HEADERS": "b=x%3Dy,c=",
        "OTEL_EXPORTER_OTLP_CERTIFICATE": "ca.pem",
        "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
    }
    found = read_collector(AT | environ, "m")
    assert (found.seconds, found.headers, found.certificates) == (2.5, {"b": "x=y", "c": ""}, "ca.pem")


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({BASE: "collector:4318"}, f"{BASE} is 'collector:4318'; expected http:// or https://, a host and a port"),
        ({BASE: "http://collector:x"}, f"{BASE} is 'http://collector:x'"),
        ({OWN: "grpc://collector"}, f"{OWN} is 'grpc://collector'"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; expected http/json"),
        ({"OTEL_EXPORTER_OTLP_TIMEOUT": "0"}, "OTEL_EXPORTER_OTLP_TIMEOUT is '0'; expected milliseconds above 0"),
        ({"OTEL_EXPORTER_OTLP_HEADERS": "secret"}, "OTEL_EXPORTER_OTLP_HEADERS is not valid; expected NAME=VALUE"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "a"}, "OTEL_RESOURCE_ATTRIBUTES is 'a'; expected KEY=VALUE"),
        ({"OTEL_TRACES_SAMPLER": "sometimes"}, "OTEL_TRACES_SAMPLER is 'sometimes'; expected always_on"),
        (
            {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "2"},
            "OTEL_TRACES_SAMPLER_ARG is '2'; expected a number from 0 to 1",
        ),
    ],
)
def test_a_value_that_is_not_valid_fails_the_start(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError, match="^" + message.replace("(", r"\(")):
        read_collector(AT | environ, "m")
