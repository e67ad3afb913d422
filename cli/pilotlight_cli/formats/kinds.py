"""The kinds of model files that `publish` accepts: how each is loaded in the sandbox, and with which packages.

A kind is what a file is; the format (`pilotlight.model.formats`) is what is stored. Some kinds are saved in another
format: joblib files as pickles or skops files.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pilotlight.errors import ModelError
from pilotlight.model.formats import LIBRARIES, is_before
from pilotlight_cli.formats.convertible import command
from pilotlight_cli.formats.recognition import LZ4_PACKAGES, Recognised

# What was current with each scikit-learn: later releases of numpy and scipy have dropped what it uses.
_WITH: Final[dict[tuple[int, ...], tuple[str, ...]]] = {
    (1, 0): ("numpy<1.24", "scipy<1.10", "pandas<2"),
    (1, 1): ("numpy<1.24", "scipy<1.11", "pandas<2"),
    (1, 2): ("numpy<1.25", "scipy<1.11", "pandas<2.1"),
    (1, 3): ("numpy<2", "scipy<1.12", "pandas<2.2"),
    (1, 4): ("numpy<2", "scipy<1.14", "pandas<2.3"),
    (1, 5): ("numpy>=2.1,<2.2", "scipy>=1.14.1,<1.15"),
    (1, 6): ("numpy>=2.1,<2.3", "scipy>=1.14.1,<1.16"),
    (1, 7): ("numpy>=2.1,<2.4", "scipy>=1.14.1,<1.17"),
    (1, 8): ("numpy>=2.1,<2.5", "scipy>=1.14.1,<1.18"),
}
_ONNX: Final = ("numpy==2.4.6", "onnxruntime==1.31.1")  # as in uv.lock for the oldest Python
_REWRITING: Final = "onnx==1.23.2"  # likewise
_LATER: Final = ("numpy>=2.1,<3", "scipy>=1.14.1")


@dataclass(frozen=True, slots=True)
class Kind:
    """A row of the table.

    `inspector` is the module in `pilotlight_cli.sandbox.child` whose `inspect` inspects the model. `requirements`
    returns what that process needs for a file that is so named on a command line, or raises ModelError if functions
    cannot have it.
    """

    inspector: str
    requirements: Callable[[str, Recognised], list[str]]


def with_sklearn(version: str) -> tuple[str, ...]:
    """Return the requirements of numpy and scipy, and before 1.5 of pandas, for a release of scikit-learn."""
    return _WITH.get(tuple(map(int, version.split(".")[:2])), _LATER)


def _onnx(_name: str, found: Recognised) -> list[str]:
    return [*_ONNX, *([_REWRITING] if found.repairs else [])]


def _sklearn(name: str, found: Recognised) -> list[str]:
    oldest = LIBRARIES["scikit-learn"].oldest
    if not re.fullmatch(r"[0-9]+(\.[0-9]+){1,2}", found.sklearn) or is_before(found.sklearn, oldest):
        raise ModelError(
            f"{name} was made with scikit-learn {found.sklearn}, expected release {oldest} or later, the first for "
            f"the functions' Python 3.13; train it again with one, or convert it: {command(name)}"
        )
    unpacking = LZ4_PACKAGES if found.lz4 else ()
    return [
        f"scikit-learn=={found.sklearn}",
        *with_sklearn(found.sklearn),
        "joblib",
        f"skops=={LIBRARIES['skops'].oldest}",
        *unpacking,
    ]


KINDS: dict[str, Kind] = {
    "onnx": Kind("onnx", _onnx),
    "ort": Kind("onnx", _onnx),
    "skops": Kind("sklearn", _sklearn),
    "pickle": Kind("sklearn", _sklearn),
    "joblib": Kind("sklearn", _sklearn),
}
