"""Signatures, held against those of botocore's own signer."""

from __future__ import annotations

import datetime as dt
import itertools
from hashlib import sha256
from urllib.parse import urlsplit

import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials

from pilotlight.fetch.http_client import percent_encoded
from s3_signature import Credentials, Signer

KEYS = [
    "model.onnx",
    "team/breast-cancer/1/model.onnx",
    "a b/c+d/e=f&g?h#i/j%20k/~l/m:n@o,p;q'r(s)*t!u$v",
    "ünï/cödé/模型.onnx",
    "//double//slashes/",
    "a/./b/../c",
]
TOKENS = ["", "a+session/token==", "IQoJb3JpZ2luX2VjE" * 60]
HEADERS: list[dict[str, str]] = [
    {},
    {"Accept-Encoding": "identity"},
    {"Accept-Encoding": "identity", "Range": "bytes=0-4194303", "If-Match": '"9b2cf535f27731c974343645a3985328-7"'},
]
PLACES = [
    ("https://models.s3.eu-west-1.amazonaws.com", "eu-west-1"),
    ("https://s3.us-gov-west-1.amazonaws.com/models.with.dots", "us-gov-west-1"),
    ("https://models.s3.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("http://127.0.0.1:9000/models", "us-east-1"),
    ("https://store.example:8443/models", "us-east-1"),
]
MOMENTS = [0.0, 951_782_399.9, 1_767_225_600.0, 1_767_225_600.0 + 3600, 4_107_542_399.0]


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("key", KEYS)
def test_the_headers_are_those_of_botocores_own_signer(
    key: str, place: tuple[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    root, region = place
    url = f"{root}/{percent_encoded(key, b'/')}"
    authority, target = urlsplit(url).netloc, url.removeprefix(f"{urlsplit(url).scheme}://{urlsplit(url).netloc}")
    for token, headers, moment in itertools.product(TOKENS, HEADERS, MOMENTS):
        now = dt.datetime.fromtimestamp(moment, dt.UTC)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda now=now: now.replace(tzinfo=None))
        request = AWSRequest("GET", url, headers=headers)
        S3SigV4Auth(TheirCredentials("AKIA", "s/e+c=ret", token or None), "s3", region).add_auth(request)
        ours = Signer(Credentials("AKIA", "s/e+c=ret", token), region).signed(authority, target, headers, moment)
        assert ours.pop("Host") == authority
        assert lower(ours) == lower(dict(request.headers))


@pytest.mark.parametrize("body", [b"", b'{"RequestItems": {}}', bytes(range(256))])
def test_a_post_to_another_service_is_signed_as_botocore_does(body: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    headers = {"Content-Type": "application/x-amz-json-1.0", "X-Amz-Target": "DynamoDB_20120810.BatchGetItem"}
    for token, moment in itertools.product(TOKENS, MOMENTS):
        now = dt.datetime.fromtimestamp(moment, dt.UTC)
        monkeypatch.setattr("botocore.auth.get_current_datetime", lambda now=now: now.replace(tzinfo=None))
        digest = {"X-Amz-Content-SHA256": sha256(body).hexdigest()}  # which botocore adds for S3 alone
        request = AWSRequest(
            "POST", "https://dynamodb.eu-west-1.amazonaws.com/", headers={**headers, **digest}, data=body
        )
        SigV4Auth(TheirCredentials("AKIA", "s/e+c=ret", token or None), "dynamodb", "eu-west-1").add_auth(request)
        signer = Signer(Credentials("AKIA", "s/e+c=ret", token), "eu-west-1", "dynamodb")
        ours = signer.signed("dynamodb.eu-west-1.amazonaws.com", "/", headers, moment, body)
        assert ours.pop("Host") == "dynamodb.eu-west-1.amazonaws.com"
        assert lower(ours) == lower(dict(request.headers))


def lower(headers: dict[str, str]) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}


def test_neither_secret_is_in_what_is_printed_of_credentials() -> None:
    assert "AKIA" in repr(Credentials("AKIA", "hidden", "hidden"))
    assert "hidden" not in repr(Credentials("AKIA", "hidden", "hidden"))
