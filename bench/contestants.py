"""Who is compared, and on what each runs: its package, its runtime, one store with one model in it.

The first of a field is what the others are measured by.
"""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

import packages
from instances import Kind, Launch
from model_files import sample_on_binding
from object_store import ObjectStore, authorities, object_store
from pilotlight.model.lock import load_lock
from pilotlight_cli.local.function import Function
from pilotlight_cli.registry.availability import ensure_published
from pilotlight_cli.stores import open_store
from sample import LOCK, SAMPLE, sample_request
from servers import certificates
from servers.fake_gcs import FakeGcs
from servers.metadata_server import MetadataServer

BUCKET = "models"
OURS = "pilotlight"

_TOLERANCE = 1e-6

_SHOWN = frozenset(
    (
        *("boto3", "fastapi", "functions-framework", "google-cloud-storage", "gunicorn", "joblib", "mangum", "numpy"),
        *("onnxruntime", "pydantic", "scikit-learn", "uvicorn", "uvloop", "awslambdaric"),
    )
)


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those compared: a name for results, a title for people, how it is started, the bytes of its package.

    `answers` says that it has a model, and that its answers have to be those of the first.
    """

    name: str
    title: str
    launch: Launch
    size: int
    answers: bool = True


@dataclass(frozen=True, slots=True)
class Field:
    """All that are compared, by the same request: a path and a document.

    `asked` counts the requests that any of them made until now, by the server; `agree` says whether two bodies do.
    """

    name: str
    contestants: tuple[Contestant, ...]
    path: str
    document: object
    versions: Mapping[str, str]
    asked: Callable[[], Mapping[str, int]]
    agree: Callable[[bytes, bytes], bool]


@contextmanager
def aws(python: str) -> Iterator[Field]:
    """Yield the AWS side, in AWS's own runtime client and emulator, with a store of S3's shape as a process."""
    with _scratch() as folder:
        models = folder / BUCKET
        _publish_sample(models)
        runtime = packages.lambda_runtime(python)
        with object_store(models, folder) as store:
            seen = lambda_environment(store, folder)

            def contestant(name: str, title: str, package: Path, *, answers: bool = True, **environ: str) -> Contestant:
                function = Function(package, (runtime,), seen | environ)
                launch = Launch("lambda", python, function, "handler.lambda_handler")
                return Contestant(name, title, launch, packages.size(package), answers)

            def peer(name: str, title: str, *, answers: bool = True, **environ: str) -> Contestant:
                return contestant(name, title, packages.peer(name, python, folder / name), answers=answers, **environ)

            pickle = load_lock(LOCK).model.key("model.pkl")
            found = [
                peer("tutorial_handler", "the tutorials' handler"),
                peer("fastapi_mangum", "FastAPI + Mangum"),
                peer("sklearn_joblib", "scikit-learn + joblib", MODEL_KEY=pickle),
            ]
            for name, title, lock in engines():
                package = packages.ours("aws", lock, python, folder / name)
                found.append(contestant(name, title, package, PILOTLIGHT_STORE=f"s3://{BUCKET}"))
            floor = _with_model(folder / OURS, models, folder / f"{OURS}_floor")
            title, url = "Pilotlight, model in the package", f"file://{floor / BUCKET}"
            found.append(contestant(f"{OURS}_floor", title, floor, PILOTLIGHT_STORE=url))
            found.append(peer("empty_handler", "an empty handler", answers=False))
            yield Field("aws", tuple(found), *request(), _versions(found), lambda: {"store": store.requests()}, agree)


@contextmanager
def google(python: str) -> Iterator[Field]:
    """Yield the Google side, on functions-framework: Cloud Storage over TLS that requires the server's token."""
    with _scratch() as folder, MetadataServer() as metadata:
        context, certificate = certificates.make(folder)
        trusted = folder / "trusted.pem"
        trusted.write_bytes(authorities() + certificate.read_bytes())
        with FakeGcs(BUCKET, tls=context, tokens={metadata.manner.token}) as gcs:
            gcs.put(BUCKET, _key(), (SAMPLE / "model.onnx").read_bytes())
            seen = _google_environment(gcs.url, metadata.host, trusted, folder)

            def contestant(kind: Kind, entry: str, name: str, title: str, package: Path) -> Contestant:
                launch = Launch(kind, python, Function(package, (), seen), entry)
                return Contestant(name, title, launch, packages.size(package))

            def peer(kind: Kind, entry: str, name: str, title: str) -> Contestant:
                return contestant(kind, entry, name, title, packages.peer(name, python, folder / name))

            found = [
                peer("framework", "predict", "tutorial_function", "the tutorials' function"),
                peer("uvicorn", "main:app", "fastapi_uvicorn", "FastAPI on uvicorn"),
            ]
            for name, title, lock in engines():
                package = packages.ours("gcp", lock, python, folder / name)
                found.append(contestant("framework", "predict", name, title, package))
            package = packages.ours("container", LOCK, python, folder / "server")
            found.append(contestant("server", "server_main", "server", "Pilotlight's server in a container", package))
            yield Field(
                "google",
                tuple(found),
                *request(),
                _versions(found),
                lambda: {"storage": len(gcs.requests), "metadata": len(metadata.requests)},
                agree,
            )


