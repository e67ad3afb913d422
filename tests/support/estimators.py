"""Small scikit-learn models, described as a lock describes them."""

from __future__ import annotations

import hashlib
import pickle
import zipfile
from array import array
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import sklearn
import skops.io

from pilotlight import runtimes
from pilotlight.model.lock import Description, File, Runtime
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP64, Tensor
from pilotlight.pickles.loading import scan

PACKAGES = {"scikit-learn": sklearn.__version__, "numpy": np.__version__, "skops": skops.__version__}
RANDOM = np.random.default_rng(0)
POINTS = RANDOM.normal(size=(60, 3))
NAMES = np.where(POINTS[:, 0] > 0, "yes", "no")
VALUES = POINTS @ [1.0, 2.0, 3.0]
MATRIX = Input("features", FP64, (-1, 3), "features", ("a", "b", "c"))
NUMBER = Output("prediction", FP64, (-1,), "tensor")
LABEL = Output("label", BYTES, (-1,), "label")
CLASSIFIER = Signature((MATRIX,), (LABEL, Output("probabilities", FP64, (-1, 2), "probabilities")), ("no", "yes"))
REGRESSOR = Signature((MATRIX,), (NUMBER,))

FLATS = pd.DataFrame(
    {
        "city": RANDOM.choice(["Bath", "Ely", "Hull"], 60),
        "area": RANDOM.uniform(20, 90, 60),
        "note": RANDOM.choice(["bright and quiet", "loud", "quiet"], 60),
        "floor": RANDOM.integers(0, 9, 60).astype(float),
    }
)
COLUMNS = Signature(
    tuple(Input(name, BYTES if name in ("city", "note") else FP64, (-1, 1), "features") for name in FLATS), (NUMBER,)
)


def store(folder: Path, estimator: Any, signature: Signature, form: str = "pickle", **changes: Any) -> Description:
    """Write an estimator's file and describe it."""
    data = pickle.dumps(estimator, 5) if form == "pickle" else skops.io.dumps(estimator)
    return description(folder, data, signature, form, **changes)


def description(folder: Path, data: bytes, signature: Signature, form: str = "pickle", **changes: Any) -> Description:
    """Write a file and describe it, its own names allowed unless `changes` say otherwise."""
    (folder / "model").write_bytes(data)
    fields: dict[str, Any] = {
        "packages": PACKAGES,
        "sha256": hashlib.sha256(data).hexdigest(),
        **changes,
    }
    if "allowed" not in fields:
        fields["allowed"] = scan(data) if form == "pickle" else tuple(skops.io.get_untrusted_types(data=data))
    return Description(
        name="model",
        version=1,
        format=form,
        files=(File("model", len(data), fields["sha256"]),),
        runtime=Runtime("sklearn", "scikit-learn", fields["packages"]),
        signature=signature,
        golden=File("golden.json", 1, "0" * 64),
        allowed_globals=fields["allowed"],
    )


def matrix(rows: Any) -> Tensor:
    rows = np.asarray(rows, np.float64)
    return Tensor(FP64, rows.shape, array("d", rows.ravel().tolist()))


def columns(frame: pd.DataFrame) -> list[Tensor]:
    return [
        Tensor(BYTES, (len(frame), 1), frame[name].tolist())
        if tensor.datatype is BYTES
        else Tensor(FP64, (len(frame), 1), array("d", frame[name].tolist()))
        for name, tensor in zip(frame, COLUMNS.inputs, strict=True)
    ]


def predict(folder: Path, estimator: Any, signature: Signature, inputs: Sequence[Tensor], form: str = "pickle") -> Any:
    """Store an estimator, load it, and return the values of its first output."""
    return runtimes.load(store(folder, estimator, signature, form), folder, 1).predict(inputs)[0].values()


def with_schema(data: bytes, change: Callable[[str], str]) -> bytes:
    """Return a skops file with its schema changed."""
    out = BytesIO()
    with zipfile.ZipFile(BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        for name in source.namelist():
            content = source.read(name)
            target.writestr(name, change(content.decode()) if name == "schema.json" else content)
    return out.getvalue()
