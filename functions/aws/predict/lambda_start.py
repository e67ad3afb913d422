"""The last step of a start on Lambda."""

from __future__ import annotations

import gc

from pilotlight.start.loading import Loader


def settle(loader: Loader, start: str) -> None:
    """Turn collections on again; they pass over what is there by now. `start` is AWS_LAMBDA_INITIALIZATION_TYPE.

    Before a snapshot `snapstart` does this, which has to collect first.
    """
    if start == "snap-start":
        import snapstart  # noqa: PLC0415 - for this way of starting alone

        snapstart.register(loader)
    else:
        gc.freeze()
    gc.enable()
