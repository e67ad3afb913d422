"""`features.toml`, beside `model.lock`: where features are stored, under which key, and how long they count."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import TypeAlias

from pilotlight.errors import FormatError, InvalidRequest, SettingsError
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import Node, child, describe
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import BOOL, BYTES, Datatype, pack

FILE = "features.toml"

Id: TypeAlias = "str | int"
Key: TypeAlias = "tuple[Id, ...]"
"""A row's key: a value for each part of the key in the file."""

# What an entity's id may be.
ID_DATATYPES = ("INT64", "BYTES")

# Of each kind of store: its URL, and what it has.
_STORES = {
    "redis": r"rediss?://\S+",
    "dynamodb": r"dynamodb://([A-Za-z0-9_.-]|\$\{[^}]+\})+",
    "firestore": r"firestore://[^/?#\s]+/[^/?#\s]+(\?database=[^&#\s]+)?",
}
_EXPECTED = "redis://host:6379/0, rediss://host:6379/0, dynamodb://TABLE or firestore://PROJECT/COLLECTION"
_LAYOUTS = ("hash", "json")
_NAME = r"[A-Za-z_][A-Za-z0-9_]{0,127}"
_TEMPLATE = rf"([^{{}}]|\{{{_NAME}\}})+"

_VARIABLE = r"\$\{([^}]*)\}"

_BUDGET_MS, _MOST_MS = 100, 10_000
_MOST_ENTRIES, _MOST_SECONDS = 10_000_000, 30 * 86_400


@dataclass(frozen=True, slots=True)
class Feature:
    """A feature that the store has: its column there, and what the model takes.

    `missing`: the model takes a missing value. `default` is None without a default.
    """

    name: str
    column: str
    datatype: Datatype
    missing: bool
    default: str | float | bool | None = None


@dataclass(frozen=True, slots=True)
class KeyPart:
    """A part of a row's key: its attribute in DynamoDB, and the template of its value with `{names}` of the entity."""

    attribute: str
    template: str

    def value(self, ids: Mapping[str, Id]) -> Id:
        """Return the part for an entity. An id by itself keeps its type."""
        name = self.template[1:-1]
        return ids[name] if name in ids and self.template == f"{{{name}}}" else self.template.format(**ids)


@dataclass(frozen=True, slots=True)
class FeaturePlan:
    """What `features.toml` says.

    `entity` has the datatype of each field of an entity's id; `dropped` are those that are no features. `budget`
    bounds a request's lookup, in seconds. The cache has up to `cache_entries` rows, each for up to `cache_seconds`;
    without entries there is none. `written_column` has the time at which a row was written, in seconds since 1970, and
    a row counts for `time_to_live` seconds; it is empty where all rows count.
    """

    url: str
    key: tuple[KeyPart, ...]
    entity: Mapping[str, str]
    features: tuple[Feature, ...]
    dropped: frozenset[str] = frozenset()
    layout: str = "hash"
    budget: float = _BUDGET_MS / 1000
    cache_entries: int = 0
    cache_seconds: float = 0.0
    written_column: str = ""
    time_to_live: float = 0.0

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that the URL names."""
        return tuple(re.findall(_VARIABLE, self.url))

    @property
    def columns(self) -> tuple[str, ...]:
        """What is read of a row."""
        return tuple(dict.fromkeys([*(one.column for one in self.features), *filter(None, [self.written_column])]))


def expanded(url: str, environ: Mapping[str, str]) -> str:
    """Return a store's URL with the values of its variables. Raise SettingsError for one that is not set."""

    def value(match: re.Match[str]) -> str:
        if not environ.get(match[1]):
            raise SettingsError(f"the environment variable {match[1]} is not set; {FILE} names it in `store`")
        return environ[match[1]]

    return re.sub(_VARIABLE, value, url)


def load_plan(path: Path, signature: Signature) -> FeaturePlan:
    """Read the file for a model. Raise FormatError if it is malformed, or about features that the model lacks."""
    try:
        return read_plan(path.read_bytes(), signature)
    except FormatError as error:
        raise error.within(path.name) from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", "", path.name) from None


