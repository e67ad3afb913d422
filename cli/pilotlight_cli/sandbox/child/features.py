"""The features of a fitted scikit-learn estimator: their number, their names, and which are strings."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.model.signature import Input
from pilotlight.model.tensor import BYTES, FP64

# Each may have a name in the lock. This is also scikit-learn's default number of columns for hashed texts.
MOST_FEATURES = 2**20

# The attributes with the fitted estimators that get an estimator's own columns.
_MEMBERS = (
    "best_estimator_",
    "regressor_",
    "classifier_",
    "estimator_",
    "estimator",
    "base_estimator_",
    "_preprocessor",
)
_LISTS = ("estimators_", "calibrated_classifiers_")
_VECTORIZERS = ("CountVectorizer", "HashingVectorizer", "TfidfVectorizer")


@dataclass(frozen=True, slots=True)
class Features:
    """Inputs of the signature; `vocabulary` are strings that the encoders know, by input; `notes` say what was guessed.

    `named` is whether the model itself names its features.
    """

    inputs: tuple[Input, ...]
    vocabulary: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    named: bool = False


def find_features(estimator: Any) -> Features:  # noqa: ANN401 - scikit-learn has no types
    """Read the inputs from the estimator's attributes. Raise ModelError if it has none."""
    count = _first(estimator, "n_features_in_")
    if count is None:
        vectorizer = next(_entries(estimator), None)
        if type(vectorizer).__name__ in _VECTORIZERS:
            return Features((Input("text", BYTES, (-1,), "features"),), {"text": tuple(_texts(vectorizer))}, ())
        raise ModelError(
            f"a {type(estimator).__name__} does not have its number of features; describe its inputs and outputs in a "
            "file and give it with --signature"
        )
    if count > MOST_FEATURES:
        raise ModelError(
            f"a {type(estimator).__name__} takes {count:,} features, expected at most {MOST_FEATURES:,}; train it on "
            "fewer"
        )
    names = _first(estimator, "feature_names_in_")
    named = names is not None
    notes = []
    if not named:
        names = [f"f{index}" for index in range(count)]
        notes.append(f"the model does not name its {count} features; they are called {_shown(names)}")
    names = [str(name) for name in names]
    known: dict[int, set[str]] = {}
    _find_strings(estimator, list(range(count)), known)
    if not known:
        stored = tuple(names) if named or count == 1 else ()  # the core makes up others, which a lock need not have
        return Features((Input("features", FP64, (-1, count), "features", stored),), {}, tuple(notes), named)
    strings = [names[index] for index in sorted(known)]
    notes.append(f"strings: {_shown(strings)}; all other features are numbers, by the model's encoders")
    inputs = tuple(
        Input(name, BYTES if index in known else FP64, (-1, 1), "features") for index, name in enumerate(names)
    )
    return Features(inputs, {names[index]: tuple(sorted(known[index])) for index in known}, tuple(notes), named)


def _shown(names: Sequence[str]) -> str:
    return ", ".join(names) if len(names) <= 4 else f"{names[0]}, {names[1]}, ... {names[-1]}"


def _first(estimator: Any, attribute: str) -> Any:  # noqa: ANN401 - scikit-learn has no types
    """Return an attribute of an estimator or of the first that gets its columns and has it."""
    value = getattr(estimator, attribute, None)
    if value is not None:
        return value
    for member in _members(estimator):
        value = _first(member, attribute)
        if value is not None:
            return value
    return None


def _entries(estimator: Any) -> Iterator[Any]:  # noqa: ANN401 - scikit-learn has no types
    """Yield the estimators that get the input first."""
    members = list(_members(estimator))
    if not members:
        yield estimator
    for member in members:
        yield from _entries(member)


def _members(estimator: Any) -> list[Any]:  # noqa: ANN401 - scikit-learn has no types
    """Return the fitted estimators that get the same columns as `estimator`."""
    if hasattr(estimator, "steps"):
        return [step for _, step in estimator.steps if not isinstance(step, str) and step is not None][:1]
    if hasattr(estimator, "transformer_list"):
        return [step for _, step in estimator.transformer_list if not isinstance(step, str)]
    fields = getattr(estimator, "__dict__", {})
    found = [fields[name] for name in _MEMBERS if fields.get(name) is not None]
    for name in _LISTS:
        members = fields.get(name)
        if isinstance(members, list) and "estimators_features_" not in fields:
            found.extend(members)
    return [member for member in found if hasattr(member, "__dict__") and not isinstance(member, type)]


def _find_strings(estimator: Any, columns: list[int], known: dict[int, set[str]]) -> None:  # noqa: ANN401
    """Collect, by column of the model's input, the strings that fitted encoders know."""
    if hasattr(estimator, "_transformer_to_input_indices"):
        for name, transformer, chosen in estimator.transformers_:
            inner = [columns[index] for index in estimator._transformer_to_input_indices.get(name, ())]  # noqa: SLF001
            if type(transformer).__name__ in _VECTORIZERS and isinstance(chosen, (str, int)):
                known.setdefault(inner[0], set()).update(_texts(transformer))
            else:
                _find_strings(transformer, inner, known)
        return
    steps = [step for _, step in getattr(estimator, "steps", ()) if hasattr(step, "__dict__")]
    for step in steps:
        _find_strings(step, columns, known)
        if not _keeps_columns(step):
            break
    for values in (getattr(estimator, "categories_", None), getattr(estimator, "statistics_", None)):
        if values is not None and len(values) == len(columns):
            _note_strings(values, columns, known)
    for member in () if steps else _members(estimator):
        _find_strings(member, columns, known)


def _texts(vectorizer: Any) -> list[str]:  # noqa: ANN401 - scikit-learn has no types
    """Return words that a vectorizer knows, as texts for samples."""
    return [str(word) for word in sorted(getattr(vectorizer, "vocabulary_", ()))[:50]] or ["a text"]


def _note_strings(values: Sequence[Any], columns: list[int], known: dict[int, set[str]]) -> None:
    for column, found in zip(columns, values, strict=True):
        items = found.tolist() if hasattr(found, "tolist") else [found]
        vocabulary = {str(item) for item in (items if isinstance(items, list) else [items]) if isinstance(item, str)}
        if vocabulary:
            known.setdefault(column, set()).update(vocabulary)


def _keeps_columns(step: Any) -> bool:  # noqa: ANN401 - scikit-learn has no types
    """Return whether a step of a pipeline passes its columns on one to one."""
    statistics = getattr(step, "statistics_", None)
    if statistics is None:
        return False
    kept = not any(item != item for item in statistics)  # noqa: PLR0124 - NaN: a column that the imputer drops
    return kept and not getattr(step, "add_indicator", False)
