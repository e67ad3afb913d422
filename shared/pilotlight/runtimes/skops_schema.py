"""Which names a skops file gives to attributes, read from its schema before skops builds anything.

skops audits types, not names. An attribute like `__array_interface__` on an object of a trusted class makes numpy read
from any address, and skops makes arrays of such objects while it loads.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final, TypeAlias

from pilotlight.errors import UnsafePickle
from pilotlight.pickle_rules import REBUILDS

Node: TypeAlias = "dict[str, Any]"

# Nodes whose children are items. The children of all others may become attributes.
_CONTAINERS: Final = frozenset({"DefaultDictNode", "DictNode", "ListNode", "NdArrayNode", "SetNode", "TupleNode"})
_STATES: Final = frozenset({"CachedNode", "DictNode", "JsonNode", "TupleNode"})
_MAPPINGS: Final = frozenset({"builtins.dict", "collections.OrderedDict"})


def check_names(schema: object) -> None:
    """Raise UnsafePickle where an attribute's name begins with `__`. What is no schema raises what it comes to."""
    nodes = list(_nodes(schema))
    # skops takes the first node of an id wherever it reads the id again, so that each may become what any of them is.
    alike: dict[Any, list[Node]] = {}
    for node in nodes:
        if "__id__" in node:
            alike.setdefault(node["__id__"], []).append(node)
        if REBUILDS.fullmatch(str(node["__class__"])):
            raise UnsafePickle(f"the skops file names {node['__class__']}, which rebuilds objects for pickles alone")
        if node["__loader__"] == "JsonNode" and isinstance(json.loads(node["content"]), (dict, list)):
            raise UnsafePickle("the skops file has a JSON value that is no scalar; save the model again with skops")
        if node["__loader__"] == "DictNode" and f"{node['__module__']}.{node['__class__']}" not in _MAPPINGS:
            _check_keys(node["content"])  # a Bunch has its items for attributes
    seen: set[int] = set()
    waiting = [(child, node["__loader__"]) for node in nodes for child in _states(node)]
    while waiting:
        node, parent = waiting.pop()
        for state in alike.get(node.get("__id__"), [node]):
            if parent == "ObjectNode" and state["__loader__"] not in _STATES:
                raise UnsafePickle(
                    f"the skops file has a {state['__loader__']} for the state of an object, expected a dictionary"
                )
            if id(state) not in seen:
                seen.add(id(state))
                waiting += _check_state(state)


def _check_state(state: Node) -> list[tuple[Node, str]]:
    """Check what becomes attributes; the nodes within it of which the same is true."""
    loader = state["__loader__"]
    if loader == "DictNode":
        _check_keys(state["content"])
    elif loader == "JsonNode":  # of a pair, which may become an attribute
        _check_keys([json.loads(state["content"])])
    return [(child, loader) for child in _children(state)] if loader in ("ListNode", "TupleNode") else []


def _check_keys(names: Iterable[Any]) -> None:
    for name in names:
        if isinstance(name, str) and name.startswith("__"):
            raise UnsafePickle(
                f"the skops file names an attribute {name}, expected none that begins with __; save the model again "
                "with the libraries that trained it"
            )


def _states(node: Node) -> Iterator[Node]:
    """The children of a node that may become an object's attributes."""
    return iter(()) if node["__loader__"] in _CONTAINERS else _children(node)


def _children(node: Node) -> Iterator[Node]:
    """The nodes directly within a node."""
    waiting: list[Any] = list(node.values())
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict) and isinstance(value.get("__loader__"), str):
            yield value
        elif isinstance(value, (dict, list)):
            waiting.extend(value.values() if isinstance(value, dict) else value)


def _nodes(schema: Any) -> Iterator[Node]:  # noqa: ANN401 - any JSON
    """Every node of a schema."""
    waiting = [schema]
    while waiting:
        value = waiting.pop()
        if isinstance(value, (dict, list)):
            if isinstance(value, dict) and isinstance(value.get("__loader__"), str):
                yield value
            waiting.extend(value.values() if isinstance(value, dict) else value)
