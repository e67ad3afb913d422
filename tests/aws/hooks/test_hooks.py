"""The hooks against CodeDeploy's records and the function in AWS's own runtime."""

from __future__ import annotations

import io
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from functools import partial
from io import BytesIO, StringIO
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from botocore.config import Config

import callers
import hook_report
import post_traffic
import pre_traffic
import version_checks
from fakes.codedeploy_api import CodeDeploy, codedeploy_api
from fakes.lambda_api import FakeLambda, lambda_api
from harness import Pinned, pinned, prepared, sample, stored
from pilotlight_cli import staging
from pilotlight_cli.hostenv import group_packages
from pilotlight_cli.local.function import Function
from pilotlight_cli.local.lambda_runtime import FunctionFailed, LambdaRuntime, lambda_runtime
from pilotlight_cli.local.stores import acting_in
from repository import LOCK, SAMPLE

if TYPE_CHECKING:
    from mypy_boto3_lambda import LambdaClient

NAME = "stack-predict"
BUDGET = {"LATENCY_BUDGET_MS": "60000"}

Handler = Callable[[dict[str, Any], Any], dict[str, Any]]

PRE: Handler = pre_traffic.lambda_handler
POST: Handler = post_traffic.lambda_handler


class Context:
    """What awslambdaric gives a handler, as far as a hook reads it."""

    def __init__(self, seconds: float = 60) -> None:
        self._seconds = seconds

    def get_remaining_time_in_millis(self) -> float:
        return self._seconds * 1000


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> tuple[Pinned, Pinned]:
    """Two models that have golden samples of their own."""
    folder = tmp_path_factory.mktemp("models")
    other = pinned(SAMPLE / "model.skops", "other", folder)
    return sample(folder / "sample"), other


@pytest.fixture(scope="module")
def versions(models: tuple[Pinned, Pinned]) -> Iterator[dict[str, LambdaRuntime]]:
    """Versions 1 and 2 with one model each; 3 is as 2, but its golden samples say otherwise than it answers."""
    with ExitStack() as stack:
        store = stack.enter_context(stored("aws", *models))
        running = {}
        for version, model in (("1", models[0]), ("2", models[1]), ("3", models[1])):
            function = stack.enter_context(prepared("aws", model, store, {}))
            if version == "3":
                falsify(function.folder / "golden.json")
            if version != "1":
                allow_to_break(function.folder / "model.lock")
            running[version] = stack.enter_context(lambda_runtime(function, version=version))
        yield running


def allow_to_break(lock: Path) -> None:
    """Have a lock say what `pilotlight pin --breaking` writes."""
    lock.write_text(json.dumps(json.loads(lock.read_bytes()) | {"breaking": True}))


def falsify(golden: Path) -> None:
    """Have every sample expect its answers in the opposite order."""
    document = json.loads(golden.read_bytes())
    for one in document["samples"]:
        for output in one["outputs"]:
            output["data"].reverse()
    golden.write_text(json.dumps(document))


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """No time of the hooks' own is over, and no call is made again, because the machine stalls."""
    for name in ("_READ", "_REPORT", "_INVOKE"):
        slow = getattr(hook_report, name).merge(Config(connect_timeout=60, read_timeout=60))
        monkeypatch.setattr(hook_report, name, slow)
    monkeypatch.setattr(version_checks, "READY_SECONDS", 60.0)
    monkeypatch.setattr(version_checks, "SAMPLES_SECONDS", 60.0)


@pytest.fixture
def function(versions: dict[str, LambdaRuntime], patience: None) -> FakeLambda:
    return FakeLambda(NAME, {version: runtime.invoke for version, runtime in versions.items()}, {"live": "1"})


@pytest.fixture
def codedeploy() -> Iterator[CodeDeploy]:
    with codedeploy_api(CodeDeploy()) as service:
        yield service


def run(
    hook: Handler,
    codedeploy: CodeDeploy,
    function: FakeLambda,
    target: str,
    *,
    seconds: float = 60,
    budget: dict[str, str] = BUDGET,
    content: str | None = None,
    kind: str = "AppSpecContent",
    current: str = "1",
) -> dict[str, Any]:
    """Return what a hook says of a deployment to `target`, after it has told CodeDeploy the same, once."""
    event = codedeploy.deploy(NAME, target, content, kind, current)
    with lambda_api(function) as found, acting_in({**codedeploy.environ, **found, **budget}):
        said = hook(event, Context(seconds))
    assert codedeploy.reports == [(event["DeploymentId"], event["LifecycleEventHookExecutionId"], said["status"])]
    return said


