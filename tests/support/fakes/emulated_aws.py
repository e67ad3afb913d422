"""AWS as MiniStack emulates it, in a process of its own; functions run in containers of Lambda's image.

Where it differs from AWS, as far as these tests know: its CloudFormation has no CodeDeploy, no scaling, no composite
alarms, no nested stacks and no alarms on a formula; an alarm looks at a metric in all dimensions at once; log lines
make no metrics.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import requests

from pilotlight_cli.assets import ROOT
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.local.process import Child, Log, free_port
from translation import ACCOUNT, REGION

# The types of resources that it refuses to make.
_REFUSED = (
    "AWS::ApplicationAutoScaling::",
    "AWS::CloudWatch::CompositeAlarm",
    "AWS::CloudFormation::Stack",
    "AWS::CodeDeploy::",
)

_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "local", "AWS_SECRET_ACCESS_KEY": "local"}


def without_the_refused(template: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return a template of what the emulator accepts, and what was dropped: logical ids and types."""
    kept, dropped = {}, []
    for name, resource in template["Resources"].items():
        if resource["Type"].startswith(_REFUSED):
            dropped.append(f"{name} ({resource['Type']})")
        elif "Metrics" in resource["Properties"]:
            dropped.append(f"{name} ({resource['Type']} on a formula)")
        else:
            # CodeDeploy would have moved the alias.
            kept[name] = {key: value for key, value in resource.items() if key != "UpdatePolicy"}
    return {**template, "Resources": kept}, dropped


@dataclass(frozen=True)
class EmulatedAws:
    """A running emulator; `environ` is with which boto3 finds it. Clients are made once and closed with it."""

    url: str
    environ: Mapping[str, str]
    log: Log
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        if service not in self._clients:
            self._clients[service] = boto3.Session().client(  # type: ignore[call-overload]
                service,
                endpoint_url=self.url,
                region_name=REGION,
                aws_access_key_id=_CREDENTIALS["AWS_ACCESS_KEY_ID"],
                aws_secret_access_key=_CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            )
        return self._clients[service]

    def deploy(self, stack: str, template: Mapping[str, Any]) -> dict[str, str]:
        """Make a stack, or change it, and wait until that is done; its outputs."""
        cloudformation = self.client("cloudformation")
        there = {found["StackName"] for found in cloudformation.describe_stacks()["Stacks"]}
        act = cloudformation.update_stack if stack in there else cloudformation.create_stack
        act(StackName=stack, TemplateBody=json.dumps(template), Capabilities=["CAPABILITY_NAMED_IAM"])
        found = self._settled(stack)
        assert found["StackStatus"] in ("CREATE_COMPLETE", "UPDATE_COMPLETE"), self._failures(stack)
        return {output["OutputKey"]: output["OutputValue"] for output in found["Outputs"]}

    def call(self, api_url: str, path: str, body: object = None, **headers: str) -> requests.Response:
        """Send a request to an API of the emulator, whose name no resolver knows."""
        host = api_url.partition("://")[2]
        method = "GET" if body is None else "POST"
        sent = {"host": host, "content-type": "application/json", **headers}
        return requests.request(method, f"{self.url}{path}", json=body, headers=sent, timeout=60)

    def log_lines(self, group: str) -> list[str]:
        """Every line in a log group."""
        logs = self.client("logs")
        streams = logs.describe_log_streams(logGroupName=group)["logStreams"]
        pages = [logs.get_log_events(logGroupName=group, logStreamName=one["logStreamName"]) for one in streams]
        return [event["message"] for page in pages for event in page["events"]]

    def _settled(self, stack: str) -> Any:
        while True:
            (found,) = self.client("cloudformation").describe_stacks(StackName=stack)["Stacks"]
            if not found["StackStatus"].endswith("IN_PROGRESS"):
                return found
            time.sleep(0.1)

    def _failures(self, stack: str) -> list[str]:
        events = self.client("cloudformation").describe_stack_events(StackName=stack)["StackEvents"]
        failed = [event for event in events if event["ResourceStatus"].endswith("FAILED")]
        return [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in failed]

    def close(self) -> None:
        """Close the clients."""
        for client in self._clients.values():
            client.close()


@contextmanager
def emulated_aws(image: str, address: str, folder: Path) -> Iterator[EmulatedAws]:
    """Run an emulator at this machine's `address`, which containers reach; its functions run in `image`."""
    port = free_port()
    url, log = f"http://{address}:{port}", Log()
    # It asks for the image by the name without the processor; under a prefix of our own nobody else's is meant.
    prefix = f"pilotlight-{port}"
    alias = f"{prefix}/{image.removesuffix('-x86_64')}"
    subprocess.run(["docker", "tag", image, alias], check=True)
    aws = EmulatedAws(url, _CREDENTIALS | {"AWS_ENDPOINT_URL": url, "AWS_DEFAULT_REGION": REGION}, log)
    child = Child([*isolated_python(), "-m", "ministack"], folder, _environ(aws, address, port, prefix, folder), log)
    try:
        _wait(child, aws)
        yield aws
    finally:
        aws.close()
        child.stop(seconds=30)  # it removes its containers
        subprocess.run(["docker", "image", "rm", "--no-prune", alias], check=True, capture_output=True)


def _environ(aws: EmulatedAws, address: str, port: int, prefix: str, folder: Path) -> dict[str, str]:
    return {
        **{name: os.environ[name] for name in ("PATH", "DOCKER_HOST") if name in os.environ},
        **aws.environ,
        "PYTHONPATH": str(host_packages(ROOT / "tools" / "emulator.txt")),
        "HOME": str(folder),
        "BIND_HOST": address,
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_IMAGE_PREFIX": prefix,
        "LAMBDA_EXECUTOR": "docker",
        "LAMBDA_STRICT": "1",
        "SFTP_ENABLED": "0",  # it would listen on ports that are everybody's
        "IOT_MTLS_ENABLED": "0",
    }


def _wait(child: Child, aws: EmulatedAws) -> None:
    end = time.monotonic() + 180
    while True:
        with suppress(requests.ConnectionError, requests.Timeout):
            requests.get(f"{aws.url}/_ministack/health", timeout=5).raise_for_status()
            return
        assert child.exit_code is None, aws.log.tail()
        assert time.monotonic() < end, aws.log.tail()
        time.sleep(0.1)
