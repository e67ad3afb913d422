"""A pickle machine that imports what an allow-list names, calls nothing else, and changes only what it made itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection
from importlib import import_module
from typing import Any, Final, TypeVar

from pilotlight.errors import RuntimeMismatch, UnsafePickle
from pilotlight.pickles.attributes import Refused, check_attributes
from pilotlight.pickles.forbidden import forbidden, objection
from pilotlight.pickles.numpy_rules import Contents, Rule
from pilotlight.pickles.opcodes import PickleReader, qualified
from pilotlight.pickles.rules import call_rule, check_creation, sound_state

Named = TypeVar("Named")

# Hashing or comparing a tuple of tuples that are in it twice takes twice the time for each level. A tuple costs its
# items, and those that are tuples double: 23 levels is the most. A key may cost less, as there may be many.
_MOST_IN_TUPLE: Final = 10_000_000
_MOST_IN_KEY: Final = 1_000


def check_name(name: str, allowed: Collection[str], position: int) -> None:
    """Refuse a name that no list may hold, or that this one does not."""
    if name.startswith("__main__."):
        raise UnsafePickle(
            f"the pickle asks for {name} at byte {position}: it was made in the script that trained the model, "
            "which is not in the package; move it into a file of its own, train again, and publish with "
            "--with-module FILE"
        )
    if forbidden(name):
        raise UnsafePickle(
            f"the pickle asks for {name} at byte {position}, expected names that only hold data; that one can run or "
            "load anything and is never allowed"
        )
    if name not in allowed:
        raise UnsafePickle(
            f"the pickle asks for {name} at byte {position}, which its allow-list does not name; if you know what it "
            f"does, publish the model with --allow {name}"
        )


class PickleMachine:
    """Carries out the opcodes of one pickle, each call and each state only after its check."""

    def __init__(self, reader: PickleReader, allowed: Collection[str]) -> None:
        self.reader = reader
        self.position = 0
        self._allowed = allowed
        self._marks: list[list[Any]] = []
        # By identity, each with the object itself, which keeps the identity from being used again.
        self._named: dict[int, tuple[str, object]] = {}
        self._made: dict[int, object] = {}
        self._costs: dict[int, tuple[int, object]] = {}
        self._rules: dict[int, Rule] = {}
        self._contents = Contents()
        self._subject: object = None  # of the check that is being made

    def run(self) -> Any:  # noqa: ANN401 - any object may come out of a pickle
        """Return the object that the opcodes leave behind. Raise UnsafePickle or RuntimeMismatch."""
        name = ""
        try:
            for name, position in self.reader:
                self.position = position
                _STEPS[name](self)
        except (UnsafePickle, RuntimeMismatch):
            raise
        except Refused as refused:
            raise self._misused(refused) from None
        except Exception as error:  # an object's own code may raise anything
            raise UnsafePickle(
                f"the pickle cannot be loaded: {name} at byte {self.position} failed with "
                f"{type(error).__name__}: {error}; it was altered, or made by other versions of its libraries"
            ) from error
        if len(self.reader.stack) != 1 or self._marks:
            raise UnsafePickle(
                f"the pickle leaves {len(self.reader.stack)} objects behind at byte {self.position}, expected 1"
            )
        return self.reader.stack.pop()

    @property
    def names(self) -> frozenset[str]:
        """The `module.name` of everything that was found so far."""
        return frozenset(name for name, _ in self._named.values())

    def find(self, module: object, name: object) -> Any:  # noqa: ANN401 - any class or function
        """Return the class or function of an allowed name."""
        full = qualified(module, name, self.position)
        check_name(full, self._allowed, self.position)
        try:
            found = getattr(import_module(str(module)), str(name))
        except (ImportError, AttributeError) as error:
            raise RuntimeMismatch(
                f"the pickle asks for {full}, which is not installed here: {error}; a package that the model needs is "
                "missing or has another version"
            ) from error
        reason = objection(full, found, self._allowed)
        if reason:
            raise UnsafePickle(f"{full}, which the pickle asks for at byte {self.position}, {reason}")
        return self.remember(full, found)

    def remember(self, name: str, found: Named) -> Named:
        """Let the pickle call what it found under a name."""
        self._named[id(found)] = (name, found)
        self._rules[id(found)] = call_rule(name, found, self._contents)
        return found

    def pop(self, count: int) -> list[Any]:
        """Remove the topmost `count` objects from the stack and return them."""
        stack = self.reader.stack
        if len(stack) < count:
            raise IndexError("too few objects on the stack")
        items = stack[-count:]
        del stack[-count:]
        return items

    def pop_mark(self) -> list[Any]:
        """Remove the last mark and all objects above it, and return these."""
        items, self.reader.stack = self.reader.stack, self._marks.pop()
        return items

    def drop(self) -> None:
        """POP: remove the topmost object, or the last mark where that is topmost."""
        self.pop(1) if self.reader.stack else self.pop_mark()

    def drop_mark(self) -> None:
        """POP_MARK: remove the last mark and what is above it."""
        self.pop_mark()

    def mark(self) -> None:
        """MARK: begin a new stack."""
        self._marks.append(self.reader.stack)
        self.reader.mark()

    def push_tuple(self, items: list[Any]) -> None:
        """Push a tuple of the items, unless hashing or comparing it would take for ever."""
        made = tuple(items)
        if tuple in map(type, items):
            cost = 1 + 2 * sum(map(self._cost, items))
            if cost > _MOST_IN_TUPLE:
                raise UnsafePickle(f"the tuples at byte {self.position} are nested too deep; no model has such")
            self._costs[id(made)] = (cost, made)
        self.reader.stack.append(made)

    def push_frozenset(self, items: list[Any]) -> None:
        """FROZENSET: push one with the items."""
        self.reader.stack.append(frozenset(self.check_keys(items)))

    def push_name(self) -> None:
        """STACK_GLOBAL: push the class or function that has the module and the name on the stack."""
        self.reader.stack.append(self.find(*self.pop(2)))

    def extend(self, items: list[Any]) -> None:
        """APPEND, APPENDS: add to the list on top of the stack."""
        target = self.reader.stack[-1]
        if not isinstance(target, list):
            raise UnsafePickle(f"items are added to {_kind(target)} at byte {self.position}, expected a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        """SETITEM, SETITEMS: set keys and values, which alternate, in the dictionary on top of the stack."""
        target = self.reader.stack[-1]
        if not isinstance(target, dict):
            raise UnsafePickle(f"items are set in {_kind(target)} at byte {self.position}, expected a dictionary")
        pairs = zip(self.check_keys(items[::2]), items[1::2], strict=True)
        if type(target) is dict:
            target.update(pairs)
            return
        for key, value in pairs:
            target[key] = value
        self._check_made(target)

    def add_items(self, items: list[Any]) -> None:
        """ADDITEMS: add to the set on top of the stack."""
        target = self.reader.stack[-1]
        if not isinstance(target, set):
            raise UnsafePickle(f"items are added to {_kind(target)} at byte {self.position}, expected a set")
        target.update(self.check_keys(items))

    def check_keys(self, keys: list[Any]) -> list[Any]:
        """Return the keys of a dictionary, or the items of a set, if hashing them is quick."""
        if tuple in map(type, keys) and any(type(key) is tuple and self._cost(key) > _MOST_IN_KEY for key in keys):
            raise UnsafePickle(f"a key at byte {self.position} is nested too deep; no model has such")
        return keys

    def call(self) -> None:
        """REDUCE: call what a name stands for."""
        stack = self.reader.stack
        arguments, function = stack.pop(), stack.pop()
        rule = self._rules.get(id(function))
        if rule is None:
            raise self._unnamed(function)
        self._subject = function
        rule(arguments)
        self._push_made(function(*arguments))

    def create(self, *, keywords: bool) -> None:
        """NEWOBJ, NEWOBJ_EX: make an object of a class without its constructor."""
        options = self.pop(1)[0] if keywords else {}
        created, arguments = self.pop(2)
        name, _ = self._named.get(id(created), ("", None))
        if not name:
            raise self._unnamed(created)
        self._subject = created
        check_creation(name, created, (*arguments, *options))
        self._push_made(created.__new__(created, *arguments, **options))

    def build(self) -> None:
        """BUILD: set the state of an object that was just made."""
        state = self.reader.stack.pop()
        instance = self.reader.stack[-1]
        if self._made.pop(id(instance), None) is not instance:
            raise UnsafePickle(
                f"the pickle changes {_kind(instance)} at byte {self.position}, expected an object that it just made"
            )
        self.set_state(instance, state)

    def set_state(self, instance: Any, state: Any) -> None:  # noqa: ANN401 - any object and its state
        """Give an object its state, through its class's own method if that has one."""
        self._subject = instance
        state = sound_state(instance, state, self._contents)
        method = getattr(type(instance), "__setstate__", None)
        if method is not None:
            method(instance, state)
            self._check_made(instance)
            return
        fields, slots = state if type(state) is tuple and len(state) == 2 else (state, None)
        for attributes in (fields or {}, slots or {}):
            if type(attributes) is not dict or any(not isinstance(name, str) for name in attributes):
                raise UnsafePickle(f"{_kind(instance)} gets strange attributes at byte {self.position}, expected names")
        if fields:
            instance.__dict__.update({sys.intern(name): value for name, value in fields.items()})
        for name, value in (slots or {}).items():
            setattr(instance, name, value)

    def _push_made(self, made: object) -> None:
        if id(made) not in self._named:
            self._made[id(made)] = made
            self._check_made(made)
        self.reader.stack.append(made)

    def _check_made(self, instance: object) -> None:
        self._subject = instance
        check_attributes(instance)

    def _cost(self, item: object) -> int:
        if type(item) is not tuple:
            return 1
        known = self._costs.get(id(item))
        return known[0] if known else 1 + len(item)

    def _unnamed(self, called: object) -> UnsafePickle:
        return UnsafePickle(f"the pickle calls {_kind(called)} at byte {self.position}, expected an allowed name")

    def _misused(self, refused: Refused) -> UnsafePickle:
        name, _ = self._named.get(id(self._subject), (f"a state of {_kind(self._subject)}", None))
        return UnsafePickle(
            f"the pickle uses {name} at byte {self.position} in a way that no model does: {refused}; save the "
            "model again with the libraries that trained it"
        )


