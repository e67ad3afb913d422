"""`pilotlight verify`: compares the function, as it would be deployed, with what the model's publisher saw."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pilotlight.codec.golden_requests import Comparison, GoldenRequest, compare_samples
from pilotlight.errors import FormatError, PilotlightError
from pilotlight.experiments.lock import FILE as EXPERIMENT
from pilotlight.features.plan import FILE as FEATURES
from pilotlight.features.plan import load_plan
from pilotlight.model.golden import Golden
from pilotlight.model.lock import GOLDEN, Description, Lock, load_lock
from pilotlight.shadow.lock import FILE as SHADOW
from pilotlight_cli.experimenting.beside import treatments_beside, versions_beside
from pilotlight_cli.experimenting.footprint import footprint
from pilotlight_cli.local.client import send
from pilotlight_cli.local.lambda_runtime import has_emulator
from pilotlight_cli.local.server import Server, serving
from pilotlight_cli.pinning.pin import REQUIREMENTS, check_requirements
from pilotlight_cli.registry.digests import read_file_entry
from pilotlight_cli.registry.golden_file import golden_of, stored_golden
from pilotlight_cli.registry.json_document import decode_text
from pilotlight_cli.signing import BUNDLE
from pilotlight_cli.signing.demanded import check_signer
from pilotlight_cli.stores import StoreUrlError, open_store

RUNTIME = "runtime"  # the check that says what was not run

_NOT_RUN = (
    "plain Python, since AWS's emulator does not run on {} {}: Lambda's own runtime, its image and its time limit were "
    "not run; 'pilotlight sam invoke' runs them in Docker"
)


@dataclass(frozen=True, slots=True)
class Check:
    """The result of one check."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True, slots=True)
class VerifyReport:
    """The results of the checks in their order. Those after a failed check may be missing."""

    cloud: str
    model_name: str
    model_version: int
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether all checks passed."""
        return all(check.ok for check in self.checks)


def verify(lock: Path, store: str, cloud: str | None = None) -> VerifyReport:
    """Check the lock's companions, then serve the model from the store and send it its golden samples.

    The default for the cloud is that of the store. Raise FormatError (the lock is malformed) or StoreUrlError.
    """
    pinned = load_lock(lock)
    cloud = cloud or cloud_of(store)
    return VerifyReport(cloud, pinned.model.name, pinned.model.version, tuple(_checks(pinned, lock, store, cloud)))


def cloud_of(store: str) -> str:
    """Return the cloud whose functions read a store. A folder works with both; AWS's own runtime needs Linux."""
    scheme = store.partition("://")[0]
    if scheme == "gs" or (scheme == "file" and sys.platform != "linux"):
        return "gcp"
    return "aws"


def usual_cloud(store: str, clouds: Sequence[str]) -> str:
    """Return the cloud whose functions read a store; if all do, one of a project's clouds."""
    cloud = cloud_of(store)
    return clouds[0] if store.startswith("file:") and cloud not in clouds else cloud


def _checks(pinned: Lock, lock: Path, store: str, cloud: str) -> Iterator[Check]:
    companions = [
        _requirements(pinned, lock.with_name(REQUIREMENTS)),
        _golden(pinned, lock.with_name(GOLDEN)),
        *_signer(pinned, lock),
        *_experiment(pinned, lock),
        *_features(pinned, lock),
    ]
    yield from companions
    if not all(check.ok for check in companions):
        return
    golden = golden_of(pinned.model.signature, lock.with_name(GOLDEN).read_bytes())
    stored = open_store(store)
    try:
        with serving(cloud, lock, store) as server:
            yield Check("model", ok=True, detail=_started(server, pinned.model))
            if cloud == "aws" and not has_emulator():
                yield Check(RUNTIME, ok=True, detail=_NOT_RUN.format(platform.system(), platform.machine()))
            yield from map(_sample, compare_samples(pinned.model, golden, partial(_send, server.url, "control")))
            for treatment in treatments_beside(lock, pinned.model):
                yield from _treatment(
                    server, treatment, golden_of(treatment.signature, stored_golden(stored, treatment))
                )
    except StoreUrlError:
        raise
    except PilotlightError as error:
        yield Check("model", ok=False, detail=str(error))


