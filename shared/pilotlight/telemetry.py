"""What a function logs: a record for each request, each event of records and each cold start, and summaries of many.

The function folders write them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from pilotlight.frozen import EMPTY, dataclass
from pilotlight.settings import LEVELS


@dataclass(frozen=True, slots=True)
class ColdStart:
    """The end of one attempt to get the model ready.

    `state` is `ready`, `waiting` (it may work later) or `failed` (it never will). `phases_ms` are milliseconds; phases
    overlap, so they need not add up to `total`. `fetched_bytes` came from the store. `trace` is as in `Served`, of the
    request that started the attempt. `variant` is the treatment of an experiment that was loaded, else empty. `device`
    runs the model, where there was a choice.
    """

    state: str
    model_name: str
    model_version: int
    phases_ms: Mapping[str, float]
    fetched_bytes: int
    attempts: int
    error: str = ""
    trace: Mapping[str, object] = EMPTY
    variant: str = ""
    device: str = ""


# Routes of the protocols that only report whether the server is alive or the model is ready.
_PROBES = ("/", "/v2/models/{m}/ready", "/v2/models/{m}/versions/{v}/ready", "/v1/models/{m}", "/ping")


@dataclass(frozen=True, slots=True)
class Served:
    """One request and its response. `route` is the route's pattern, or empty if none matched.

    `latency_ms` is the time in the core. `rows` is how many instances were predicted, `out_of_range` how many of them
    are outside the published range. `code` and `error` are empty for a success; `error` may have a traceback or a
    library's message, and is for the log only. `trace` has the platform's fields for every line of a request,
    `experiment` those of an experiment that chose the version.
    """

    request_id: str
    method: str
    route: str
    status: int
    latency_ms: float
    model_name: str
    model_version: int
    rows: int = 0
    out_of_range: int = 0
    request_bytes: int = 0
    response_bytes: int = 0
    code: str = ""
    error: str = ""
    trace: Mapping[str, object] = EMPTY
    experiment: Mapping[str, object] = EMPTY

    @property
    def is_probe(self) -> bool:
        """Whether this was a health check, which metrics do not count."""
        return self.route.startswith(("/health", "/v2/health")) or self.route in _PROBES


@dataclass(frozen=True, slots=True)
class Scored:
    """The records of one event of a queue or a stream.

    `records` are those of the event, `failed` of them got no result and are to come again; `faults` of these failed
    through no fault of their own. `runs` and `rows` are the model's. `failures` has the first failures, for the log.
    `rejected` records could never succeed, and went where the setting FAILURES says. `trace` is as in `Served`.
    """

    request_id: str
    source: str
    records: int
    failed: int
    faults: int
    runs: int
    rows: int
    out_of_range: int
    latency_ms: float
    model_name: str
    model_version: int
    failures: Sequence[Mapping[str, object]] = ()
    rejected: int = 0
    trace: Mapping[str, object] = EMPTY


@dataclass(frozen=True, slots=True)
class Summary:
    """What many requests together were like, at most one line a minute (`pilotlight.summaries`).

    `event` names the kind. `counts` are the further fields of the line: whole numbers that add up over lines.
    """

    event: str
    model_name: str
    model_version: int
    counts: Mapping[str, object]


Record = ColdStart | Served | Scored | Summary
Report = Callable[[Record], None]


def level(record: Record) -> str:
    """Return the log level of a record's line."""
    if isinstance(record, ColdStart):
        return {"ready": "INFO", "waiting": "WARNING"}.get(record.state, "ERROR")
    if isinstance(record, Scored):
        return "ERROR" if record.faults else "WARNING" if record.failed or record.rejected else "INFO"
    if isinstance(record, Summary):
        return "INFO"
    if record.status >= 500:
        return "ERROR"
    return "WARNING" if record.status >= 400 else "INFO"


def is_written(record: Record, log_level: str) -> bool:
    """Whether a record's line is written at that log level."""
    return LEVELS.index(level(record)) >= LEVELS.index(log_level)


def fields(record: Record) -> dict[str, object]:
    """Return the fields of a record's log line, without empty ones."""
    if isinstance(record, ColdStart):
        line: dict[str, object] = {
            "event": "variant_start" if record.variant else "cold_start",
            "state": record.state,
            "model_name": record.model_name,
            "model_version": record.model_version,
            "phases_ms": dict(record.phases_ms),
            "fetched_bytes": record.fetched_bytes,
            "attempts": record.attempts,
        }
        texts = {"variant": record.variant, "device": record.device, "error": record.error}
        return line | {name: text for name, text in texts.items() if text} | dict(record.trace)
    if isinstance(record, Scored):
        names = (
            "request_id",
            "source",
            "records",
            "failed",
            "rejected",
            "faults",
            "runs",
            "rows",
            "out_of_range",
            "latency_ms",
        )
        line = {"event": "records"} | {name: getattr(record, name) for name in (*names, "model_name", "model_version")}
        return line | ({"failures": list(record.failures)} if record.failures else {}) | dict(record.trace)
    if isinstance(record, Summary):
        line = {"event": record.event, "model_name": record.model_name, "model_version": record.model_version}
        return line | dict(record.counts)
    line = {
        "event": "request",
        "request_id": record.request_id,
        "method": record.method,
        "route": record.route,
        "status": record.status,
        "latency_ms": record.latency_ms,
        "model_name": record.model_name,
        "model_version": record.model_version,
        "rows": record.rows,
        "out_of_range": record.out_of_range,
        "request_bytes": record.request_bytes,
        "response_bytes": record.response_bytes,
    }
    for name, value in (("code", record.code), ("error", record.error)):
        if value:
            line[name] = value
    return line | dict(record.experiment) | dict(record.trace)
