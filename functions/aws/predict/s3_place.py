"""A bucket's address and the credentials for it: as much of boto3's rules as a function in Lambda needs."""

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
_HOST_LABEL = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]", re.ASCII)
_SPECIAL_SUFFIXES = ("--x-s3", "--ol-s3", ".mrap", "--op-s3", "--xa-s3", "--table-s3")
_ENDPOINT = re.compile(r"(https?)://([A-Za-z0-9.-]+)(?::(\d{1,5}))?/?", re.ASCII)

# Variables that boto3 reads and plain requests do not.
_FOR_BOTO3 = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_DATA_PATH", "AWS_SIGV4A_SIGNING_REGION_SET"),
    *("AWS_AUTH_SCHEME_PREFERENCE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"),
)
_PROXIES = frozenset(("http_proxy", "https_proxy", "all_proxy"))


@dataclass(frozen=True, slots=True)
class Access:
    """Credentials, and a region or a custom endpoint to use them at."""

    credentials: Credentials
    region: str
    endpoint: Address | None


def plain_access(bucket: str, environ: Mapping[str, str]) -> Access | None:
    """Return the access to a bucket's objects, or None if the environment or the bucket's name needs boto3."""
    if not _BUCKET.fullmatch(bucket) or bucket.endswith(_SPECIAL_SUFFIXES):
        return None
    return service_access("S3", environ)


def service_access(service: str, environ: Mapping[str, str]) -> Access | None:
    """Return the access to a service, by its name in AWS_ENDPOINT_URL_*, or None if the environment needs boto3."""
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or ""
    if not (key_id and secret and is_known(region)):
        return None
    if any(environ.get(name, "").lower() not in ("", "false") for name in _FOR_BOTO3) or _has_config_file(environ):
        return None
    if any(value and name.lower() in _PROXIES for name, value in environ.items()):
        return None
    token = environ.get("AWS_SESSION_TOKEN") or environ.get("AWS_SECURITY_TOKEN") or ""
    url = _endpoint_url(service, environ)
    endpoint = _parse(url) if url else None
    return None if url and not endpoint else Access(Credentials(key_id, secret, token), region, endpoint)


def is_known(region: str) -> bool:
    """Whether a region's host names follow from its name."""
    return bool(_REGION.fullmatch(region))


def domain(region: str) -> str:
    """Return the domain of a region's services."""
    match = _REGION.fullmatch(region)
    return "amazonaws.com.cn" if match and match["china"] else "amazonaws.com"


def place(bucket: str, name: str, region: str, endpoint: Address | None) -> tuple[Address, str]:
    """Return an object's server, and its path there.

    https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html: the bucket is part of the host name if
    possible. AWS's certificates allow one label before the endpoint's own name, which excludes a bucket with a dot in
    it; and a custom endpoint may have no host names for its buckets.
    """
    path = percent_encoded(name, b"/")
    if endpoint:
        return endpoint, f"/{bucket}/{path}"
    suffix = domain(region)
    if _HOST_LABEL.fullmatch(bucket):
        return Address(tls=True, host=f"{bucket}.s3.{region}.{suffix}", port=443), f"/{path}"
    return Address(tls=True, host=f"s3.{region}.{suffix}", port=443), f"/{bucket}/{path}"


def _endpoint_url(service: str, environ: Mapping[str, str]) -> str:
    if environ.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "").lower() == "true":
        return ""
    return environ.get(f"AWS_ENDPOINT_URL_{service}") or environ.get("AWS_ENDPOINT_URL") or ""


def _parse(url: str) -> Address | None:
    match = _ENDPOINT.fullmatch(url)
    if not match:
        return None
    tls = match[1] == "https"
    return Address(tls=tls, host=match[2], port=int(match[3] or (443 if tls else 80)))


def _has_config_file(environ: Mapping[str, str]) -> bool:
    """Whether there is a configuration file, which may contain any setting."""
    file = environ.get("AWS_CONFIG_FILE") or Path(environ.get("HOME", "/"), ".aws", "config")
    return Path(file).is_file()
