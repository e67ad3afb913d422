"""API keys of a stack: one record each in SSM's Parameter Store, below `/pilotlight/<stack>/api-keys`.

`functions/aws/authorizer/api_keys.py` reads the records, and explains why a SHA-256 of the secret is enough.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from pilotlight_cli.aws import AwsUsageError
from pilotlight_cli.aws.calls import AwsError, calling
from pilotlight_cli.aws.environments import STACK_EXPECTED, is_stack_name
from pilotlight_cli.aws.stacks import read_stack

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_ssm import SSMClient

MAX_LABEL = 200  # characters

_FORMAT = 1
_ID = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as stored. `expires` is the last day (UTC) on which it works; `problem` is why its record is unreadable."""

    id: str
    label: str = ""
    created: str = ""
    expires: date | None = None
    problem: str = ""


def path(stack: str) -> str:
    """Return the path of a stack's keys. Raise AwsUsageError if the name is invalid."""
    if not is_stack_name(stack):
        raise AwsUsageError(f"invalid stack name {stack!r}; expected {STACK_EXPECTED}")
    return f"/pilotlight/{stack}/api-keys"


def check_stack(cloudformation: CloudFormationClient, name: str) -> None:
    """Raise AwsError unless a stack lets in who has a key from its own path."""
    own, stack = path(name), read_stack(cloudformation, name)
    if stack is None:
        raise AwsError(f"the stack {name} does not exist, so a key would open nothing; deploy it first")
    authorization, used = (stack.parameters.get(parameter, "") for parameter in ("Authorization", "ApiKeysPath"))
    if authorization != "api-key":
        raise AwsError(
            f"the stack {name} has Authorization={authorization}, so a key would open nothing; set "
            "Authorization=api-key in samconfig.toml and deploy it first"
        )
    if used not in ("", own):
        raise AwsError(
            f"the stack {name} reads its keys from {used} (ApiKeysPath), so a key in {own} would open nothing; create "
            "it for the stack whose path that is"
        )


def check_key(label: str, expires: date | None, now: datetime) -> None:
    """Raise AwsUsageError if no key can have this label or last day."""
    if len(label) > MAX_LABEL or not label.isprintable():
        raise AwsUsageError(f"invalid label; expected at most {MAX_LABEL} printable characters")
    if expires is not None and expires < now.astimezone(UTC).date():
        raise AwsUsageError(f"--expires {expires} is in the past; expected the last day (UTC) on which the key works")


def create(
    ssm: SSMClient,
    stack: str,
    *,
    label: str,
    expires: date | None,
    now: datetime,
    random: Callable[[int], bytes] = secrets.token_bytes,
) -> tuple[ApiKey, str]:
    """Create a key; return its record and the key itself, which is stored nowhere. Raise AwsUsageError or AwsError."""
    below = path(stack)
    check_key(label, expires, now)
    made = ApiKey(random(8).hex(), label, f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}", expires)
    secret = urlsafe_b64encode(random(32)).rstrip(b"=").decode()
    record = {
        "format": _FORMAT,
        "sha256": hashlib.sha256(secret.encode()).hexdigest(),
        "label": made.label,
        "created": made.created,
        "expires": expires.isoformat() if expires else None,
    }
    with calling(f"{below}/{made.id}", "ssm:PutParameter"):
        # A String: a hash of random bits is no secret, and encryption would require permissions on a KMS key.
        ssm.put_parameter(Name=f"{below}/{made.id}", Value=json.dumps(record), Type="String", Overwrite=False)
    return made, f"{made.id}.{secret}"


def list_keys(ssm: SSMClient, stack: str) -> list[ApiKey]:
    """Return the keys of a stack, oldest first. Raise AwsUsageError or AwsError."""
    return sorted(_read_keys(ssm, path(stack)), key=lambda key: (key.created, key.id))


def revoke(ssm: SSMClient, stack: str, key_id: str) -> None:
    """Delete a key. Raise AwsUsageError or AwsError."""
    below = path(stack)
    if not _ID.fullmatch(key_id):
        raise AwsUsageError(
            f"invalid key id {key_id!r}; expected 16 hexadecimal digits, the part of the key before the dot"
        )
    with calling(f"{below}/{key_id}", "ssm:DeleteParameter"):
        try:
            ssm.delete_parameter(Name=f"{below}/{key_id}")
        except ssm.exceptions.ParameterNotFound:
            raise AwsError(f"the stack {stack} has no key {key_id}; 'pilotlight keys list' shows its keys") from None


def _read_keys(ssm: SSMClient, below: str) -> Iterator[ApiKey]:
    with calling(below, "ssm:GetParametersByPath"):
        for page in ssm.get_paginator("get_parameters_by_path").paginate(Path=below):
            for parameter in page["Parameters"]:
                yield _read(parameter["Name"].rpartition("/")[2], parameter["Value"])


def _read(key_id: str, value: str) -> ApiKey:
    try:
        record = json.loads(value)
        if record["format"] != _FORMAT:
            return ApiKey(key_id, problem=f"unknown format {record['format']}; expected {_FORMAT}")
        expires = None if record["expires"] is None else date.fromisoformat(record["expires"])
        return ApiKey(key_id, str(record["label"]), str(record["created"]), expires)
    except (KeyError, TypeError, ValueError):
        return ApiKey(key_id, problem="not an API key record")
