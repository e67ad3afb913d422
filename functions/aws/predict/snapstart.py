"""What a snapshot of this function must hold, and what each copy that is restored from it makes anew.

Lambda's runtime calls these around SnapStart's snapshot:
https://docs.aws.amazon.com/lambda/latest/dg/snapstart-runtime-hooks-python.html

Connections and threads need no call: the store ends them with each fetch.
"""

from __future__ import annotations

import gc
import random
import sys

from pilotlight.start.loading import Loader


def register(loader: Loader) -> None:
    """Have the runtime call both. The library is a part of the runtime, under SnapStart and elsewhere."""
    from snapshot_restore_py import register_after_restore, register_before_snapshot  # noqa: PLC0415

    register_before_snapshot(before_snapshot, loader)
    register_after_restore(after_restore)


def before_snapshot(loader: Loader) -> None:
    """Refuse a snapshot without the model, so that publishing the version fails, and not its requests.

    Where the fetch went through boto3, its client and its credentials refer to each other: they would stay until a
    collection comes along.
    """
    if loader.state != "ready":
        raise RuntimeError(f"the model is not ready for a snapshot: its state is {loader.state!r}; the log says why")
    gc.collect()
    gc.freeze()


def after_restore() -> None:
    """Give this copy random numbers of its own. A random operator inside an ONNX graph keeps its session's."""
    random.seed()
    numpy_random = sys.modules.get("numpy.random")
    if numpy_random is not None:
        numpy_random.seed()
