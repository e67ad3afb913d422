"""SAM CLI itself, as a deployment calls it. CloudFormation is moto's: what is held is which values come to it.

An image comes to Debian's registry. No ECR was there: a stand-in for its API gives the password of that registry.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import tarfile
from base64 import b64encode
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
import requests
import yaml
from werkzeug import Response

from containers import docker
from fakes.s3_server import S3Server
from pilotlight_cli.assets import ROOT
from pilotlight_cli.aws.image import put_into
from pilotlight_cli.aws.release import FUNCTION
from pilotlight_cli.aws.sam import Sam, SamFailed, clean
from pilotlight_cli.aws.stacks import read_stack
from pilotlight_cli.aws.template import effective_values, load_template
from pilotlight_cli.local.wsgi import serving_wsgi
from pilotlight_cli.project.folders import ModelFolder
from templates import MONITORING, TEMPLATE

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PACKAGES = "aws-sam-cli-managed-default"

# Values that a command line would make something else of.
GIVEN = {
    "MetricsNamespace": "Our Models",
    "JwtAudience": "models,other",
    "CorsOrigins": "",
    "AlarmEmail": "a+b@c.example",
}

TAGS = {"team": "blue", "pilotlight:commit": "1a2b-dirty"}


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """Return a project's build folder, whose template has our parameters, and a topic of all resources."""
    (tmp_path / "samconfig.toml").write_bytes((ROOT / "samconfig.toml").read_bytes())
    folder = tmp_path / ".aws-sam" / "build"
    folder.mkdir(parents=True)
    topic = {"Topic": {"Type": "AWS::SNS::Topic", "Properties": {}}}
    document = {"Parameters": TEMPLATE["Parameters"], "Resources": topic, "Outputs": {"A": {"Value": "b"}}}
    (folder / "template.yaml").write_text(json.dumps(document))
    return folder


@pytest.fixture
def cloudformation(s3_server: S3Server, aws_environ: None) -> Iterator[Any]:
    """CloudFormation with the stack of the bucket in which SAM keeps packages: moto cannot make SAM's own."""
    client: Any = boto3.client("cloudformation", endpoint_url=s3_server.url)
    bucket = {"Type": "AWS::S3::Bucket", "Properties": {}}
    template = {"Resources": {"Bucket": bucket}, "Outputs": {"SourceBucket": {"Value": {"Ref": "Bucket"}}}}
    tags = [{"Key": "ManagedStackSource", "Value": "AwsSamCli"}]
    client.create_stack(StackName=PACKAGES, TemplateBody=json.dumps(template), Tags=tags)
    yield client
    client.delete_stack(StackName=PACKAGES)
    client.close()


@pytest.fixture
def environ(s3_server: S3Server, cloudformation: Any) -> dict[str, str]:
    """Return SAM's environment: all of AWS is moto's server, which finds a template by its URL only at localhost."""
    found = {name: value for name, value in os.environ.items() if name != "AWS_ENDPOINT_URL_S3"}
    url = s3_server.url.replace("127.0.0.1", "localhost")
    return {**found, "AWS_ENDPOINT_URL": url, "AWS_MAX_ATTEMPTS": "1", "AWS_CA_BUNDLE": "", "SAM_CLI_POLL_DELAY": "0.1"}


def sam(built: Path, environ: dict[str, str]) -> Sam:
    root = built.parents[1]
    return Sam(ModelFolder("sample", root / "model.lock", root), "dev", environ)


def test_every_parameter_gets_its_value_and_the_values_of_before_are_forgotten(
    built: Path, environ: dict[str, str], cloudformation: Any, capfd: pytest.CaptureFixture[str]
) -> None:
    before = [{"ParameterKey": "ThrottleRate", "ParameterValue": "7"}]
    body = (built / "template.yaml").read_text()
    cloudformation.create_stack(StackName="sam-deploy", TemplateBody=body, Parameters=before)
    values = effective_values(TEMPLATE, GIVEN)
    sam(built, environ).deploy("sam-deploy", values, TAGS)
    stack = read_stack(cloudformation, "sam-deploy")
    assert stack is not None
    assert stack.parameters == values
    said = capfd.readouterr()
    assert said.out == ""
    assert "Successfully created/updated stack - sam-deploy" in said.err


