"""A deployment from end to end, as far as there is no AWS.

S3 and CloudFormation are moto's, SAM and Lambda's API small fakes; the function behind them is the real one.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest

import local_lock
from fakes import shifting
from fakes.lambda_api import FakeLambda, lambda_api
from fakes.s3_server import S3Server
from fakes.sam_cli import DeployedLambda, FakeSam
from harness import in_lambda, pinned, sample, stored
from pilotlight.model.lock import Needs
from pilotlight_cli.aws.bootstrap import STACK as BOOTSTRAP
from pilotlight_cli.aws.calls import client
from pilotlight_cli.aws.changes import MixedChange
from pilotlight_cli.aws.compare import NotServed
from pilotlight_cli.aws.deploy import Account, Deployed, DeployRefused, deploy
from pilotlight_cli.aws.environments import Environment
from pilotlight_cli.aws.sam import Sam, SamFailed
from pilotlight_cli.aws.serving import read_deployment
from pilotlight_cli.commands.aws import deployed_text
from pilotlight_cli.local.verify import Check, VerifyReport, verify
from pilotlight_cli.project.folders import ModelFolder
from pilotlight_cli.project.status import Deployment as Status
from pilotlight_cli.project.status import Share
from pilotlight_cli.registry.availability import NotAvailable, ensure_published
from pilotlight_cli.stores import open_store
from repository import LOCK, SAMPLE, copied_project, project_of
from templates import SOURCES, START_MODES, TEMPLATE

_NAMES = (f"deploy-{number}" for number in itertools.count(1))


def passes(*_: object) -> VerifyReport:
    """Return a verification that takes no time."""
    return VerifyReport("aws", "breast-cancer", 1, (Check("model", ok=True, detail="loads"),))


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[object], Any]]:
    """Yield the function with the sample model in Lambda's own runtime."""
    model = sample(tmp_path_factory.mktemp("sample"))
    with stored("aws", model) as store, in_lambda(model, store) as runtime:
        yield runtime.invoke


@dataclass
class Scene:
    """An account, and what happens in it."""

    stack: str
    store: str
    sam: FakeSam
    function: DeployedLambda
    model: ModelFolder
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def deploy(
        self,
        parameters: Mapping[str, str] = MappingProxyType({}),
        *,
        name: str = "dev",
        agrees: bool = True,
        check: Callable[[Path, str, str], VerifyReport] = passes,
        past_alarms: bool = False,
        repository: str = "",
    ) -> Deployed:
        """Deploy with these parameters; without a `store`, to that of the account."""
        given = {**({"StoreUrl": self.store} if self.store else {}), **parameters}

        def confirm(question: str) -> bool:
            self.asked.append(question)
            return agrees

        account = Account(
            model=self.model,
            cloudformation=self.sam.cloudformation,
            functions=client("lambda"),
            cloudwatch=client("cloudwatch"),
            sam=Sam(self.model, name, {"PATH": "/bin", "MAKEFLAGS": "-j"}, self.sam, repository),
            say=self.said.append,
            confirm=confirm,
            verify=check,
            past_alarms=past_alarms,
        )
        return deploy(Environment(name, self.stack, "", given), account)

    @property
    def modes(self) -> list[tuple[str, str, str]]:
        """The deployments, by what is told of them."""
        return [(one["StartMode"], one["ReleaseDigest"], one["DeploymentType"]) for one in self.sam.deployments]


