"""What the processes of containers share: the stores of both clouds, the log, signals, and the end of a failure."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import cloud_logging
from pilotlight.boot import Platform
from pilotlight.errors import PilotlightError
from pilotlight.fetch import ObjectStore
from pilotlight.start.machine import here
from pilotlight.telemetry import Report

if TYPE_CHECKING:
    from pilotlight.features.plan import FeaturePlan
    from pilotlight.features.store import FeatureStore

SIGNALS = (signal.SIGTERM, signal.SIGINT)


def platform(
    started: float,
    reporter: Callable[[str, str], Report] = cloud_logging.reporter,
    *,
    forks: bool = False,
    device: str = "",
) -> Platform:
    """Describe this container. `started` is when its process began, on the monotonic clock; see Platform."""
    return Platform(
        folder=Path(__file__).parent,
        stores={"s3": _s3_store, "gs": _gcs_store},
        reporter=reporter,
        deadline=60.0,
        started=started,
        forks=forks,
        machine=here,
        feature_stores={"dynamodb": _dynamodb, "firestore": _firestore},
        device=device,
    )


def end_at_once() -> None:
    """Let signals end this process until it has something to finish: a container's first process ignores them."""
    for number in SIGNALS:
        signal.signal(number, lambda number, _: os._exit(128 + number))


def fail(error: PilotlightError) -> NoReturn:
    """Say in the log why this process cannot go on, and end it."""
    cloud_logging.fail(f"{type(error).__name__}: {error}")
    sys.exit(1)


def _s3_store(url: str) -> ObjectStore:
    from s3_store import S3Store  # noqa: PLC0415 - one of two stores is used

    return S3Store(url, warn=cloud_logging.warn)


def _dynamodb(url: str, plan: FeaturePlan) -> FeatureStore:
    from dynamodb_features import DynamoDBFeatures  # noqa: PLC0415

    return DynamoDBFeatures(url, plan)


def _firestore(url: str, plan: FeaturePlan) -> FeatureStore:
    from firestore_features import FirestoreFeatures  # noqa: PLC0415

    return FirestoreFeatures(url, plan)


def _gcs_store(url: str) -> ObjectStore:
    from gcs_store import GcsStore  # noqa: PLC0415

    return GcsStore(url)
