"""Lambda's execution environment: what it gives a function, and how an initialization in it begins and ends.

https://docs.aws.amazon.com/lambda/latest/dg/configuration-memory.html: memory is configured, processors come in
proportion to it.
"""

from __future__ import annotations

import gc
import os
from collections.abc import Mapping
from functools import partial
from pathlib import Path

import emf
from pilotlight.boot import Platform
from pilotlight.frozen import TYPE_CHECKING
from pilotlight.start.loading import Loader
from pilotlight.start.machine import Machine, here, visible_processors
from s3_store import S3Store

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pilotlight.boot import WaitUntil
    from pilotlight.features.plan import FeaturePlan
    from pilotlight.features.store import FeatureStore
    from pilotlight.service import Service

_VARIABLE = "AWS_LAMBDA_FUNCTION_MEMORY_SIZE"

# MB for a whole processor. With less, a function sees two processors and gets a share of one.
_MB_PER_PROCESSOR = 1769


def platform(folder: Path, started: float, environ: Mapping[str, str], *, scores_records: bool = False) -> Platform:
    """Return what the core needs to start a function in `folder` that began at `started`, by time.monotonic().

    Lambda's init phase ends after 10 s on demand; with provisioned concurrency or SnapStart it may take minutes.
    """
    on_demand = _initialization_type(environ) == "on-demand"
    if _processes(environ) > 1:
        import managed_instances  # noqa: PLC0415 - no other environment has several processes

        managed_instances.begin_init()
    return Platform(
        folder=folder,
        stores={"s3": S3Store},
        reporter=emf.reporter,
        deadline=9.0 if on_demand else 120.0,
        started=started,
        machine=partial(machine, environ),
        primes=not on_demand,
        scores_records=scores_records,
        feature_stores={"dynamodb": _dynamodb},
        lasts=partial(_let_last, environ),
    )


def _dynamodb(url: str, plan: FeaturePlan) -> FeatureStore:
    from dynamodb_features import DynamoDBFeatures  # noqa: PLC0415 - few functions look features up

    return DynamoDBFeatures(url, plan)


def _let_last(environ: Mapping[str, str], service: Service, works: Sequence[WaitUntil]) -> None:
    import after_answer  # noqa: PLC0415 - few functions work after an answer

    after_answer.start(service, works, environ)


def machine(environ: Mapping[str, str]) -> Machine:
    """Return the machine that Lambda's own variables describe; without them, the one that the kernel describes.

    On Managed Instances the ratio of memory to processors is a setting: the kernel tells how many there are.
    """
    size, processes = environ.get(_VARIABLE, ""), _processes(environ)
    if not size.isdecimal():
        return here()
    processors = min(int(size) // _MB_PER_PROCESSOR, visible_processors())
    if _initialization_type(environ) == "lambda-managed-instances":
        processors = here().processors // processes
    memory = int(size) << 20
    return Machine(max(1, processors), memory, max(0, memory - _own_memory()), processes=processes)


def finish_init(loader: Loader, environ: Mapping[str, str]) -> None:
    """Enable garbage collection again, without what exists by now.

    Before a snapshot `snapstart` freezes the objects, because it has to collect first.
    """
    if _initialization_type(environ) == "snap-start":
        import snapstart  # noqa: PLC0415 - no other initialization type needs it

        snapstart.register(loader)
    else:
        gc.freeze()
    gc.enable()
    if _processes(environ) > 1:
        import managed_instances  # noqa: PLC0415 - no other environment has several processes

        managed_instances.end_init(loader)


def _processes(environ: Mapping[str, str]) -> int:
    """Return how many processes of the runtime are in this environment: several on Managed Instances alone."""
    return int(environ.get("AWS_LAMBDA_MAX_CONCURRENCY", 1))


def _initialization_type(environ: Mapping[str, str]) -> str:
    return environ.get("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")


def _own_memory() -> int:
    """Return the bytes that this process holds, without file mappings, which the kernel can drop."""
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123 - a Path object is not needed
        _, resident, shared, *_ = map(int, file.read().split())
    return (resident - shared) * os.sysconf("SC_PAGE_SIZE")
