"""Whom a TLS connection believes: the system's own certificates, of which those that are needed are parsed first.

A system trusts some 140 authorities, and to parse their certificates takes longer than all else of a small fetch: 20 to
30 ms. A cloud's own servers need two or three of them. These are picked out of the system's bundle by their owners'
names, which with the parsing takes 3 ms; a server that they do not vouch for is held against all of the bundle. Every
connection is verified, and never by a certificate that the system does not trust.
"""

from __future__ import annotations

import binascii
import ssl
import threading
from collections.abc import Sequence
from pathlib import Path

from pilotlight.errors import StoreError

_BEGIN, _END = b"-----BEGIN CERTIFICATE-----", b"-----END CERTIFICATE-----"


class Trust:
    """Contexts for TLS, made when they are needed. Safe for threads."""

    def __init__(self, owners: Sequence[str], bundle: str | None = None) -> None:
        """`owners` are names as they stand in the certificates to begin with.

        `bundle` replaces the system's file; it may be a folder, as OpenSSL's c_rehash makes one.
        """
        self._owners = owners
        self._bundle = bundle
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._is_wide = False

    def context(self) -> ssl.SSLContext:
        """The context to connect with. Raises StoreError for a bundle that cannot be read: no other try would help."""
        with self._lock:
            if self._context is None:
                try:
                    self._context = self._narrow() or self._wide()
                except (OSError, ValueError) as error:
                    bundle = self._bundle or "the system's file"
                    raise StoreError(f"no certificates can be read from {bundle}: {error}") from error
            return self._context

    def widened(self, tried: ssl.SSLContext) -> ssl.SSLContext | None:
        """What to try after a server that `tried` did not believe; None where there is nothing more to try."""
        with self._lock:
            if not self._is_wide:
                self._context = self._wide()
            return None if self._context is tried else self._context

    def _narrow(self) -> ssl.SSLContext | None:
        bundle = self._bundle or ssl.get_default_verify_paths().cafile
        if not bundle or Path(bundle).is_dir():
            return None
        found = certificates_of(Path(bundle).read_bytes(), self._owners)
        return ssl.create_default_context(cadata=b"".join(found)) if found else None

    def _wide(self) -> ssl.SSLContext:
        self._is_wide = True
        if self._bundle and Path(self._bundle).is_dir():
            return ssl.create_default_context(capath=self._bundle)
        return ssl.create_default_context(cafile=self._bundle)


def certificates_of(bundle: bytes, owners: Sequence[str]) -> list[bytes]:
    """The certificates of a PEM bundle, as DER, in which one of these names stands as its subject or issuer."""
    patterns = [pattern for owner in owners for pattern in _encodings(owner.encode())]
    found = []
    for block in bundle.split(_BEGIN)[1:]:
        encoded = block.partition(_END)[0].replace(b"\n", b"").replace(b"\r", b"")
        if any(pattern in encoded for pattern in patterns):
            found.append(binascii.a2b_base64(encoded))
    return found


def _encodings(name: bytes) -> list[bytes]:
    """What a name looks like in base64: where it begins decides which of three."""
    shifted = []
    for offset in range(3):
        encoded = binascii.b2a_base64(bytes(offset) + name, newline=False)
        whole = (offset + len(name)) // 3 * 4  # the rest has something of what follows the name in it
        shifted.append(encoded[-(-offset * 8 // 6) : whole])
    return shifted
