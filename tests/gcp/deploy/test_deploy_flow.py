"""A deployment and all that may go wrong with it, with a stand-in for gcloud."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import count
from pathlib import Path

import pytest

import local_lock
from fakes.cloud_run import RunService, Target
from fakes.google_cloud import FakeGoogle
from gcp.deploy.answers import liar, publisher
from gcp.deploy.conftest import SETTINGS
from gcp.deploy.rolling import Killed
from gcp.deploy.stand_in import gcloud
from harness import pinned
from pilotlight.model.lock import Needs, load_lock, write_lock
from pilotlight_cli.gcp import GcpError, RolledBack, UnexpectedState
from pilotlight_cli.gcp.deploy import Deployed, DeployRefused, NotServed, Operator, deploy
from pilotlight_cli.gcp.gcloud import Completed
from pilotlight_cli.gcp.golden import Expected, expected_of
from pilotlight_cli.gcp.logs import AGENT
from pilotlight_cli.gcp.platform import connect
from pilotlight_cli.gcp.settings import read_settings
from pilotlight_cli.gcp.state import BEFORE
from pilotlight_cli.local.stores import acting_in
from pilotlight_cli.pinning.pin import BreakingChange
from pilotlight_cli.registry.availability import NotAvailable, ensure_published
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.stores import open_store
from repository import LOCK, SAMPLE, project_of
from servers.fake_gcs import FakeGcs

SIGNATURE = SAMPLE / "signature.json"
FIRST, SECOND = "predict-00001-abc", "predict-00002-abc"

Runner = Callable[[Sequence[str]], Completed]


@dataclass
class Project:
    """A project on the fakes, and somebody who deploys to it."""

    google: FakeGoogle
    gcs: FakeGcs
    folder: Path
    expected: Expected
    agrees: bool = True
    said: list[str] = field(default_factory=list)

    name: str = "predict"

    @property
    def service(self) -> RunService:
        return self.google.service(self.name)

    def deploy(self, run: Runner = gcloud, lock: Path = LOCK) -> Deployed:
        settings = read_settings(self.folder / "gcp.toml", "test")
        google = connect(settings, {"CLOUDSDK_API_ENDPOINT_OVERRIDES_RUN": "http://run.test"}, run=run, sleep=self.wait)
        operator = Operator(self.said.append, lambda _: self.agrees, lambda _: None, lambda: datetime.now(UTC))
        return deploy(google, operator, lock, self.folder / "package")

    def wait(self, _: float) -> None:
        """Time passes, and callers come."""
        self.google.log(self.service.revisions[-1], 5)


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Project]:
    """With nothing in it yet."""
    expected = expected_of(LOCK)
    (tmp_path / "gcp.toml").write_text(SETTINGS)
    with FakeGoogle() as google, FakeGcs("models") as gcs:
        google.backend = publisher(expected)
        monkeypatch.setenv("http_proxy", google.proxy)
        monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")
        monkeypatch.setenv("STORAGE_EMULATOR_HOST", gcs.url)
        yield Project(google, gcs, tmp_path, expected)


@pytest.fixture
def second(project: Project) -> Project:
    """After the first deployment, by somebody who left the traffic to the latest."""
    project.deploy()
    assert project.service.traffic == [Target(percent=100)]
    project.said.clear()
    return project


def test_the_first_deployment_copies_the_model_and_sends_the_samples_to_the_functions_url(project: Project) -> None:
    done = project.deploy()
    assert (done.revision, done.before) == (FIRST, "")
    assert any("without an old revision there is no traffic to shift" in text for text in project.said)
    assert "copied breast-cancer:1 to gs://models/team" in project.said
    assert {asked.host for asked in project.google.called("POST", "run.example")} == {"predict.run.example"}


def test_a_first_deployment_that_answers_wrongly_fails_and_says_that_it_has_all_traffic(project: Project) -> None:
    project.google.backend = liar(project.expected)
    with pytest.raises(NotServed, match=f"{FIRST} has all traffic, but fails the golden samples: golden sample 1"):
        project.deploy()


def test_traffic_to_the_latest_is_pinned_before_and_whole_after(second: Project) -> None:
    done = second.deploy()
    assert (done.revision, done.before) == (SECOND, FIRST)
    assert f"pinning all traffic of predict to {FIRST}" in second.said
    assert second.service.traffic == [Target(SECOND, 100)]


def test_pinned_traffic_is_not_pinned_again(second: Project) -> None:
    second.service.send(Target(FIRST, 100))
    second.deploy()
    assert not any("pinning" in text for text in second.said)


def test_the_release_is_in_the_environment_and_in_the_labels(project: Project) -> None:
    done = project.deploy()
    assert project.service.environment["PILOTLIGHT_RELEASE"] == done.release
    [(_, body, _)] = project.google.functions.deployments
    assert body["labels"]["pilotlight-release"] == done.release[:16]


def test_whoever_does_not_agree_deploys_nothing(second: Project) -> None:
    second.agrees = False
    with pytest.raises(DeployRefused, match="nothing was deployed"):
        second.deploy()
    assert second.said[-1].startswith("1 minimum instance(s) with 512Mi and 1 vCPU cost $9.86 a month")
    assert second.service.traffic == [Target(percent=100)]


def test_a_model_that_is_in_no_store_is_asked_for(project: Project) -> None:
    lock = local_lock.copy_lock(LOCK, project.folder)
    [file] = project.expected.model.files
    local_lock.rewrite(lock, files=(replace(file, size=1),))
    with pytest.raises(
        NotAvailable, match=r"gs://models/team has no breast-cancer:1, .*; name the store that has it with --from"
    ):
        project.deploy(lock=lock)
    assert not project.google.functions.deployments


def test_less_memory_than_a_start_took_is_refused_before_anything_is_done(project: Project) -> None:
    lock = local_lock.copy_lock(LOCK, project.folder)
    local_lock.rewrite(lock, needs=Needs(1000, 100))
    with pytest.raises(DeployRefused, match=r"memory of test is 512 MB, .* took 1000 MB .*; set at least 1280 MB"):
        project.deploy(lock=lock)
    assert project.said == []


def test_a_split_by_hand_is_refused_before_anything_is_done(second: Project) -> None:
    second.service.deploy()
    second.service.send(Target(FIRST, 60), Target(SECOND, 40))
    with pytest.raises(
        DeployRefused, match=f"the traffic of predict is split outside of a rollout: {FIRST} 60 %, {SECOND} 40 %"
    ):
        second.deploy()
    assert second.said == []


def test_a_build_that_fails_leaves_the_old_revision_with_all_traffic(second: Project) -> None:
    second.google.functions.fail_build = "pip install ended with 1"
    with pytest.raises(NotServed, match=f"(?s)pip install ended with 1.*\n{FIRST} has all traffic, as before"):
        second.deploy()
    assert second.service.traffic == [Target(FIRST, 100)]


def test_a_first_build_that_fails_leaves_nothing_and_the_next_one_is_the_first_again(project: Project) -> None:
    project.google.functions.fail_build = "pip install ended with 1"
    with pytest.raises(GcpError, match="pip install ended with 1"):
        project.deploy()
    assert project.deploy().before == ""


def test_a_revision_that_does_not_start_leaves_the_old_one_with_all_traffic(second: Project) -> None:
    second.google.functions.unready = True
    with pytest.raises(NotServed, match="Container Healthcheck failed"):
        second.deploy()
    assert second.service.split == {FIRST: 100}


@pytest.mark.parametrize("fails", [False, True], ids=["well", "badly"])
def test_a_deployment_that_takes_traffic_in_spite_of_the_pin_loses_it(fails: bool, second: Project) -> None:
    def taking(arguments: Sequence[str]) -> Completed:
        done = gcloud(arguments)
        if arguments[:2] == ["functions", "deploy"]:
            second.service.send(Target(percent=100))
            return Completed(1, "", "ERROR: it timed out") if fails else done
        return done

    with pytest.raises(
        NotServed, match=f"moved traffic that was pinned to {FIRST}: found {SECOND} 100 %; {FIRST} has all"
    ):
        second.deploy(lambda arguments: taking(list(arguments)))
    assert second.service.traffic == [Target(FIRST, 100)]
    assert not second.google.called("PATCH", "run.test")


def test_golden_samples_that_fail_at_the_tag_end_it_before_any_traffic(second: Project) -> None:
    second.google.backends[SECOND] = liar(second.expected)
    with pytest.raises(
        RolledBack, match=f"the golden samples fail: golden sample 1: .*; {FIRST} has all traffic again"
    ):
        second.deploy()
    assert second.service.traffic == [Target(FIRST, 100)]
    assert {FIRST: 50, SECOND: 50} not in second.service.history


def test_a_revision_that_refuses_what_the_old_one_answers_loses_its_traffic(second: Project) -> None:
    second.google.callers = lambda revision: second.google.log(revision, 6, status=400 if revision == SECOND else 200)
    with pytest.raises(
        RolledBack, match=r"with 50 % of the traffic it answered 12 of 12 requests that got 4xx; .*; .* all traffic"
    ):
        second.deploy()
    assert second.service.traffic == [Target(FIRST, 100)]


def test_what_the_old_revision_refuses_too_is_the_callers_fault(second: Project) -> None:
    def call(revision: str) -> None:
        second.google.log(revision, 5, status=400)
        second.google.log(FIRST, 5, status=400)
        second.google.log(revision, 30, status=404, agent=f"{AGENT}other")

    second.google.callers = call
    assert second.deploy().revision == SECOND


def version_2(project: Project, *, feature: str = "mean radius", breaking: bool = False) -> tuple[Path, Expected]:
    """Publish a second version of the sample with a name for its first feature; return its lock and what it answers."""
    signature = json.loads(SIGNATURE.read_bytes())
    signature["inputs"][0]["feature_names"][0] = feature
    file = project.folder / "signature.json"
    file.write_text(json.dumps(signature))
    golden = SAMPLE / "golden.json"
    pinned(SAMPLE / "model.onnx", "breast-cancer", project.folder, golden=golden, signature=SIGNATURE)
    later = pinned(SAMPLE / "model.onnx", "breast-cancer", project.folder, golden=golden, signature=file, lock="later")
    ensure_published(later.lock, open_store("gs://models/team"), later.store.url)
    later.lock.write_bytes(to_bytes(write_lock(replace(load_lock(later.lock), breaking=breaking))))
    expected = expected_of(later.lock)
    project.google.backends[SECOND] = publisher(expected)
    return later.lock, expected


def test_a_release_that_breaks_the_callers_of_the_one_that_serves_is_refused_before_anything_is_done(
    second: Project,
) -> None:
    lock, _ = version_2(second, feature="radius")
    with pytest.raises(BreakingChange) as error:
        second.deploy(lock=lock)
    assert str(error.value) == (
        "breast-cancer:2 breaks callers of breast-cancer:1, which serves:\n"
        "  features renamed (mean radius -> radius): a row with the names before is a 400\n"
        "nothing was deployed; if the callers are ready, run 'pilotlight pin breast-cancer:2 --breaking' and deploy "
        "again"
    )
    assert second.said == []
    assert len(second.google.functions.deployments) == 1


def test_a_release_that_may_break_callers_by_its_lock_is_deployed(second: Project) -> None:
    lock, _ = version_2(second, feature="radius", breaking=True)
    assert second.deploy(lock=lock).revision == SECOND


@pytest.mark.parametrize("refused", [0, 1])
def test_a_new_version_gets_the_samples_of_the_one_that_serves_before_any_traffic(
    refused: int, second: Project
) -> None:
    lock, expected = version_2(second)
    right, own, asked = publisher(expected), len(expected.golden.samples), count(1)

    def answer(method: str, path: str, body: bytes) -> tuple[int, object]:
        if method == "POST" and next(asked) == own + refused:
            return 400, {"error": "expected a number"}
        return right(method, path, body)

    if refused:
        second.google.backends[SECOND] = answer
        with pytest.raises(RolledBack, match="request 1 of the callers before: status 400, expected 200: expected a n"):
            second.deploy(lock=lock)
        assert {FIRST: 50, SECOND: 50} not in second.service.history
        return
    assert second.deploy(lock=lock).revision == SECOND
    at_the_tag = [one for one in second.google.called("POST", "run.example") if one.host.startswith("canary---")]
    assert len(at_the_tag) % (2 * own) == 0


def test_a_version_that_goes_back_is_not_kept_from_it_by_its_contract(second: Project) -> None:
    lock, _ = version_2(second, feature="radius", breaking=True)
    second.deploy(lock=lock)
    assert second.deploy().before == SECOND


def test_where_nobody_knows_what_serves_the_contract_is_not_compared_and_that_is_said(second: Project) -> None:
    lock, _ = version_2(second, feature="radius")
    for name in list(second.gcs.buckets.objects("models")):
        if name.startswith("team/breast-cancer/1/"):
            second.gcs.buckets.delete("models", name, {})
    second.deploy(lock=lock)
    unknown = f"the contract is not compared with the one that serves: {FIRST} serves breast-cancer:1, which cannot be "
    assert any(text.startswith(unknown) for text in second.said)


def test_somebody_who_deploys_by_hand_between_deployment_and_rollout_is_noticed(second: Project) -> None:
    def slow(arguments: Sequence[str]) -> Completed:
        if any("--update-tags" in argument for argument in arguments):
            second.service.deploy()
        return gcloud(arguments)

    with pytest.raises(RolledBack, match="predict-00003-abc was deployed during the rollout"):
        second.deploy(slow)
    assert second.service.traffic == [Target(FIRST, 100)]


def test_somebody_who_moves_the_traffic_between_deployment_and_rollout_keeps_it(second: Project) -> None:
    def slow(arguments: Sequence[str]) -> Completed:
        done = gcloud(arguments)
        if any("--update-tags" in argument for argument in arguments):
            second.service.send(Target(SECOND, 100))
        return done

    with pytest.raises(UnexpectedState, match="was changed outside of the rollout"):
        second.deploy(slow)
    assert second.service.traffic == [Target(SECOND, 100)]


def test_an_interrupt_while_google_builds_leaves_the_old_revision_with_all_traffic(second: Project) -> None:
    def interrupted(arguments: Sequence[str]) -> Completed:
        if list(arguments[:2]) == ["functions", "deploy"]:
            gcloud(arguments)
            raise KeyboardInterrupt
        return gcloud(arguments)

    with pytest.raises(KeyboardInterrupt):
        second.deploy(interrupted)
    assert second.service.traffic == [Target(FIRST, 100)]


@pytest.mark.parametrize("step", ["--to-revisions", "deploy", "--update-tags"], ids=["pinned", "deployed", "tagged"])
def test_a_deployment_killed_before_its_rollout_leaves_the_callers_where_they_were(step: str, second: Project) -> None:
    def killed(arguments: Sequence[str]) -> Completed:
        done = gcloud(arguments)
        if any(argument.partition("=")[0] == step for argument in arguments):
            raise Killed
        return done

    with pytest.raises(Killed):
        second.deploy(killed)
    assert second.service.traffic[0] == Target(FIRST, 100)
    assert second.service.split == {FIRST: 100}
    assert second.deploy().before == FIRST
    assert second.service.traffic == [Target(second.service.revisions[-1], 100)]
    assert second.service.annotations == {BEFORE: f"{second.service.revisions[-1]}/{FIRST}"}


@pytest.fixture
def pair(project: Project, tmp_path: Path) -> tuple[Project, Project]:
    """Return the two models of one project, each with settings and a service of its own."""
    rents = pinned(SAMPLE / "model.onnx", "rents", tmp_path, golden=SAMPLE / "golden.json", signature=SIGNATURE)
    with acting_in({"STORAGE_EMULATOR_HOST": project.gcs.url}):
        ensure_published(rents.lock, open_store("gs://models/team"), rents.store.url)
    several = project_of(tmp_path / "project", tumours=LOCK, rents=rents.lock)
    found = []
    for model in several.models():
        settings = SETTINGS.replace('function = "predict"', f'function = "{model.name}"')
        model.gcp_settings.write_text(settings)
        expected = expected_of(model.lock)
        project.google.backends |= {f"{model.name}-0000{number}-abc": publisher(expected) for number in (1, 2, 3)}
        found.append(Project(project.google, project.gcs, model.lock.resolve().parent, expected, name=model.name))
    return found[1], found[0]


def test_two_models_of_a_project_are_two_services_that_roll_out_and_back_apart(pair: tuple[Project, Project]) -> None:
    tumours, rents = pair
    for model in pair:
        done = model.deploy(lock=model.folder / "model.lock")
        assert done.revision == f"{model.name}-00001-abc"

    tumours.google.backends["tumours-00002-abc"] = liar(tumours.expected)
    with pytest.raises(RolledBack, match="tumours-00001-abc has all traffic again"):
        tumours.deploy(lock=tumours.folder / "model.lock")
    assert rents.deploy(lock=rents.folder / "model.lock").revision == "rents-00002-abc"
    assert tumours.service.traffic == [Target("tumours-00001-abc", 100)]
    assert rents.service.traffic == [Target("rents-00002-abc", 100)]
