"""gcp.toml: what it says, and what it may not say."""

from __future__ import annotations

import re
from dataclasses import fields
from pathlib import Path

import pytest

from pilotlight.errors import FormatError
from pilotlight.settings import SETTINGS
from pilotlight_cli.assets import ROOT
from pilotlight_cli.gcp import GcpUsageError
from pilotlight_cli.gcp.instances import OPTIONS
from pilotlight_cli.gcp.plan import Plan
from pilotlight_cli.gcp.settings import VARIABLES, GcpSettings, read_settings

OURS = ROOT / "gcp.toml"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return the repository's own, with a project filled in."""
    copy = tmp_path / "gcp.toml"
    copy.write_text(OURS.read_text().replace('project = ""', 'project = "my-project-1"'))
    return copy


def change(file: Path, name: str, value: str) -> None:
    """Give a setting of all environments another value; an empty one takes the line out."""
    line = f"{name} = {value}" if value else ""
    changed, count = re.subn(rf"(?m)^{name} = .*$", line, file.read_text())
    file.write_text(changed if count else changed.replace("[dev]\n", f"[dev]\n{line}\n"))


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
def test_the_repositorys_own_settings_can_be_read_once_a_project_is_filled_in(file: Path, environment: str) -> None:
    settings = read_settings(file, environment)
    assert settings.store == "gs://my-project-1-pilotlight-models"
    assert settings.service_account == "pilotlight-run@my-project-1.iam.gserviceaccount.com"
    assert settings.plan.steps[-1] == 100
    assert (settings.invoker, settings.build_service_account) == ("", "")


def test_all_that_a_file_says_is_taken(file: Path) -> None:
    change(file, "store", '"gs://models/team"')
    change(file, "invoker", '"invoke@my-project-1.iam.gserviceaccount.com"')
    settings = read_settings(file, "dev")
    assert settings == GcpSettings(
        environment="dev",
        project="my-project-1",
        region="europe-west1",
        function="pilotlight-dev",
        store="gs://models/team",
        memory="512Mi",
        cpu=1,
        concurrency=8,
        min_instances=0,
        max_instances=3,
        service_account="pilotlight-run@my-project-1.iam.gserviceaccount.com",
        plan=Plan((100,), 30, 20, 0.05, 10000),
        invoker="invoke@my-project-1.iam.gserviceaccount.com",
    )


@pytest.mark.parametrize(
    ("cpu", "memory"), [("0.4", "512Mi"), ("0.5", "1Gi"), ("1", "4Gi"), ("2", "8Gi"), ("4", "2Gi"), ("8", "32Gi")]
)
def test_sizes_that_cloud_run_accepts_are_taken(cpu: str, memory: str, file: Path) -> None:
    for name, value in {"cpu": cpu, "memory": f'"{memory}"', "concurrency": "1"}.items():
        change(file, name, value)
    settings = read_settings(file, "dev")
    assert (settings.cpu, settings.memory) == (float(cpu), memory)


@pytest.mark.parametrize(
    ("name", "value", "option"),
    [
        ("timeout", "300", "--timeout=300s"),
        ("ingress", '"internal-only"', "--ingress-settings=internal-only"),
        ("vpc_connector", '"inside"', "--vpc-connector=inside"),
        ("vpc_connector", '""', "--clear-vpc-connector"),
        ("secrets", '{API_KEY = "key:1", OTHER = "o:latest"}', "--set-secrets=API_KEY=key:1,OTHER=o:latest"),
        ("secrets", "{}", "--clear-secrets"),
    ],
)
def test_what_may_be_left_out_becomes_an_option_of_gcloud(name: str, value: str, option: str, file: Path) -> None:
    assert read_settings(file, "dev").options == ()
    change(file, name, value)
    assert read_settings(file, "dev").options == (option,)