def agree(one: bytes, other: bytes) -> bool:
    """Whether two answers say the same of the sample: the label, and all probabilities to 1e-6."""
    mine, theirs = json.loads(one), json.loads(other)
    pairs = zip(mine["probabilities"], theirs["probabilities"], strict=True)
    return bool(mine["prediction"] == theirs["prediction"]) and all(
        math.isclose(a, b, rel_tol=0, abs_tol=_TOLERANCE) for a, b in pairs
    )


def engines() -> list[tuple[str, str, Path]]:
    """Our function on each engine that can load the sample: name, title and lock."""
    return [(OURS, "Pilotlight (C API)", LOCK), (f"{OURS}_binding", "Pilotlight (binding)", sample_on_binding())]


def request() -> tuple[str, object]:
    """Return the sample's row as a list: the alternatives know no names of features."""
    path, document = sample_request()
    return path, {"features": list(document["features"].values())}


@contextmanager
def _scratch() -> Iterator[Path]:
    """Yield a folder on the disk that has the installed packages, so that they can be linked."""
    with TemporaryDirectory(prefix="run-", dir=packages.made_in()) as name:
        yield Path(name)


def _publish_sample(models: Path) -> None:
    """Publish the sample as its lock pins it, and the same forest as scikit-learn saves it."""
    models.mkdir()
    ensure_published(LOCK, open_store(f"file://{models}"))
    shutil.copyfile(SAMPLE / "model.pkl", models / load_lock(LOCK).model.key("model.pkl"))


def _with_model(package: Path, models: Path, folder: Path) -> Path:
    """Return the package with the model in it, which no cold start can beat that has to fetch one."""
    shutil.copytree(package, folder, copy_function=os.link)
    model = load_lock(package / "model.lock").model
    for file in model.files:
        there = folder / BUCKET / model.key(file.name)
        there.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(models / model.key(file.name), there)
    return folder


def _key() -> str:
    model = load_lock(LOCK).model
    return model.key(model.files[0].name)


def _environment(folder: Path) -> dict[str, str]:
    """Return what every process needs: nothing of the developer's own leads it elsewhere."""
    return {"HOME": str(folder), "LANG": "C.UTF-8", "PATH": os.environ["PATH"]}


def lambda_environment(store: ObjectStore, folder: Path) -> dict[str, str]:
    """Return what a function on Lambda sees, but for what its runtime sets: the store, and the sample in it."""
    return _environment(folder) | store.environ() | {"MODEL_BUCKET": BUCKET, "MODEL_KEY": _key()}


def _google_environment(store: str, metadata: str, trusted: Path, folder: Path) -> dict[str, str]:
    return _environment(folder) | {
        "MODEL_BUCKET": BUCKET,
        "MODEL_BLOB": _key(),
        "PILOTLIGHT_STORE": f"gs://{BUCKET}",
        "API_ENDPOINT_OVERRIDE": store,
        "GCE_METADATA_HOST": metadata,
        "GCE_METADATA_IP": metadata,
        "REQUESTS_CA_BUNDLE": str(trusted),
        "SSL_CERT_FILE": str(trusted),
    }


def _versions(contestants: list[Contestant]) -> dict[str, str]:
    """Return the versions of what they are made of. Raises ValueError where two bring another one of the same."""
    found: dict[str, str] = {}
    for each in contestants:
        function = each.launch.function
        for package in distributions(path=[str(function.folder), *map(str, function.packages)]):
            name = package.metadata["Name"].lower()
            if name in _SHOWN and found.setdefault(name, package.version) != package.version:
                raise ValueError(f"{each.title} has {name} {package.version}, another contestant {found[name]}")
    return dict(sorted(found.items()))
