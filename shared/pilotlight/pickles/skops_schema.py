"""Checks of what a skops file makes skops do, on its schema, before skops builds anything.

skops audits types, not names of attributes, and not what it calls the types with. An attribute `__array_interface__` on
an object of a trusted class makes numpy read from any address, and skops makes arrays of such objects while it loads.
Some nodes call any trusted name that they have, even `numpy.ndarray`, which returns uninitialised memory.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from io import BytesIO
from typing import Any, Final, TypeAlias
from zipfile import BadZipFile, ZipFile

from pilotlight.errors import ModelError, UnsafePickle
from pilotlight.pickles.rules import REBUILDS

Node: TypeAlias = "dict[str, Any]"

# Nodes whose children are items. The children of all others may become attributes.
_CONTAINERS: Final = frozenset({"DefaultDictNode", "DictNode", "ListNode", "NdArrayNode", "SetNode", "TupleNode"})
_STATES: Final = frozenset({"DictNode", "JsonNode", "TupleNode"})
_MAPPINGS: Final = frozenset({"builtins.dict", "collections.Counter", "collections.OrderedDict"})
# Packages for whose objects these nodes are known; a publisher vouches for the names allowed of others.
_KNOWN: Final = re.compile(r"(builtins|collections|functools|numpy|scipy|sklearn|_loss)\..*")
_MADE: Final = {
    "ConstructorFromReduceNode": re.compile(r"builtins\.(frozenset|range)"),
    "DictNode": re.compile(r"builtins\.dict|collections\.(Counter|OrderedDict)|sklearn\.utils\._bunch\.Bunch"),
    "ListNode": re.compile(r"builtins\.list"),
    "LossNode": re.compile(r"(sklearn\._loss\.)?_loss\.Cy\w+|sklearn\.linear_model\._sgd_fast\.\w+"),
    "NdArrayNode": re.compile(r"numpy\.\w+"),
    "ObjectNode": re.compile(r"(?!numpy\.).*"),
    "RandomGeneratorNode": re.compile(r"numpy\.random\._generator\.Generator"),
    "RandomStateNode": re.compile(r"numpy\.random\.mtrand\.RandomState"),
    "SetNode": re.compile(r"builtins\.set"),
}
_CHECK_ARRAY: Final = "sklearn.utils.validation.check_array"


def read(data: bytes) -> object:
    """Return the schema in a skops file, as parsed JSON.

    Raise UnsafePickle for what no model needs and skops must not do, and ModelError if it is no skops file.
    """
    try:
        with ZipFile(BytesIO(data)) as archive:
            schema: object = json.loads(archive.read("schema.json"))
            _Schema(archive, schema).check()
            return schema
    except (BadZipFile, KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise ModelError(f"skops cannot load the file: {type(error).__name__}: {error}") from error


class _Schema:
    """The nodes of a file."""

    def __init__(self, archive: ZipFile, schema: object) -> None:
        self._archive = archive
        self._nodes = [node for node, _ in nodes(schema) if isinstance(node.get("__loader__"), str)]
        # skops uses the first node of an id wherever it reads the id again, so that each may become any of them.
        self._alike: dict[Any, list[Node]] = {}
        for node in self._nodes:
            if "__id__" in node:
                self._alike.setdefault(node["__id__"], []).append(node)
        self._single: dict[Any, bool] = {}

    def check(self) -> None:
        """Raise UnsafePickle for a node that no model needs."""
        for alike in self._alike.values():
            if len({_kind(node) for node in alike}) > 1:
                raise _needless(f"the id of {_kind(alike[0])} on another node")
        for node in self._nodes:
            self._check_made(node)
            if node["__loader__"] == "DictNode":
                self._check_keys(node)
            elif node["__loader__"] == "TreeNode":
                self._check_tree(node)
        self._check_states()

    def _check_states(self) -> None:
        seen: set[int] = set()
        known: set[tuple[Any, bool]] = set()
        waiting = [(child, node["__loader__"]) for node in self._nodes for child in _states(node)]
        while waiting:
            node, parent = waiting.pop()
            place = (node.get("__id__"), parent == "ObjectNode")
            if place in known:
                continue
            known.update([place] if node.get("__id__") in self._alike else ())
            for state in self._all(node):
                if parent == "ObjectNode" and state["__loader__"] not in _STATES:
                    raise UnsafePickle(
                        f"the skops file has a {state['__loader__']} for the state of an object, expected a dictionary"
                    )
                if id(state) not in seen:
                    seen.add(id(state))
                    waiting += _check_state(state)

    def _all(self, node: Node) -> list[Node]:
        return self._alike.get(node.get("__id__"), [node])

    def _check_made(self, node: Node) -> None:
        loader, name = node["__loader__"], _name(node)
        if REBUILDS.fullmatch(str(node["__class__"])):
            raise UnsafePickle(f"the skops file names {name}, which rebuilds objects for pickles alone")
        if loader == "JsonNode" and isinstance(json.loads(node["content"]), (dict, list)):
            raise UnsafePickle("the skops file has a JSON value that is no scalar; save the model again with skops")
        if _KNOWN.fullmatch(name) and loader in _MADE and not _MADE[loader].fullmatch(name):
            raise _needless(f"a {loader} of {name}")
        if loader == "PartialNode" and any(
            _name(function) != _CHECK_ARRAY for function in self._all(node["content"]["func"])
        ):
            raise _needless("a partial of another function than check_array")

    def _check_keys(self, node: Node) -> None:
        if _name(node) not in _MAPPINGS:
            _check_names(node["content"])  # a Bunch has its items for attributes
        for types in self._all(node["key_types"]):
            for kind in types["content"]:
                if kind["__loader__"] != "TypeNode":
                    raise _needless(f"a {kind['__loader__']} as the type of a key")

    def _check_tree(self, node: Node) -> None:
        """Check what compiled code counts before it checks: a number of classes for each output, a list of nodes."""
        _, classes, outputs = (self._only(part) for part in self._only(node["__reduce__"]["args"])["content"])
        nodes = self._only(self._only(node["content"])["content"]["nodes"])
        if self._shape(classes) != (json.loads(outputs["content"]),) or len(self._shape(nodes)) != 1:
            raise _needless("a tree whose parts do not fit")

    def _only(self, node: Node) -> Node:
        """Return the node if it is the same wherever its id is. Raise UnsafePickle if not."""
        key = node.get("__id__")
        if key not in self._single:
            self._single[key] = all(other == node for other in self._all(node))
        if not self._single[key]:
            raise _needless("different parts of trees under the same id")
        return node

    def _shape(self, node: Node) -> tuple[int, ...]:
        from numpy.lib import format as npy  # noqa: PLC0415 - slow to import, and skops has imported it

        if _name(node) != "numpy.ndarray":
            raise _needless(f"{_name(node)} in a tree")
        with self._archive.open(node["file"]) as stream:
            reads = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
            shape: tuple[int, ...] = reads[npy.read_magic(stream)](stream)[0]
        return shape


def _kind(node: Node) -> str:
    return f"a {node['__loader__']} of {_name(node)}"


def _name(node: Node) -> str:
    return f"{node['__module__']}.{node['__class__']}"


def _needless(what: str) -> UnsafePickle:
    return UnsafePickle(f"the skops file has {what}, which no model needs; save the model again with skops")


def _check_state(state: Node) -> list[tuple[Node, str]]:
    """Check a node that becomes attributes; return the nodes in it that may become attributes too."""
    loader = state["__loader__"]
    if loader == "DictNode":
        _check_names(state["content"])
    elif loader == "JsonNode":  # in a pair, which may become an attribute
        _check_names([json.loads(state["content"])])
    return [(child, loader) for child in _children(state)] if loader in ("ListNode", "TupleNode") else []


def _check_names(names: Iterable[Any]) -> None:
    for name in names:
        if isinstance(name, str) and name.startswith("__"):
            raise UnsafePickle(
                f"the skops file names an attribute {name}, expected none that begins with __; save the model again "
                "with the libraries that trained it"
            )


def _states(node: Node) -> Iterator[Node]:
    """Yield the children of a node that may become an object's attributes."""
    return iter(()) if node["__loader__"] in _CONTAINERS else _children(node)


def _children(node: Node) -> Iterator[Node]:
    """Yield the nodes directly within a node."""
    waiting: list[Any] = list(node.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and isinstance(value.get("__loader__"), str):
            yield value
        elif isinstance(value, (dict, list)):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def nodes(schema: object) -> Iterator[tuple[Node, bool]]:
    """Yield every object of a schema, and whether it is one of a dictionary's key types."""
    waiting = [(schema, False)]
    while waiting:
        value, is_key_type = waiting.pop()
        if isinstance(value, list):
            waiting += [(item, is_key_type) for item in value]
        elif isinstance(value, dict):
            yield value, is_key_type
            waiting += [(item, is_key_type or key == "key_types") for key, item in value.items()]