def test_the_functions_own_settings_are_held_to_what_it_takes(file: Path) -> None:
    change(
        file,
        "variables",
        '{PILOTLIGHT_LOG_LEVEL = "DEBUG", PILOTLIGHT_CORS_ORIGINS = "https://a.example,https://b.example"}',
    )
    assert read_settings(file, "dev").variables == {
        "PILOTLIGHT_LOG_LEVEL": "DEBUG",
        "PILOTLIGHT_CORS_ORIGINS": "https://a.example,https://b.example",
    }
    change(file, "variables", '{PILOTLIGHT_LOG_LEVEL = "LOUD"}')
    with pytest.raises(
        FormatError, match=r"^gcp.toml: \[dev\].variables: PILOTLIGHT_LOG_LEVEL is 'LOUD'; expected one of"
    ):
        read_settings(file, "dev")
    change(file, "variables", '{OTEL_EXPORTER_OTLP_ENDPOINT = "collector"}')
    with pytest.raises(FormatError, match=r"^gcp.toml: \[dev\].variables: OTEL_EXPORTER_OTLP_ENDPOINT is 'collector'"):
        read_settings(file, "dev")
    change(file, "variables", '{PILOTLIGHT_STORE = "gs://other"}')
    with pytest.raises(FormatError, match=r"^gcp.toml: \[dev\].variables: unknown field 'PILOTLIGHT_STORE'$"):
        read_settings(file, "dev")


def test_every_setting_of_the_function_can_be_given_or_is_the_deployments_own() -> None:
    ours = {
        "PILOTLIGHT_STORE",
        "PILOTLIGHT_LOCK",
        "PILOTLIGHT_RELEASE",
        "PILOTLIGHT_REST_API_BINARY",
        "PILOTLIGHT_RESULTS",
        "PILOTLIGHT_FAILURES",
    }
    assert {*VARIABLES, *ours} == {setting.variable for setting in SETTINGS}
    assert not ours & {*VARIABLES}


def test_nothing_is_deployed_before_a_project_is_filled_in() -> None:
    with pytest.raises(FormatError, match=r'^gcp.toml: \[dev\].project: expected the id of a project, found ""$'):
        read_settings(OURS, "dev")


WRONG = [
    ("project", '"My Project"', "the id of a project"),
    ("region", '"Belgium"', "a region, like europe-west1"),
    ("function", '"Predict"', "a name of at most 40 of a-z, 0-9 and -, a letter first"),
    ("function", f'"{"a" * 41}"', "a name of at most 40 of a-z, 0-9 and -, a letter first"),
    ("store", '"s3://models"', 'gs://bucket, gs://bucket/prefix or ""'),
    ("store", '"gs://models/a,b"', 'gs://bucket, gs://bucket/prefix or ""'),
    ("memory", "512", "an amount of memory, like 512Mi"),
    ("memory", '"512"', "an amount of memory, like 512Mi"),
    ("cpu", '"1"', "a number"),
    ("cpu", "0", "vCPUs: 0.08 to 1, 2, 4, 6 or 8"),
    ("cpu", "1.5", "vCPUs: 0.08 to 1, 2, 4, 6 or 8"),
    ("cpu", "3", "vCPUs: 0.08 to 1, 2, 4, 6 or 8"),
    ("cpu", "4", "2Gi to 16Gi, because Cloud Run allows no other memory with cpu 4"),
    ("cpu", "8", "4Gi to 32Gi, because Cloud Run allows no other memory with cpu 8"),
    ("cpu", "0.4", "1, because Cloud Run allows more only with a cpu of at least 1"),
    ("memory", '"64Mi"', "128Mi to 4Gi, because Cloud Run allows no other memory with cpu 1"),
    ("memory", '"8Gi"', "128Mi to 4Gi, because Cloud Run allows no other memory with cpu 1"),
    ("memory", '"64G"', "128Mi to 4Gi, because Cloud Run allows no other memory with cpu 1"),
    ("timeout", "0", "a whole number of at least 1"),
    ("timeout", "3601", "a whole number of at most 3600"),
    ("ingress", '"public"', "one of all, internal-only, internal-and-gclb"),
    ("vpc_connector", '"a,b"', "a connector's name"),
    ("vpc_egress", '"all"', "no vpc_egress without a vpc_connector"),
    ("secrets", '{API_KEY = "key"}', "a secret and its version, like key:1"),
    ("secrets", '"key:1"', "an object"),
    ("workers", "2", "at most one process for each vCPU, and cpu is 1"),
    ("public", '"yes"', "true or false"),
    ("client", '"yes"', "true or false"),
    ("cpu", "0.5", "1, because Cloud Run allows more only with a cpu of at least 1"),
    ("concurrency", "1001", "at most 1000 requests at once"),
    ("concurrency", "true", "a whole number of at least 1"),
    ("min_instances", "60", "at most max_instances, which is 3"),
    ("max_instances", "0", "a whole number of at least 1"),
    ("service_account", '"me@example.com"', 'the address of a service account, or ""'),
    ("invoker", "1", 'the address of a service account, or ""'),
    ("variables", '{PILOTLIGHT_METRICS_NAMESPACE = "a|b"}', "text without a bar"),
    ("variables", "1", "an object"),
    ("steps", "[10, 50]", "percentages that rise to 100, like [10, 50, 100]"),
    ("steps", "[50, 50, 100]", "percentages that rise to 100, like [10, 50, 100]"),
    ("steps", "[]", "at least 1 item(s)"),
    ("steps", "[0, 100]", "a whole number of at least 1"),
    ("step_seconds", "1.5", "a whole number of at least 1"),
    ("step_requests", "0", "a whole number of at least 1"),
    ("error_budget", "1", "a share of all requests: at least 0, less than 1"),
    ("latency_budget_ms", '"1s"', "a whole number of at least 1"),
]


