"""The predict function under `sam local`, in Docker, with a model store that its container can reach."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotlight_cli.aws.sam import SamFailed, clean
from pilotlight_cli.aws.template import load_template
from pilotlight_cli.local.process import Child, Log, PortTaken, listen
from pilotlight_cli.local.stores import EmbeddedStore, acting_in, leads_to_a_store, s3_store
from pilotlight_cli.pinning.requirements import PYTHON_VERSION
from pilotlight_cli.project import BUILD, LOCK, PROJECT
from pilotlight_cli.registry.sample import publish_sample
from pilotlight_cli.stores import open_store

FUNCTION = "PredictFunction"

# AWS's image of the functions' runtime, by the name by which SAM asks for it.
IMAGE = f"public.ecr.aws/lambda/python:{PYTHON_VERSION}-x86_64"

_HOST = "host.docker.internal"
_ADDRESS = f"import socket; print(socket.gethostbyname({_HOST!r}))"
_SHOWN = 25  # lines of a command that failed


@dataclass(frozen=True, slots=True)
class Prepared:
    """What `sam local` needs: a template whose function finds its store, and the environment of the command."""

    template: Path
    environ: Mapping[str, str]


@contextmanager
def prepared(store: str | None, environ: Mapping[str, str], folder: Path = BUILD / "sam") -> Iterator[Prepared]:
    """The function, built in `folder`. Without a store's URL one with the sample model runs meanwhile.

    Raises SamFailed, and NotTheSample where the lock pins something that only a store of the user's own can have.
    """
    address = host_address() if store is None else ""  # before anything that takes its time
    build(folder, environ)
    if store is not None:
        yield Prepared(point_to(folder / "template.yaml", {"PILOTLIGHT_STORE": store}), quiet(environ))
        return
    with reachable_store(address) as embedded:
        with acting_in(embedded.environ):
            publish_sample(open_store(embedded.url), LOCK)
        yield pointed_to(embedded, address, folder / "template.yaml", environ)


def build(folder: Path, environ: Mapping[str, str]) -> None:
    """Have SAM build the predict function alone: what it leaves in .aws-sam is what was built to be deployed."""
    _run([_sam(), "build", FUNCTION, "--build-dir", str(folder)], quiet(environ))


def pointed_to(store: EmbeddedStore, address: str, template: Path, environ: Mapping[str, str]) -> Prepared:
    """A built function that finds a store of this process's, from a container that reaches it at `address`."""
    port = store.environ["AWS_ENDPOINT_URL_S3"].rpartition(":")[2]
    variables = {"PILOTLIGHT_STORE": store.url, "AWS_ENDPOINT_URL_S3": f"http://{address}:{port}"}
    return Prepared(point_to(template, variables), {**offline(environ), **store.environ})


def point_to(template: Path, variables: Mapping[str, str]) -> Path:
    """A copy of a built template, beside it, whose function has these environment variables too.

    `sam local --env-vars` sets no variable that the template does not name, and ours does not name AWS_ENDPOINT_URL_S3.
    """
    document = load_template(template)
    document["Resources"][FUNCTION]["Properties"]["Environment"]["Variables"] |= variables
    copy = template.with_name("local.json")
    copy.write_text(json.dumps(document))
    return copy


def invoke_command(run: Prepared, event: Path, parameters: Sequence[str] = ()) -> list[str]:
    """The command that sends one event: the reply on stdout, the function's log on stderr.

    `parameters` are values for the template's, as NAME=VALUE. An exception of the handler is a reply too.
    """
    return [_sam(), "local", "invoke", FUNCTION, "--event", str(event), *_options(run, parameters)]


@contextmanager
def api(run: Prepared, port: int, parameters: Sequence[str] = ()) -> Iterator[tuple[Child, Log]]:
    """`sam local start-api` on 127.0.0.1, ended on the way out, which removes its containers too.

    Nobody is refused there: SAM has no IAM and no JWT authorizers, and cannot read a conditional one.
    """
    options = ["--port", str(port), "--disable-authorizer", "--warm-containers", "LAZY", *_options(run, parameters)]
    log = Log()
    child = Child([_sam(), "local", "start-api", *options], PROJECT, run.environ, log)
    try:
        child.wait_for_port(port, seconds=60)
        yield child, log
    finally:
        child.stop(seconds=30)


def quiet(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which SAM tells nobody of its use, and pulls an image only where there is none."""
    return clean(environ) | {"SAM_SKIP_PULL_IMAGE": "1"}


def offline(environ: Mapping[str, str]) -> dict[str, str]:
    """An environment in which SAM does not try long to ask AWS who it is."""
    kept = {name: value for name, value in quiet(environ).items() if not leads_to_a_store(name)}
    return kept | {"AWS_MAX_ATTEMPTS": "1"}


def host_address(image: str = IMAGE, python: str = "/var/lang/bin/python3") -> str:
    """The IP address at which a container reaches this machine, asked in an image with a Python. Raises SamFailed.

    An address and no name: with a name S3's clients would put the bucket's in front of it. A container is asked, since
    Docker Desktop's is known only there.
    """
    options = ["--rm", "--add-host", f"{_HOST}:host-gateway", "--entrypoint", python]
    return _run(["docker", "run", *options, image, "-c", _ADDRESS], os.environ).strip()


@contextmanager
def reachable_store(address: str) -> Iterator[EmbeddedStore]:
    """An empty store for containers that reach this machine at `address`."""
    try:
        listen(0, address).close()
    except PortTaken:  # Docker Desktop's address is none of this machine's, and leads to its loopback address
        address = "127.0.0.1"
    with s3_store(address) as store:
        yield store


def _options(run: Prepared, parameters: Sequence[str]) -> list[str]:
    overrides = ["--parameter-overrides", *parameters] if parameters else []
    return ["--template", str(run.template), *overrides]


def _sam() -> str:
    return str(Path(sys.executable).with_name("sam"))


def _run(command: Sequence[str], environ: Mapping[str, str]) -> str:
    """What a command prints. Raises SamFailed."""
    try:
        done = subprocess.run(command, env=dict(environ), capture_output=True, text=True, check=False, cwd=PROJECT)
    except FileNotFoundError:
        raise SamFailed(
            f"the program {command[0]} is not on this machine; 'sam local' runs functions in Docker"
        ) from None
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_SHOWN:])
        raise SamFailed(f"'{Path(command[0]).name} {command[1]}' ended with exit code {done.returncode}:\n{last}")
    return done.stdout
