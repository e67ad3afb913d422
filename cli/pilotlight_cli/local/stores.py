"""Embedded object stores in this process: moto's S3 server and the Cloud Storage emulator."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import ThreadingHTTPServer
from secrets import token_hex

from pilotlight_cli.extras import needing

_REGION = "us-east-1"


@dataclass(frozen=True, slots=True)
class EmbeddedStore:
    """A running store: its URL, and the environment variables that lead clients to it."""

    url: str
    environ: Mapping[str, str]


def embedded_store(cloud: str) -> AbstractContextManager[EmbeddedStore]:
    """Run an empty store of a cloud's own kind, on a free port."""
    return s3_store() if cloud == "aws" else gcs_store()


@contextmanager
def s3_store(host: str = "127.0.0.1") -> Iterator[EmbeddedStore]:
    """Run moto's S3 server with one bucket. It accepts any credentials.

    `host` is the address to listen on. Raise PortTaken if this machine does not have it.
    """
    import boto3

    with needing("local", "an embedded S3 store"):
        from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app

    from pilotlight_cli.local.wsgi import QuietHandler, serving_wsgi

    class Handler(QuietHandler, MotoRequestHandler):
        """Moto's handler without a log. A model may take long to arrive."""

        seconds = None

    bucket = f"models-{token_hex(3)}"  # moto keeps the buckets of all its servers in one place
    with serving_wsgi(DomainDispatcherApplication(create_backend_app), handler=Handler, host=host) as endpoint:
        environ = {
            "AWS_ENDPOINT_URL_S3": endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": _REGION,
            "AWS_REGION": _REGION,
            # A profile or a default endpoint of the developer's must not lead elsewhere.
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        with acting_in(environ):
            client = boto3.client("s3")
            client.create_bucket(Bucket=bucket)
            client.close()
        yield EmbeddedStore(f"s3://{bucket}", environ)


@contextmanager
def gcs_store(host: str = "127.0.0.1") -> Iterator[EmbeddedStore]:
    """Run the Cloud Storage emulator, in memory, with one bucket, at the address `host` of this machine.

    It ignores generations and preconditions, so publishing is not atomic there; a single publisher is not affected.
    """
    with needing("local", "an embedded Cloud Storage"):
        from gcp_storage_emulator.handlers.buckets import create_bucket
        from gcp_storage_emulator.server import RequestHandler
        from gcp_storage_emulator.storage import Storage

    logging.getLogger("gcp_storage_emulator").setLevel(logging.CRITICAL)
    storage = Storage(use_memory_fs=True)
    create_bucket("models", storage)
    # The emulator's own server handles one connection at a time, and an idle one would block it.
    with ThreadingHTTPServer((host, 0), partial(RequestHandler, storage)) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), name="store", daemon=True)
        thread.start()
        try:
            yield EmbeddedStore("gs://models", {"STORAGE_EMULATOR_HOST": f"http://{host}:{server.server_port}"})
        finally:
            server.shutdown()
            thread.join()


def affects_store(name: str) -> bool:
    """Return whether an environment variable can affect which store a client reaches, and its identity."""
    return name.startswith(("AWS_", "GOOGLE_", "CLOUDSDK_", "STORAGE_EMULATOR_")) or name.lower().endswith("_proxy")


@contextmanager
def acting_in(environ: Mapping[str, str], process_environ: MutableMapping[str, str] = os.environ) -> Iterator[None]:
    """Let clients in this process reach the store that `environ` leads to, and no other."""
    before = {name: process_environ.get(name) for name in (*filter(affects_store, process_environ), *environ)}
    for name in before:
        process_environ.pop(name, None)
    process_environ.update(environ)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                process_environ.pop(name, None)
            else:
                process_environ[name] = value