def test_sam_alone_publishes_the_next_package_too(built: Path, environ: dict[str, str], cloudformation: Any) -> None:
    # By the digest of the last release, which it would keep, CloudFormation would be done and the old one still serve.
    before = [{"ParameterKey": "ReleaseDigest", "ParameterValue": "0" * 64}]
    body = (built / "template.yaml").read_text()
    cloudformation.create_stack(StackName="sam-alone", TemplateBody=body, Parameters=before)
    command = [str(Path(sys.executable).with_name("sam")), "deploy", "--config-file", str(ROOT / "samconfig.toml")]
    command += ["--template-file", str(built / "template.yaml"), "--stack-name", "sam-alone"]
    done = subprocess.run(command, env=clean(environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    stack = read_stack(cloudformation, "sam-alone")
    assert stack is not None
    assert stack.parameters["ReleaseDigest"] == ""


def test_the_nested_stack_is_uploaded_and_made_with_its_parameters(
    built: Path, environ: dict[str, str], cloudformation: Any
) -> None:
    template = json.loads((built / "template.yaml").read_text())
    nested = built / "Monitoring" / "template.yaml"  # where `sam build` puts it
    nested.parent.mkdir()
    # moto makes neither metric filters nor alarms on formulas.
    dashboard = {"Type": "AWS::CloudWatch::Dashboard", "Properties": {"DashboardBody": "{}"}}
    nested.write_text(json.dumps({"Parameters": MONITORING["Parameters"], "Resources": {"Dashboard": dashboard}}))
    given = dict.fromkeys(MONITORING["Parameters"], "1")
    made = {"Type": "AWS::CloudFormation::Stack", "Properties": {"TemplateURL": str(nested), "Parameters": given}}
    template["Resources"]["Monitoring"] = made
    (built / "template.yaml").write_text(json.dumps(template))
    sam(built, environ).deploy("sam-nested", effective_values(TEMPLATE, GIVEN), TAGS)
    (made,) = cloudformation.describe_stacks(StackName="sam-nested")["Stacks"]
    assert {tag["Key"]: tag["Value"] for tag in made["Tags"]} == TAGS
    (resource,) = (
        found
        for found in cloudformation.describe_stack_resources(StackName="sam-nested")["StackResources"]
        if found["LogicalResourceId"] == "Monitoring"
    )
    stack = read_stack(cloudformation, resource["PhysicalResourceId"])
    assert stack is not None
    assert stack.parameters == given


def test_what_sam_cannot_do_is_an_error(built: Path, environ: dict[str, str]) -> None:
    (built / "template.yaml").write_text("Resources: [")
    with pytest.raises(SamFailed, match=r"^'sam deploy' failed with exit code \d+; see its output above$"):
        sam(built, environ).deploy("sam-deploy", {}, TAGS)


def test_a_build_prints_no_tips_to_deploy_by_sam_alone(
    built: Path, environ: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    (built.parents[1] / "template.yaml").write_bytes((built / "template.yaml").read_bytes())
    sam(built, environ).build("x86_64")
    said = capfd.readouterr()
    assert said.out == ""
    assert "Build Succeeded" in said.err
    assert "sam deploy" not in said.err


@pytest.fixture
def with_ecr(environ: dict[str, str], oci_registry: str, tmp_path: Path) -> Iterator[dict[str, str]]:
    """Return SAM's environment with ECR's API, as far as it is called, and without passwords of this machine."""
    token = {"authorizationToken": b64encode(b"AWS:secret").decode(), "proxyEndpoint": f"http://{oci_registry}"}

    def application(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        return Response(json.dumps({"authorizationData": [token]}))(environ, start_response)

    with serving_wsgi(application) as url:
        yield {**environ, "AWS_ENDPOINT_URL_ECR": url, "DOCKER_CONFIG": str(tmp_path)}


# moto leaves the function itself out.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..Serverless..Function:UserWarning")
def test_the_image_is_pushed_and_the_stack_gets_its_place(
    built: Path, with_ecr: dict[str, str], cloudformation: Any, oci_registry: str
) -> None:
    (built / FUNCTION).mkdir()
    (built / FUNCTION / "handler.py").write_text("HANDLER = 1\n")
    function = {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "a.b", "CodeUri": FUNCTION}}
    topic = {"Type": "AWS::SNS::Topic", "Properties": {}}
    document = {"Transform": "AWS::Serverless-2016-10-31", "Resources": {FUNCTION: function, "Topic": topic}}
    shared = {"Globals": {"Function": {"Runtime": "python3.13"}}}
    (built / "template.yaml").write_text(json.dumps(document | shared))
    repository = f"{oci_registry}/models/tumours"
    root = built.parents[1]
    account = Sam(ModelFolder("sample", root / "model.lock", root), "dev", with_ecr, repository=repository)
    put_into(built, "x86_64", "scratch")
    local = account.shaped(load_template(built / "template.yaml"))["Resources"][FUNCTION]["Properties"]["ImageUri"]
    account.deploy("sam-image", {}, TAGS)
    template = cloudformation.get_template(StackName="sam-image")["TemplateBody"]
    pushed = (template if isinstance(template, dict) else yaml.safe_load(template))["Resources"][FUNCTION]["Properties"]
    assert pushed["ImageUri"].startswith(f"{repository}:predictfunction-")
    name, tag = pushed["ImageUri"].removeprefix(f"{oci_registry}/").split(":")
    registry = requests.Session()
    registry.auth = ("AWS", "secret")
    registry.headers["Accept"] = "application/vnd.docker.distribution.manifest.v2+json"
    with registry:
        # One image, of one layer on an empty base: Lambda takes no index of several.
        (layer,) = registry.get(f"http://{oci_registry}/v2/{name}/manifests/{tag}", timeout=60).json()["layers"]
        files = registry.get(f"http://{oci_registry}/v2/{name}/blobs/{layer['digest']}", timeout=60).content
    with tarfile.open(fileobj=io.BytesIO(files)) as found:
        assert [member.name for member in found if member.isfile()] == ["var/task/handler.py"]
    docker("image", "rm", "--force", local, "predictfunction:latest", pushed["ImageUri"])
