"""deploy/gcp/setup.sh and records.sh: what they make, that it may run twice, and that gcloud knows its words."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.google_cloud import FakeGoogle
from gcloud_fixtures import gcloud_environ, needs_gcloud
from pilotlight_cli.assets import ROOT

SCRIPT, RECORDS = (ROOT / "deploy" / "gcp" / name for name in ("setup.sh", "records.sh"))
FROM_TOPIC = ("rows", "scored", "rows-dead", "rows-failed")
FROM_BUCKET = ("gs://rows-bucket", "gs://results-bucket/out", "rows-dead")

# A gcloud that writes down its arguments, remembers what was created, and fails the first binding.
STAND_IN = """#!{python}
import json, os, sys
from pathlib import Path
folder, words = Path({folder!r}), [word for word in sys.argv[1:] if not word.startswith("--")]
with (folder / "asked").open("a") as file:
    file.write(json.dumps(sys.argv[1:]) + "\\n")
made = folder / "made"
known = set(made.read_text().splitlines()) if made.exists() else set()
verb = next(word for word in words if word.startswith(("describe", "create", "update", "enable", "add-iam")))
thing = " ".join(words[: words.index(verb)] + [words[-1].partition("@")[0]])
if words[:2] == ["projects", "describe"]:
    print("123456789012")
elif verb == "describe" and thing not in known:
    sys.exit("ERROR: NOT_FOUND")
elif verb.startswith("create"):
    if thing in known:
        sys.exit(f"ERROR: ALREADY_EXISTS {{thing}}")
    made.write_text("\\n".join(known | {{thing}}))
elif verb.startswith("add-iam") and "first" not in known:
    made.write_text("\\n".join(known | {{"first"}}))
    sys.exit("ERROR: INVALID_ARGUMENT: Service account does not exist.")
