"""The large models as files: as exporters write them, and as `pilotlight optimize` does, published and pinned.

They are made once and kept in build/bench, under a name that changes with what makes them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import onnxruntime

import large_models
from packages import made_in
from pilotlight.model.lock import load_lock
from pilotlight_cli import optimizing
from pilotlight_cli.pinning.pin import pin
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.sandbox.inspection import inspect
from pilotlight_cli.stores import open_store
from sample import LOCK, SAMPLE

TITLES = {
    "mlp": "MLP, 34 MB",
    "resnet18": "ResNet-18, 47 MB",
    "transformer": "transformer, 436 MB",
}

BINDING = "onnxruntime-python"

# For whom the files are laid out: an instance that has answered its first request.
REQUESTS = 1

_DATATYPES = {"float32": "FP32", "int64": "INT64"}
_MEASURED_ROUNDS = 3  # by `optimize`, for each form
_MAKERS = ("large_models.py", "model_files.py")


@dataclass(frozen=True, slots=True)
class ModelFiles:
    """One model. `plain` is the file, `inputs` a folder with what it is asked, `lock` pins the optimised form.

    `models` is a model store's folder, in which both lie: the plain one as `NAME-plain`.
    """

    name: str
    title: str
    plain: Path
    inputs: Path
    lock: Path
    models: Path

    @property
    def bytes(self) -> int:
        """The plain file's size."""
        return self.plain.stat().st_size

    @property
    def key(self) -> str:
        """Where the plain file is in the store."""
        return f"{self.name}-plain/1/model.onnx"

    def request(self) -> tuple[str, dict[str, Any]]:
        """Path and document of the request with its inputs, in the Open Inference Protocol."""
        tensors = json.loads((self.inputs / "inputs.json").read_bytes())
        return f"/v2/models/{self.name}/infer", {"inputs": tensors}

    def optimised(self, folder: Path) -> Path:
        """Return a new folder with the optimised files and their lock, as a function has them after its fetch."""
        folder.mkdir()
        shutil.copyfile(self.lock, folder / "model.lock")
        model = load_lock(self.lock).model
        for file in model.files:
            (folder / file.name).hardlink_to(self.models / model.key(file.name))
        return folder


def prepare(name: str) -> ModelFiles:
    """Return a model's files, which are made where there are none."""
    folder = _kept(f"{name}-{_key()}", lambda making: make(name, large_models.MODELS[name], making))
    return found(name, TITLES[name], folder)


def found(name: str, title: str, folder: Path) -> ModelFiles:
    """Return the files in the folder in which they were made."""
    models = folder / "models"
    plain = models / f"{name}-plain/1/model.onnx"
    return ModelFiles(name, title, plain, folder / "inputs", folder / "lock/model.lock", models)


def make(name: str, maker: Callable[[Path], Mapping[str, Any]], folder: Path) -> None:
    """Make a model's files in a folder, which is empty. `maker` writes the plain one and says what it may be asked."""
    plain = folder / f"models/{name}-plain/1/model.onnx"
    plain.parent.mkdir(parents=True)
    _write_inputs(maker(plain), folder / "inputs")
    made = optimizing.optimize(
        plain,
        folder / "optimised",
        signature=None,
        golden=None,
        requests=REQUESTS,
        rounds=_MEASURED_ROUNDS,
        step=lambda _: None,
    )
    (folder / "lock").mkdir()
    store = open_store(f"file://{folder / 'models'}")
    inspection = inspect(made.file, format="onnx", signature=None, golden=None, allow=())
    publish(store, inspection, name, clock=lambda: datetime.now(UTC), progress=lambda _: None)
    pin(store, f"{name}:1", folder / "lock/model.lock")
    shutil.rmtree(folder / "optimised")


def sample_on_binding() -> Path:
    """Write a lock that pins the sample to ONNX Runtime's Python binding, and the files that belong to it."""
    files = [SAMPLE / name for name in ("model.onnx", "signature.json", "golden.json")]
    digest = hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
    return _kept(f"binding-{digest[:12]}-{_key()}", lambda making: _pin_to_binding(files, making)) / "model.lock"


def _pin_to_binding(files: Sequence[Path], folder: Path) -> None:
    model, signature, golden = files
    store = open_store(f"file://{folder / 'models'}")
    inspection = inspect(model, format="onnx", signature=signature.read_bytes(), golden=golden.read_bytes(), allow=())
    name = load_lock(LOCK).model.name
    publish(store, inspection, name, clock=lambda: datetime.now(UTC), progress=lambda _: None)
    pin(store, f"{name}:1", folder / "model.lock", engine=BINDING)


def _kept(name: str, make_in: Callable[[Path], None]) -> Path:
    """Return a folder of that name, which is filled where it is not there; it is there wholly or not at all."""
    folder = made_in() / name
    if not folder.is_dir():
        making = Path(tempfile.mkdtemp(prefix=f".{name}.", dir=folder.parent))
        try:
            make_in(making)
            _rename(making, folder)
        finally:
            shutil.rmtree(making, ignore_errors=True)
    return folder


def _rename(made: Path, folder: Path) -> None:
    """Give it its name, unless another process was faster."""
    try:
        made.rename(folder)
    except OSError:
        if not folder.is_dir():
            raise


def _write_inputs(inputs: Mapping[str, Any], folder: Path) -> None:
    """Each tensor's bytes, and all of them as the Open Inference Protocol writes them in JSON."""
    folder.mkdir()
    document = []
    for name, values in inputs.items():
        (folder / name).write_bytes(values.tobytes())
        described = {"name": name, "datatype": _DATATYPES[str(values.dtype)], "shape": list(values.shape)}
        document.append({**described, "data": values.ravel().tolist()})
    (folder / "inputs.json").write_text(json.dumps(document))


def _key() -> str:
    """Return a digest of what the files depend on."""
    sources = [Path(__file__).with_name(name) for name in _MAKERS]
    sources += sorted(Path(optimizing.__file__).parent.glob("*.py"))
    texts = b"".join(source.read_bytes() for source in sources)
    return hashlib.sha256(texts + onnxruntime.__version__.encode()).hexdigest()[:12]