@pytest.fixture
def scene(
    aws_environ: None,
    s3_server: S3Server,
    real: Callable[[object], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    for service in ("CLOUDFORMATION", "CLOUDWATCH"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", s3_server.url)
    stack = next(_NAMES)
    s3_server.make_bucket(stack)
    function = DeployedLambda(f"{stack}-predict", {})
    with lambda_api(function) as found:
        for variable, value in found.items():
            monkeypatch.setenv(variable, value)
        sam = FakeSam(client("cloudformation"), function, real)
        yield Scene(stack, f"s3://{stack}", sam, function, copied_project(tmp_path).model())
        sam.cloudformation.delete_stack(StackName=BOOTSTRAP)
        s3_server.drop_buckets("pilotlight-")  # which the stack leaves behind


# moto makes the store's buckets, and not their policies.
@pytest.mark.filterwarnings("ignore:Tried to parse AWS..S3..BucketPolicy:UserWarning")
def test_the_first_deployment_makes_the_store_fills_it_verifies_and_serves(scene: Scene) -> None:
    scene.store = ""
    done = scene.deploy(check=verify)
    assert (done.served.version, done.changed) == ("1", True)
    assert deployed_text(done).startswith(f"{scene.stack} now serves breast-cancer:1, as version 1 with the release ")
    assert done.stack.outputs["ApiUrl"] == f"https://{scene.stack}.example.com"
    (values,) = scene.sam.deployments
    assert values.keys() == TEMPLATE["Parameters"].keys()
    assert values["ReleaseDigest"] == done.served.release
    store = open_store(values["StoreUrl"])
    assert store.url == "s3://pilotlight-models-123456789012-us-east-1"
    assert "breast-cancer/1/manifest.json" in list(store.keys("breast-cancer"))
    assert scene.asked == [
        "This account has no model store. Create it, as the stack pilotlight-bootstrap?",
        f"Deploy the release {done.served.release[:12]} to {scene.stack}?",
    ]
    assert any("without a traffic shift and hooks" in line for line in scene.said)


def test_a_laptop_without_the_emulator_verifies_in_plain_python_and_says_what_was_not_run(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "riscv64")
    ensure_published(scene.model.lock, open_store(scene.store), (SAMPLE / "store").as_uri())
    assert scene.deploy(check=verify).changed
    assert any(line.endswith("in plain Python on this machine") for line in scene.said)
    (said,) = [line for line in scene.said if line.startswith("verified in plain Python")]
    assert "were not run; 'pilotlight sam invoke' runs them in Docker" in said


def test_the_status_of_what_was_deployed_is_this_pin(scene: Scene, tmp_path: Path) -> None:
    done = scene.deploy()
    file = tmp_path / "samconfig.toml"
    file.write_text(f'[dev.global.parameters]\nstack_name = "{scene.stack}"\n')
    pin = hashlib.sha256((scene.model.lock).read_bytes()).hexdigest()
    share = Share("version 1", 100, done.served.release, "breast-cancer:1", is_pin=True, lock=pin)
    assert read_deployment(file, "dev", pin) == Status("aws", "dev", scene.stack, "serving", (share,))


def test_roles_get_the_boundary_that_the_accounts_pipelines_have_to_give(scene: Scene) -> None:
    boundary = "arn:aws:iam::123456789012:policy/boundary"
    outputs = {"StoreUrl": {"Value": "s3://unused"}, "PermissionsBoundary": {"Value": boundary}}
    body = {"Resources": {"Topic": {"Type": "AWS::SNS::Topic"}}, "Outputs": outputs}
    scene.sam.cloudformation.create_stack(StackName=BOOTSTRAP, TemplateBody=json.dumps(body))
    scene.deploy()
    scene.deploy({"PermissionsBoundary": "arn:aws:iam::123456789012:policy/own"})
    assert [one["PermissionsBoundary"][-8:] for one in scene.sam.deployments] == ["boundary", "licy/own"]
    assert {one["StoreUrl"] for one in scene.sam.deployments} == {scene.store}


@pytest.mark.parametrize("mode", START_MODES)
def test_the_first_deployment_is_one_update_in_every_start_mode(scene: Scene, mode: str) -> None:
    done = scene.deploy(START_MODES[mode])
    assert scene.modes == [(mode, done.served.release, "Linear10PercentEvery1Minute")]
    assert any("a month" in line for line in scene.said) == (mode != "on-demand")


def test_memory_that_a_new_account_refuses_is_told_when_it_is_new(scene: Scene) -> None:
    told = []
    for size in ("3008", "4096", "4096"):
        scene.said.clear()
        scene.deploy({"MemorySize": size})
        told.append(any("new AWS accounts refuse more than 3008 MB" in line for line in scene.said))
    assert told == [False, True, False]


def test_sam_is_told_all_parameters_and_the_environment_and_nothing_of_a_make_around(scene: Scene) -> None:
    scene.deploy({"Architecture": "arm64"}, name="prod")
    build, deployment = scene.sam.commands
    assert build[3] == "build"
    assert "--no-cached" in build
    assert deployment[3] == "deploy"
    for command in (build, deployment):
        assert command[command.index("--config-env") + 1] == "prod"
    assert "--no-fail-on-empty-changeset" in deployment
    assert scene.sam.environs[0] == {
        "PATH": "/bin",
        "SAM_CLI_TELEMETRY": "0",
        "ARCHITECTURE": "arm64",
        "LOCK": str(scene.model.lock.resolve()),
        "PILOTLIGHT": f"'{sys.executable}' -m pilotlight_cli.main",
    }


def test_nothing_changed_publishes_nothing_and_says_so(scene: Scene) -> None:
    first, second = scene.deploy(), scene.deploy()
    assert first.served == second.served
    assert not second.changed
    assert list(scene.function.versions) == ["1"]


def test_a_setting_changed_alone_is_another_release(scene: Scene) -> None:
    first, second = scene.deploy(), scene.deploy({"MemorySize": "3008"})
    assert (second.served.version, second.changed) == ("2", True)
    assert first.served.release != second.served.release
    assert first.served.lock == second.served.lock


def test_a_setting_that_is_taken_back_goes_back_to_its_default(scene: Scene) -> None:
    scene.deploy({"MemorySize": "3008", "ThrottleRate": "7"})
    scene.deploy()
    assert [(one["MemorySize"], one["ThrottleRate"]) for one in scene.sam.deployments] == [
        ("3008", "7"),
        ("1769", "100"),
    ]


def test_instances_are_kept_ready_after_the_version_is_there_and_let_go_before_the_next(scene: Scene) -> None:
    scene.deploy()
    provisioned = scene.deploy(START_MODES["provisioned"])
    snapped = scene.deploy({"StartMode": "snapstart"})
    assert scene.modes[1:] == [
        ("on-demand", provisioned.served.release, "AllAtOnce"),
        ("provisioned", provisioned.served.release, "AllAtOnce"),
        ("on-demand", provisioned.served.release, "AllAtOnce"),
        ("snapstart", snapped.served.release, "AllAtOnce"),
    ]
    assert snapped.served.version == "3"


def test_a_step_that_fails_can_be_taken_again(scene: Scene) -> None:
    scene.deploy()
    scene.sam.fails = {3}
    with pytest.raises(SamFailed, match=f"The stack {scene.stack} is in UPDATE_COMPLETE, as before"):
        scene.deploy(START_MODES["provisioned"])
    done = scene.deploy(START_MODES["provisioned"])
    assert len(scene.sam.deployments) == 4
    assert (done.served.version, scene.function.ready) == ("2", 2)


def test_a_release_that_was_taken_back_can_be_tried_again(scene: Scene) -> None:
    first = scene.deploy()
    scene.sam.rolled_back = {2}
    with pytest.raises(SamFailed):
        scene.deploy({"MemorySize": "3008"})
    again = scene.deploy({"MemorySize": "3008"})
    assert scene.function.deleted == ["2"]
    assert (again.served.version, again.changed) == ("3", True)
    assert again.served.release != first.served.release
    assert any("deleting version 2" in line for line in scene.said)


def test_the_store_that_is_left_can_still_be_read_by_the_versions_before(scene: Scene, s3_server: S3Server) -> None:
    scene.deploy()
    other = f"{scene.stack}-other"
    s3_server.make_bucket(other)
    scene.deploy({"StoreUrl": f"s3://{other}"})
    scene.deploy({"StoreUrl": f"s3://{other}"})
    assert [one["FormerStoreUrl"] for one in scene.sam.deployments] == ["", scene.store, ""]


def test_a_store_that_the_template_chose_itself_stays_readable_too(scene: Scene, s3_server: S3Server) -> None:
    scene.deploy()
    scene.sam._bring_stack(scene.stack, {**scene.sam.deployed, "StoreUrl": ""})  # as `sam deploy` alone may have it
    other = f"{scene.stack}-other"
    s3_server.make_bucket(other)
    scene.deploy({"StoreUrl": f"s3://{other}"})
    assert scene.sam.deployments[-1]["FormerStoreUrl"] == "s3://pilotlight-models-123456789012-us-east-1"


def test_instances_that_the_account_has_no_room_for_are_refused_before_the_stack_is_touched(scene: Scene) -> None:
    scene.function.unreserved = 105
    with pytest.raises(DeployRefused, match="MaxProvisioned is 6, expected at most 5: Lambda leaves 100"):
        scene.deploy({"StartMode": "provisioned", "MinProvisioned": "1", "MaxProvisioned": "6"})
    assert scene.sam.deployments == []
    scene.deploy({"StartMode": "provisioned", "MinProvisioned": "1", "MaxProvisioned": "5"})


def test_another_start_mode_with_another_setting_is_refused_before_anything_is_deployed(scene: Scene) -> None:
    scene.deploy()
    with pytest.raises(MixedChange, match="StartMode from on-demand to snapstart.*MemorySize from 1769 to 3008"):
        scene.deploy({"StartMode": "snapstart", "MemorySize": "3008"})
    assert len(scene.sam.deployments) == 1


def test_what_it_costs_is_said_before_it_is_asked(scene: Scene) -> None:
    with pytest.raises(DeployRefused, match="nothing was deployed"):
        scene.deploy(START_MODES["provisioned"], agrees=False)
    assert any("cost $37.83 to $189.17 a month" in line for line in scene.said)
    assert not scene.sam.deployments


def test_a_store_is_not_made_when_nobody_agrees(scene: Scene) -> None:
    scene.store = ""
    with pytest.raises(DeployRefused, match="this account has no model store"):
        scene.deploy(agrees=False)
    assert not scene.sam.commands


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"MemorySize": "lots"}, "MemorySize is 'lots'; expected a number"),
        ({"StartMode": "snapstart", "EphemeralStorageMb": "1024"}, "SnapStart supports EphemeralStorageMb 512 only"),
        ({"Authorization": "jwt"}, "Authorization jwt needs JwtIssuer"),
        ({"StartMode": "provisioned", "MinProvisioned": "3"}, "MinProvisioned is 3 and MaxProvisioned 1"),
        (
            {"StartMode": "provisioned", "MaxProvisioned": "3", "ReservedConcurrency": "2"},
            "MaxProvisioned is 3 and ReservedConcurrency 2",
        ),
        ({"MemorySize": "1769.5"}, "MemorySize is 1769.5; expected a whole number"),
        ({"MaxBodyBytes": "1000.5"}, "MaxBodyBytes is 1000.5; expected a whole number"),
        ({"TimeoutSeconds": "2", "LatencyBudgetMs": "2001"}, "LatencyBudgetMs is 2001 and TimeoutSeconds 2"),
        ({"ReleaseDigest": "0" * 64}, "samconfig.toml sets ReleaseDigest for dev; remove it, deploy computes it"),
        ({"RecordsSource": "create"}, "RecordsSource needs RecordsResults"),
        ({"RecordsSource": "rows", "RecordsResults": "s3://results"}, "RecordsSource is 'rows'; it must be create"),
        ({**SOURCES["create-fifo"], "RecordsWindowSeconds": "5"}, "RecordsWindowSeconds is 5; expected 0 or nothing"),
        ({**SOURCES["msk"], "KafkaTopic": ""}, "KafkaTopic is missing"),
        (
            {**SOURCES["kinesis"], "RecordsSource": "arn:aws:kinesis:eu-central-1:123456789012:stream/rows"},
            "RecordsSource is in eu-central-1, expected one in us-east-1",
        ),
    ],
)
def test_parameters_that_the_template_does_not_take_are_refused_at_once(
    scene: Scene, parameters: Mapping[str, str], message: str
) -> None:
    with pytest.raises(DeployRefused, match=message):
        scene.deploy(parameters)
    assert not scene.sam.commands


