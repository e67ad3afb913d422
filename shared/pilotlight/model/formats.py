"""The formats of model files and the engines that run them: one row for each, from which all else derives.

CONTRIBUTING.md says how to add one.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import takewhile

from pilotlight.errors import RuntimeMismatch
from pilotlight.frozen import dataclass
from pilotlight.model.signature import Input, Output, Signature


@dataclass(frozen=True, slots=True)
class Library:
    """A library that engines are made of, by its normalised name on PyPI.

    `module` is its folder in a package. A version before `oldest` is listed and shown, but neither pinned nor loaded.
    """

    name: str
    module: str
    oldest: str = ""


@dataclass(frozen=True, slots=True)
class Engine:
    """What runs a model.

    `module` is its module in `pilotlight.runtimes`, with the functions `load` and `preload`. `packages` are the
    libraries whose versions a lock names and a cold start checks. `budget` is how many bytes an unzipped package on AWS
    should stay below. `lacks` are datatypes of inputs and outputs that it does not support.

    `only` is a pattern for the files of the packages that the engine opens; a package on AWS then holds no others, and
    none of what the packages require. `without` is a pattern for files that it does not open. `forks`: what it loaded
    outlives a fork, threads of a session included. `accelerates`: it can run on a GPU.
    """

    name: str
    module: str
    packages: tuple[str, ...]
    budget: int
    lacks: tuple[str, ...] = ()
    only: str = ""
    without: str = ""
    forks: bool = True
    accelerates: bool = False


@dataclass(frozen=True, slots=True)
class Format:
    """The format of the file that a runtime opens, `file_name` in a store.

    `pin` chooses the first of the `engines` that supports the model. `platform` is what the V2 protocol's metadata
    calls the format. Loading takes at least `memory` times the file's size, for the reason in `memory_reason`.
    `packages` are recorded when a model is published, beside those of the engine. `has_session`: a lock may say how the
    engine makes its session; `has_methods`: which of the model's methods make its outputs. `is_mapped`: the
    weights stay in the mapped file, which processes share.
    """

    name: str
    runtime: str
    engines: tuple[str, ...]
    file_name: str
    platform: str
    memory: int
    memory_reason: str
    packages: tuple[str, ...] = ()
    has_session: bool = False
    has_methods: bool = False
    is_mapped: bool = False


# Those that a model's packages may hold without a warning by `pin`. Their tests and sources are left out of packages:
# each was searched for what it imports of them.
LIBRARIES: dict[str, Library] = {
    library.name: library
    for library in (
        Library("joblib", "joblib"),
        Library("narwhals", "narwhals"),
        Library("numpy", "numpy"),
        # Older ones read tensors from files anywhere: before 1.24 all tensors, before 1.27 sparse ones.
        Library("onnxruntime", "onnxruntime", oldest="1.27.0"),
        Library("pandas", "pandas"),
        # The first with wheels for the functions' Python 3.13.
        Library("scikit-learn", "sklearn", oldest="1.5.2"),
        Library("scipy", "scipy"),
        # Older ones built objects that they had not checked.
        Library("skops", "skops", oldest="0.16.0"),
        Library("threadpoolctl", "threadpoolctl"),
    )
}

_C_LIBRARY = "onnxruntime/capi/libonnxruntime.so*"

ENGINES: dict[str, Engine] = {
    engine.name: engine
    for engine in (
        Engine("onnxruntime-c", "onnx.c_api", ("onnxruntime",), 40_000_000, only=_C_LIBRARY, accelerates=True),
        # The binding passes tensors as numpy's arrays, which have no BF16. It has the library within itself.
        Engine(
            "onnxruntime-python",
            "onnx.binding",
            ("onnxruntime",),
            90_000_000,
            ("BF16",),
            without=_C_LIBRARY,
            forks=False,
        ),
        Engine("scikit-learn", "sklearn", ("numpy", "scikit-learn"), 222_000_000),
    )
}

_ESTIMATOR = (2, "the file and the objects made from it")

FORMATS: dict[str, Format] = {
    format_.name: format_
    for format_ in (
        Format(
            "onnx",
            "onnx",
            ("onnxruntime-c", "onnxruntime-python"),
            "model.onnx",
            "onnxruntime_onnx",
            1,
            "it holds the weights; 'pilotlight optimize' moves them into a file of their own, which takes less",
            packages=("numpy",),
            has_session=True,
        ),
        Format(
            "ort",
            "onnx",
            ("onnxruntime-c", "onnxruntime-python"),
            "model.ort",
            "onnxruntime_ort",
            1,
            "it holds the weights",
            packages=("numpy",),
            has_session=True,
            is_mapped=True,
        ),
        Format(
            "skops",
            "sklearn",
            ("scikit-learn",),
            "model.skops",
            "sklearn_skops",
            *_ESTIMATOR,
            packages=("joblib", "scipy", "skops"),
            has_methods=True,
        ),
        Format(
            "pickle",
            "sklearn",
            ("scikit-learn",),
            "model.pkl",
            "sklearn_pickle",
            *_ESTIMATOR,
            packages=("joblib", "scipy"),
            has_methods=True,
        ),
    )
}


def unsupported(engine: str, signature: Signature) -> list[str]:
    """Return the datatypes of inputs and outputs that an engine does not support."""
    ends: tuple[Input | Output, ...] = (*signature.inputs, *signature.outputs)
    return sorted({tensor.datatype.name for tensor in ends} & {*ENGINES[engine].lacks})


def check_oldest(place: str, packages: Mapping[str, str]) -> None:
    """Raise RuntimeMismatch where a version of a library is older than LIBRARIES says."""
    problem = too_old(packages)
    if problem:
        raise RuntimeMismatch(f"{place}: {problem}")


def too_old(packages: Mapping[str, str]) -> str:
    """Return what is wrong where a version of a library is older than LIBRARIES says, or an empty string."""
    for package, version in packages.items():
        library = LIBRARIES.get(package)
        if library and library.oldest and is_before(version, library.oldest):
            return f"found {package} {version}, expected {library.oldest} or later; publish the model again"
    return ""


def is_before(version: str, release: str) -> bool:
    """Return whether a version, in any form of PEP 440, is earlier than a release. In doubt, it is."""
    found, is_early = _numbers(version)
    wanted, _ = _numbers(release)
    return found < wanted or (found == wanted and is_early)


def _numbers(version: str) -> tuple[list[int], bool]:
    """Return a version's numbers without trailing zeros, and whether it precedes the release of these numbers.

    1.27.0rc1 and 1.27.dev1 do; 1.27.0+cpu and 1.27.0.post1 do not.
    """
    numbers: list[int] = []
    for part in version.partition("+")[0].partition(".post")[0].split("."):
        digits = "".join(takewhile(str.isdecimal, part))
        numbers.append(int(digits or 0))
        if digits != part:
            break
    while numbers and numbers[-1] == 0:
        numbers.pop()
    return numbers, digits != part
