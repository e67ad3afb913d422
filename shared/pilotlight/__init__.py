"""The inference core that both clouds ship. It knows no provider, imports no SDK and no web framework."""

__version__ = "0.1.0"

TYPE_CHECKING = False  # for type checkers it is true
if TYPE_CHECKING:
    from pilotlight.library import load as load


def __getattr__(name: str) -> object:
    """Import `load` when it is used, by its name, so that a function's package does not have it."""
    if name != "load":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - a function does not need it

    return import_module("pilotlight.library").load
