"""moto enforces the function's policy as it stands in the translation: the store's prefix can be read, and no more."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError

from pilotlight.fetch.download import Partial
from pilotlight.model.lock import File
from processes import python
from s3_store import S3Store
from templates import properties, stack

BUCKET = "models"
FOREIGN = "foreign"
KEY = "example/3/model.onnx"
MODEL = b"the bytes of a model"

# A store without a prefix, with one, and with one of several levels.
PREFIXES = ["", "team/", "team/blue/2026/"]


class Server:
    """moto in a process of its own: whether it enforces policies is a setting of the whole process."""

    def __init__(self, url: str) -> None:
        self.url = url

    def client(self, service: str, credentials: dict[str, str] | None = None) -> Any:
        given = credentials or {"AccessKeyId": "testing", "SecretAccessKey": "testing", "SessionToken": "testing"}
        session = boto3.Session(given["AccessKeyId"], given["SecretAccessKey"], given["SessionToken"], "us-east-1")
        config = Config(retries={"total_max_attempts": 1}, s3={"addressing_style": "path"})
        return session.client(service, endpoint_url=self.url, config=config)  # type: ignore[call-overload]

    def enforce(self, *, on: bool) -> None:
        reply = requests.post(f"{self.url}/moto-api/reset-auth", data="0" if on else "inf", timeout=60)
        reply.raise_for_status()


SERVE = """
import logging
from moto.server import ThreadedMotoServer
logging.getLogger("werkzeug").setLevel("ERROR")  # nobody reads its lines, and a full pipe would stop it
server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
server.start()
print(server.get_host_and_port()[1], flush=True)
server._thread.join()
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with python(SERVE) as process:
        assert process.stdout is not None
        yield Server(f"http://127.0.0.1:{int(process.stdout.readline())}")


@pytest.fixture(params=PREFIXES, ids=["bucket", "prefix", "levels"])
def prefix(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def session(server: Server, prefix: str) -> Iterator[dict[str, str]]:
    """Credentials of a role with exactly the policies of the translation, while moto enforces them."""
    requests.post(f"{server.url}/moto-api/reset", timeout=60).raise_for_status()
    server.enforce(on=False)
    s3, iam = server.client("s3"), server.client("iam")
    for bucket in (BUCKET, FOREIGN):
        s3.create_bucket(Bucket=bucket)
        for below in (prefix, "elsewhere/", "teams/"):
            s3.put_object(Bucket=bucket, Key=f"{below}{KEY}", Body=MODEL)
    role = named(properties(stack(StoreUrl=f"s3://{BUCKET}/{prefix}".rstrip("/")), "PredictRole"))
    made = iam.create_role(RoleName="predict", AssumeRolePolicyDocument=json.dumps(role["AssumeRolePolicyDocument"]))
    for policy in role["Policies"]:
        document = json.dumps(policy["PolicyDocument"])
        iam.put_role_policy(RoleName="predict", PolicyName=policy["PolicyName"], PolicyDocument=document)
    reply = server.client("sts").assume_role(RoleArn=made["Role"]["Arn"], RoleSessionName="start")
    server.enforce(on=True)
    try:
        yield reply["Credentials"]
    finally:
        server.enforce(on=False)


def named(node: Any) -> Any:
    """Return a part of a template with an ARN where it refers to the log group, which is no file in S3."""
    if node == {"Fn::GetAtt": ["PredictLogGroup", "Arn"]}:
        return "arn:aws:logs:us-east-1:123456789012:log-group:/pilotlight/pilotlight-dev/predict:*"
    if isinstance(node, dict):
        return {key: named(value) for key, value in node.items()}
    return [named(item) for item in node] if isinstance(node, list) else node


def code(call: Callable[..., Any], **arguments: Any) -> str:
    """How S3 answers: `allowed`, or the code of the refusal."""
    try:
        call(**arguments)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return "allowed"


def test_the_function_reads_below_its_prefix(server: Server, session: dict[str, str], prefix: str) -> None:
    reply = server.client("s3", session).get_object(Bucket=BUCKET, Key=f"{prefix}{KEY}")
    assert reply["Body"].read() == MODEL


def test_the_functions_own_store_reads_its_model(
    server: Server, session: dict[str, str], prefix: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", session["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", session["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", session["SessionToken"])
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", server.url)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    partial = Partial(tmp_path, File("model.onnx", len(MODEL), sha256(MODEL).hexdigest()))
    S3Store(f"s3://{BUCKET}/{prefix}".rstrip("/")).fetch(KEY, partial.begin(lambda: None), 60)
    partial.finish()
    assert (tmp_path / "model.onnx").read_bytes() == MODEL


@pytest.mark.parametrize("prefix", ["team/", "team/blue/2026/"], indirect=True)
@pytest.mark.parametrize("below", ["", "elsewhere/", "teams/"])
def test_the_function_reads_nothing_beside_its_prefix(server: Server, session: dict[str, str], below: str) -> None:
    assert code(server.client("s3", session).get_object, Bucket=BUCKET, Key=f"{below}{KEY}") == "AccessDenied"


def test_the_function_reads_no_other_bucket(server: Server, session: dict[str, str], prefix: str) -> None:
    assert code(server.client("s3", session).get_object, Bucket=FOREIGN, Key=f"{prefix}{KEY}") == "AccessDenied"


def test_the_function_changes_and_lists_nothing(server: Server, session: dict[str, str], prefix: str) -> None:
    s3, key = server.client("s3", session), f"{prefix}{KEY}"
    assert code(s3.put_object, Bucket=BUCKET, Key=key, Body=b"other") == "AccessDenied"
    assert code(s3.delete_object, Bucket=BUCKET, Key=key) == "AccessDenied"
    assert code(s3.list_objects_v2, Bucket=BUCKET, Prefix=prefix) == "AccessDenied"
    assert code(s3.put_object_tagging, Bucket=BUCKET, Key=key, Tagging={"TagSet": []}) == "AccessDenied"
