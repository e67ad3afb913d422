"""Where a bucket is, and who asks: as much of boto3's rules as a function in Lambda needs."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from pilotlight.fetch.http_client import Address, percent_encoded
from pilotlight.frozen import dataclass
from s3_signature import Credentials

# Regions of the partitions aws and aws-us-gov, and of aws-cn, as botocore's partitions.json has them. The regions of
# other partitions (us-iso-..., eusc-...) have suffixes of their own, and do not look like these.
_REGION = re.compile(r"(us|eu|ap|sa|ca|me|af|il|mx|(?P<china>cn))-(gov-)?[a-z]+-\d+", re.ASCII)
# https://docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html. Capital letters are as old as S3.
_BUCKET = re.compile(r"(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]", re.ASCII)
_IN_A_HOST_NAME = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)
_OF_ANOTHER_KIND = ("--x-s3", "--ol-s3", ".mrap", "--op-s3", "--xa-s3", "--table-s3")
_ENDPOINT = re.compile(r"(https?)://([A-Za-z0-9.-]+)(?::(\d{1,5}))?/?", re.ASCII)

# Variables that mean something to boto3 and nothing to a plain request.
_FOR_BOTO3 = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_DATA_PATH", "AWS_SIGV4A_SIGNING_REGION_SET"),
    *("AWS_AUTH_SCHEME_PREFERENCE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"),
)
_PROXIES = frozenset(("http_proxy", "https_proxy", "all_proxy"))


@dataclass(frozen=True, slots=True)
class Access:
    """Who asks, and where: in a region, or at an endpoint of somebody's choice."""

    credentials: Credentials
    region: str
    endpoint: Address | None


def plain_access(bucket: str, environ: Mapping[str, str]) -> Access | None:
    """How to ask for a bucket's objects, or None where the environment or the bucket's name asks for boto3."""
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    if not (key_id and secret and is_known(region)):
        return None
    if not _BUCKET.fullmatch(bucket) or bucket.endswith(_OF_ANOTHER_KIND):
        return None
    if any(environ.get(name, "").lower() not in ("", "false") for name in _FOR_BOTO3) or _is_configured(environ):
        return None
    if any(value and name.lower() in _PROXIES for name, value in environ.items()):
        return None
    token = environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN") or ""
    given = _given_endpoint(environ)
    endpoint = _parsed(given) if given else None
    return None if given and not endpoint else Access(Credentials(key_id, secret, token), region, endpoint)


def is_known(region: str) -> bool:
    """Whether the hosts of a region can be told from its name."""
    return bool(_REGION.fullmatch(region))


def place(bucket: str, name: str, region: str, endpoint: Address | None) -> tuple[Address, str]:
    """The server that has an object, and the path there.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html: the bucket is in the host's name where it
    can be. AWS's certificates are for names with one label before the endpoint's own, so that a bucket with a dot in it
    cannot; and an endpoint of somebody's choice may have no names for its buckets.
    """
    path = percent_encoded(name, b"/")
    if endpoint:
        return endpoint, f"/{bucket}/{path}"
    found = _REGION.fullmatch(region)
    suffix = "amazonaws.com.cn" if found and found["china"] else "amazonaws.com"
    if _IN_A_HOST_NAME.fullmatch(bucket):
        return Address(tls=True, host=f"{bucket}.s3.{region}.{suffix}", port=443), f"/{path}"
    return Address(tls=True, host=f"s3.{region}.{suffix}", port=443), f"/{bucket}/{path}"


def _given_endpoint(environ: Mapping[str, str]) -> str:
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return ""
    return environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""


def _parsed(url: str) -> Address | None:
    found = _ENDPOINT.fullmatch(url)
    if not found:
        return None
    tls = found[1] == "https"
    return Address(tls=tls, host=found[2], port=int(found[3] or (443 if tls else 80)))


def _is_configured(environ: Mapping[str, str]) -> bool:
    """Whether there is a configuration file, in which anything may stand."""
    file = environ.get("AWS_CONFIG_FILE") or Path(environ.get("HOME", "/"), ".aws", "config")
    return Path(file).is_file()
