"""scikit-learn models in skops files and pickles, loaded through an allow-list only."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from math import nan
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pilotlight.errors import DigestMismatch, InvalidRequest, ModelError, RuntimeMismatch, UnsafePickle
from pilotlight.model.lock import Description
from pilotlight.model.signature import Output, Signature
from pilotlight.model.tensor import BYTES, Tensor
from pilotlight.pickles import skops_files, soundness
from pilotlight.pickles.loading import loads
from pilotlight.runtimes import check_major, check_version
from pilotlight.runtimes.arrays import from_numpy, numpy_dtype, to_numpy
from pilotlight.runtimes.estimators import prepare, walk

if TYPE_CHECKING:
    import numpy as np


class SklearnModel:
    """A fitted estimator, and the methods that return the outputs of its signature."""

    def __init__(self, estimator: Any, signature: Signature, methods: Sequence[str] = ()) -> None:  # noqa: ANN401 - scikit-learn has no types
        self._estimator = estimator
        self._signature = signature
        self._sources = [_source(method) for method in methods or _by_role(signature)]

    def predict(self, inputs: Sequence[Tensor], _timeout: float | None = None) -> tuple[Tensor, ...]:
        """See `runtimes.Model.predict`; nothing interrupts scikit-learn."""
        rows = to_rows(inputs)
        try:
            results = {
                method: getattr(self._estimator, method)(rows)
                for method in dict.fromkeys(method for method, _ in self._sources)
            }
        except ValueError as error:  # scikit-learn's for a category that is not known, a NaN, a number too large
            from pilotlight.runtimes.categories import explain  # noqa: PLC0415 - few requests need it

            raise InvalidRequest(explain(error, self._signature, inputs)) from error
        return tuple(
            _to_tensor(results[method] if item is None else results[method][item], output)
            for (method, item), output in zip(self._sources, self._signature.outputs, strict=True)
        )


def load(model: Description, folder: Path, _threads: int) -> SklearnModel:
    """Return the estimator in `files[0]`, whose bytes are hashed before they are parsed.

    Raise RuntimeMismatch for other libraries than the lock names, DigestMismatch for other bytes, and UnsafePickle or
    ModelError for a file that cannot be served.
    """
    _check_libraries(model)
    file = model.files[0]
    data = (folder / file.name).read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if (len(data), digest) != (file.size, file.sha256):
        raise DigestMismatch(
            f"{file.name} has {len(data)} bytes with SHA-256 {digest}, and the lock pins {file.size} bytes with "
            f"{file.sha256}; fetch or publish the model again"
        )
    estimator = parse(data, model.format, (*model.allowed_globals, *model.extra_globals))
    return serve(estimator, model.signature, model.runtime.methods)


def preload(_packages: Mapping[str, str]) -> None:
    """Import what takes longest."""
    import sklearn  # noqa: F401, PLC0415


def serve(estimator: Any, signature: Signature, methods: Sequence[str] = ()) -> SklearnModel:  # noqa: ANN401 - scikit-learn has no types
    """Return a fitted estimator ready for requests.

    Raise ModelError if it lacks one of the `methods`, see `Runtime.methods`, or has forged content.
    """
    for method, _ in map(_source, methods or _by_role(signature)):
        if not hasattr(estimator, method):
            raise ModelError(f"the file holds a {type(estimator).__name__}, expected an estimator with {method}")
    strings = any(tensor.datatype is BYTES for tensor in signature.inputs)
    numeric = {tensor.name for tensor in signature.inputs if strings and tensor.datatype is not BYTES}
    with _as_model_errors(estimator):
        prepare(estimator, numeric)
    # Features come as arrays in the order of the signature: their names were checked on the way in.
    warnings.filterwarnings("ignore", "X does not have valid feature names", UserWarning)
    return SklearnModel(estimator, signature, methods)


def check(loaded: object) -> None:
    """Raise ModelError for a loaded model with forged content, before anything of it is called."""
    with _as_model_errors(loaded):
        soundness.check(walk(loaded))


@contextmanager
def _as_model_errors(loaded: object) -> Iterator[None]:
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # an altered file may hold anything
        raise ModelError(
            f"the {type(loaded).__name__} is inconsistent: {type(error).__name__}: {error}; train and save it again"
        ) from error


def parse(data: bytes, artifact_format: str, allowed: Sequence[str]) -> Any:  # noqa: ANN401 - any estimator
    """Return the object in a pickle or skops file that asks for nothing but `allowed` and what skops itself trusts.

    Raise UnsafePickle if it asks for more, and RuntimeMismatch if another scikit-learn made it.
    """
    from sklearn.exceptions import InconsistentVersionWarning  # noqa: PLC0415 - slower than all of our own imports

    with warnings.catch_warnings():
        warnings.simplefilter("error", InconsistentVersionWarning)
        try:
            return loads(data, frozenset(allowed)) if artifact_format == "pickle" else skops_files.parse(data, allowed)
        except (InconsistentVersionWarning, UnsafePickle) as error:
            cause = error.__cause__ if isinstance(error, UnsafePickle) else error
            if isinstance(cause, InconsistentVersionWarning):
                raise RuntimeMismatch(
                    f"a {cause.estimator_name} was saved by scikit-learn {cause.original_sklearn_version}, and "
                    f"{cause.current_sklearn_version} is installed; publish the model with the version that trained it"
                ) from None
            raise


def to_rows(inputs: Sequence[Tensor]) -> np.ndarray[Any, Any]:
    """Return the matrix that an estimator gets: one input as it is, several as a column each.

    Columns of numbers make a matrix of FP64; where one of them holds strings it is one of objects. A missing string is
    NaN, as in a frame of pandas.
    """
    import numpy as np  # noqa: PLC0415

    if len(inputs) == 1:
        rows = to_numpy(inputs[0], missing=nan)
        return rows if rows.flags.writeable else rows.copy()  # some estimators refuse read-only memory
    strings = any(tensor.datatype is BYTES for tensor in inputs)
    rows = np.empty((inputs[0].shape[0], len(inputs)), dtype=object if strings else np.float64)
    for column, tensor in enumerate(inputs):
        rows[:, column] = to_numpy(tensor, missing=nan).reshape(-1)
    return rows


def _check_libraries(model: Description) -> None:
    """Raise RuntimeMismatch for other versions than the lock names."""
    packages = model.runtime.packages
    if "scikit-learn" not in packages:
        raise RuntimeMismatch("the lock names no version of scikit-learn; pin the model again")
    try:
        import numpy as np  # noqa: PLC0415
        import sklearn  # noqa: PLC0415
    except ImportError as error:
        raise RuntimeMismatch(f"the lock asks for scikit-learn, which does not import: {error}") from error
    check_version("scikit-learn", sklearn.__version__, packages)
    check_major("numpy", np.__version__, packages)
    if model.format == "skops":
        try:
            import skops  # noqa: PLC0415
        except ImportError as error:
            raise RuntimeMismatch(f"the lock asks for skops, which does not import: {error}") from error
        check_version("skops", skops.__version__, packages)


def _by_role(signature: Signature) -> list[str]:
    """Return the methods of the outputs where none are given."""
    return ["predict_proba" if output.role == "probabilities" else "predict" for output in signature.outputs]


def _source(method: str) -> tuple[str, int | None]:
    """Return a method's name, and which item of the list that it returns, or None for all of it."""
    name, _, item = method.rstrip("]").partition("[")
    return name, int(item) if item else None


def _to_tensor(result: Any, output: Output) -> Tensor:  # noqa: ANN401 - an array of any type
    """Return a result in the signature's datatype, where that loses nothing, and number of dimensions.

    A sparse matrix becomes dense.
    """
    import numpy as np  # noqa: PLC0415

    values = np.asarray(result.toarray() if hasattr(result, "toarray") else result)  # of scipy's sparse matrices
    if values.dtype.hasobject:
        values = np.array(values.tolist())
    if output.datatype is not BYTES:
        values = values.astype(numpy_dtype(output.datatype), casting="safe", copy=False)
    if len(output.shape) == 1:
        values = values.reshape(-1)
    elif values.ndim == 1:
        values = values.reshape(-1, 1)
    return from_numpy(values, output.datatype)
