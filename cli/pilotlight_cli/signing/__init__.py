"""Signatures of published versions, in the format of OpenSSF Model Signing: one `model.sig` for all files of a version.

It is a Sigstore bundle (https://docs.sigstore.dev/about/bundle): a DSSE envelope around an in-toto statement that lists
the files with their digests. The tool `model_signing` reads and writes the same. Modules import `cryptography` in the
functions that need it.
"""

from pilotlight.errors import PilotlightError

__all__ = ["BUNDLE", "SignatureRefused"]

BUNDLE = "model.sig"


class SignatureRefused(PilotlightError):
    """A version is not signed as it should be, or a key cannot sign or verify."""
