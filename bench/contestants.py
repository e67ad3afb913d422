"""Who is compared, and how each is started: from one store, with one model, on the same installed libraries.

The store and the metadata server are the fakes of the tests, which are faithful to what the clients ask of them.
"""

from __future__ import annotations

import compileall
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from fakes import certificates
from fakes.fake_gcs import FakeGcs
from fakes.metadata_server import MetadataServer
from instances import Launch
from pilotlight.description import load_lock
from pilotlight_cli.hostenv import group_packages, host_packages, isolated_python
from pilotlight_cli.local.function import Function, passed_on
from pilotlight_cli.local.functions_runtime import framework_command, framework_environment
from pilotlight_cli.local.server import prepare
from pilotlight_cli.local.stores import leads_to_a_store
from pilotlight_cli.project import LOCK, SAMPLE
from pilotlight_cli.staging.libraries import requirements

_BUCKET = "models"

PEERS = Path(__file__).parent / "peers"

_SHOWN = ("functions-framework", "gunicorn", "flask", "google-cloud-storage", "numpy", "onnxruntime")
_SHOWN_OF_PEERS = ("fastapi", "pydantic", "uvicorn", "uvloop")


@dataclass(frozen=True, slots=True)
class Contestant:
    """One of those compared: a name for the results, a title for people, and how it is started."""

    name: str
    title: str
    launch: Launch


@dataclass(frozen=True, slots=True)
class Field:
    """All that are compared, the first one being what the others are measured by; and what they run on.

    `asked` counts the requests that any of them made until now, by the server.
    """

    contestants: tuple[Contestant, ...]
    versions: Mapping[str, str]
    asked: Callable[[], Mapping[str, int]]


@contextmanager
def google(environ: Mapping[str, str] = os.environ) -> Iterator[Field]:
    """The Google side: a Cloud Storage over TLS that wants the metadata server's token, both in this process."""
    common = host_packages(requirements("gcp", LOCK))
    peers = group_packages("bench")
    with TemporaryDirectory(prefix="pilotlight-bench-") as name, MetadataServer() as metadata:
        folder = Path(name)
        context, certificate = certificates.make(folder)
        # As many certificates as a client finds in the cloud, and the one that this store has.
        trusted = folder / "trusted.pem"
        trusted.write_bytes((common / "certifi" / "cacert.pem").read_bytes() + certificate.read_bytes())
        with FakeGcs(_BUCKET, tls=context, tokens={metadata.manner.token}) as gcs:
            gcs.put(_BUCKET, _blob(), (SAMPLE / "model.onnx").read_bytes())
            seen = _seen(environ, gcs.url, metadata.host, trusted) | {"HOME": name}
            ours = prepare("gcp", LOCK, folder / "pilotlight", seen | {"PILOTLIGHT_STORE": f"gs://{_BUCKET}"})
            tutorial = _peer("tutorial_function", folder, (common,), seen)
            fastapi = _peer("fastapi_uvicorn", folder, (common, peers), seen)
            contestants = (
                Contestant("tutorial_function", "the tutorials' function", _framework(tutorial)),
                Contestant("fastapi_uvicorn", "FastAPI on uvicorn", _uvicorn(fastapi)),
                Contestant("pilotlight", "Pilotlight", _framework(ours)),
            )
            versions = _versions(common, _SHOWN) | _versions(peers, _SHOWN_OF_PEERS)
            yield Field(
                contestants, versions, lambda: {"storage": len(gcs.requests), "metadata": len(metadata.requests)}
            )


def _blob() -> str:
    model = load_lock(LOCK).model
    return model.key(model.files[0].name)


def _seen(environ: Mapping[str, str], store: str, metadata: str, trusted: Path) -> dict[str, str]:
    """What all of them see: where things are, and nothing that is set for Pilotlight or leads to another store."""
    others = {
        name: value
        for name, value in passed_on(environ).items()
        if not leads_to_a_store(name) and not name.startswith("PILOTLIGHT_")
    }
    return others | {
        "MODEL_BUCKET": _BUCKET,
        "MODEL_BLOB": _blob(),
        "API_ENDPOINT_OVERRIDE": store,
        "GCE_METADATA_HOST": metadata,
        "GCE_METADATA_IP": metadata,
        "REQUESTS_CA_BUNDLE": str(trusted),
        "SSL_CERT_FILE": str(trusted),
    }


def _peer(name: str, folder: Path, packages: tuple[Path, ...], environ: Mapping[str, str]) -> Function:
    """A copy of a peer, compiled as ours is."""
    target = folder / name
    shutil.copytree(PEERS / name, target, ignore=shutil.ignore_patterns("__pycache__"))
    compileall.compile_dir(target, quiet=1)
    return Function(target, packages, environ)


def _framework(function: Function) -> Launch:
    return Launch(framework_command(), function.folder, framework_environment(function))


def _uvicorn(function: Function) -> Launch:
    command = [*isolated_python(), "-m", "uvicorn", "main:app", "--host", "127.0.0.1"]
    return Launch(command, function.folder, function.environment, port_variable="UVICORN_PORT")


def _versions(packages: Path, names: tuple[str, ...]) -> dict[str, str]:
    found = {each.metadata["Name"].lower(): each.version for each in distributions(path=[str(packages)])}
    return {name: found[name] for name in names}