@pytest.mark.parametrize(("name", "value", "expected"), WRONG)
def test_a_wrong_value_is_named_with_its_place(name: str, value: str, expected: str, file: Path) -> None:
    change(file, name, value)
    with pytest.raises(FormatError, match=rf"^gcp.toml: \[dev\]\.\w+.*: expected {re.escape(expected)}"):
        read_settings(file, "dev")


@pytest.mark.parametrize("name", ["project", "steps", "latency_budget_ms"])
def test_a_missing_setting_is_named(name: str, file: Path) -> None:
    change(file, name, "")
    with pytest.raises(FormatError, match=rf"^gcp.toml: \[dev\]: the field '{name}' is missing$"):
        read_settings(file, "dev")


def test_an_unknown_setting_is_named(file: Path) -> None:
    change(file, "memroy", '"1Gi"')
    with pytest.raises(FormatError, match=r"^gcp.toml: \[dev\]: unknown field 'memroy'$"):
        read_settings(file, "dev")


def test_an_environment_that_is_not_there_is_wrong_usage(file: Path) -> None:
    with pytest.raises(GcpUsageError, match=r"^gcp.toml has no \[test\]; it has dev, staging, prod$"):
        read_settings(file, "test")


@pytest.mark.parametrize("content", [b"[dev\n", b"\xff", b"a = " + b"9" * 5000, b"a = " + b"[" * 100_000])
def test_a_file_that_is_no_toml_or_not_there_is_named(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises(FormatError, match="^gcp.toml: cannot be read: "):
        read_settings(file, "dev")
    with pytest.raises(GcpUsageError, match=".*other.toml not found"):
        read_settings(file.with_name("other.toml"), "dev")


def test_every_setting_is_explained_in_the_file() -> None:
    comment = OURS.read_text().partition("[dev]")[0]
    for name in (
        "store",
        "service_account",
        "invoker",
        "build_service_account",
        "variables",
        "workers",
        "public",
        "client",
        *OPTIONS,
        *(f.name for f in fields(Plan)),
    ):
        assert {"seconds": "step_seconds", "requests": "step_requests"}.get(name, name) in comment