def test_a_good_version_passes_with_its_golden_samples(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    said = run(PRE, codedeploy, function, "1")
    assert said["status"] == "Succeeded"
    assert (
        "version 1 of stack-predict serves breast-cancer:1 and answers 5 of its 5 golden sample(s) as published"
        in said["found"]
    )


def test_a_shift_back_passes_with_the_samples_of_the_version_that_it_goes_back_to(
    codedeploy: CodeDeploy, function: FakeLambda
) -> None:
    function.aliases["live"] = "1"
    assert "serves other:1" in run(PRE, codedeploy, function, "2")["found"]
    function.aliases["live"] = "2"
    codedeploy.reports.clear()
    assert "serves breast-cancer:1" in run(PRE, codedeploy, function, "1", current="2")["found"]


@dataclass
class Next:
    """A version 5 that a sentence tells about: it answers as version 1, and describes itself with changes."""

    version: int = 2
    name: str = "breast-cancer"
    breaking: bool = False
    renamed: bool = False
    refuses_after: int = 1000  # so many predictions

    def __call__(self, good: Callable[[Any], Any]) -> Callable[[Any], Any]:
        asked = count(1)

        def invoke(event: Any) -> Any:
            if event.get("rawPath") == "/predict_batch" and next(asked) > self.refuses_after:
                return {"statusCode": 400, "body": '{"error": "expected a number"}'}
            said = good(event)
            if event == version_checks.DESCRIBE:
                return {**said, "function_version": "5", "model": self._lock(said["model"])}
            if event.get("rawPath") == "/predict_batch":
                document = json.loads(said["body"]) | {"model_name": self.name, "model_version": str(self.version)}
                return {**said, "body": json.dumps(document)}
            return said

        return invoke

    def _lock(self, lock: dict[str, Any]) -> dict[str, Any]:
        changed: dict[str, Any] = json.loads(json.dumps(lock)) | {"name": self.name, "version": self.version}
        if self.breaking:
            changed["breaking"] = True
        if self.renamed:
            changed["signature"]["inputs"][0]["feature_names"][0] = "radius"
        return changed


@pytest.mark.parametrize(
    ("current", "after", "expected"),
    [
        ("1", Next(), "Succeeded: .*; it takes 5 golden sample.s. of breast-cancer:1"),
        (
            "1",
            Next(renamed=True),
            "Failed: .*breast-cancer:2 breaks callers of breast-cancer:1, which serves: features",
        ),
        ("1", Next(renamed=True), "Failed: .*run 'pilotlight pin breast-cancer:2 --breaking' and deploy again"),
        ("1", Next(name="other"), "Failed: .*another model .breast-cancer -> other.: its routes"),
        ("1", Next(renamed=True, breaking=True), "Succeeded: .*allows it to break callers of breast-cancer:1"),
        ("1", Next(refuses_after=5), "Failed: .*golden sample 1 of breast-cancer:1, which serves: stack-predict:5 "),
        ("1", Next(refuses_after=7), "Failed: .*golden sample 3 .* status 400, expected 200: expected a number"),
        ("2", Next(renamed=True), "Failed: .*breaks callers of other:1, which serves: another model"),
        ("6", Next(renamed=True), "Succeeded: .* in [0-9]+ ms or less$"),  # a shift back
        ("4", Next(renamed=True), "Succeeded: .*the version before cannot describe itself: stack-predict:4 returned"),
    ],
)
def test_a_version_that_breaks_the_callers_of_the_one_that_serves_fails(
    current: str, after: Next, expected: str, codedeploy: CodeDeploy, function: FakeLambda
) -> None:
    function.versions |= {"4": lambda _: {}, "5": after(function.versions["1"])}
    said = run(PRE, codedeploy, function, "5", current=current)
    assert re.match(expected, f"{said['status']}: {said['found']}")


def test_a_model_that_goes_back_to_an_earlier_version_is_not_kept_from_it(
    codedeploy: CodeDeploy, function: FakeLambda
) -> None:
    good = function.versions["1"]
    function.versions |= {"4": Next(version=3, renamed=True)(good), "5": Next(version=2)(good)}
    said = run(PRE, codedeploy, function, "5", current="4")
    assert said["status"] == "Succeeded"
    assert said["found"].endswith("; it goes back from breast-cancer:3, so that its contract was not compared")


def test_of_more_samples_of_the_callers_than_there_is_time_for_the_first_ones_are_sent(
    versions: dict[str, LambdaRuntime],
) -> None:
    class Client:
        """Lambda without its API."""

        def invoke(self, *, Payload: bytes, Qualifier: str, **_: str) -> dict[str, BytesIO]:  # noqa: N803 - boto3's names
            good = versions["1"].invoke
            answer = (Next()(good) if Qualifier == "5" else good)(json.loads(Payload))
            return {"Payload": BytesIO(json.dumps(answer).encode())}

    look = count(step=callers.CALLERS_SECONDS / 5)  # so long until the next look at the clock: three a sample
    functions = version_checks.Functions(cast("LambdaClient", Client()), NAME, lambda: next(look))
    target = version_checks.read_version(functions, "5")
    assert callers.check_callers(functions, "1", target) == "; it takes 2 golden sample(s) of breast-cancer:1"


def test_a_version_that_answers_otherwise_than_published_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    said = run(PRE, codedeploy, function, "3")
    assert said["status"] == "Failed"
    assert "golden sample 1: the response differs from the published one: " in said["found"]


def test_a_version_that_is_slower_than_its_budget_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    good = function.versions["1"]

    def slow(event: object) -> Any:
        time.sleep(0.2)
        return good(event)

    function.versions["1"] = slow
    said = run(PRE, codedeploy, function, "1", budget={"LATENCY_BUDGET_MS": "100"})
    assert said["status"] == "Failed"
    assert "ms at best of 3, over the budget of 100 ms" in said["found"]


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (FunctionFailed("Runtime.ExitError", "the runtime ended"), "stack-predict:1 failed: .*Runtime.ExitError"),
        (FunctionFailed("Sandbox.Timedout", "30 seconds"), "stack-predict:1 failed: .*Sandbox.Timedout"),
        (None, "stack-predict:1 returned no valid description"),
        ({}, "stack-predict:1 returned no valid description: KeyError: 'model'"),
        ({"model": {}, "golden": {}}, "stack-predict:1 returned no valid description: FormatError"),
    ],
)
def test_a_version_without_a_right_answer_fails(
    answer: object, found: str, codedeploy: CodeDeploy, function: FakeLambda
) -> None:
    def broken(_: object) -> object:
        if isinstance(answer, FunctionFailed):
            raise answer
        return answer

    function.versions["1"] = broken
    said = run(PRE, codedeploy, function, "1")
    assert said["status"] == "Failed"
    assert re.search(found, said["found"])


