"""Small real implementations of the core's boundaries, for tests: a model that sums, a store that fails on purpose."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from pilotlight.dataplane import DataPlane, ReadObject
from pilotlight.errors import ObjectRefused, PilotlightError
from pilotlight.features.lookup import FeatureLookup
from pilotlight.features.plan import Key
from pilotlight.features.values import Stored
from pilotlight.fetch import ObjectStore, Sink
from pilotlight.fetch.model_files import ModelFiles
from pilotlight.model.lock import Description, File, Runtime
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32, FP64, INT64, Tensor
from pilotlight.service import Service
from pilotlight.start.loading import Loader, Plan
from pilotlight.telemetry import ColdStart, Record, Served

NAMES = ("height", "width", "depth")

FEATURES = Signature(
    inputs=(Input("features", FP32, (-1, 3), "features", NAMES),),
    outputs=(
        Output("label", BYTES, (-1,), "label"),
        Output("probabilities", FP32, (-1, 2), "probabilities", (0.0, 1.0)),
    ),
    labels=("small", "large"),
)

COLUMNS = Signature(
    inputs=(
        Input("city", BYTES, (-1, 1), "features"),
        Input("rooms", INT64, (-1, 1), "features"),
        Input("area", FP64, (-1, 1), "features"),
    ),
    outputs=(Output("rent", FP32, (-1, 1), "tensor", (0.0, 5000.0)),),
)

IMAGE = Signature(
    inputs=(Input("image", FP32, (-1, 2, 2), "tensor"),),
    outputs=(Output("scores", FP32, (-1, 2), "tensor"), Output("hidden", FP32, (-1, 2, 2), "tensor")),
)

PAIR = Signature(
    inputs=(Input("left", INT64, (-1, -1), "tensor"), Input("right", FP32, (-1,), "tensor")),
    outputs=(Output("sum", FP32, (-1,), "tensor"),),
)

CONTENT = b"the bytes of a model"


def description(signature: Signature = FEATURES, content: bytes = CONTENT) -> Description:
    """Return a description of a model whose one file has that content."""
    digest = hashlib.sha256(content).hexdigest()
    return Description(
        name="example",
        version=3,
        format="onnx",
        files=(File("model.onnx", len(content), digest),),
        runtime=Runtime("onnx", "onnxruntime-python", {}),
        signature=signature,
        golden=File("golden.json", 2, digest),
    )


class MemoryStore:
    """A store in memory. Each fetch first raises the next of `faults`, where there is one."""

    def __init__(self, objects: dict[str, bytes], faults: Sequence[PilotlightError] = ()) -> None:
        self.objects = objects
        self.faults = list(faults)
        self.fetched: list[str] = []

    def fetch(self, key: str, sink: Sink, timeout: float) -> None:
        """See `pilotlight.fetch.ObjectStore.fetch`."""
        assert timeout > 0
        self.fetched.append(key)
        if self.faults:
            raise self.faults.pop(0)
        if key not in self.objects:
            raise ObjectRefused(f"{key} is not there")
        sink.restart("")
        for start in range(0, len(self.objects[key]), 7):
            sink.write(start, self.objects[key][start : start + 7])


def fetched(store: ObjectStore, folder: Path, content: bytes = CONTENT, timeout: float = 60.0) -> bytes:
    """Fetch a model whose lock pins `content`, and return what `folder` has of it then."""
    ModelFiles(store, description(content=content), folder).fetch(timeout, lambda _: None)
    return (folder / "model.onnx").read_bytes()


class StepClock:
    """A clock that moves only by sleeping on it."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Records:
    """Collects records, from any thread."""

    def __init__(self) -> None:
        self.all: list[Record] = []
        self._lock = threading.Lock()

    def __call__(self, record: Record) -> None:
        """Keep a record."""
        with self._lock:
            self.all.append(record)

    @property
    def cold_starts(self) -> list[ColdStart]:
        """The cold starts so far."""
        return [record for record in self.all if isinstance(record, ColdStart)]

    @property
    def served(self) -> list[Served]:
        """The requests so far."""
        return [record for record in self.all if isinstance(record, Served)]


Predict = Callable[[Sequence[Tensor]], tuple[Tensor, ...]]


class FunctionModel:
    """A model that is a function. `timeouts` are those that it was given."""

    def __init__(self, predict: Predict) -> None:
        self._predict = predict
        self.timeouts: list[float | None] = []

    def predict(self, inputs: Sequence[Tensor], timeout: float | None = None) -> tuple[Tensor, ...]:
        """See `runtimes.Model.predict`."""
        self.timeouts.append(timeout)
        return self._predict(inputs)


def service(
    signature: Signature,
    predict: Predict,
    *,
    records: Records | None = None,
    max_body_bytes: int = 4_500_000,
    cors_origins: Sequence[str] = (),
    read_object: ReadObject | None = None,
    features: FeatureLookup | None = None,
    clock: Callable[[], float] | None = None,
) -> Service:
    """Return a service whose model is ready and is the function `predict`."""
    model, steps = description(signature), StepClock()
    clock = clock or steps
    plan = Plan(model, MemoryStore({}), Path("unused"), 1, clock, steps.sleep)
    loader = ReadyLoader(plan, FunctionModel(predict))
    return Service(
        model,
        loader,
        records or Records(),
        max_body_bytes=max_body_bytes,
        clock=clock,
        cors_origins=cors_origins,
        read_object=read_object,
        features=features,
    )


def plane_of(signature: Signature) -> DataPlane:
    """Return a data plane that only reads."""
    described, clock = description(signature), StepClock()
    plan = Plan(described, MemoryStore({}), Path("unused"), 1, clock, clock.sleep)
    return DataPlane(described, ReadyLoader(plan, FunctionModel(tuple)), clock=clock)


class MemoryFeatures:
    """A `pilotlight.features.store.FeatureStore` in memory. `asked` are the keys of each read."""

    def __init__(self, rows: Mapping[Key, Stored]) -> None:
        self._rows = rows
        self.asked: list[list[Key]] = []

    def read(self, keys: Sequence[Key], deadline: float) -> list[Stored]:
        """See `FeatureStore`."""
        self.asked.append(list(keys))
        return [self._rows.get(key) for key in keys]

    def connect(self) -> None:
        """See `FeatureStore`."""

    def close(self) -> None:
        """See `FeatureStore`."""


class ReadyLoader(Loader):
    """A loader that begins with a loaded model."""

    def __init__(self, plan: Plan, model: FunctionModel) -> None:
        super().__init__(plan, Records(), {}, 0.0)
        self._model = model
        self._state = "ready"
