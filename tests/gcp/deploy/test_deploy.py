"""`pilotlight deploy gcp` and `pilotlight rollout gcp` with the real gcloud, on a fake Google Cloud."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time

from fakes.cloud_run import PROJECT, REGION, Target
from gcloud_fixtures import needs_gcloud
from gcp.deploy.conftest import SETTINGS, Deployment
from pilotlight_cli.gcp.state import ANNOTATION, BEFORE
from pilotlight_cli.project.git import working_commit
from repository import LOCK, copied_project

pytestmark = needs_gcloud

FIRST, SECOND, THIRD = (f"predict-0000{number}-abc" for number in (1, 2, 3))
PARENT = f"projects/{PROJECT}/locations/{REGION}"


def test_the_first_deployment_has_nothing_to_shift_and_says_so(deployment: Deployment) -> None:
    done = deployment.deploy()
    assert (
        "this is the first deployment of predict: without an old revision there is no traffic to shift" in done.stderr
    )
    assert "Cloud Run refuses that. Otherwise set public = true" in done.stderr  # of CORS behind IAM
    assert (
        f"{FIRST} with breast-cancer:1 has all traffic of predict (first deployment, no traffic to shift)"
        in done.stdout
    )
    assert deployment.google.service("predict").split == {FIRST: 100}

    # The model is in the store, copied from the repository.
    assert {"team/breast-cancer/1/model.onnx", "team/breast-cancer/1/manifest.json"} <= set(
        deployment.gcs.buckets.objects("models")
    )

    # What gcloud sent: the function as the settings say, and the package.
    [(verb, body, _)] = deployment.google.functions.deployments
    environment = body["serviceConfig"].pop("environmentVariables")
    release = environment.pop("PILOTLIGHT_RELEASE")
    assert verb == "POST"
    assert body == {
        "name": f"{PARENT}/functions/predict",
        "buildConfig": {
            "runtime": "python313",
            "entryPoint": "predict",
            "environmentVariables": {"SOURCE_DATE_EPOCH": "315532801"},
            "source": {"storageSource": {"bucket": "gcf-uploads", "object": "source-1.zip"}},
        },
        "serviceConfig": {
            "availableCpu": "1",
            "availableMemory": "512Mi",
            "maxInstanceRequestConcurrency": 8,
            "minInstanceCount": 1,
            "maxInstanceCount": 3,
            "serviceAccountEmail": f"run@{PROJECT}.iam.gserviceaccount.com",
        },
        "labels": {
            "deployment-tool": "cli-gcloud",
            "pilotlight-model": "breast-cancer",
            "pilotlight-version": "1",
            "pilotlight-lock": deployment.expected.lock,
            "pilotlight-release": release[:16],
            "pilotlight-commit": working_commit(LOCK.parent),
        },
    }
    assert environment == {
        "PILOTLIGHT_CORS_ORIGINS": "https://a.example,https://b.example",
        "PILOTLIGHT_STORE": "gs://models/team",
        "LOG_EXECUTION_ID": "false",
        "GOOGLE_CLOUD_PROJECT": PROJECT,
    }
    assert re.fullmatch("[0-9a-f]{64}", release)
    archive = deployment.google.functions.source()
    sent = {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}
    there = {
        file.relative_to(deployment.package).as_posix(): file
        for file in deployment.package.rglob("*")
        if file.is_file()
    }
    assert there.pop(".gcloudignore")
    assert sent == {name: file.read_bytes() for name, file in there.items()}

    # Nobody was let in without credentials, and the golden samples came with an identity.
    assert not deployment.google.called("POST", "run.test", "setIamPolicy")
    assert len(deployment.google.called("POST", "predict.run.example")) == len(deployment.expected.golden.samples)


def test_what_gcp_toml_may_leave_out_gets_to_google(deployed: Deployment) -> None:
    more = """timeout = 300