def _requirements(pinned: Lock, path: Path) -> Check:
    try:
        check_requirements(pinned, decode_text(path.read_bytes(), str(path)))
    except FileNotFoundError:
        return Check(REQUIREMENTS, ok=False, detail=f"{path} is missing; 'pilotlight pin' writes it")
    except PilotlightError as error:
        return Check(REQUIREMENTS, ok=False, detail=str(error))
    packages = ", ".join(f"{name} {version}" for name, version in sorted(pinned.model.runtime.packages.items()))
    return Check(REQUIREMENTS, ok=True, detail=packages)


def _golden(pinned: Lock, path: Path) -> Check:
    if not path.is_file():
        return Check(GOLDEN, ok=False, detail=f"{path} is missing; 'pilotlight pin' writes it")
    found = read_file_entry(path)
    if found != pinned.model.golden:
        detail = f"found SHA-256 {found.sha256}, expected {pinned.model.golden.sha256} as in the lock; pin again"
        return Check(GOLDEN, ok=False, detail=detail)
    try:
        golden = golden_of(pinned.model.signature, path.read_bytes())
    except FormatError as error:
        return Check(GOLDEN, ok=False, detail=str(error))
    source = "generated inputs" if golden.generated else "given"
    return Check(GOLDEN, ok=True, detail=f"{len(golden.samples)} sample(s), {source}")


def _signer(pinned: Lock, lock: Path) -> Iterator[Check]:
    """Check the signer, if the project demands one."""
    try:
        signer = check_signer(pinned, lock)
    except PilotlightError as error:
        yield Check(BUNDLE, ok=False, detail=str(error))
        return
    if signer:
        yield Check(BUNDLE, ok=True, detail=f"signed by {signer.name}")


def _started(server: Server, model: Description) -> str:
    size = sum(file.size for file in model.files)
    total = server.cold_start.get("phases_ms", {}).get("total")
    took = f", ready in {total:.0f} ms" if total is not None else ""
    return f"{len(model.files)} file(s) of {size} bytes have the pinned digests{took}"


def _experiment(pinned: Lock, lock: Path) -> Iterator[Check]:
    """Check that the experiment and the shadow beside the lock, if there are any, are about what it pins."""
    for file in (EXPERIMENT, SHADOW):
        try:
            models = [model for model, _ in versions_beside(lock, pinned.model, file)]
        except FormatError as error:
            yield Check(file, ok=False, detail=str(error))
            continue
        if models:
            yield Check(file, ok=True, detail=footprint([pinned.model, *models]))


def _features(pinned: Lock, lock: Path) -> Iterator[Check]:
    """Check that the features beside the lock, if any are looked up, are those of the model; say what is not."""
    path, signature = lock.with_name(FEATURES), pinned.model.signature
    if not path.exists():
        return
    try:
        looked_up = {feature.name for feature in load_plan(path, signature).features}
    except FormatError as error:
        yield Check(FEATURES, ok=False, detail=str(error))
        return
    others = [name for name in signature.feature_names if name not in looked_up]
    more = f" and {len(others) - 5} more" if len(others) > 5 else ""
    requests = f"; requests have {', '.join(others[:5])}{more}" if others else ""
    detail = f"{len(looked_up)} of {len(signature.feature_names)} features are looked up{requests}"
    yield Check(FEATURES, ok=True, detail=detail)


def _treatment(server: Server, model: Description, golden: Golden) -> Iterator[Check]:
    """Load a treatment in the function beside the control, and send it its own golden samples."""
    variant = f"{model.name}:{model.version}"
    before = len(server.log.events("variant_start"))
    samples = list(map(_sample, compare_samples(model, golden, partial(_send, server.url, variant))))
    start = server.log.wait_for("variant_start", 10, before) or {"error": "it was not loaded"}
    size, total = sum(file.size for file in model.files), start.get("phases_ms", {}).get("total", 0)
    took = f"{len(model.files)} file(s) of {size} bytes have the pinned digests, ready in {total:.0f} ms"
    yield Check(variant, ok=start.get("state") == "ready", detail=start.get("error", took))
    for check in samples:
        yield replace(check, name=f"{variant} {check.name}")


def _send(url: str, variant: str, request: GoldenRequest) -> tuple[int, object]:
    response = send(url, request.path, request.body, variant=variant)
    return response.status, response.content


def _sample(compared: Comparison) -> Check:
    name = f"sample {compared.number}"
    if compared.skipped:
        return Check(name, ok=True, detail="skipped: JSON cannot represent its NaN or infinity")
    if compared.problem:
        return Check(name, ok=False, detail=compared.problem)
    shape = compared.sample.inputs[0].shape
    return Check(name, ok=True, detail=f"{shape[0] if shape else 1} row(s) agree")
