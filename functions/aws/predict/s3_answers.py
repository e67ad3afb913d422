"""What S3's refusals mean, whoever asked."""

from __future__ import annotations

from pilotlight.errors import ObjectRefused, StoreError, StoreUnavailable

# Codes of a 4xx that another try may get past: the platform renews credentials.
# https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
_PASSING = frozenset(
    (
        *("ExpiredToken", "ExpiredTokenException", "RequestTimeout", "SlowDown", "OperationAborted"),
        *("Throttling", "ThrottlingException", "RequestLimitExceeded", "KMS.ThrottlingException"),
    )
)


def refusal(status: int, code: str, said: str) -> StoreError:
    """What to raise. StoreError itself stands for what will never work, or is not known here."""
    if code in _PASSING or status in (408, 429) or not 300 <= status < 500:
        return StoreUnavailable(said)
    if status in (403, 404):
        return ObjectRefused(
            f"{said}. Either the object is not there, or the function's role may not read it (without s3:ListBucket a "
            "missing object is a 403 too)"
        )
    return StoreError(said)
