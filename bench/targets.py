"""What is wanted of the function, and what a run says of it: ratios within rounds, and sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from figures import Spread, ratios, values

Parts = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class Target:
    """One of them: what is measured, the limit, what was reached with its spread, and how the number is written.

    `reached` is None where the run did not measure it. `bound` says what stays, however fast all else gets.
    """

    title: str
    limit: float
    reached: dict[str, float] | None
    bound: str
    unit: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the median is within the limit; None where there is none."""
        return None if self.reached is None else self.reached["median"] <= self.limit


@dataclass(frozen=True, slots=True)
class _Wanted:
    title: str
    limit: float
    find: Callable[[Parts], Spread]
    bound: str
    unit: str = ""


def judged(parts: Parts) -> list[Target]:
    """All targets, held against what a run measured."""
    return [Target(each.title, each.limit, _reached(each, parts), each.bound, each.unit) for each in _wanted()]


def _reached(wanted: _Wanted, parts: Parts) -> dict[str, float] | None:
    try:
        return asdict(wanted.find(parts))
    except KeyError:  # a part, a contestant or a condition that this run left out
        return None


# What stays, however fast all else gets: a page quotes it where a target is missed.
_START_BOUND = (
    "Python and Lambda's runtime client (the empty handler's line), the imports of what fetches, and the longer one of "
    "two that go on at the same time, one request over TLS and ONNX Runtime's library with its first session, stay."
)
_FLOOR_BOUND = (
    "The floor has no request: one TLS handshake with its certificates to check, 20 ms to the first byte, and the "
    "processor time of both, which overlaps with the opening of ONNX Runtime only in part."
)
_MEMORY_BOUND = (
    "Python, ONNX Runtime's library and the model stay; the tutorials' handler has numpy and boto3 on top of them."
)
_LOAD_BOUND = (
    "The first run itself stays: it reads every weight once, from a mapping whose pages come one by one, in the file's "
    "layout and not in that which is fastest to compute with."
)
_FETCH_BOUND = (
    "Every byte is decrypted and hashed, and the store encrypts it on the same processors, which leaves less of them "
    "to the function; both fetch the same bytes."
)
_PACKAGE_BOUND = "ONNX Runtime's shared library alone has most of it."
_HANDLER_BOUND = (
    "Reading JSON strictly, the log line and the reply stay; the bare run has none of them, and a call through ctypes "
    "costs more than one through the binding."
)


_RECORDS_BOUND = (
    "Each record is read from its envelope, parsed by itself so that it can fail alone, and gets a document of its "
    "own; a batch's rows share all of these. To parse all messages as one array takes no less time."
)
_BATCH_BOUND = (
    "Reading Parquet, turning columns into rows and the model itself stay, and Python, pyarrow and ONNX Runtime in "
    "each process."
)


_SERVER_BOUND = (
    "uvicorn's and httptools' part of a request stays, and the log line and the checks, which the others do not have."
)
_JOINED_BOUND = "The server's own part of each request stays, and grows with the requests."


def _wanted() -> Iterator[_Wanted]:
    yield from _small()
    yield from _large()
    for name, title, limit in (("pilotlight", "C API", 40), ("pilotlight_binding", "binding", 90)):
        size = _size("aws", name)
        yield _Wanted(f"Package for ONNX through the {title}, unzipped", limit, size, _PACKAGE_BOUND, "MB")
    size = _size("google", "pilotlight")
    yield _Wanted("Package on Google Cloud through the C API, as installed", 60, size, _PACKAGE_BOUND, "MB")
    yield from _warm()
    yield from _records()
    yield from _batch()
    for peer, title, most in (("tutorial_function", "plain Flask function", 0.5), ("fastapi_uvicorn", "FastAPI", 1.0)):
        yield _Wanted(f"Requests a second of the {title} over the server's", most, _served(peer), _SERVER_BOUND)
    together = "MLP, 34 MB, 64 connections: requests a second one by one over together"
    yield _Wanted(together, 0.67, _joined, _JOINED_BOUND)


def _small() -> Iterator[_Wanted]:
    start = "Small ONNX model, cold start to first answer"
    caches = (("all-cold", "cold file cache", 0.30, 1.35), ("all-warm", "warm file cache", 0.25, 1.55))
    for condition, cache, tutorial, floor in caches:
        over_tutorial, over_floor = _start(condition, "tutorial_handler"), _start(condition, "pilotlight_floor")
        yield _Wanted(f"{start}, over the tutorials' handler, {cache}", tutorial, over_tutorial, _START_BOUND)
        yield _Wanted(f"{start}, over our own floor, {cache}", floor, over_floor, _FLOOR_BOUND)
    for condition, cache, *_ in caches:
        over_joblib = _start(condition, "sklearn_joblib")
        yield _Wanted(f"The same forest, over scikit-learn + joblib, {cache}", 0.15, over_joblib, _START_BOUND)
    memory = _start("all-warm", "tutorial_handler", "peak")
    yield _Wanted("Peak memory, small ONNX model, over the tutorials' handler", 0.6, memory, _MEMORY_BOUND)


