"""`gcp.toml`: the settings of the function and its rollout, for each environment."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pilotlight.errors import FormatError, SettingsError
from pilotlight.model.json_document import Node
from pilotlight.settings import SETTINGS
from pilotlight.settings import read_settings as read_variables
from pilotlight.tracing.collector import ENDPOINTS, read_collector
from pilotlight.tracing.collector import VARIABLES as OF_TRACES
from pilotlight_cli.gcp import GcpUsageError
from pilotlight_cli.gcp.instances import OPTIONS, read_options, read_size, read_workers
from pilotlight_cli.gcp.plan import Plan
from pilotlight_cli.gcp.record_settings import ACCOUNT, RecordSettings, read_records

# The tag under which the new revision can be called before it has traffic. Cloud Run joins tag and service name to one
# DNS label of at most 46 characters, which limits the function's name.
TAG = "canary"
_NAME = 46 - len(TAG)

_REQUIRED = (
    *("project", "region", "function", "store", "memory", "cpu", "concurrency", "min_instances", "max_instances"),
    *("service_account", "steps", "step_seconds", "step_requests", "error_budget", "latency_budget_ms"),
)
_OPTIONAL = ("invoker", "build_service_account", "variables", "workers", "public", "client", "records", *OPTIONS)

# Seconds; see EVENT_SECONDS in functions/gcp/records/cloud_records.py.
_RECORDS_TIMEOUT = 60

# The function's own settings, except those that a deployment sets.
VARIABLES = tuple(setting.variable for setting in SETTINGS if setting.is_gcp_variable)


@dataclass(frozen=True, slots=True)
class GcpSettings:
    """An environment. Memory in Google Cloud's notation (`512Mi`), CPU in vCPUs, service accounts by their addresses.

    `invoker` is the service account that sends the golden samples (empty: the signed-in account),
    `build_service_account` the one that builds (empty: the project's default). `variables` are settings of the
    function itself, `workers` its processes in an instance. `public`: everybody may call it, without credentials.
    `client`: its package has Google's client for Cloud Storage. `options` are further options of gcloud. `records` are
    the settings of the function for records, if there are any.
    """

    environment: str
    project: str
    region: str
    function: str
    store: str
    memory: str
    cpu: float
    concurrency: int
    min_instances: int
    max_instances: int
    service_account: str
    plan: Plan
    invoker: str = ""
    build_service_account: str = ""
    variables: Mapping[str, str] = field(default_factory=dict)
    workers: int = 1
    public: bool = False
    client: bool = False
    options: tuple[str, ...] = ()
    records: RecordSettings | None = None


def environment_names(file: Path) -> list[str]:
    """Return the names of the environments in a gcp.toml. Raises GcpUsageError, FormatError."""
    return list(_document(file))


def read_settings(file: Path, environment: str) -> GcpSettings:
    """Read the settings of an environment. Raises GcpUsageError if there is none, FormatError with the place."""
    document = _document(file)
    if environment not in document:
        raise GcpUsageError(f"{file.name} has no [{environment}]; it has {', '.join(document) or 'no table at all'}")
    try:
        fields = Node(document[environment], f"[{environment}]").fields(*_REQUIRED, optional=_OPTIONAL)
        return _read(environment, fields)
    except FormatError as error:
        raise error.within(file.name) from None


def _document(file: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise GcpUsageError(
            f"{file} not found; expected a file with a table of settings for each environment"
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise FormatError(f"cannot be read: {error}", path="", file=file.name) from None


def _read(environment: str, fields: Mapping[str, Node]) -> GcpSettings:
    project = fields["project"].string(r"[a-z][a-z0-9-]{4,28}[a-z0-9]", "the id of a project")
    least = fields["min_instances"].integer(at_least=0)
    most = fields["max_instances"].integer(at_least=1)
    if least > most:
        raise fields["min_instances"].fail(f"at most max_instances, which is {most}")
    if "records" in fields and "timeout" in fields and fields["timeout"].integer(at_least=1) < _RECORDS_TIMEOUT:
        raise fields["timeout"].fail(f"at least {_RECORDS_TIMEOUT}, because an event of records has 50 s")
    store = _store(fields["store"], project)
    memory, cpu, concurrency = read_size(fields["memory"], fields["cpu"], fields["concurrency"])
    return GcpSettings(
        environment=environment,
        project=project,
        region=fields["region"].string(r"[a-z]+-[a-z]+[0-9]+", "a region, like europe-west1"),
        function=fields["function"].string(
            rf"[a-z]([a-z0-9-]{{0,{_NAME - 2}}}[a-z0-9])?",
            f"a name of at most {_NAME} of a-z, 0-9 and -, a letter first",
        ),
        store=store,
        memory=memory,
        cpu=cpu,
        concurrency=concurrency,
        min_instances=least,
        max_instances=most,
        service_account=_account(fields["service_account"]) or f"pilotlight-run@{project}.iam.gserviceaccount.com",
        plan=_plan(fields),
        invoker=_account(fields.get("invoker", Node(""))),
        build_service_account=_account(fields.get("build_service_account", Node(""))),
        variables=_variables(fields.get("variables", Node({})), store),
        workers=read_workers(fields.get("workers", Node(1)), cpu),
        public=fields.get("public", Node(False)).boolean(),
        client=fields.get("client", Node(False)).boolean(),
        options=read_options(fields),
        records=read_records(fields["records"], project) if "records" in fields else None,
    )


def _variables(node: Node, store: str) -> dict[str, str]:
    """Check the variables as the function does. gcloud gets them separated by a bar."""
    variables = {
        name: value.string(r"[^|]*", "text without a bar")
        for name, value in node.fields(optional=(*VARIABLES, *OF_TRACES)).items()
    }
    try:
        read_variables({**variables, "PILOTLIGHT_STORE": store}, Path())
        if any(map(variables.get, ENDPOINTS)):
            read_collector(variables, "")
    except SettingsError as error:
        raise FormatError(str(error), node.path) from None
    return variables


def _store(node: Node, project: str) -> str:
    """Read the store's URL. A comma would end the value in gcloud's list of environment variables."""
    store = node.string(r"|gs://[a-z0-9][a-z0-9._-]+[a-z0-9](/[^\s,/]+)*", 'gs://bucket, gs://bucket/prefix or ""')
    return store or f"gs://{project}-pilotlight-models"


def _account(node: Node) -> str:
    return node.string(rf"|{ACCOUNT}", 'the address of a service account, or ""')


def _plan(fields: Mapping[str, Node]) -> Plan:
    steps = fields["steps"].items(lambda item: item.integer(at_least=1), at_least=1)
    if list(steps) != sorted(set(steps)) or steps[-1] != 100:
        raise FormatError("expected percentages that rise to 100, like [10, 50, 100]", fields["steps"].path)
    budget = fields["error_budget"].number()
    if not 0 <= budget < 1:
        raise fields["error_budget"].fail("a share of all requests: at least 0, less than 1")
    return Plan(
        steps=steps,
        seconds=fields["step_seconds"].integer(at_least=1),
        requests=fields["step_requests"].integer(at_least=1),
        error_budget=budget,
        latency_budget_ms=fields["latency_budget_ms"].integer(at_least=1),
    )
