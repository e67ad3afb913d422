"""What the lookup asks of a store of features, and how a URL becomes one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol, TypeAlias

from pilotlight.errors import FormatError
from pilotlight.features.plan import FILE, FeaturePlan, Key, expanded
from pilotlight.features.values import Stored

MAX_CONNECT = 5.0  # seconds; a request waits for its budget alone, and the next one finds the connection


class FeatureStore(Protocol):
    """A store of features. Threads may call it at the same time."""

    def read(self, keys: Sequence[Key], deadline: float) -> list[Stored]:
        """Return the rows under the keys, by a deadline on the monotonic clock.

        Raise StoreError, and OSError: TimeoutError if the deadline has passed.
        """
        ...

    def connect(self) -> None:
        """Begin to connect, so that the first request finds a connection. Never raise."""
        ...

    def close(self) -> None:
        """Close all connections."""
        ...


OpenFeatures: TypeAlias = "Callable[[str, FeaturePlan], FeatureStore]"
"""Returns the store at a URL. Raises SettingsError for a URL or an environment that it has no use for."""


def open_features(plan: FeaturePlan, stores: Mapping[str, OpenFeatures], environ: Mapping[str, str]) -> FeatureStore:
    """Return the store of a plan; `stores` opens those of the platform by their scheme.

    `${NAME}` in the URL is an environment variable. Raise FormatError for a store that this platform does not reach,
    and SettingsError for a variable that is not set.
    """
    scheme = plan.url.partition("://")[0]
    if scheme in ("redis", "rediss"):
        from pilotlight.features.redis_store import RedisStore  # noqa: PLC0415 - one of several

        return RedisStore(expanded(plan.url, environ), plan)
    if scheme not in stores:
        known = " or ".join(f"{name}://" for name in ("redis", "rediss", *stores))
        raise FormatError(f"this platform does not reach {scheme}://, expected {known}", "$.store", FILE)
    return stores[scheme](expanded(plan.url, environ), plan)