def test_less_memory_than_a_start_took_is_refused_at_once_and_a_slow_load_is_told(scene: Scene) -> None:
    local_lock.rewrite(scene.model.lock, needs=Needs(1000, 12_000))
    with pytest.raises(DeployRefused, match=r"MemorySize is 512 MB, and a start .* took 1000 MB .*; set at least 1280"):
        scene.deploy({"MemorySize": "512"})
    assert not scene.sam.commands
    with pytest.raises(NotServed):  # the function behind the fake has the sample's own lock
        scene.deploy({"MemorySize": "1280"})
    assert any("took 12.0 s to load" in line for line in scene.said)


def test_records_are_released_with_requests_and_their_function_has_to_serve_the_release(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The fake SAM publishes one function: that for records is here whatever the test says that it is."""
    records = DeployedLambda(f"{scene.stack}-records", {}, {"live": "1"})

    def describe(_: object) -> dict[str, str]:
        lock = hashlib.sha256(scene.model.lock.read_bytes()).hexdigest()
        return {"function_version": "1", "release": scene.sam.deployments[-1]["ReleaseDigest"], "lock": lock}

    records.versions["1"] = describe
    with lambda_api(scene.function, records) as found:
        for variable, value in found.items():
            monkeypatch.setenv(variable, value)
        first = scene.deploy(SOURCES["create"])
        assert scene.sam.deployments[-1]["RecordsSource"] == "create"
        second = scene.deploy({**SOURCES["create"], "RecordsResults": "s3://elsewhere"})
        assert first.served.release != second.served.release
        records.versions["1"] = lambda event: {**describe(event), "release": first.served.release}
        with pytest.raises(NotServed, match=f"{scene.stack}-records:live serves version 1, with the release"):
            scene.deploy(SOURCES["create"] | {"MemorySize": "3008"})


def test_a_version_that_the_store_has_with_other_digests_is_refused(scene: Scene, s3_server: S3Server) -> None:
    scene.deploy()
    content = open_store(scene.store).read("breast-cancer/1/manifest.json")
    digest = content.split(b'"sha256": "')[-1][:64]
    s3_server.put(scene.stack, "breast-cancer/1/manifest.json", content.replace(digest, b"0" * 64))
    with pytest.raises(NotAvailable, match="breast-cancer:1 in .* differs from the pinned version"):
        scene.deploy()


def test_a_model_that_fails_its_verification_is_not_deployed(scene: Scene) -> None:
    report = VerifyReport("aws", "breast-cancer", 1, (Check("sample 2", ok=False, detail="7 is not 8"),))
    with pytest.raises(DeployRefused, match="breast-cancer:1 failed its verification: sample 2: 7 is not 8"):
        scene.deploy(check=lambda *_: report)
    assert not scene.sam.commands


@pytest.mark.parametrize(("name", "parameters"), [("prod", {}), ("dev", START_MODES["snapstart"])])
def test_a_production_deployment_takes_no_package_without_bytecode(
    scene: Scene, name: str, parameters: Mapping[str, str]
) -> None:
    scene.sam.bytecode = False
    with pytest.raises(
        DeployRefused, match=r"no bytecode, since this machine has no Python 3.13: .* Install Python 3.13"
    ):
        scene.deploy(parameters, name=name)
    assert not scene.sam.deployments


def test_elsewhere_a_package_without_bytecode_will_do(scene: Scene) -> None:
    scene.sam.bytecode = False
    assert scene.deploy().changed


def test_an_alias_with_weights_is_left_alone(scene: Scene) -> None:
    scene.deploy()
    scene.function.weights["live"] = {"2": 0.1}
    with pytest.raises(
        DeployRefused, match=r"points to version 1 and shares its traffic with others \(version 2: 10%\)"
    ):
        scene.deploy()


def test_an_alarm_of_the_release_that_serves_holds_all_but_a_fix(scene: Scene) -> None:
    scene.deploy()
    shifting.alarm(f"{scene.stack}-release")
    with pytest.raises(DeployRefused, match=rf"held: the alarm {scene.stack}-release rings.* add --past-alarms"):
        scene.deploy({"MemorySize": "3008"})
    assert len(scene.sam.deployments) == 1
    assert scene.deploy({"MemorySize": "3008"}, past_alarms=True).changed


def test_a_release_that_is_taken_back_fails_with_what_the_judge_says_of_it(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def judge(event: object) -> object:
        asked.append(event)
        return {"outcome": "roll back", "sentence": "9 of 9 requests of version 2 got 4xx"}

    scene.deploy()
    scene.sam.rolled_back = {2}
    with lambda_api(scene.function, FakeLambda(f"{scene.stack}-judge", {"": judge})) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", found["AWS_ENDPOINT_URL_LAMBDA"])
        with pytest.raises(SamFailed, match="The judge says roll back: 9 of 9 requests of version 2"):
            scene.deploy({"MemorySize": "3008"})
    assert asked == [{"old": "1", "new": "2"}]


def test_a_release_that_codedeploy_took_back_is_a_failure_whatever_cloudformation_says(scene: Scene) -> None:
    first = scene.deploy()
    scene.sam.taken_back = {2}
    with pytest.raises(NotServed, match=f"serves version 1, with the release {first.served.release[:12]}.*expected"):
        scene.deploy({"MemorySize": "3008"})


def test_answers_that_are_not_the_published_ones_are_a_failure(scene: Scene) -> None:
    real = scene.sam.real

    def wrong(event: Any) -> Any:
        said = real(event)
        return {**said, "body": said["body"].replace("[", "[[0.5],", 1)} if "statusCode" in said else said

    scene.sam.real = wrong
    with pytest.raises(NotServed, match="does not answer as published: golden sample 1: "):
        scene.deploy()


def test_instances_that_are_not_kept_ready_are_a_failure_with_what_makes_up_for_it(scene: Scene) -> None:
    scene.sam.keeps = False
    with pytest.raises(
        NotServed, match=r"has no provisioned instances; 'aws lambda put-provisioned-concurrency-config"
    ):
        scene.deploy(START_MODES["provisioned"])


@pytest.fixture
def pair(
    aws_environ: None,
    s3_server: S3Server,
    real: Callable[[object], Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[tuple[Scene, Scene]]:
    """Yield the two models of one project, each with a stack of its own in one account."""
    for service in ("CLOUDFORMATION", "CLOUDWATCH"):
        monkeypatch.setenv(f"AWS_ENDPOINT_URL_{service}", s3_server.url)
    rents = pinned(SAMPLE / "model.onnx", "rents", tmp_path, golden=SAMPLE / "golden.json")
    project = project_of(tmp_path / "project", tumours=LOCK, rents=rents.lock)
    stacks = [next(_NAMES), next(_NAMES)]
    functions = [DeployedLambda(f"{stack}-predict", {}) for stack in stacks]
    s3_server.make_bucket(stacks[0])
    url = f"s3://{stacks[0]}"
    ensure_published(rents.lock, open_store(url), rents.store.url)
    with stored("aws", rents) as store, in_lambda(rents, store) as runtime, lambda_api(*functions) as found:
        for variable, value in found.items():
            monkeypatch.setenv(variable, value)

        def scene(index: int, name: str, answer: Callable[[object], Any]) -> Scene:
            sam = FakeSam(client("cloudformation"), functions[index], answer)
            return Scene(stacks[index], url, sam, functions[index], project.model(name))

        yield scene(0, "tumours", real), scene(1, "rents", runtime.invoke)


def test_two_models_of_a_project_are_two_stacks_that_roll_out_and_back_apart(pair: tuple[Scene, Scene]) -> None:
    tumours, rents = pair
    first, other = tumours.deploy(), rents.deploy()
    assert first.served.lock != other.served.lock
    assert first.stack.name != other.stack.name
    assert tumours.model.sam_build != rents.model.sam_build

    tumours.sam.taken_back = {2}
    with pytest.raises(NotServed, match=f"serves version 1, with the release {first.served.release[:12]}"):
        tumours.deploy({"MemorySize": "3008"})
    moved = rents.deploy({"MemorySize": "3008"})
    assert (moved.served.version, moved.changed) == ("2", True)
    assert (tumours.function.aliases, rents.function.aliases) == ({"live": "1"}, {"live": "2"})
    assert tumours.deploy().served == first.served


def test_a_function_keeps_its_form_since_lambda_cannot_change_it(scene: Scene) -> None:
    scene.deploy()
    with pytest.raises(DeployRefused, match=f"{scene.stack}-predict is a zip, expected an image: .* without --image"):
        scene.deploy(repository="registry/tumours")
    scene.function.package_type = "Image"
    with pytest.raises(DeployRefused, match=r"-predict is an image, expected a zip: Lambda cannot .* with --image"):
        scene.deploy()
    assert len(scene.sam.deployments) == 1


def test_an_image_with_layers_is_refused_before_anything_is_built(scene: Scene) -> None:
    layer = "arn:aws:lambda:us-east-1:123456789012:layer:a:1"
    with pytest.raises(DeployRefused, match="Layers is set, and an image has no layers"):
        scene.deploy({"Layers": layer}, repository="registry/tumours")
    assert scene.sam.commands == []
