"""The features of a fitted scikit-learn estimator: their number, their names, and their types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from pilotlight.errors import ModelError
from pilotlight.model.signature import Input, Signature
from pilotlight.model.tensor import BOOL, BYTES, FP64, Datatype

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

    `named` is whether the model itself names its features. `names` are those of the columns of the rows that it gets,
    and `unused` the columns that it drops.
    """

    inputs: tuple[Input, ...]
    vocabulary: dict[str, tuple[str, ...]]
    notes: tuple[str, ...]
    named: bool = False
    names: tuple[str, ...] = ()
    unused: frozenset[int] = frozenset()


@dataclass(frozen=True, slots=True)
class _Known:
    """What encoders know of columns: the strings of some, and that others are booleans."""

    strings: dict[int, set[str]] = field(default_factory=dict)
    booleans: set[int] = field(default_factory=set)


def find_features(estimator: Any, types: Mapping[str | int, Collection[type]] | None = None) -> Features:  # noqa: ANN401
    """Read the inputs from the estimator's attributes.

    `types` are those of the values in the publisher's rows, by name or position of their column. Raise ModelError if
    the estimator does not have them.
    """
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
    columns = list(range(count))
    known = _Known()
    _find_strings(estimator, columns, known)
    unused = frozenset(columns) - _used(estimator, columns)
    types = types or {}
    shown = [types.get(name, types.get(index, ())) for index, name in enumerate(names)]
    datatypes = [_datatype(index, known, shown[index]) for index in columns]
    notes += _type_notes(names, datatypes, [names[index] for index in sorted(unused) if not shown[index]])
    inputs: tuple[Input, ...]
    if set(datatypes) == {FP64}:
        stored = tuple(names) if named or count == 1 else ()  # the core makes up others, which a lock need not have
        inputs = (Input("features", FP64, (-1, count), "features", stored),)
    else:
        inputs = tuple(
            Input(name, datatype, (-1, 1), "features") for name, datatype in zip(names, datatypes, strict=True)
        )
    vocabulary = {
        names[index]: tuple(sorted(known.strings.get(index, {"a text"})))
        for index in columns
        if datatypes[index] is BYTES
    }
    return Features(inputs, vocabulary, tuple(notes), named, tuple(names), unused)


def with_missing(features: Features, columns: Collection[int], *, as_columns: bool) -> Features:
    """Mark the columns in which values may be missing.

    A matrix in which only some may be missing becomes a column for each feature, unless `as_columns` is not set.
    """
    used = set(columns) - features.unused
    if not used:
        return features
    names = [features.names[column] for column in sorted(used)]
    matrix = Signature(features.inputs, ()).matrix
    everywhere = len(columns) == len(features.names)
    inputs: tuple[Input, ...] = features.inputs
    if matrix and everywhere:
        inputs = (replace(matrix, missing=True),)
    else:
        if matrix and (not as_columns or matrix.datatype is not FP64):  # columns become rows of FP64
            return features
        if matrix:
            inputs = tuple(Input(name, FP64, (-1, 1), "features") for name in features.names)
        inputs = tuple(
            replace(tensor, missing=index in columns and tensor.datatype is not BOOL)
            for index, tensor in enumerate(inputs)
        )
    where = "every feature" if everywhere else _shown(names)
    return replace(features, inputs=inputs, notes=(*features.notes, f"values may be missing in {where}"))


def _datatype(index: int, known: _Known, types: Collection[type]) -> Datatype:
    """Return the datatype of a column, by the model's encoders or else by the publisher's rows."""
    if index in known.strings or str in types:
        return BYTES
    if index in known.booleans or set(types) == {bool}:
        return BOOL
    return FP64


def _type_notes(names: Sequence[str], datatypes: Sequence[Datatype], unknown: Sequence[str]) -> Iterator[str]:
    """Yield what was found about the types of columns; nothing shows those of the `unknown`, which the model drops."""
    found = []
    for word, datatype in (("strings", BYTES), ("booleans", BOOL)):
        of_type = [name for name, own in zip(names, datatypes, strict=True) if own is datatype]
        found += [f"{word}: {_shown(of_type)}"] if of_type else []
    if found:
        yield f"{'; '.join(found)}; all other features are numbers, by the model's encoders"
    if unknown:
        yield (
            f"the model does not use {_shown(unknown)}, taken as numbers; if they are strings or booleans, give rows "
            "with --golden"
        )


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


def _used(estimator: Any, columns: list[int]) -> set[int]:  # noqa: ANN401 - scikit-learn has no types
    """Return the columns that the estimator, or those that get its columns, do not drop."""
    if hasattr(estimator, "_transformer_to_input_indices"):
        indices = estimator._transformer_to_input_indices  # noqa: SLF001 - where scikit-learn itself keeps them
        kept = [name for name, step, _ in estimator.transformers_ if not (isinstance(step, str) and step == "drop")]
        return {columns[index] for name in kept for index in indices.get(name, ())}
    members = _members(estimator)
    return set().union(*(_used(member, columns) for member in members)) if members else set(columns)


def _find_strings(estimator: Any, columns: list[int], known: _Known) -> None:  # noqa: ANN401
    """Collect, by column of the model's input, the strings that fitted encoders know, and booleans."""
    if hasattr(estimator, "_transformer_to_input_indices"):
        for name, transformer, chosen in estimator.transformers_:
            inner = [columns[index] for index in estimator._transformer_to_input_indices.get(name, ())]  # noqa: SLF001
            if type(transformer).__name__ in _VECTORIZERS and isinstance(chosen, (str, int)):
                known.strings.setdefault(inner[0], set()).update(_texts(transformer))
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


def _note_strings(values: Sequence[Any], columns: list[int], known: _Known) -> None:
    for column, found in zip(columns, values, strict=True):
        items = found.tolist() if hasattr(found, "tolist") else [found]
        items = items if isinstance(items, list) else [items]
        vocabulary = {str(item) for item in items if isinstance(item, str)}
        if vocabulary:
            known.strings.setdefault(column, set()).update(vocabulary)
        elif items and all(isinstance(item, bool) for item in items):
            known.booleans.add(column)


def _keeps_columns(step: Any) -> bool:  # noqa: ANN401 - scikit-learn has no types
    """Return whether a step of a pipeline passes its columns on one to one."""
    statistics = getattr(step, "statistics_", None)
    if statistics is None:
        return False
    kept = not any(item != item for item in statistics)  # noqa: PLR0124 - NaN: a column that the imputer drops
    return kept and not getattr(step, "add_indicator", False)
