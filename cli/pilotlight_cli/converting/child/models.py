"""What the readers of libraries return, and what a conversion consists of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Callable, Sequence

from pilotlight_cli.converting.child.ensemble import Ensemble
from pilotlight_cli.converting.child.inversion import Front


@dataclass(frozen=True)
class Trees:
    """The trees of a model. `link` turns their sums into predictions; `labels` is the number of classes, or 0.

    `names` are the names of its `width` features, or none; `narrow` is whether it rounds them to FP32.
    """

    ensemble: Ensemble
    link: str
    labels: int
    names: Sequence[str]
    width: int
    narrow: bool


@dataclass
class Column:
    """A column of the model's table: strings or numbers, some that it may have, and a range for others."""

    name: str
    text: bool = False
    known: list[Any] = field(default_factory=list)
    low: float = -3.0
    high: float = 3.0


@dataclass(frozen=True)
class Table:
    """The columns of a model. `named` is whether the library takes a data frame with their names.

    `matrix` is whether they are one input of the ONNX model, of the datatype `dtype`; else each column is one.
    `alone` is the single text of a vectorizer, which takes no table.
    """

    columns: Sequence[Column]
    named: bool
    matrix: bool
    dtype: str = "float64"
    alone: bool = False


@dataclass(frozen=True)
class Converted:
    """A converted model, and `predict`, which returns the library's outputs by name for what `Table` describes.

    `front` is what transforms the rows before the trees of the graph, if something does.
    `exact` is whether the graph computes in the library's precision, so that another attempt would change nothing.
    """

    model: Any
    table: Table
    predict: Callable[[Any], dict[str, Any]]
    labels: Sequence[Any] = ()
    exact: bool = True
    notes: Sequence[str] = ()
    front: Front | None = None
