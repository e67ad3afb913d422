"""SnapStart: what a snapshot of this function must contain, and what each copy restored from it renews.

Lambda's runtime calls these functions around a snapshot:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html

Connections and threads need no hook: the store closes them after each fetch.
"""

from __future__ import annotations

import gc
import random
import sys

from pilotlight.start.loading import Loader


def register(loader: Loader) -> None:
    """Register both hooks. The library is part of Lambda's runtime, with and without SnapStart."""
    from snapshot_restore_py import register_after_restore, register_before_snapshot  # noqa: PLC0415

    register_before_snapshot(before_snapshot, loader)
    register_after_restore(after_restore)


def before_snapshot(loader: Loader) -> None:
    """Raise RuntimeError without a loaded model, so that publishing the version fails instead of its requests.

    After a fetch through boto3, its client and its credentials refer to each other: without a collection they would be
    in the snapshot.
    """
    if loader.state != "ready":
        raise RuntimeError(
            f"no snapshot without the model: expected its state to be 'ready', found {loader.state!r}; see the log"
        )
    gc.collect()
    gc.freeze()


def after_restore() -> None:
    """Reseed this copy's random numbers. A random operator in an ONNX graph keeps its session's seed."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
