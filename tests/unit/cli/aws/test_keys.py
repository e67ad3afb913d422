"""`pilotlight keys`: what is stored, what is printed, and exit codes; with moto's Parameter Store."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any

import pytest
import typer.main
from botocore.stub import Stubber
from typer.testing import CliRunner

from fakes.s3_server import S3Server
from pilotlight_cli.aws import AwsUsageError, keys
from pilotlight_cli.aws.calls import AwsError
from pilotlight_cli.main import app

NOON = datetime(2026, 7, 31, 12, tzinfo=UTC)
KEY = re.compile(r"([0-9a-f]{16})\.([A-Za-z0-9_-]{43})")
FORMS = {
    "create": ([], {"--stack"}, {"--label", "--expires", "--json"}),
    "list": ([], {"--stack"}, {"--json"}),
    "revoke": (["key_id"], {"--stack"}, {"--json"}),
}


def run(*arguments: str, code: int = 0) -> Any:
    result = CliRunner().invoke(app, ["keys", *arguments])
    assert result.exit_code == code, result.output
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def stored(ssm: Any, stack: str) -> dict[str, Any]:
    found = ssm.get_parameters_by_path(Path=f"/pilotlight/{stack}/api-keys")["Parameters"]
    return {parameter["Name"].rpartition("/")[2]: json.loads(parameter["Value"]) for parameter in found}


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_commands_have_the_forms_that_are_fixed() -> None:
    commands = typer.main.get_command(app).commands["keys"].commands  # type: ignore[attr-defined]
    found = {}
    for name, command in commands.items():
        options = [option for option in command.params if option.param_type_name == "option"]
        assert command.help
        assert [option.name for option in options if not option.help] == []
        found[name] = (
            [argument.name for argument in command.params if argument.param_type_name == "argument"],
            {option.opts[0] for option in options if option.required},
            {option.opts[0] for option in options if not option.required},
        )
    assert found == FORMS


@pytest.fixture
def keyed(ssm: Any, aws: Callable[[str], Any], stack: str) -> Callable[..., str]:
    """Give a function that brings the stack with these parameters and returns its name."""

    def bring(**parameters: str) -> str:
        given = {"Authorization": "api-key", "ApiKeysPath": "", **parameters}
        template = {
            "Parameters": {name: {"Type": "String"} for name in given},
            "Resources": {"Topic": {"Type": "AWS::SNS::Topic"}},
        }
        values = [{"ParameterKey": name, "ParameterValue": value} for name, value in given.items()]
        aws("cloudformation").create_stack(StackName=stack, TemplateBody=json.dumps(template), Parameters=values)
        return stack

    return bring


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        (None, "does not exist, so a key would open nothing; deploy it first"),
        ({"Authorization": "iam"}, "has Authorization=iam, so a key would open nothing; set Authorization=api-key"),
        ({"ApiKeysPath": "/team/keys"}, "reads its keys from /team/keys (ApiKeysPath), so a key in /pilotlight/"),
    ],
    ids=["no stack", "no keys", "another path"],
)
def test_a_key_that_would_open_nothing_is_not_made(
    ssm: Any, keyed: Callable[..., str], stack: str, parameters: dict[str, str] | None, said: str
) -> None:
    if parameters is not None:
        keyed(**parameters)
    result = run("create", "--stack", stack, code=1)
    assert (said in result.stderr, result.stdout, stored(ssm, stack)) == (True, "", {})


def test_a_key_is_printed_alone_on_stdout_and_stored_as_a_hash(ssm: Any, keyed: Callable[..., str]) -> None:
    stack = keyed()
    result = run("create", "--stack", stack, "--label", "nightly batch", "--expires", "2099-12-31")

    key = KEY.fullmatch(result.stdout.rstrip("\n"))
    assert key is not None
    record = stored(ssm, stack)[key[1]]
    created = datetime.fromisoformat(record.pop("created"))
    assert created.tzinfo is not None
    assert record == {
        "format": 1,
        "sha256": hashlib.sha256(key[2].encode()).hexdigest(),
        "label": "nightly batch",
        "expires": "2099-12-31",
    }
    assert f"Created {key[1]} for {stack}, works until 2099-12-31" in result.stderr
    assert key[2] not in result.stderr + json.dumps(stored(ssm, stack))


def test_a_key_as_json(ssm: Any, keyed: Callable[..., str]) -> None:
    stack = keyed()
    document = json.loads(run("create", "--stack", stack, "--json").stdout)

    assert document.keys() == {"stack", "id", "label", "created_at", "expires", "key"}
    assert document["key"].startswith(f"{document['id']}.")
    assert (document["stack"], document["label"], document["expires"]) == (stack, "", None)


def test_two_keys_are_two(ssm: Any, keyed: Callable[..., str]) -> None:
    stack = keyed()
    assert run("create", "--stack", stack).stdout != run("create", "--stack", stack).stdout
    assert len(stored(ssm, stack)) == 2


def test_randomness_and_time_make_the_key(ssm: Any, stack: str) -> None:
    made, key = keys.create(ssm, stack, label="", expires=None, now=NOON, random=bytes)
    assert (made.created, key) == ("2026-07-31T12:00:00Z", f"{'0' * 16}.{'A' * 43}")


def test_a_key_never_overwrites_another(ssm: Any, stack: str) -> None:
    first, _ = keys.create(ssm, stack, label="first", expires=None, now=NOON, random=bytes)

    result = f"^/pilotlight/{stack}/api-keys/{first.id}: .*ParameterAlreadyExists"
    with pytest.raises(AwsError, match=result):
        keys.create(ssm, stack, label="second", expires=None, now=NOON, random=bytes)
    assert stored(ssm, stack)[first.id]["label"] == "first"


def test_the_last_day_may_be_today_and_not_yesterday(ssm: Any, stack: str) -> None:
    keys.create(ssm, stack, label="", expires=date(2026, 7, 31), now=NOON)
    with pytest.raises(AwsUsageError, match="^--expires 2026-07-30 is in the past; expected the last day"):
        keys.create(ssm, stack, label="", expires=date(2026, 7, 30), now=NOON)
    assert len(stored(ssm, stack)) == 1


def test_keys_are_listed_oldest_first_without_secrets(ssm: Any, stack: str) -> None:
    later = datetime(2026, 8, 1, tzinfo=UTC)
    second, _ = keys.create(ssm, stack, label="b", expires=date(2099, 1, 2), now=later)
    first, key = keys.create(ssm, stack, label="a", expires=None, now=NOON)
    third, _ = keys.create(ssm, stack, label="", expires=date(2026, 9, 1), now=datetime(2026, 8, 2, tzinfo=UTC))

    result = run("list", "--stack", stack)
    assert lines(result.stdout)[:3] == [
        "id created expires label",
        f"{first.id} 2026-07-31 12:00 never a",
        f"{second.id} 2026-08-01 00:00 2099-01-02 b",
    ]
    assert lines(result.stdout)[3].startswith(f"{third.id} 2026-08-02 00:00 2026-09-01")
    assert key.partition(".")[2] not in result.output


def test_a_last_day_that_is_over_says_so(ssm: Any, stack: str) -> None:
    long_ago = datetime(2020, 1, 1, tzinfo=UTC)
    keys.create(ssm, stack, label="", expires=date(2020, 2, 1), now=long_ago)
    assert "2020-02-01 (expired)" in run("list", "--stack", stack).stdout


def test_more_keys_than_a_page_of_parameter_store_are_all_listed(ssm: Any, stack: str) -> None:
    for _ in range(12):
        keys.create(ssm, stack, label="", expires=None, now=NOON)
    document = json.loads(run("list", "--stack", stack, "--json").stdout)
    assert len(document["keys"]) == 12
    assert document["keys"][0].keys() == {"id", "label", "created_at", "expires"}


def test_another_stacks_keys_are_not_listed(ssm: Any, stack: str) -> None:
    keys.create(ssm, f"{stack}0", label="", expires=None, now=NOON)
    result = run("list", "--stack", stack)
    assert result.stdout == ""
    assert f"{stack} has no keys; 'pilotlight keys create --stack {stack}' creates one" in result.stderr


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("by hand", "not an API key record"),
        ("{}", "not an API key record"),
        ('{"format": 2}', "unknown format 2; expected 1"),
    ],
)
def test_a_record_that_cannot_be_read_is_listed_and_fails(ssm: Any, stack: str, value: str, problem: str) -> None:
    keys.create(ssm, stack, label="", expires=None, now=NOON)
    ssm.put_parameter(Name=f"{keys.path(stack)}/{'ab' * 8}", Value=value, Type="String")

    result = run("list", "--stack", stack, code=1)
    assert "unreadable" in result.stdout
    assert result.stderr == f"error: /pilotlight/{stack}/api-keys/{'ab' * 8}: {problem}\n"
    document = json.loads(run("list", "--stack", stack, "--json", code=1).stdout)
    assert {"id": "ab" * 8, "problem": problem} in document["keys"]


def test_a_revoked_key_is_gone_and_the_others_stay(ssm: Any, stack: str) -> None:
    first, _ = keys.create(ssm, stack, label="", expires=None, now=NOON)
    second, _ = keys.create(ssm, stack, label="", expires=None, now=NOON)

    assert run("revoke", first.id, "--stack", stack).stdout.startswith(f"Revoked {first.id} of {stack}")
    assert stored(ssm, stack).keys() == {second.id}
    document = json.loads(run("revoke", second.id, "--stack", stack, "--json").stdout)
    assert document == {"stack": stack, "id": second.id, "revoked": True}


def test_an_id_that_is_not_there_is_a_failure(ssm: Any, stack: str) -> None:
    result = run("revoke", "ab" * 8, "--stack", stack, code=1)
    assert result.stderr == (f"error: the stack {stack} has no key {'ab' * 8}; 'pilotlight keys list' shows its keys\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("create",),
        ("list", "--stack", "no/stack"),
        ("list", "--stack", "../../other"),
        ("create", "--stack", "1st"),
        ("create", "--stack", "s" * 45),
        ("create", "--stack", "a", "--expires", "tomorrow"),
        ("create", "--stack", "a", "--expires", "2020-01-01"),
        ("create", "--stack", "a", "--label", "x" * (keys.MAX_LABEL + 1)),
        ("create", "--stack", "a", "--label", "two\nlines"),
        ("revoke", "--stack", "a"),
        ("revoke", "../x", "--stack", "a"),
        ("revoke", f"{'ab' * 8}.{'s' * 43}", "--stack", "a"),
        ("rotate",),
    ],
    ids=str,
)
def test_wrong_usage_is_2_and_asks_nothing_of_aws(ssm: Any, s3_server: S3Server, arguments: tuple[str, ...]) -> None:
    before = len(s3_server.requests)
    assert len(run(*arguments, code=2).stderr) > 20
    assert len(s3_server.requests) == before


def test_a_refusal_names_the_permission(ssm: Any, stack: str) -> None:
    with Stubber(ssm) as refusing:
        refusing.add_client_error("put_parameter", "AccessDeniedException", "no")
        with pytest.raises(AwsError, match=r"/\w+ was refused; these credentials lack ssm:PutParameter \(.*no\)$"):
            keys.create(ssm, stack, label="", expires=None, now=NOON)


def test_missing_credentials_say_how_to_sign_in(ssm: Any, stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = run("list", "--stack", stack, code=1).stderr
    assert re.fullmatch(r"error: /pilotlight/.*/api-keys: no AWS credentials .*; sign in with .*\n", error)


def test_a_missing_region_is_named(ssm: Any, stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    error = run("list", "--stack", stack, code=1).stderr
    assert error == "error: AWS ssm: no region is configured; set AWS_DEFAULT_REGION, or a region in the profile\n"


def test_an_endpoint_that_is_none_is_named(ssm: Any, stack: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", "127.0.0.1:9000")
    assert "127.0.0.1:9000; see AWS_ENDPOINT_URL" in run("list", "--stack", stack, code=1).stderr
