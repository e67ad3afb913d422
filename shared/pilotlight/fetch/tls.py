"""The certificates that a TLS connection trusts: the system's own, of which the expected ones are parsed first.

A system trusts some 140 authorities, and parsing their certificates takes longer than the rest of a small fetch: 20 to
30 ms. A cloud's own servers need two or three of them. These are selected from the system's bundle by their owners'
names, which takes 3 ms with the parsing; a server that they do not verify is verified by the whole bundle. Every
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
    """TLS contexts, made when they are first needed. Thread-safe."""

    def __init__(self, owners: Sequence[str], bundle: str | None = None) -> None:
        """`owners` are subject or issuer names, or parts of them, of the certificates to try first.

        `bundle` replaces the system's file; it may be a folder, as OpenSSL's c_rehash makes one.
        """
        self._owners = owners
        self._bundle = bundle
        self._lock = threading.Lock()
        self._context: ssl.SSLContext | None = None
        self._is_full = False

    def context(self) -> ssl.SSLContext:
        """Return the context to connect with. Raises StoreError if the bundle cannot be read, now and later."""
        with self._lock:
            if self._context is None:
                try:
                    self._context = self._narrow_context() or self._full_context()
                except (OSError, ValueError) as error:
                    bundle = self._bundle or "the system's file"
                    raise StoreError(f"cannot read certificates from {bundle}: {error}") from error
            return self._context

    def widened(self, tried: ssl.SSLContext) -> ssl.SSLContext | None:
        """Return the context to try after `tried` failed to verify a server; None if that had the whole bundle."""
        with self._lock:
            if not self._is_full:
                self._context = self._full_context()
            return None if self._context is tried else self._context

    def _narrow_context(self) -> ssl.SSLContext | None:
        bundle = self._bundle or ssl.get_default_verify_paths().cafile
        if not bundle or Path(bundle).is_dir():
            return None
        certificates = certificates_of(Path(bundle).read_bytes(), self._owners)
        return ssl.create_default_context(cadata=b"".join(certificates)) if certificates else None

    def _full_context(self) -> ssl.SSLContext:
        self._is_full = True
        if self._bundle and Path(self._bundle).is_dir():
            return ssl.create_default_context(capath=self._bundle)
        return ssl.create_default_context(cafile=self._bundle)


def certificates_of(bundle: bytes, owners: Sequence[str]) -> list[bytes]:
    """Return the certificates of a PEM bundle, as DER, that contain one of these names as a subject or issuer."""
    patterns = [pattern for owner in owners for pattern in _encodings(owner.encode())]
    certificates = []
    for block in bundle.split(_BEGIN)[1:]:
        encoded = block.partition(_END)[0].replace(b"\n", b"").replace(b"\r", b"")
        if any(pattern in encoded for pattern in patterns):
            certificates.append(binascii.a2b_base64(encoded))
    return certificates


def _encodings(name: bytes) -> list[bytes]:
    """Return the three forms of a name in base64, one for each offset at which it may begin."""
    encodings = []
    for offset in range(3):
        encoded = binascii.b2a_base64(bytes(offset) + name, newline=False)
        complete = (offset + len(name)) // 3 * 4  # the rest depends on the bytes after the name
        encodings.append(encoded[-(-offset * 8 // 6) : complete])
    return encodings
