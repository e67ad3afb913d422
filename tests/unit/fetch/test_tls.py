"""Whom TLS believes: never somebody whom the system does not trust, and the certificates that are needed first."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from pilotlight.errors import StoreError
from pilotlight.fetch import Deadline
from pilotlight.fetch.http_client import Address, Connection
from pilotlight.fetch.tls import Trust, certificates_of
from servers import certificates


def deadline(seconds: float = 60.0) -> Deadline:
    return Deadline(time.monotonic, time.monotonic() + seconds)


@contextmanager
def greeting(context: ssl.SSLContext) -> Iterator[Address]:
    """Yield a server that shakes hands and no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    raw, _ = server.accept()
                except OSError:
                    return
                with suppress(OSError):  # who does not believe it goes away, in one way or another
                    context.wrap_socket(raw, server_side=True).close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield Address(tls=True, host="127.0.0.1", port=server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
        thread.join(60)


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    """Return a server's certificate, of an authority whose name is known."""
    return certificates.make(tmp_path_factory.mktemp("known"), "Some Root CA 1")


@pytest.fixture(scope="module")
def other(tmp_path_factory: pytest.TempPathFactory) -> tuple[ssl.SSLContext, Path]:
    return certificates.make(tmp_path_factory.mktemp("other"), "another")


@pytest.fixture
def bundle(known: tuple[ssl.SSLContext, Path], other: tuple[ssl.SSLContext, Path], tmp_path: Path) -> str:
    """Return what a system trusts: both of them."""
    file = tmp_path / "bundle.pem"
    file.write_bytes(other[1].read_bytes() + known[1].read_bytes())
    return str(file)


def trusted(context: ssl.SSLContext) -> list[str]:
    return sorted(found["subject"][0][0][1] for found in context.get_ca_certs())


def test_a_context_begins_with_the_certificates_of_the_owners_that_are_named(bundle: str) -> None:
    context = Trust(["Some Root CA"], bundle).context()
    assert trusted(context) == ["Some Root CA 1"]
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert context.check_hostname


@pytest.mark.parametrize("length", range(1, 8))
def test_a_name_is_found_wherever_it_begins(length: int, tmp_path: Path) -> None:
    _, file = certificates.make(tmp_path, f"{'x' * length} Some Root CA{'y' * length}")
    assert len(certificates_of(file.read_bytes(), ["Some Root CA"])) == 1
    assert certificates_of(file.read_bytes(), ["Some other CA"]) == []


def test_without_any_of_them_all_of_the_bundle_counts(bundle: str) -> None:
    assert trusted(Trust(["Nobody"], bundle).context()) == ["Some Root CA 1", "another"]


@pytest.mark.parametrize("name", ["known", "other"])
def test_whom_the_first_ones_do_not_vouch_for_is_held_against_all(
    name: str, bundle: str, request: pytest.FixtureRequest
) -> None:
    trust = Trust(["Some Root CA"], bundle)
    with greeting(request.getfixturevalue(name)[0]) as address:
        line = Connection(trust)
        line.reach(address, deadline())
        line.close()
    assert len(trusted(trust.context())) == (1 if name == "known" else 2)


def test_whom_nobody_vouches_for_is_refused(
    known: tuple[ssl.SSLContext, Path], other: tuple[ssl.SSLContext, Path]
) -> None:
    for owners in (["another"], []):
        with greeting(known[0]) as address, pytest.raises(ssl.SSLCertVerificationError):
            Connection(Trust(owners, str(other[1]))).reach(address, deadline())


def test_a_server_of_another_name_is_refused(known: tuple[ssl.SSLContext, Path], bundle: str) -> None:
    with greeting(known[0]) as address, pytest.raises(ssl.SSLCertVerificationError, match="localhost"):
        Connection(Trust(["Some Root CA"], bundle)).reach(
            Address(tls=True, host="localhost", port=address.port), deadline()
        )


@pytest.mark.parametrize("content", [None, b"", b"no certificates", b"-----BEGIN CERTIFICATE-----\nU29tZSBSb290IENB\n"])
def test_a_bundle_without_certificates_is_wrong_for_good_and_named(content: bytes | None, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle.pem"
    if content is not None:
        bundle.write_bytes(content)
    with pytest.raises(StoreError, match=f"cannot read certificates from {bundle}: ") as caught:
        Trust(["Some Root CA"], str(bundle)).context()
    assert type(caught.value) is StoreError  # what may pass is of a kind of its own


@pytest.mark.parametrize("owner", ["known", "other"])
def test_a_folder_of_certificates_counts_as_a_bundle_does(
    owner: str, known: tuple[ssl.SSLContext, Path], request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    subject = subprocess.run(
        ["openssl", "x509", "-subject_hash", "-noout", "-in", known[1]], capture_output=True, text=True, check=True
    )
    (tmp_path / f"{subject.stdout.strip()}.0").write_bytes(known[1].read_bytes())
    line = Connection(Trust(["Some Root CA"], str(tmp_path)))
    with greeting(request.getfixturevalue(owner)[0]) as address:
        if owner == "known":
            line.reach(address, deadline())
        else:
            with pytest.raises(ssl.SSLCertVerificationError):
                line.reach(address, deadline())
        line.close()
