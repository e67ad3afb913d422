"""Frozen dataclasses that cost a cold start next to nothing.

`dataclasses` imports `inspect`, and writes and compiles six methods for each class: together a sixth of a cold start.
`dataclass` here makes an equivalent class of the same lines, and compiles one method for all classes with as many
fields. To a type checker it is the real one, and `dataclasses.replace`, `fields` and `asdict` accept its instances.
A `derived` property is computed at its first use and kept.

It does not support `field`, `__post_init__`, bases, or other arguments than `frozen` and `slots`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

TYPE_CHECKING = False  # as in `typing`, without importing it

if TYPE_CHECKING:
    from dataclasses import dataclass, replace
    from typing import Any

    derived = property

__all__ = ["EMPTY", "dataclass", "derived", "replace"]

# The default of a field that is a mapping.
EMPTY: Mapping[str, Any] = {}

# `__init__` by the number of fields.
_TEMPLATES: dict[int, Any] = {}


def _frozen(cls: type) -> type:
    """Return the class with slots for its annotated fields and with the methods of a frozen dataclass."""
    names = tuple(cls.__annotations__)
    own = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
    defaults = {name: own.pop(name) for name in names if name in own}
    if cls.__base__ is not object or "__post_init__" in own or any(map(_is_field, defaults.values())):
        raise TypeError(
            f"{cls.__qualname__}: `field`, `__post_init__` and bases are not supported; see pilotlight.frozen"
        )
    makers = {name: own.pop(name).make for name in tuple(own) if isinstance(own[name], _Derived)}
    methods = {"__repr__": _repr, "__eq__": _eq, "__hash__": _hash}
    frozen = {"__setattr__": _refuse, "__delattr__": _refuse, "__reduce__": _reduce}
    names_of = {"__qualname__": cls.__qualname__, "__slots__": (*names, *makers), "__match_args__": names}
    made = type(cls.__name__, (), methods | own | frozen | names_of | {"__dataclass_fields__": _Fields(defaults)})
    if makers:
        made.__getattr__ = _deriver(made, makers)  # type: ignore[attr-defined]
    made.__init__ = _initialiser(made, names, defaults)  # type: ignore[misc]
    return made


def _is_field(default: object) -> bool:
    return hasattr(default, "default_factory")


class _Derived:
    """Marks a method whose result is kept in a slot of its own."""

    def __init__(self, make: Callable[[Any], object]) -> None:
        self.make = make


def _deriver(cls: type, makers: Mapping[str, Callable[[Any], object]]) -> Callable[[Any, str], object]:
    """Return `__getattr__`, which Python calls for a slot that is still empty."""
    setters = {name: vars(cls)[name].__set__ for name in makers}

    def derive(self: object, name: str) -> object:
        if name not in makers:
            raise AttributeError(f"{cls.__qualname__} has no attribute {name!r}")
        value = makers[name](self)
        setters[name](self, value)
        return value

    return derive


def _initialiser(cls: type, names: tuple[str, ...], defaults: Mapping[str, object]) -> Callable[..., None]:
    """Return `__init__`: it has to be fast, for each tensor of each request, and to report a wrong call.

    Classes with the same number of fields share its code but for the names, since compiling is what takes time.
    """
    if tuple(defaults) != names[len(names) - len(defaults) :]:
        raise TypeError(f"{cls.__qualname__}: a field without a default follows one with a default")
    template = _TEMPLATES.get(len(names))
    if template is None:
        template = _TEMPLATES[len(names)] = _compile(len(names))
    code = template.__code__.replace(co_varnames=("self", *names), co_qualname=f"{cls.__qualname__}.__init__")
    setters = {f"set_{index}": vars(cls)[name].__set__ for index, name in enumerate(names)}
    made: Callable[..., None] = type(template)(code, setters, "__init__", tuple(defaults.values()))
    return made


def _compile(count: int) -> Any:  # noqa: ANN401 - a function, whose code is what counts
    """Compile `__init__` for `count` fields; it finds their descriptors among its globals."""
    parameters = "".join(f", field_{index}" for index in range(count))
    body = "; ".join(f"set_{index}(self, field_{index})" for index in range(count))
    namespace: dict[str, Any] = {}
    exec(f"def __init__(self{parameters}): {body or 'pass'}", namespace)  # noqa: S102 - of numbers alone
    return namespace["__init__"]


def _values(self: object) -> tuple[object, ...]:
    names: tuple[str, ...] = type(self).__match_args__  # type: ignore[attr-defined]
    return tuple(getattr(self, name) for name in names)


def _repr(self: object) -> str:
    names: tuple[str, ...] = type(self).__match_args__  # type: ignore[attr-defined]
    pairs = zip(names, _values(self), strict=True)
    return f"{type(self).__qualname__}({', '.join(f'{name}={value!r}' for name, value in pairs)})"


def _eq(self: object, other: object) -> bool:
    return _values(self) == _values(other) if type(other) is type(self) else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))


def _refuse(self: object, name: str, *_value: object) -> None:
    raise AttributeError(f"{type(self).__qualname__} is frozen: its {name!r} can neither be set nor deleted")


def _reduce(self: object) -> tuple[type, tuple[object, ...]]:
    """Support `copy` and `pickle`, which would set the fields one by one."""
    return type(self), _values(self)


class _Fields:
    """The fields of a class for `dataclasses`, which makes them at the first access; the class then keeps them."""

    def __init__(self, defaults: Mapping[str, object]) -> None:
        self._defaults = defaults

    def __get__(self, _instance: object, owner: type) -> Mapping[str, object]:
        import dataclasses  # noqa: PLC0415 - the point of this module

        fields = [(name, kind, *self._default(name)) for name, kind in owner.__annotations__.items()]
        made: Any = dataclasses.make_dataclass(owner.__name__, fields)
        result: Mapping[str, object] = made.__dataclass_fields__
        owner.__dataclass_fields__ = result  # type: ignore[attr-defined]
        return result

    def _default(self, name: str) -> tuple[Any, ...]:
        import dataclasses  # noqa: PLC0415

        if name not in self._defaults:
            return ()
        default = self._defaults[name]
        return (dataclasses.field(default_factory=lambda: default),)


if not TYPE_CHECKING:
    # A property that is computed at its first use and kept: what every request asks for, and only the fields decide.
    derived = _Derived

    def dataclass(*, frozen: bool, slots: bool) -> Callable[[type], type]:
        """Do what `dataclasses.dataclass(frozen=True, slots=True)` does."""
        if not (frozen and slots):
            raise TypeError("expected dataclass(frozen=True, slots=True); see pilotlight.frozen")
        return _frozen

    def replace(item: Any, **changes: Any) -> Any:  # noqa: ANN401 - the checker sees the real one's types
        """Do what `dataclasses.replace` does."""
        return type(item)(**{name: getattr(item, name) for name in type(item).__match_args__} | changes)