def _large() -> Iterator[_Wanted]:
    for name, title, limit in (
        ("mlp", "MLP, 34 MB", 0.2),
        ("resnet18", "ResNet-18, 47 MB", 0.25),
        ("transformer", "Transformer, 436 MB", 0.3),
    ):
        yield _Wanted(f"{title}: load and first run, over the default session", limit, _load(name), _LOAD_BOUND)
    whole = "Transformer, 436 MB: cold start to first answer, over the tutorials' handler"
    yield _Wanted(whole, 0.45, _end_to_end("first_answer"), _FETCH_BOUND)
    memory = "Transformer, 436 MB: peak memory, over the tutorials' handler"
    yield _Wanted(memory, 0.6, _end_to_end("peak"), _MEMORY_BOUND)


def _warm() -> Iterator[_Wanted]:
    for case, engine, title, limit in (
        ("1x30-json", "pilotlight_binding", "one row in JSON, through the binding", 1.5),
        ("1x30-json", "pilotlight", "one row in JSON, through the C API", 3.0),
        ("1000x30-json", "pilotlight", "1,000 rows in JSON, all checks on", 20.0),
        ("image-binary", "pilotlight", "an image of 1x3x224x224 in binary V2", 1.15),
    ):
        yield _Wanted(f"Handler over a bare session.run: {title}", limit, _handler(case, engine), _HANDLER_BOUND)


def _records() -> Iterator[_Wanted]:
    for reference, title, limit in (
        ("over_one", "one row a request", 0.067),
        ("over_alone", "an event of one message", 0.067),
        ("over_batch", "a row of /predict_batch", 1.5),
    ):
        yield _Wanted(
            f"200 messages of SQS: processor time a row over {title}", limit, _event(reference), _RECORDS_BOUND
        )


def _batch() -> Iterator[_Wanted]:
    for measure, side, title, limit in (
        ("processor", "bare", "processor time a row over pyarrow and a bare session.run", 1.05),
        ("processor", "pandas", "processor time a row over pandas + joblib", 0.67),
        ("processor", "rows", "processor time a row over one row at a time", 0.2),
    ):
        yield _Wanted(f"Files of rows: {title}", limit, _scored("pilotlight", side, measure), _BATCH_BOUND)
    two = _scored("pilotlight_two", "pilotlight", "wall")
    yield _Wanted("Files of rows: time of two processes over one", 0.59, two, _BATCH_BOUND)
    yield _Wanted("Files of rows: memory of the largest process", 300, _batch_peak, _BATCH_BOUND, "MB")


def _start(condition: str, reference: str, measure: str = "first_answer") -> Callable[[Parts], Spread]:
    return lambda parts: ratios(parts["aws"]["starts"][condition], "pilotlight", reference, measure)


def _load(model: str) -> Callable[[Parts], Spread]:
    return lambda parts: ratios(
        parts["large"]["models"][model]["loads"]["all-warm"], "pilotlight", "default", "first_run"
    )


def _end_to_end(measure: str) -> Callable[[Parts], Spread]:
    return lambda parts: ratios(
        parts["large"]["end_to_end"]["starts"]["all-warm"], "pilotlight", "tutorial_handler", measure
    )


def _event(reference: str) -> Callable[[Parts], Spread]:
    return lambda parts: Spread(**parts["records"][reference]["sqs"])


def _served(peer: str) -> Callable[[Parts], Spread]:
    return lambda parts: ratios(parts["google"]["loads"], peer, "server", "requests_per_second")


def _joined(parts: Parts) -> Spread:
    return ratios(parts["batching"]["rounds"], "alone", "together", "requests_per_second")


def _scored(side: str, reference: str, measure: str) -> Callable[[Parts], Spread]:
    return lambda parts: ratios(parts["batch"]["rounds"], side, reference, measure)


def _batch_peak(parts: Parts) -> Spread:
    found = values(parts["batch"]["rounds"], "pilotlight_two", "peak")
    return Spread(found.median / 1e6, found.low / 1e6, found.high / 1e6)


def _size(part: str, name: str) -> Callable[[Parts], Spread]:
    def find(parts: Parts) -> Spread:
        sizes = {each["name"]: each["size"] / 1e6 for each in parts[part]["contestants"]}
        return Spread(sizes[name], sizes[name], sizes[name])

    return find


def _handler(case: str, engine: str) -> Callable[[Parts], Spread]:
    def find(parts: Parts) -> Spread:
        return Spread(**parts["warm"]["cases"][case]["ratios"][engine])

    return find