_STEPS: Final[dict[str, Callable[[PickleMachine], None]]] = {
    "MARK": PickleMachine.mark,
    "TUPLE": lambda machine: machine.push_tuple(machine.pop_mark()),
    "TUPLE1": lambda machine: machine.push_tuple(machine.pop(1)),
    "TUPLE2": lambda machine: machine.push_tuple(machine.pop(2)),
    "TUPLE3": lambda machine: machine.push_tuple(machine.pop(3)),
    "FROZENSET": lambda machine: machine.push_frozenset(machine.pop_mark()),
    "POP": PickleMachine.drop,
    "POP_MARK": PickleMachine.drop_mark,
    "APPEND": lambda machine: machine.extend(machine.pop(1)),
    "APPENDS": lambda machine: machine.extend(machine.pop_mark()),
    "SETITEM": lambda machine: machine.set_items(machine.pop(2)),
    "SETITEMS": lambda machine: machine.set_items(machine.pop_mark()),
    "ADDITEMS": lambda machine: machine.add_items(machine.pop_mark()),
    "STACK_GLOBAL": PickleMachine.push_name,
    "REDUCE": PickleMachine.call,
    "NEWOBJ": lambda machine: machine.create(keywords=False),
    "NEWOBJ_EX": lambda machine: machine.create(keywords=True),
    "BUILD": PickleMachine.build,
}


def _kind(value: object) -> str:
    name = getattr(value, "__qualname__", "") if isinstance(value, type) or callable(value) else ""
    return f"{getattr(value, '__module__', '')}.{name}" if name else f"an object of type {type(value).__name__}"
