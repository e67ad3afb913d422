"""Where a bucket is asked for, held against where botocore sends a request; and what is left to boto3."""

from __future__ import annotations

import os

import boto3
import pytest
from botocore.awsrequest import AWSPreparedRequest
from botocore.config import Config
from botocore.session import get_session

from pilotlight.fetch.http_client import Address
from s3_place import is_known, place, plain_access
from s3_signature import Credentials

ENVIRON = {"AWS_ACCESS_KEY_ID": "AKIA", "AWS_SECRET_ACCESS_KEY": "s/e+c=ret", "AWS_REGION": "eu-west-1"}
ODD = "a b/c+d/e=f&g?h#i/j%20k/~l/m:n@o,p;q'r(s)*t!u$v/ünï/模型"


def regions(*partitions: str) -> list[str]:
    return [region for name in partitions for region in get_session().get_available_regions("s3", name)]


class Boto3:
    """Tells where boto3 would send a GET."""

    def __init__(self, region: str, patch: pytest.MonkeyPatch, **environ: str) -> None:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name, value in {**ENVIRON, "AWS_CONFIG_FILE": os.devnull, **environ}.items():
            patch.setenv(name, value)
        config = Config(s3={"us_east_1_regional_endpoint": "regional"})
        self._sent = ""
        self._client = boto3.Session(region_name=region).client("s3", config=config)
        self._client.meta.events.register("before-send.s3.GetObject", self._note)

    def url_of(self, bucket: str, key: str) -> str:
        with pytest.raises(InterruptedError):
            self._client.get_object(Bucket=bucket, Key=key)
        return self._sent

    def _note(self, request: AWSPreparedRequest, **_: object) -> None:
        self._sent = str(request.url)
        raise InterruptedError


def url_of(bucket: str, key: str, region: str, endpoint: Address | None = None) -> str:
    address, target = place(bucket, key, region, endpoint)
    return f"{'https' if address.tls else 'http'}://{address.authority}{target}"


SOME = ["us-east-1", "eu-west-1", "mx-central-1", "us-gov-west-1", "cn-northwest-1"]


@pytest.mark.parametrize("region", SOME)
def test_a_bucket_is_asked_for_where_botocore_asks(region: str, monkeypatch: pytest.MonkeyPatch) -> None:
    theirs = Boto3(region, monkeypatch)
    for bucket, key in [
        ("models", "model.onnx"),
        ("my.models", "a/./b/../c"),
        ("Old-Models", ODD),
        ("m" * 63, "//a//"),
    ]:
        assert url_of(bucket, key, region) == theirs.url_of(bucket, key)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"),
        ("AWS_ENDPOINT_URL", "https://store.example:8443/"),
        ("AWS_ENDPOINT_URL_S3", "https://store.example"),
    ],
)
def test_an_endpoint_of_somebodys_choice_is_asked_as_botocore_asks(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = Boto3("eu-west-1", monkeypatch, **{name: value})
    for bucket in ("models", "my.models"):
        access = plain_access(bucket, {**ENVIRON, name: value})
        assert access is not None
        assert url_of(bucket, ODD, access.region, access.endpoint) == theirs.url_of(bucket, ODD)


def test_the_regions_of_three_partitions_are_known_and_no_other() -> None:
    assert [region for region in regions("aws", "aws-us-gov", "aws-cn") if not is_known(region)] == []
    others = regions("aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc")
    assert len(others) > 5
    assert [region for region in [*others, "", "eu-west-1.evil.example", "eu-west-1\n"] if is_known(region)] == []


def test_the_more_special_endpoint_counts_and_both_can_be_switched_off() -> None:
    both = {**ENVIRON, "AWS_ENDPOINT_URL": "http://a", "AWS_ENDPOINT_URL_S3": "http://b"}
    access = plain_access("models", both)
    assert access is not None
    assert access.endpoint == Address(tls=False, host="b", port=80)
    access = plain_access("models", {**both, "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"})
    assert access is not None
    assert access.endpoint is None


@pytest.mark.parametrize(
    "environ",
    [
        {"AWS_ACCESS_KEY_ID": ""},
        {"AWS_SECRET_ACCESS_KEY": ""},
        # as under SnapStart
        {"AWS_ACCESS_KEY_ID": "", "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9001/2021-04-23/credentials"},
        {"AWS_REGION": ""},
        {"AWS_REGION": "us-iso-east-1"},
        {"AWS_PROFILE": "mine"},
        {"AWS_DEFAULT_PROFILE": "mine"},
        {"AWS_USE_FIPS_ENDPOINT": "true"},
        {"AWS_USE_DUALSTACK_ENDPOINT": "true"},
        {"AWS_CONFIG_FILE": __file__},
        {"HTTPS_PROXY": "http://a.proxy"},
        {"http_proxy": "http://a.proxy"},
        {"AWS_ENDPOINT_URL_S3": "http://a/below"},
        {"AWS_ENDPOINT_URL_S3": "http://user@a"},
        {"AWS_ENDPOINT_URL_S3": "127.0.0.1:9000"},
    ],
)
def test_what_the_environment_asks_for_beyond_the_usual_is_for_boto3(environ: dict[str, str]) -> None:
    assert plain_access("models", ENVIRON) is not None
    assert plain_access("models", {**ENVIRON, **environ}) is None


@pytest.mark.parametrize(
    "bucket",
    [
        "arn:aws:s3:eu-west-1:123456789012:accesspoint/models",
        "models--use1-az4--x-s3",
        "models.mrap",
        "Bad_Bucket!",
        "a..b",
        "x",
        "models/..",
    ],
)
def test_a_bucket_of_another_kind_is_for_boto3(bucket: str) -> None:
    assert plain_access(bucket, ENVIRON) is None


def test_the_region_may_be_given_as_botocore_knows_it() -> None:
    environ = {name: value for name, value in ENVIRON.items() if name != "AWS_REGION"}
    access = plain_access("models", {**environ, "AWS_DEFAULT_REGION": "ca-west-1", "AWS_USE_FIPS_ENDPOINT": "false"})
    assert access is not None
    assert access.region == "ca-west-1"


def test_the_token_of_a_role_belongs_to_its_key() -> None:
    access = plain_access("models", {**ENVIRON, "AWS_SESSION_TOKEN": "t"})
    assert access is not None
    assert access.credentials == Credentials("AKIA", "s/e+c=ret", "t")