def test_a_version_that_dies_at_a_request_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    good = function.versions["1"]

    def dies(event: Any) -> Any:
        if "rawPath" in event and event["rawPath"] != "/health/ready":
            raise FunctionFailed("Runtime.OutOfMemory", "signal: killed")
        return good(event)

    function.versions["1"] = dies
    said = run(PRE, codedeploy, function, "1")
    assert (said["status"], "Runtime.OutOfMemory" in said["found"]) == ("Failed", True)


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/health/ready", "is not ready: status 500: {}"),
        ("/predict_batch", "golden sample 1: status 500, expected 200: {}"),
    ],
)
def test_a_version_that_answers_500_fails(
    path: str, problem: str, codedeploy: CodeDeploy, function: FakeLambda
) -> None:
    good = function.versions["1"]

    def answers(event: Any) -> Any:
        return {"statusCode": 500, "body": "{}"} if event.get("rawPath") == path else good(event)

    function.versions["1"] = answers
    said = run(PRE, codedeploy, function, "1")
    assert (said["status"], problem in said["found"]) == ("Failed", True)


def test_a_version_that_is_another_than_was_asked_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    function.versions["4"] = function.versions["2"]
    said = run(PRE, codedeploy, function, "4")
    assert said["status"] == "Failed"
    assert "expected version 4 of stack-predict to respond, found version 2" in said["found"]


def test_a_version_that_does_not_exist_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    said = run(PRE, codedeploy, function, "9")
    assert (said["status"], "ResourceNotFound" in said["found"]) == ("Failed", True)


@pytest.fixture
def hanging(function: FakeLambda) -> Iterator[FakeLambda]:
    """Yield the function, whose version 1 never answers."""
    released = threading.Event()

    def hangs(_: object) -> object:
        released.wait(60)
        return {}

    function.versions["1"] = hangs
    yield function
    released.set()