"""


@pytest.fixture
def requested(tmp_path: Path) -> Path:
    """Where the stand-in writes down what it is asked."""
    program = tmp_path / "gcloud"
    program.write_text(STAND_IN.format(python=sys.executable, folder=str(tmp_path)))
    program.chmod(0o755)
    return tmp_path / "asked"


def run(requested: Path, *arguments: str, script: Path = SCRIPT) -> list[list[str]]:
    """Run the script; what it asked of gcloud."""
    requested.unlink(missing_ok=True)
    environ = os.environ | {"PATH": f"{requested.parent}{os.pathsep}{os.environ['PATH']}", "PAUSE": "0"}
    done = subprocess.run(
        [script, "my-project", "europe-west1", *arguments], env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in requested.read_text().splitlines()]


def bindings(commands: list[list[str]]) -> dict[str, list[tuple[str, str]]]:
    """Who has which role on what."""
    found: dict[str, list[tuple[str, str]]] = {}
    for command in commands:
        if any(word.startswith("add-iam") for word in command):
            options = dict(word[2:].partition("=")[::2] for word in command if word.startswith("--"))
            member = options["member"].removeprefix("serviceAccount:").partition("@")[0]
            place = next(word for word in reversed(command) if not word.startswith("--")).partition("@")[0]
            if (options["role"], place) not in found.setdefault(member, []):
                found[member].append((options["role"], place))
    return found


@pytest.mark.parametrize("script", sorted(SCRIPT.parent.glob("*.sh")), ids=lambda script: script.name)
def test_it_parses(script: Path) -> None:
    subprocess.run(["bash", "-n", script], check=True)
    if shellcheck := shutil.which("shellcheck"):
        subprocess.run([shellcheck, script], check=True)


def test_the_function_may_read_objects_of_its_bucket_and_nothing_else(requested: Path) -> None:
    commands = run(requested)
    bucket = "gs://my-project-pilotlight-models"
    assert bindings(commands)["pilotlight-run"] == [("projects/my-project/roles/pilotlightModelReader", bucket)]
    [role] = [command for command in commands if "create" in command and "pilotlightModelReader" in command]
    assert "--permissions=storage.objects.get" in role


def test_the_deployer_gets_what_it_needs_each_where_it_is_needed(requested: Path) -> None:
    bucket = "gs://my-project-pilotlight-models"
    found = bindings(run(requested))
    assert found.keys() == {"pilotlight-run", "pilotlight-build", "pilotlight-invoke", "pilotlight-deploy"}
    assert found["pilotlight-deploy"] == [
        ("roles/cloudfunctions.developer", "my-project"),
        ("projects/my-project/roles/pilotlightRollout", "my-project"),
        ("roles/iam.serviceAccountUser", "pilotlight-run"),
        ("roles/iam.serviceAccountUser", "pilotlight-build"),
        ("roles/iam.serviceAccountTokenCreator", "pilotlight-invoke"),
        ("roles/storage.objectViewer", bucket),
        ("roles/storage.objectCreator", bucket),
    ]
    assert found["pilotlight-invoke"] == [("roles/run.invoker", "my-project")]
    assert found["pilotlight-build"] == [("roles/cloudbuild.builds.builder", "my-project")]


def test_the_bucket_is_private_uniform_and_versioned(requested: Path) -> None:
    commands = run(requested)
    [bucket] = [command for command in commands if command[:3] == ["storage", "buckets", "create"]]
    [update] = [command for command in commands if command[:3] == ["storage", "buckets", "update"]]
    for command in (bucket, update):
        assert {"--uniform-bucket-level-access", "--public-access-prevention"} <= set(command)
    assert "--versioning" in update


def test_a_second_run_makes_nothing_again(requested: Path) -> None:
    run(requested, "owner/repository")
    again = run(requested, "owner/repository")
    assert not [command for command in again if {"create", "create-oidc"} & set(command)]
    assert [command for command in again if "update-oidc" in command]


@pytest.mark.parametrize(("environments", "listed"), [((), "'staging', 'prod'"), (("prod",), "'prod'")])
def test_only_jobs_of_that_repository_and_those_environments_may_deploy(
    environments: tuple[str, ...], listed: str, requested: Path
) -> None:
    commands = run(requested, "owner/repository", *environments)
    [provider] = [command for command in commands if "create-oidc" in command]
    condition = f"assertion.repository == 'owner/repository' && assertion.environment in [{listed}]"
    assert f"--attribute-condition={condition}" in provider
    pool = "projects/123456789012/locations/global/workloadIdentityPools/pilotlight-github"
    member = f"principalSet://iam.googleapis.com/{pool}/attribute.repository/owner/repository"
    assert bindings(commands)[member] == [("roles/iam.workloadIdentityUser", "pilotlight-deploy")]


def test_it_makes_no_keys(requested: Path) -> None:
    assert not [command for command in run(requested, "owner/repository") if "keys" in command]


@pytest.mark.parametrize(
    ("script", "usage"),
    [
        (SCRIPT, "PROJECT REGION [OWNER/REPOSITORY [ENVIRONMENTS]]"),
        (RECORDS, "PROJECT REGION SOURCE RESULTS DEAD_LETTER [FAILURES]"),
    ],
    ids=["setup", "records"],
)
def test_wrong_usage_says_how(script: Path, usage: str) -> None:
    done = subprocess.run([script, "my-project"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert usage in done.stderr


def test_the_function_for_records_may_do_what_its_events_need_and_nothing_else(requested: Path) -> None:
    model = ("projects/my-project/roles/pilotlightModelReader", "gs://my-project-pilotlight-models")
    found = bindings(run(requested, *FROM_TOPIC, script=RECORDS))
    publisher = "roles/pubsub.publisher"
    assert found["pilotlight-records"] == [model, (publisher, "scored"), (publisher, "rows-failed")]
    assert found["pilotlight-events"] == [
        ("roles/eventarc.eventReceiver", "my-project"),
        ("roles/run.invoker", "my-project"),
    ]
    assert found["service-123456789012"] == [(publisher, "rows-dead"), ("roles/pubsub.subscriber", "my-project")]
    assert found["pilotlight-deploy"] == [
        ("projects/my-project/roles/pilotlightDeadLetters", "my-project"),
        ("roles/eventarc.developer", "my-project"),
        ("roles/iam.serviceAccountUser", "pilotlight-records"),
        ("roles/iam.serviceAccountUser", "pilotlight-events"),
    ]
    of_buckets = bindings(run(requested, *FROM_BUCKET, script=RECORDS))
    assert of_buckets["pilotlight-records"] == [
        model,
        ("projects/my-project/roles/pilotlightResultWriter", "gs://results-bucket"),
        ("projects/my-project/roles/pilotlightModelReader", "gs://rows-bucket"),
    ]


def test_dead_letters_and_failures_are_kept_for_a_reader(requested: Path) -> None:
    commands = run(requested, *FROM_TOPIC, script=RECORDS)
    kept = {command[3]: command for command in commands if command[:3] == ["pubsub", "subscriptions", "create"]}
    assert kept.keys() == {"rows-dead-kept", "rows-failed-kept"}
    assert all("--message-retention-duration=7d" in command for command in kept.values())
    again = run(requested, *FROM_TOPIC, script=RECORDS)
    assert not [command for command in again if "create" in command]


@needs_gcloud
def test_gcloud_knows_every_command_and_option(requested: Path, service_account_key: Path, tmp_path: Path) -> None:
    shapes: dict[tuple[str, ...], list[str]] = {}
    of_records = run(requested, *FROM_TOPIC, script=RECORDS) + run(requested, *FROM_TOPIC, script=RECORDS)
    shapes |= {tuple(command[:3]): command for command in of_records if command[0] == "pubsub"}  # the others are alike
    for command in run(requested, "owner/repository") + run(requested, "owner/repository"):
        shapes[tuple(word.partition("=")[0] for word in command)] = command
    with FakeGoogle() as google:
        google.forbids_all = True
        environ = gcloud_environ(google, service_account_key, tmp_path / "config")
        for command in shapes.values():
            run_once = ["gcloud", *command]
            done = subprocess.run(run_once, env=environ, capture_output=True, text=True, check=False, timeout=100)
            refused = ("unrecognized arguments", "Invalid choice", "argument -", "Invalid value", "must be specified")
            assert not any(words in done.stderr for words in refused), f"{command}\n{done.stderr}"
            assert google.asked, f"{command} asked nothing:\n{done.stderr}"
            google.asked.clear()
