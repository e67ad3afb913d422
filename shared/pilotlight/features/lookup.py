"""The lookup: instances that name an entity get the features that they lack, in one round trip for all of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

from pilotlight.errors import BadFeature, FeatureMissing, FeaturesUnavailable, InvalidRequest, RequestError, StoreError
from pilotlight.features.cache import Cache
from pilotlight.features.plan import Feature, FeaturePlan, Id, Key, load_plan
from pilotlight.features.store import FeatureStore, OpenFeatures, open_features
from pilotlight.features.values import Row, Stored, rows_of
from pilotlight.model.json_document import child, describe
from pilotlight.model.signature import Signature
from pilotlight.model.tensor import INT64

Place: TypeAlias = "Callable[[int], str]"
"""The path of the i-th instance."""

# Bytes of an id that is a text: below the limits of all stores.
_LONGEST_ID = 1024

# What the readiness check asks for; nothing has to be there.
_PROBE: Mapping[str, Id] = {"INT64": 0, "BYTES": "pilotlight-readiness"}


class FeatureLookup:
    """Looks features up by the plan. Threads may call it at the same time."""

    def __init__(
        self, plan: FeaturePlan, store: FeatureStore, *, clock: Callable[[], float], now: Callable[[], float]
    ) -> None:
        """`clock` is the monotonic clock of deadlines, `now` returns the seconds since 1970."""
        self._plan = plan
        self._store = store
        self._clock = clock
        self._now = now
        self._cache = Cache(plan.cache_entries, plan.cache_seconds, clock)
        self._features = {feature.name: feature for feature in plan.features}
        self._names = frozenset(self._features)
        self.connect = store.connect
        self.close = store.close

    def complete(self, instances: Any, place: Place, deadline: float) -> Any:  # noqa: ANN401 - JSON values
        """Return instances with all features that they lack and the store has, and without their ids.

        What is no list of objects stays as it is. `deadline` is on the clock; the budget may end before it. Raise the
        error of the first instance that has one: InvalidRequest, FeatureMissing, BadFeature, FeaturesUnavailable.
        """
        if not isinstance(instances, list):
            return instances
        completed = self.complete_each(instances, place, deadline)
        for each in completed:
            if isinstance(each, RequestError):
                raise each
        return completed

    def complete_each(self, instances: Sequence[object], place: Place, deadline: float) -> list[Any]:
        """Do what `complete` does, with the error of an instance in its place."""
        found: list[Any] = list(instances)
        keys: dict[int, Key] = {}
        for index, instance in enumerate(instances):
            if isinstance(instance, dict):
                try:
                    key = self._key_of(instance, place(index))
                except RequestError as error:
                    found[index] = error
                    continue
                if key is not None:
                    keys[index] = key
                found[index] = self._without_ids(instance)
        if keys:
            try:
                rows = self._rows(dict.fromkeys(keys.values()), deadline)
            except FeaturesUnavailable as error:
                return [error if index in keys else one for index, one in enumerate(found)]
            for index, key in keys.items():
                try:
                    found[index] = self._filled(found[index], rows[key], key, place(index))
                except RequestError as error:
                    found[index] = error
        return found

    def check(self, deadline: float) -> None:
        """Raise FeaturesUnavailable unless the store answers, by the deadline and within the budget."""
        ids = {name: _PROBE[datatype] for name, datatype in self._plan.entity.items()}
        self._read([self._key(ids)], self._end(deadline))

    def _key_of(self, instance: Mapping[str, Any], path: str) -> Key | None:
        """Return the key of an instance's row, None if it lacks no feature that is looked up. Raise InvalidRequest."""
        lacking = self._names - instance.keys()
        if not lacking:
            return None
        entity = self._plan.entity
        absent = next((name for name in entity if name not in instance), None)
        if absent is not None:
            feature = next(one.name for one in self._plan.features if one.name in lacking)
            ask = f"the feature {describe(feature)} is missing, and so is {describe(absent)} to look it up by"
            raise InvalidRequest(ask, path)
        for name, datatype in entity.items():
            _check_id(instance[name], datatype, child(path, name))
        return self._key({name: instance[name] for name in entity})

    def _key(self, ids: Mapping[str, Id]) -> Key:
        return tuple(part.value(ids) for part in self._plan.key)

    def _without_ids(self, instance: Mapping[str, object]) -> dict[str, object]:
        """Return an instance without the ids that are no features of the model."""
        dropped = self._plan.dropped
        return {name: value for name, value in instance.items() if name not in dropped}

    def _rows(self, keys: Mapping[Key, None], deadline: float) -> dict[Key, Row]:
        rows = self._cache.get(keys)
        wanted = [key for key in keys if key not in rows]
        if wanted:
            began = self._clock()
            stored = self._read(wanted, self._end(deadline))
            read = dict(zip(wanted, rows_of(self._plan, stored, self._now()), strict=True))
            self._cache.put(read, began)
            rows |= read
        return rows

    def _end(self, deadline: float) -> float:
        return min(deadline, self._clock() + self._plan.budget)

    def _read(self, keys: Sequence[Key], deadline: float) -> list[Stored]:
        try:
            return self._store.read(keys, deadline)
        except TimeoutError as error:
            budget = f"{self._plan.budget * 1000:g} ms"
            raise FeaturesUnavailable(f"the feature store did not answer within {budget}; try again") from error
        except (OSError, StoreError) as error:
            raise FeaturesUnavailable("the feature store cannot be read now; try again") from error

    def _filled(self, given: Mapping[str, object], row: Row, key: Key, path: str) -> dict[str, object]:
        """Return an instance with the features of its row; what it has itself takes precedence."""
        looked_up = {}
        for name, feature in self._features.items():
            if name in given:
                continue
            if name in row.faults:
                error = BadFeature(
                    f"the feature store has a value that {feature.datatype.name} does not take", child(path, name)
                )
                error.__cause__ = ValueError(f"column {feature.column}: {row.faults[name]}")
                raise error
            looked_up[name] = row.values[name] if name in row.values else self._default(feature, row, key, path)
        return {**given, **looked_up}

    def _default(self, feature: Feature, row: Row, key: Key, path: str) -> object:
        if feature.default is None:
            why = row.absence or f"no {describe(feature.column)} is stored"
            shown = ", ".join(map(describe, key))
            raise FeatureMissing(f"{why} under {shown}, and the feature has no default", child(path, feature.name))
        return feature.default


def open_lookup(
    path: Path, signature: Signature, stores: Mapping[str, OpenFeatures], environ: Mapping[str, str]
) -> FeatureLookup:
    """Return the lookup that `features.toml` describes. Raise FormatError, and SettingsError for the environment."""
    plan = load_plan(path, signature)
    return FeatureLookup(plan, open_features(plan, stores, environ), clock=time.monotonic, now=time.time)


def _check_id(value: object, datatype: str, path: str) -> None:
    """Raise InvalidRequest for an id of another type, or that no store takes."""
    if datatype == "INT64":
        if type(value) is not int or not INT64.low <= value <= INT64.high:
            raise InvalidRequest(f"expected an id as a whole number (INT64), found {describe(value)}", path)
        return
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"expected an id as a string that is not empty, found {describe(value)}", path)
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        raise InvalidRequest("expected an id without unpaired surrogates", path) from None
    if size > _LONGEST_ID:
        raise InvalidRequest(f"expected an id of up to {_LONGEST_ID} bytes, found {size}", path)
