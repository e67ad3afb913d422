"""A pickle machine that imports what an allow-list names, calls nothing else, and changes only what it made itself."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterable, Iterator
from importlib import import_module
from typing import Any, Final, TypeVar

from pilotlight.errors import RuntimeMismatch, UnsafePickle
from pilotlight.pickles.attributes import Refused, check_attributes
from pilotlight.pickles.forbidden import forbidden, objection
from pilotlight.pickles.opcodes import CONSTANTS, GETS, PUTS, Opcode, pair, qualified
from pilotlight.pickles.rules import Contents, check_call, check_creation, sound_state

Result = TypeVar("Result")

# Hashing or comparing a tuple of tuples that stand in it twice takes twice the time for each level. A tuple costs its
# items, those that are tuples double: 23 levels is the most. A key may cost less, as there may be many.
_MOST_IN_TUPLE: Final = 10_000_000
_MOST_IN_KEY: Final = 1_000


def check_name(name: str, allowed: Collection[str], position: int) -> None:
    """Refuse a name that no list may hold, or that this one does not."""
    if name.startswith("__main__."):
        raise UnsafePickle(
            f"the pickle asks for {name} at byte {position}: it was made in the script that trained the model, "
            "which is not in the package; use a class or function of an installed package"
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
    """Runs the opcodes of one pickle."""

    def __init__(self, allowed: Collection[str]) -> None:
        self.stack: list[Any] = []
        self.position = 0
        self._allowed = allowed
        self._marks: list[list[Any]] = []
        self._memo: dict[object, Any] = {}
        # By identity, each with the object itself, which keeps the identity from being used again.
        self._found: dict[int, tuple[str, object]] = {}
        self._made: dict[int, object] = {}
        self._costs: dict[int, tuple[int, object]] = {}
        self._contents = Contents()

    def run(self, program: Iterable[Opcode]) -> Any:  # noqa: ANN401 - any object may come out of a pickle
        """The object that the opcodes leave behind. Raises UnsafePickle or RuntimeMismatch."""
        name = ""
        try:
            for name, argument, self.position in program:
                self._step(name, argument)
        except (UnsafePickle, RuntimeMismatch):
            raise
        except Exception as error:  # an object's own code may raise anything
            raise UnsafePickle(
                f"the pickle cannot be loaded: {name} at byte {self.position} failed with "
                f"{type(error).__name__}: {error}; it was altered, or made by other versions of its libraries"
            ) from error
        if len(self.stack) != 1 or self._marks:
            raise UnsafePickle(
                f"the pickle leaves {len(self.stack)} objects behind at byte {self.position}, expected 1"
            )
        return self.stack.pop()

    @property
    def names(self) -> frozenset[str]:
        """The `module.name` of everything that was found so far."""
        return frozenset(name for name, _ in self._found.values())

    def find(self, module: object, name: object) -> Any:  # noqa: ANN401 - any class or function
        """What an allowed name stands for."""
        full = qualified(module, name, self.position)
        check_name(full, self._allowed, self.position)
        try:
            found = getattr(import_module(str(module)), str(name))
        except (ImportError, AttributeError) as error:
            raise RuntimeMismatch(
                f"the pickle asks for {full}, which is not installed here: {error}; a package that the model needs is "
                "missing or has another version"
            ) from error
        _check_found(full, found, self._allowed, self.position)
        return self.remember(full, found)

    def remember(self, name: str, found: Result) -> Result:
        """Let the pickle call what it found under a name."""
        self._found[id(found)] = (name, found)
        return found

    def _step(self, name: str, argument: Any) -> None:  # noqa: ANN401 - as the opcode has it
        if name in CONSTANTS:
            self.stack.append(argument)
        elif name in GETS:
            self.stack.append(self._memo[argument])
        elif name in PUTS:
            self._memo[len(self._memo) if argument is None else argument] = self.stack[-1]
        elif name == "GLOBAL":
            self.stack.append(self.find(*pair(argument)))
        elif name not in ("PROTO", "FRAME", "STOP"):
            _STEPS[name](self)

    def pop(self, count: int) -> list[Any]:
        """The topmost `count` objects, which leave the stack."""
        if len(self.stack) < count:
            raise IndexError("there is too little on the stack")
        items = self.stack[-count:]
        del self.stack[-count:]
        return items

    def pop_mark(self) -> list[Any]:
        """All objects above the last mark, which leave the stack with it."""
        items, self.stack = self.stack, self._marks.pop()
        return items

    def drop(self) -> None:
        """POP: the topmost object, or the last mark where that is topmost."""
        self.pop(1) if self.stack else self.pop_mark()

    def drop_mark(self) -> None:
        """POP_MARK."""
        self.pop_mark()

    def mark(self) -> None:
        """MARK."""
        self._marks.append(self.stack)
        self.stack = []

    def push_tuple(self, items: list[Any]) -> None:
        """Put a tuple of the items on the stack, unless handling it would take for ever."""
        made = tuple(items)
        if any(type(item) is tuple for item in items):
            cost = 1 + sum(2 * self._cost(item) for item in items)
            if cost > _MOST_IN_TUPLE:
                raise UnsafePickle(f"the tuples at byte {self.position} are nested too deep; no model has such")
            self._costs[id(made)] = (cost, made)
        self.stack.append(made)

    def push_frozenset(self, items: list[Any]) -> None:
        """FROZENSET: put one with the items on the stack."""
        self.stack.append(frozenset(self.keys(items)))

    def _cost(self, item: object) -> int:
        if type(item) is not tuple:
            return 1
        known = self._costs.get(id(item))
        return known[0] if known else 1 + len(item)

    def extend(self, items: list[Any]) -> None:
        """APPEND, APPENDS: add to the list on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, list):
            raise UnsafePickle(f"items are added to {_kind(target)} at byte {self.position}, expected a list")
        target.extend(items)

    def set_items(self, items: list[Any]) -> None:
        """SETITEM, SETITEMS: keys and values, by turns, for the dictionary on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, dict):
            raise UnsafePickle(f"items are set in {_kind(target)} at byte {self.position}, expected a dictionary")
        keys = self.keys(items[::2])
        for key, value in zip(keys, items[1::2], strict=True):
            target[key] = value
        self._check_attributes(target)

    def add_items(self, items: list[Any]) -> None:
        """ADDITEMS: for the set on top of the stack."""
        target = self.stack[-1]
        if not isinstance(target, set):
            raise UnsafePickle(f"items are added to {_kind(target)} at byte {self.position}, expected a set")
        target.update(self.keys(items))

    def keys(self, keys: list[Any]) -> Iterator[Any]:
        """The keys of a dictionary or the items of a set, once hashing them is known to be quick."""
        for key in keys:
            if type(key) is tuple and self._cost(key) > _MOST_IN_KEY:
                raise UnsafePickle(f"a key at byte {self.position} is nested too deep; no model has such")
            yield key

    def call(self) -> None:
        """REDUCE: call what a name stands for."""
        function, arguments = self.pop(2)
        name = self._name(function)
        self._kept(function, lambda: check_call(name, function, arguments, self._contents))
        self._push_made(function(*arguments))

    def create(self, *, keywords: bool) -> None:
        """NEWOBJ, NEWOBJ_EX: make an object of a class without its constructor."""
        options = self.pop(1)[0] if keywords else {}
        created, arguments = self.pop(2)
        self._kept(created, lambda: check_creation(self._name(created), created, (*arguments, *options)))
        self._push_made(created.__new__(created, *arguments, **options))

    def build(self) -> None:
        """BUILD: set the state of an object that was just made."""
        instance, state = self.pop(2)
        self.stack.append(instance)
        if self._made.pop(id(instance), None) is not instance:
            raise UnsafePickle(
                f"the pickle changes {_kind(instance)} at byte {self.position}, expected an object that it just made"
            )
        self.set_state(instance, state)

    def set_state(self, instance: Any, state: Any) -> None:  # noqa: ANN401 - any object and its state
        """Give an object its state, through its class's own method if that has one."""
        state = self._kept(instance, lambda: sound_state(instance, state, self._contents))
        method = getattr(type(instance), "__setstate__", None)
        if method is not None:
            method(instance, state)
            self._check_attributes(instance)
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
        if id(made) not in self._found:
            self._made[id(made)] = made
            self._check_attributes(made)
        self.stack.append(made)

    def _check_attributes(self, instance: object) -> None:
        self._kept(instance, lambda: check_attributes(instance))

    def _name(self, found: object) -> str:
        name, _ = self._found.get(id(found), ("", None))
        if not name:
            raise UnsafePickle(f"the pickle calls {_kind(found)} at byte {self.position}, expected an allowed name")
        return name

    def _kept(self, about: object, check: Callable[[], Result]) -> Result:
        try:
            return check()
        except Refused as refused:
            name, _ = self._found.get(id(about), (f"a state of {_kind(about)}", None))
            raise UnsafePickle(
                f"the pickle uses {name} at byte {self.position} as no model does: {refused}; save the model again "
                "with the libraries that trained it"
            ) from None