ingress = "internal-and-gclb"
vpc_connector = "inside"
vpc_egress = "all"
secrets = {API_KEY = "key:1"}
workers = 2
public = true
"""
    file = deployed.folder / "gcp.toml"
    file.write_text(file.read_text().replace("cpu = 1", "cpu = 2") + more)
    deployed.deploy()
    _, body, _ = deployed.google.functions.deployments[-1]
    service = body["serviceConfig"]
    assert service["environmentVariables"]["WORKERS"] == "2"
    assert (service["timeoutSeconds"], service["ingressSettings"]) == (300, "ALLOW_INTERNAL_AND_GCLB")
    assert service["vpcConnector"].endswith("/connectors/inside")
    assert service["vpcConnectorEgressSettings"] == "ALL_TRAFFIC"
    [secret] = service["secretEnvironmentVariables"]
    assert (secret["key"], secret["secret"], secret["version"]) == ("API_KEY", "key", "1")
    [policy] = deployed.google.called("POST", "run.test", "setIamPolicy")
    assert policy.document["policy"]["bindings"] == [{"members": ["allUsers"], "role": "roles/run.invoker"}]


def test_the_next_deployment_pins_deploys_tags_and_shifts(deployed: Deployment) -> None:
    service = deployed.google.service("predict")
    before = len(service.history)
    document = json.loads(deployed.deploy("--json").stdout)
    assert document == {
        "environment": "test",
        "service": "predict",
        "url": "http://predict.run.example",
        "revision": SECOND,
        "before": FIRST,
        "release": document["release"],
        "model": {"name": "breast-cancer", "version": 1},
    }
    shares = [split.get(SECOND, 0) for split in service.history[before:]]
    # pinned, deployed, policy, tagged, noted, 50 %, 100 %, note removed
    assert shares == [0, 0, 0, 0, 50, 100, 100]
    assert service.traffic == [Target(SECOND, 100)]
    assert service.annotations == {BEFORE: f"{SECOND}/{FIRST}"}

    # By gcloud: the pin before the deployment, the tag after it. By our own hand: the note, with each split.
    pin, tag = (asked.document for asked in deployed.google.called("PUT", "run.test"))
    assert pin["spec"]["traffic"] == [{"percent": 100, "revisionName": FIRST}]
    assert tag["spec"]["traffic"] == [
        {"percent": 100, "revisionName": FIRST},
        {"revisionName": SECOND, "tag": "canary"},
    ]
    notes, last = deployed.google.called("PATCH", "run.test")[:-1], deployed.google.called("PATCH", "run.test")[-1]
    found = [json.loads(asked.document["annotations"][ANNOTATION]) for asked in notes]
    assert [(note["old"], note["new"], note["percent"]) for note in found] == [
        (FIRST, SECOND, 0),
        (FIRST, SECOND, 50),
        (FIRST, SECOND, 100),
    ]
    assert last.document["annotations"] == {BEFORE: f"{SECOND}/{FIRST}"}
    verb, body, mask = deployed.google.functions.deployments[-1]
    assert verb == "PATCH"
    assert "all_traffic_on_latest_revision" not in mask
    assert "build_config.source" in mask
    assert body["buildConfig"]["runtime"] == "python313"
    assert body["serviceConfig"]["environmentVariables"] == {
        "PILOTLIGHT_CORS_ORIGINS": "https://a.example,https://b.example",
        "PILOTLIGHT_STORE": "gs://models/team",
        "PILOTLIGHT_RELEASE": document["release"],
        "LOG_EXECUTION_ID": "false",
        "GOOGLE_CLOUD_PROJECT": PROJECT,
    }
    assert body["labels"] == {
        "team": "fraud",
        "pilotlight-model": "breast-cancer",
        "pilotlight-version": "1",
        "pilotlight-lock": deployed.expected.lock,
        "pilotlight-release": document["release"][:16],
        "pilotlight-commit": working_commit(LOCK.parent),
    }
    order = [
        ("PUT", "/apis/serving.knative.dev/v1/namespaces/pilotlight-test/services/predict"),
        ("PATCH", f"/v2/{PARENT}/functions/predict"),
        ("PUT", "/apis/serving.knative.dev/v1/namespaces/pilotlight-test/services/predict"),
        ("PATCH", f"/v2/{PARENT}/services/predict"),
    ]
    changes = [
        (asked.method, asked.path)
        for asked in deployed.google.asked
        if asked.method in ("PUT", "PATCH") and not asked.path.startswith("/source")
    ]
    assert changes[:4] == order

    # The golden samples went to the tag, before there was any traffic.
    assert {asked.host for asked in deployed.google.called("POST", "run.example")} == {"canary---predict.run.example"}


def test_a_deployment_that_takes_traffic_in_spite_of_the_pin_loses_it(deployed: Deployment) -> None:
    service = deployed.google.service("predict")
    deployed.google.functions.spoil = lambda found: found.send(Target(percent=100))
    failed = deployed.deploy(code=1)
    assert f"the deployment moved traffic that was pinned to {FIRST}: found {SECOND} 100 %" in failed.stderr
    assert service.split == {FIRST: 100}
    assert service.pinned


def wait_for(deployment: Deployment, split: dict[str, int]) -> None:
    """Until the service has this split and the log was asked for."""
    end = time.monotonic() + 90
    while deployment.google.service("predict").split != split or not deployment.google.called("POST", "logging.test"):
        assert time.monotonic() < end, deployment.google.service("predict").split
        time.sleep(0.05)


def test_sigterm_during_a_rollout_gives_the_old_revision_all_traffic(deployed: Deployment) -> None:
    deployed.google.callers = lambda _: None
    with deployed.start("deploy", "gcp", "--yes", "--out", str(deployed.package)) as process:
        wait_for(deployed, {FIRST: 50, SECOND: 50})
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate()
    assert process.returncode == 1
    assert f"interrupted; {FIRST} has all traffic again" in err
    assert deployed.google.service("predict").traffic == [Target(FIRST, 100)]


def test_a_killed_rollout_keeps_its_split_and_the_next_one_finishes_it(deployed: Deployment) -> None:
    service = deployed.google.service("predict")
    deployed.google.callers = lambda _: None
    with deployed.start("deploy", "gcp", "--yes", "--out", str(deployed.package)) as process:
        wait_for(deployed, {FIRST: 50, SECOND: 50})
        process.kill()
        process.communicate()
    assert service.split == {FIRST: 50, SECOND: 50}

    assert deployed.rollout("--plan") == {
        "service": "predict",
        "traffic": {FIRST: 50, SECOND: 50},
        "under_way": {"old": FIRST, "new": SECOND, "percent": 50},
        "steps": [50, 100],
    }
    refused = deployed.deploy(code=1)
    assert f"a rollout of {SECOND} is in progress, at 50 % since" in refused.stderr
    assert "'pilotlight rollout gcp --env test', or add --rollback" in refused.stderr
    assert service.split == {FIRST: 50, SECOND: 50}

    deployed.google.callers = lambda revision: deployed.google.log(revision, 20)
    assert deployed.rollout() == {"service": "predict", "outcome": "done", "revision": SECOND}
    assert service.traffic == [Target(SECOND, 100)]
    assert service.annotations == {BEFORE: f"{SECOND}/{FIRST}"}


def test_a_rollback_needs_nothing_but_the_service(deployed: Deployment) -> None:
    service = deployed.google.service("predict")
    service.deploy()
    service.send(Target(FIRST, 90), Target(SECOND, 10), Target(SECOND, tag="canary"))
    note = {
        "format": 1,
        "old": FIRST,
        "new": SECOND,
        "percent": 10,
        "started": "2026-07-31T12:00:00+00:00",
        "lock": "x",
    }
    service.annotations[ANNOTATION] = json.dumps(note)
    deployed.options[deployed.options.index("--lock") + 1] = "there-is-no.lock"
    assert deployed.rollout("--rollback") == {"service": "predict", "outcome": "back", "revision": FIRST}
    assert service.traffic == [Target(FIRST, 100)]
    assert not deployed.google.called("POST", "logging.test")


def test_where_no_rollout_is_under_way_nothing_is_done(deployed: Deployment) -> None:
    assert deployed.rollout("--rollback") == {"service": "predict", "outcome": "idle", "revision": FIRST}
    assert not deployed.google.called("PATCH", "run.test")


def test_before_the_first_deployment_there_is_nothing_to_roll_out(deployment: Deployment) -> None:
    told = deployment.run("rollout", "gcp", "--plan").stdout
    assert "the function is not deployed yet: the first deployment has no traffic to shift" in told
    assert "20 requests, or 600 s and the golden samples" in told
    assert "the function is not deployed yet" in deployment.run("rollout", "gcp", "--rollback").stdout


def test_the_revision_before_has_all_traffic_again_by_one_command(deployed: Deployment) -> None:
    deployed.deploy()
    root = copied_project(deployed.folder / "project").root
    (root / "gcp.toml").write_text(SETTINGS)
    command = [
        sys.executable,
        "-m",
        "pilotlight_cli.main",
        "-C",
        str(root),
        "rollback",
        "gcp",
        "--env",
        "test",
        "--yes",
    ]
    done, again = (
        subprocess.run(command, env=deployed.environ, capture_output=True, text=True, check=False) for _ in range(2)
    )
    assert done.stdout == f"{FIRST} has all traffic of predict again\n", done.stderr
    assert deployed.google.service("predict").traffic == [Target(FIRST, 100)]
    assert (again.returncode, "no rollout of predict recorded a revision before" in again.stderr) == (1, True)