def read_plan(content: bytes, signature: Signature) -> FeaturePlan:
    """Parse the bytes of the file. Raise FormatError."""
    try:
        document = tomllib.loads(content.decode())
    except ValueError as error:
        raise FormatError(f"not valid TOML: {error}", "") from None
    if not signature.takes_features:
        raise FormatError("the model takes tensors, which have no features by name; remove the file", "")
    fields = Node(document).fields(
        *("store", "key", "entity", "features"), optional=("layout", "budget_ms", "cache", "time_to_live")
    )
    url = fields["store"].string("|".join(_STORES.values()), _EXPECTED)
    entity = fields["entity"].mapping(lambda node: node.one_of(*ID_DATATYPES))
    if not entity or not all(re.fullmatch(_NAME, name) for name in entity):
        raise fields["entity"].fail('a table of fields and their datatypes, like user_id = "INT64"')
    entries, seconds = _read_cache(fields["cache"]) if "cache" in fields else (0, 0)
    column, life = _read_life(fields["time_to_live"]) if "time_to_live" in fields else ("", 0)
    budget = fields["budget_ms"].integer(1, _MOST_MS) if "budget_ms" in fields else _BUDGET_MS
    return FeaturePlan(
        url=url,
        key=_read_key(fields["key"], entity, url),
        entity=entity,
        features=_read_features(fields["features"], signature),
        dropped=frozenset(entity) - frozenset(signature.feature_names),
        layout=_read_layout(fields["layout"], url) if "layout" in fields else "hash",
        budget=budget / 1000,
        cache_entries=entries,
        cache_seconds=seconds,
        written_column=column,
        time_to_live=life,
    )


def _read_key(node: Node, entity: Mapping[str, str], url: str) -> tuple[KeyPart, ...]:
    if url.startswith("dynamodb:"):
        texts = node.mapping(_read_template)
        if len(texts) not in (1, 2):
            raise node.fail('a table of the attributes of the table\'s key, like key = { user_id = "{user_id}" }')
        parts = tuple(KeyPart(name, text) for name, text in texts.items())
    else:
        parts = (KeyPart("", _read_template(node)),)
    used = [name for part in parts for name in re.findall(rf"\{{({_NAME})\}}", part.template)]
    unknown = next((name for name in used if name not in entity), None)
    if unknown is not None:
        raise FormatError(f"{{{unknown}}} is no field of [entity]", node.path)
    unused = next((name for name in entity if name not in used), None)
    if unused is not None:
        raise FormatError(f"{{{unused}}} is missing: without it two entities would share a key", node.path)
    return parts


def _read_template(node: Node) -> str:
    return node.string(_TEMPLATE, 'a template like "user:{user_id}"')


def _read_layout(node: Node, url: str) -> str:
    if not url.startswith("redis"):
        raise FormatError("only Redis has layouts; remove it", node.path)
    return node.one_of(*_LAYOUTS)


def _read_cache(node: Node) -> tuple[int, float]:
    fields = node.fields("entries", "seconds")
    return fields["entries"].integer(1, _MOST_ENTRIES), _read_seconds(fields["seconds"])


def _read_life(node: Node) -> tuple[str, float]:
    fields = node.fields("column", "seconds")
    return fields["column"].string(r"(?s).+", "a column"), _read_seconds(fields["seconds"])


def _read_seconds(node: Node) -> float:
    seconds = node.number()
    if not 0 < seconds <= _MOST_SECONDS:
        raise node.fail(f"more than 0 and up to {_MOST_SECONDS} seconds")
    return seconds


def _read_features(node: Node, signature: Signature) -> tuple[Feature, ...]:
    if not isinstance(node.value, dict) or not node.value:
        raise node.fail("a table of features, like age = {}")
    known = {tensor.name: tensor for tensor in signature.inputs}
    matrix = signature.matrix
    if matrix is not None:
        known = dict.fromkeys(signature.feature_names, matrix)
    found = []
    for name, value in node.value.items():
        path = child(node.path, name)
        if name not in known:
            raise FormatError(f"the model has no feature {describe(name)}", path)
        fields = Node(value, path).fields(optional=("column", "default"))
        datatype, missing = known[name].datatype, known[name].missing
        column = fields["column"].string(r"(?s).+", "a column") if "column" in fields else name
        default = _read_default(fields["default"], datatype) if "default" in fields else None
        found.append(Feature(name, column, datatype, missing, default))
    return tuple(found)


def _read_default(node: Node, datatype: Datatype) -> str | float | bool:
    value = node.value
    if not isinstance(value, (str, int, float)):
        raise node.fail("a string" if datatype is BYTES else "true or false" if datatype is BOOL else "a number")
    if isinstance(value, float):
        node.number()
    try:
        pack(datatype, [value], lambda _: node.path)
    except InvalidRequest as error:
        raise FormatError(error.message, node.path) from None
    return value