_STEPS: Final[dict[str, Callable[[PickleMachine], None]]] = {
    "NONE": lambda machine: machine.stack.append(None),
    "NEWTRUE": lambda machine: machine.stack.append(True),
    "NEWFALSE": lambda machine: machine.stack.append(False),
    "EMPTY_LIST": lambda machine: machine.stack.append([]),
    "EMPTY_DICT": lambda machine: machine.stack.append({}),
    "EMPTY_SET": lambda machine: machine.stack.append(set()),
    "EMPTY_TUPLE": lambda machine: machine.stack.append(()),
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
    "STACK_GLOBAL": lambda machine: machine.stack.append(machine.find(*machine.pop(2))),
    "REDUCE": PickleMachine.call,
    "NEWOBJ": lambda machine: machine.create(keywords=False),
    "NEWOBJ_EX": lambda machine: machine.create(keywords=True),
    "BUILD": PickleMachine.build,
}


def _check_found(name: str, found: object, allowed: Collection[str], position: int) -> None:
    """Refuse what an allowed name turns out to be when no name may grant that."""
    why = objection(name, found, allowed)
    if why:
        raise UnsafePickle(f"{name}, which the pickle asks for at byte {position}, {why}")


def _kind(value: object) -> str:
    name = getattr(value, "__qualname__", "") if isinstance(value, type) or callable(value) else ""
    return f"{getattr(value, '__module__', '')}.{name}" if name else f"an object of type {type(value).__name__}"