def test_a_version_that_never_answers_fails_before_the_hook_is_ended(
    codedeploy: CodeDeploy, hanging: FakeLambda
) -> None:
    said = run(PRE, codedeploy, hanging, "1", seconds=hook_report.REPORT_SECONDS + 1)
    assert said == {"status": "Failed", "found": "the check did not end within 1 s"}


def test_without_time_left_the_report_still_goes_out(codedeploy: CodeDeploy, hanging: FakeLambda) -> None:
    assert run(PRE, codedeploy, hanging, "1", seconds=1)["status"] == "Failed"


def test_a_report_that_is_not_taken_at_first_is_sent_again(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    codedeploy.failures = 2
    assert run(PRE, codedeploy, function, "1")["status"] == "Succeeded"


@pytest.mark.parametrize(
    "content", ["version: 0.0\nResources: []\n", "{}", '{"Resources": []}', '{"Resources": [{"a": {}}]}', "[]", "1"]
)
def test_a_deployment_of_something_else_fails(content: str, codedeploy: CodeDeploy, function: FakeLambda) -> None:
    said = run(PRE, codedeploy, function, "1", content=content)
    assert (said["status"], "expected an AppSpec in JSON with one function" in said["found"]) == ("Failed", True)


def test_an_appspec_is_found_in_both_kinds_of_revisions(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    assert run(PRE, codedeploy, function, "1", kind="String")["status"] == "Succeeded"


def test_a_deployment_whose_appspec_lies_in_a_bucket_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    said = run(PRE, codedeploy, function, "1", kind="S3")
    assert (said["status"], "has a revision of type 'S3'" in said["found"]) == ("Failed", True)


def test_a_hook_that_may_not_read_the_deployment_reports_that(function: FakeLambda) -> None:
    with codedeploy_api(CodeDeploy(refused=True)) as codedeploy:
        said = run(PRE, codedeploy, function, "1")
    assert (said["status"], "AccessDenied" in said["found"]) == ("Failed", True)


def test_the_line_in_the_log_says_what_was_found(
    codedeploy: CodeDeploy, function: FakeLambda, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(PRE, codedeploy, function, "9")
    line = json.loads(capsys.readouterr().out)
    assert (line["event"], line["level"], line["status"], line["found"]) == ("hook", "ERROR", "Failed", said["found"])


def test_a_log_that_cannot_be_written_does_not_keep_the_report_back(
    codedeploy: CodeDeploy, function: FakeLambda
) -> None:
    closed = StringIO()
    closed.close()
    with redirect_stdout(closed):
        assert run(PRE, codedeploy, function, "1")["status"] == "Succeeded"


def test_of_more_samples_than_there_is_time_for_the_first_ones_are_sent(versions: dict[str, LambdaRuntime]) -> None:
    class Client:
        """Lambda without its API."""

        def invoke(self, *, Payload: bytes, **_: str) -> dict[str, BytesIO]:  # noqa: N803 - boto3's name
            return {"Payload": BytesIO(json.dumps(versions["1"].invoke(json.loads(Payload))).encode())}

    look = count(step=version_checks.SAMPLES_SECONDS / 3)  # so long each call takes
    functions = version_checks.Functions(cast("LambdaClient", Client()), NAME, lambda: next(look))
    version = version_checks.read_version(functions, "1")
    assert len(version.golden.samples) == 5
    said = version_checks.check_samples(functions, "1", version, 60_000)
    assert said == "serves breast-cancer:1 and answers 2 of its 5 golden sample(s) as published, in 5000 ms or less"


def test_a_sample_that_met_a_cold_start_is_sent_again_and_judged_by_its_best_time(
    versions: dict[str, LambdaRuntime],
) -> None:
    now = [0.0]
    asked: Counter[str] = Counter()

    class Client:
        """Lambda without its API: whatever is asked for the first time takes a second."""

        def invoke(self, *, Payload: bytes, **_: str) -> dict[str, BytesIO]:  # noqa: N803 - boto3's name
            asked[Payload.decode()] += 1
            now[0] += 1.0 if asked[Payload.decode()] == 1 else 0.01
            return {"Payload": BytesIO(json.dumps(versions["1"].invoke(json.loads(Payload))).encode())}

    functions = version_checks.Functions(cast("LambdaClient", Client()), NAME, lambda: now[0])
    version = version_checks.read_version(functions, "1")
    said = version_checks.check_samples(functions, "1", version, 100)
    assert said == "serves breast-cancer:1 and answers 5 of its 5 golden sample(s) as published, in 10 ms or less"
    assert sorted(asked.values()) == [1, 1, *[2] * 5]  # what it is and whether it is ready once, each sample twice


def test_where_no_thread_can_be_started_the_check_has_not_passed(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    found = hook_report._run_check("d-1", lambda *_: "fine", hook_report.Clients(), 1.0)
    assert found == (False, "cannot start the check: can't start new thread")


def test_after_the_shift_the_alias_leads_to_the_new_version_alone(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    function.aliases["live"] = "2"
    said = run(POST, codedeploy, function, "2")
    assert said["status"] == "Succeeded"
    assert "the alias live of stack-predict routes to version 2 alone, which serves other:1" in said["found"]


def patient(function: FakeLambda, alias: str = "") -> Handler:
    """Return the hook after the shift, for which no time passes; the alias moves, if at all, while it waits."""

    def sleep(_: float) -> None:
        if alias:
            function.aliases["live"] = alias

    return lambda event, _: hook_report.run(event, 60, partial(post_traffic.check, sleep=sleep))


@pytest.mark.parametrize(
    ("version", "weights", "found"),
    [
        ("1", {}, r"routes to version 1 with the weights {}; expected version 2 alone"),
        ("2", {"1": 0.1}, r"routes to version 2 with the weights {'1': 0.1}; expected version 2 alone"),
    ],
)
def test_a_shift_that_did_not_end_where_it_should_fails(
    version: str, weights: dict[str, float], found: str, codedeploy: CodeDeploy, function: FakeLambda
) -> None:
    function.aliases["live"] = version
    function.weights["live"] = weights
    said = run(patient(function), codedeploy, function, "2")
    assert (said["status"], found in said["found"]) == ("Failed", True)


def test_an_alias_that_leads_to_its_version_a_moment_later_passes(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    function.aliases["live"] = "1"
    assert run(patient(function, "2"), codedeploy, function, "2")["status"] == "Succeeded"


def test_an_alias_that_answers_as_another_version_fails(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    function.aliases["live"] = "4"
    function.versions["4"] = function.versions["1"]
    said = run(patient(function), codedeploy, function, "4")
    assert (said["status"], "responded as version 1; expected version 4" in said["found"]) == ("Failed", True)


@pytest.mark.parametrize("hook", ["pre_traffic", "post_traffic"])
def test_the_hooks_package_works_in_lambdas_runtime(
    hook: str, codedeploy: CodeDeploy, function: FakeLambda, tmp_path: Path
) -> None:
    package = staging.build("aws", LOCK, tmp_path / "hooks", lambda _: None, function="hooks")
    event = codedeploy.deploy(NAME, "1")
    with lambda_api(function) as found:
        environ = {**codedeploy.environ, **found, **BUDGET, "PATH": "/usr/bin:/bin"}
        root = Function(package.folder, (group_packages("lambda-runtime"),), environ)
        with lambda_runtime(root, f"{hook}.lambda_handler", timeout=60) as runtime:
            said = runtime.invoke(event)
    assert said["status"] == "Succeeded"
    assert {report[2] for report in codedeploy.reports} == {"Succeeded"}  # sent again where the machine stalls


def test_a_version_that_is_still_loading_is_waited_for(codedeploy: CodeDeploy, function: FakeLambda) -> None:
    good = function.versions["1"]
    asked: list[object] = []

    def loads(event: Any) -> Any:
        if event.get("rawPath") == "/health/ready":
            asked.append(event)
            if len(asked) < 3:
                return {"statusCode": 503, "body": "{}"}
        return good(event)

    function.versions["1"] = loads
    assert run(PRE, codedeploy, function, "1")["status"] == "Succeeded"
    assert len(asked) == 3


def test_a_version_that_never_gets_ready_is_waited_for_so_long_and_fails() -> None:
    now = [0.0]

    class Client:
        """A function that is never ready."""

        def invoke(self, **_: object) -> dict[str, Any]:
            return {"Payload": io.BytesIO(b'{"statusCode": 503, "body": "{}"}')}

    def sleep(seconds: float) -> None:
        now[0] += seconds

    functions = version_checks.Functions(cast("LambdaClient", Client()), NAME, lambda: now[0], sleep)
    with pytest.raises(version_checks.CheckFailed, match="stack-predict:1 is not ready"):
        version_checks._wait_until_ready(functions, "1")
    assert version_checks.READY_SECONDS < now[0] < version_checks.READY_SECONDS + 2
