"""What becomes of scored records, whatever their source: the document of a result, and the log line of a batch."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping

from pilotlight.codec.encode import to_json, to_texts
from pilotlight.errors import RequestError
from pilotlight.frozen import EMPTY
from pilotlight.model.lock import Description
from pilotlight.records.decode import EventRecord
from pilotlight.records.score import Outcome, Scoring
from pilotlight.telemetry import Scored

# Errors of a record itself. Others say something about this version of the function or its surroundings.
OWN_ERRORS = ("feature_missing", "invalid_request", "too_large", "unsupported_media_type", "not_found")

# Failures in a log line, and traces.
_MAX_LOGGED = 20


def result_document(id_: str, source: str, key: object, outcome: Outcome | None) -> bytes:
    """Return a result as JSON: the record's id, its source, its key unless it is None, and the outcome's result.

    Without an outcome the record is a tombstone, and its result is null: the last one of its key is void.
    """
    (text,) = result_texts((id_,), (source,), (key,), (outcome and outcome.result,))
    return text.encode()


def result_texts(
    ids: Iterable[str],
    sources: Iterable[str],
    keys: Iterable[object],
    results: Iterable[Mapping[str, object] | None],
) -> list[str]:
    """Return what `result_document` does for each of many records, as text."""
    return to_texts(
        [
            {"id": id_, "source": source, "result": result}
            if key is None
            else {"id": id_, "source": source, "key": key, "result": result}
            for id_, source, key, result in zip(ids, sources, keys, results, strict=True)
        ]
    )


def failure_document(
    id_: str,
    source: str,
    key: object,
    record: EventRecord | None,
    error: RequestError,
    *,
    model: Description,
    code_version: str,
) -> bytes:
    """Return a record that can never succeed as JSON: why, by which model and code, and what it was.

    The payload is as it came, and bytes that are no text in base64; `record` is None for one that could not be read.
    """
    document: dict[str, object] = {"id": id_, "source": source}
    if key is not None:
        document["key"] = key
    document |= {
        "error": {"code": error.code, "message": error.message, "path": error.path},
        "model_name": model.name,
        "model_version": model.version,
        "model_sha256": model.files[0].sha256,
        "code_version": code_version,
    }
    if record is not None:
        document |= {"payload": record.payload, "attributes": dict(record.attributes)}
        if isinstance(record.payload, bytes):
            document |= _as_text(record.payload, record.attributes)
    return to_json(document)


def _as_text(payload: bytes, attributes: Mapping[str, str]) -> dict[str, object]:
    try:
        return {"payload": payload.decode()}
    except UnicodeDecodeError:
        encoding = f"{attributes.get('content-encoding', '')},base64".lstrip(",")
        return {"payload": b64encode(payload).decode(), "attributes": {**attributes, "content-encoding": encoding}}


def scored(
    scoring: Scoring,
    errors: Mapping[str, RequestError],
    model: Description,
    *,
    request_id: str,
    source: str,
    records: int,
    failed: int,
    latency_ms: float,
    rejected: int = 0,
    trace: Mapping[str, object] = EMPTY,
    traces: Mapping[str, Mapping[str, object]] = EMPTY,
) -> Scored:
    """Return the log line of a batch of so many `records`, tombstones included. `errors` are by the record's id.

    `trace` is the event's, and `traces` are the records' own, by their ids: the line names the first of them.
    """
    links = list({tuple(sorted(fields.items())): dict(fields) for fields in traces.values() if fields}.values())
    if links:
        trace = {**trace, "traces": links[:_MAX_LOGGED]}
    faults = {outcome.record.id: outcome.fault for outcome in scoring.outcomes if outcome.fault}
    return Scored(
        request_id=request_id,
        source=source,
        records=records,
        failed=failed,
        rejected=rejected,
        faults=sum(error.code not in OWN_ERRORS for error in errors.values()),
        runs=scoring.runs,
        rows=scoring.rows,
        out_of_range=scoring.out_of_range,
        latency_ms=latency_ms,
        model_name=model.name,
        model_version=model.version,
        failures=[
            {**_logged(id_, error, faults.get(id_, "")), **traces.get(id_, EMPTY)}
            for id_, error in list(errors.items())[:_MAX_LOGGED]
        ],
        trace=trace,
    )


def _logged(id_: str, error: RequestError, fault: str) -> Mapping[str, object]:
    document: dict[str, object] = {"id": id_, "code": error.code, "error": error.message, "path": error.path}
    return document | ({"fault": fault} if fault else {})
