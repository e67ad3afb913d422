"""The command: its forms, what it prints, and its exit codes."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer.main
from rich.table import Table
from typer.testing import CliRunner

import descriptions
import models
import pilotlight
from onnx_models import endless, filled
from pilotlight_cli.commands import views
from pilotlight_cli.main import app
from pilotlight_cli.registry.manifest import Manifest
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.stores import Store
from repository import SAMPLE

# The forms that are fixed, by command: arguments, options that must be given, options that may be.
FORMS = {
    "init": (
        ["folder"],
        set(),
        {"--name", "--cloud", "--model", "--golden", "--signature", "--ci", "--yes"},
    ),
    "add": (["name"], set(), {"--model", "--golden", "--signature", "--sign"}),
    "status": ([], set(), {"--model", "--offline", "--json"}),
    "summary": ([], {"--base"}, {"--compare"}),
    "upgrade": ([], set(), {"--yes", "--dry-run"}),
    "inspect": (
        ["path"],
        set(),
        {"--file", "--signature", "--golden", "--format", "--allow", "--method", "--pipeline", "--with-module"}
        | {"--max-memory", "--max-seconds", "--json"},
    ),
    "repair": (
        ["path", "out"],
        set(),
        {"--names", "--labels", "--signature", "--golden", "--max-memory", "--max-seconds", "--json"},
    ),
    "convert": (
        ["path", "out"],
        set(),
        {"--file", "--rows", "--with", "--quantize", "--golden", "--trust", "--force"}
        | {"--max-memory", "--max-seconds", "--json"},
    ),
    "optimize": (
        ["path", "folder"],
        set(),
        {"--requests", "--rounds", "--one-file", "--golden", "--signature", "--max-memory", "--max-seconds", "--json"},
    ),
    "diff": (
        ["before", "after"],
        set(),
        {
            "--rows",
            "--store",
            "--rounds",
            "--fail-on",
            "--plot",
            "--html",
            "--markdown",
            "--max-memory",
            "--max-seconds",
            "--json",
        },
    ),
    "batch": (
        ["source", "output"],
        set(),
        {"--store", "--model", "--lock", "--format", "--keep", "--no-header", "--workers", "--plan", "--json"},
    ),
    "render": ([], set(), set()),
    "export": ([], set(), set()),
    "drift": (
        ["reference", "current"],
        set(),
        {
            "--since",
            "--env",
            "--cloud",
            "--function",
            "--lines",
            "--model",
            "--lock",
            "--fail-on",
            "--json",
        },
    ),
    "publish": (
        ["path"],
        {"--name"},
        {
            "--file",
            "--store",
            "--format",
            "--golden",
            "--reference",
            "--signature",
            "--alias",
            "--allow",
            "--sign",
            "--method",
            "--pipeline",
            "--with-module",
            "--max-memory",
            "--max-seconds",
            "--json",
        },
    ),
    "sign": (["reference"], set(), {"--key", "--signature", "--public-key", "--store", "--json"}),
    "list": (["name"], set(), {"--store", "--json"}),
    "show": (["reference"], set(), {"--store", "--json"}),
    "alias": (["reference", "name"], set(), {"--store", "--json"}),
    "copy": (["reference"], {"--from", "--to"}, {"--json"}),
    "gc": (["name"], set(), {"--store", "--keep", "--yes", "--json"}),
    "pin": (["reference"], set(), {"--store", "--model", "--lock", "--engine", "--upgrade", "--breaking", "--json"}),
    "rollback": ([], set(), {"--model", "--json"}),
    "experiment": ([], set(), set()),
    "verify": ([], set(), {"--store", "--model", "--lock", "--cloud", "--json"}),
    "serve": ([], set(), {"--cloud", "--model", "--lock", "--store", "--port", "--grpc-port", "--compare", "--once"}),
    "consume": ([], set(), {"--model", "--lock", "--store"}),
    "dev": (["path"], set(), {"--cloud", "--model", "--port"}),
    "build": (
        [],
        set(),
        {"--cloud", "--model", "--lock", "--function", "--out", "--architecture", "--client"}
        | {"--image", "--base", "--json"},
    ),
    "deploy": ([], set(), set()),
    "rollout": ([], set(), set()),
    "prune": ([], set(), set()),
    "logs": ([], set(), set()),
    "call": (["document"], {"--env"}, {"--cloud", "--path", "--print", "--model"}),
    "keys": ([], set(), set()),
    "sam": ([], set(), set()),
}
HEAVY = {
    "boto3",
    "botocore",
    "cryptography",
    "flask",
    "google.auth",
    "google.cloud.storage",
    "moto",
    "numpy",
    "onnxruntime",
    "requests",
}
NOON = datetime(2026, 7, 31, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty_project(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("PILOTLIGHT_STORE", raising=False)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pilotlight.toml").write_text('name = "empty"\nclouds = ["aws", "gcp"]\nstore = "store"\n')


@pytest.fixture
def store(folder_store: Store, tmp_path: Path) -> Store:
    """`breast-cancer` in two versions, the first in production, and a pickle `rents`."""
    model = descriptions.inspection(tmp_path / "model")
    for name, alias in (("breast-cancer", "production"), ("breast-cancer", None), ("rents", None)):
        publish(folder_store, model, name, alias=alias, clock=lambda: NOON, progress=lambda _: None)
    return folder_store


Result = Any


def run(*arguments: str, code: int = 0) -> Result:
    result = CliRunner().invoke(app, list(arguments))
    assert result.exit_code == code, result.output
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def lines(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_commands_have_the_forms_that_are_fixed() -> None:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    found = {}
    for name, command in commands.items():
        options = [option for option in command.params if option.param_type_name == "option"]
        found[name] = (
            [argument.name for argument in command.params if argument.param_type_name == "argument"],
            {option.opts[0] for option in options if option.required},
            {option.opts[0] for option in options if not option.required},
        )
    assert found == FORMS


@pytest.mark.parametrize("name", FORMS)
def test_every_command_and_option_says_what_it_is_for(name: str) -> None:
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.help
    assert [option.name for option in command.params if option.param_type_name == "option" and not option.help] == []


def test_help_comes_without_what_only_some_commands_need() -> None:
    code = "import sys, runpy; sys.argv = ['pilotlight', '--help']\n"
    code += "try: runpy.run_module('pilotlight_cli.main', run_name='__main__')\n"
    code += "except SystemExit: print(*sys.modules, file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "publish" in done.stdout
    assert set(done.stderr.split()) & HEAVY == set()


def test_the_version_is_the_package_s() -> None:
    assert run("--version").stdout == f"{pilotlight.__version__}\n"


@pytest.mark.parametrize(
    "arguments",
    [
        ("nothing",),
        ("show", "a/b", "--store", "file:///x"),
        ("list", "--store", "ftp://x"),
        ("list", "NAME", "--store", "file:///x"),
        ("alias", "breast-cancer", "production", "--store", "file:///x"),
        ("alias", "breast-cancer@a", "production", "--store", "file:///x"),
        ("alias", "breast-cancer:1", "Production!", "--store", "file:///x"),
        ("copy", "breast-cancer", "--from", "file:///x", "--to", "file:///y"),
        ("copy", "breast-cancer:1", "--from", "file:///x"),
        ("publish", "nowhere.onnx", "--name", "a", "--store", "file:///x"),
        ("publish", __file__, "--name", "Not A Name", "--store", "file:///x"),
        ("publish", __file__, "--name", "a", "--format", "keras", "--store", "file:///x"),
        ("serve", "--cloud", "azure"),
        ("serve", "--port", "70000"),
        ("serve", "--cloud", "aws", "--grpc-port", "8081"),
        ("build", "--cloud", "azure"),
        ("build", "--out", "somewhere"),
        ("build", "--architecture", "riscv"),
        ("build", "--cloud", "aws", "--client"),
        ("build", "--cloud", "gcp", "--image", "a"),
        ("build", "--cloud", "aws", "--function", "records", "--image", "a"),
        ("build", "--cloud", "aws", "--base", "a"),
        ("deploy", "aws", "--env", "dev", "--base", "a"),
    ],
)
def test_wrong_usage_is_2_and_says_why(arguments: tuple[str, ...]) -> None:
    assert len(run(*arguments, code=2).stderr) > 20


@pytest.mark.parametrize(
    "arguments",
    [
        ("list", "other"),
        ("show", "other"),
        ("show", "breast-cancer:9"),
        ("show", "breast-cancer@nothing"),
        ("alias", "breast-cancer:9", "production"),
        ("pin", "other"),
        ("pin", "breast-cancer", "--lock", "nowhere/model.lock"),
        ("verify",),
    ],
)
def test_what_fails_is_1_with_one_line(store: Store, arguments: tuple[str, ...]) -> None:
    result = run(*arguments, "--store", store.url, code=1)
    assert result.stdout == ""
    (error,) = [line for line in result.stderr.splitlines() if not line.startswith(("Pinning ", "Verifying "))]
    assert error.startswith("error: ")


@pytest.mark.parametrize("command", ["serve", "build"])
def test_a_missing_lock_is_named_with_what_writes_one(command: str) -> None:
    error = run(command, code=1).stderr.splitlines()[-1]
    assert error == "error: no lock at model.lock; write one with 'pilotlight pin'"


def test_an_error_of_the_system_is_a_line_too(tmp_path: Path) -> None:
    model = models.plain_tensors(tmp_path)
    said = run("optimize", str(model), str(model / "new/out"), code=1).stderr
    assert f"error: {model}/new: Not a directory" in said.splitlines()


@pytest.mark.parametrize(
    "limit", ["--max-memory 700 --max-seconds 2", "PILOTLIGHT_MAX_MEMORY=700 PILOTLIGHT_MAX_SECONDS=2"]
)
def test_limits_are_options_and_settings(limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for setting in limit.split():
        if "=" in setting:
            monkeypatch.setenv(*setting.split("=", 1))
    options = limit.split() if limit.startswith("--") else []
    arguments = (
        "publish",
        str(tmp_path / "model.onnx"),
        "--name",
        "a",
        "--store",
        f"file://{tmp_path}/store",
        *options,
    )
    filled(tmp_path, 2**40)
    assert "takes more than the limit of 700 MB" in run(*arguments, code=1).stderr
    endless(tmp_path)
    assert "takes more than the limit of 2 seconds" in run(*arguments, code=1).stderr
    assert not (tmp_path / "store").exists()


def test_the_store_can_be_a_setting(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PILOTLIGHT_STORE", store.url)
    assert "breast-cancer" in run("list").stdout


def test_models_are_listed_with_their_newest_version_and_aliases(store: Store) -> None:
    header, first, second = lines(run("list", "--store", store.url).stdout)
    assert header == "model versions newest created format size sha256 aliases"
    assert re.fullmatch(r"breast-cancer 2 2 2026-07-31 12:00 onnx 12 B [0-9a-f]{12} production 1", first)
    assert re.fullmatch(r"rents 1 1 2026-07-31 12:00 onnx 12 B [0-9a-f]{12}", second)


def test_versions_are_listed_newest_first(store: Store) -> None:
    header, second, first = lines(run("list", "breast-cancer", "--store", store.url).stdout)
    assert header == "version created age format size sha256 aliases pinned by"
    assert re.fullmatch(r"2 2026-07-31 12:00 \d+ [a-z]+ onnx 12 B [0-9a-f]{12}", second)
    assert re.fullmatch(r"1 2026-07-31 12:00 \d+ [a-z]+ onnx 12 B [0-9a-f]{12} production", first)


@pytest.mark.parametrize(
    ("seconds", "age"),
    [
        (-5, "0 min"),
        (119 * 60, "119 min"),
        (2 * 3600, "2 hours"),
        (49 * 3600, "2 days"),
        (61 * 86400, "2 months"),
        (800 * 86400, "2 years"),
    ],
)
def test_an_age_is_in_the_largest_unit_of_which_there_are_two(seconds: int, age: str) -> None:
    manifest = Manifest(descriptions.onnx_model(), "2026-07-31T12:00:00Z")
    rows = views.version_rows([manifest], {}, {}, NOON + timedelta(seconds=seconds), {})
    assert isinstance(rows, Table)
    assert list(rows.columns[2].cells) == [age]


@pytest.mark.usefixtures("index")
def test_a_list_says_which_version_the_project_pins(store: Store, tmp_path: Path) -> None:
    run("pin", "breast-cancer:1", "--store", store.url)
    _, second, first = lines(run("list", "breast-cancer", "--store", store.url).stdout)
    assert first.endswith(" production empty")
    assert not second.endswith("empty")
    found = json.loads(run("list", "breast-cancer", "--store", store.url, "--json").stdout)["versions"]
    assert [version["pinned_by"] for version in found] == [["empty"], []]
    (tmp_path / "model.lock").write_text("{")
    result = run("list", "breast-cancer", "--store", store.url)
    assert "warning: model.lock: $" in result.stderr
    assert "empty" not in result.stdout


def test_lists_as_json(store: Store) -> None:
    models = json.loads(run("list", "--store", store.url, "--json").stdout)
    assert models["store"] == store.url
    assert [model["name"] for model in models["models"]] == ["breast-cancer", "rents"]
    assert models["models"][0]["aliases"] == {"production": 1}

    versions = json.loads(run("list", "breast-cancer", "--store", store.url, "--json").stdout)["versions"]
    assert [(version["version"], version["aliases"]) for version in versions] == [(1, ["production"]), (2, [])]
    assert versions[0].keys() == {"version", "created_at", "format", "size", "sha256", "aliases", "pinned_by", "signer"}


def test_an_empty_store_says_how_to_fill_it(tmp_path: Path) -> None:
    result = run("list", "--store", (tmp_path / "empty").as_uri())
    assert result.stdout == ""
    assert "has no models; add one with 'pilotlight publish'" in result.stderr


def test_a_version_that_cannot_be_read_is_listed_and_fails(store: Store) -> None:
    store.create("rents/2/manifest.json", b'{"format": 2}')
    for name in ((), ("rents",)):
        result = run("list", *name, "--store", store.url, code=1)
        assert "unreadable" in result.stdout
        assert "rents/2/manifest.json: $.format: format 2 is not supported" in result.stderr
    document = json.loads(run("list", "rents", "--store", store.url, "--json", code=1).stdout)
    assert document["versions"][1].keys() == {"version", "problem"}


def test_an_alias_that_cannot_be_read_hides_nothing(store: Store) -> None:
    store.create("breast-cancer/aliases/broken.json", b"{")
    for command, code, kind in ((("list",), 1, "error"), (("list", "breast-cancer"), 1, "error"), (SHOW, 0, "warning")):
        for form in ((), ("--json",)):
            result = run(*command, "--store", store.url, *form, code=code)
            assert "production" in result.stdout
            assert re.search(rf"^{kind}: .*/breast-cancer/aliases/broken\.json: \$: not valid JSON", result.stderr)
            assert not form or json.loads(result.stdout)["store"] == store.url


SHOW = ("show", "breast-cancer@production")


def test_show_prints_files_and_signature(store: Store) -> None:
    shown = lines(run("show", "breast-cancer@production", "--store", store.url).stdout)
    assert shown[0] == "breast-cancer:1 @production"
    assert "packages onnxruntime 1.31.1" in shown
    assert "input features FP32 [any, 2] features 2 features: mean radius, mean texture" in shown
    assert "output probabilities FP32 [any, 2] probabilities 0 to 1" in shown
    assert "labels 0, 1" in shown
    assert [line for line in shown if re.fullmatch(r"weights\.bin 7 B [0-9a-f]{64}", line)]


def test_show_as_json_has_the_whole_manifest(store: Store) -> None:
    document = json.loads(run("show", "breast-cancer", "--store", store.url, "--json").stdout)
    assert document["manifest"] == json.loads(store.read("breast-cancer/2/manifest.json"))
    assert document["aliases"] == []


def test_a_version_with_a_library_that_is_too_old_is_listed_and_shown(store: Store) -> None:
    key = "breast-cancer/2/manifest.json"
    store.replace(key, store.read(key).replace(b'"1.31.1"', b'"1.23.2"'))
    problem = "found onnxruntime 1.23.2, expected 1.27.0 or later; publish the model again"
    for name in ((), ("breast-cancer",)):
        result = run("list", *name, "--store", store.url)
        assert re.search(r" 2026-07-31 12:00 (\d+ \w+ )?onnx, cannot be pinned 12 B", lines(result.stdout)[1])
        assert result.stdout.count("cannot be pinned") == 1
        assert result.stderr == f"warning: breast-cancer:2 cannot be pinned: {problem}\n"
    first, second = json.loads(run("list", "breast-cancer", "--store", store.url, "--json").stdout)["versions"]
    assert second["cannot_be_pinned"] == problem
    assert "cannot_be_pinned" not in first
    shown = lines(run("show", "breast-cancer:2", "--store", store.url).stdout)
    assert "packages onnxruntime 1.23.2" in shown
    assert f"cannot be pinned {problem}" in shown


def test_show_prints_what_a_publisher_allowed(folder_store: Store, tmp_path: Path) -> None:
    pickle = tmp_path / "model.pkl"
    pickle.write_bytes(b"...")
    model = replace(
        descriptions.inspection(tmp_path / "model"),
        format="pickle",
        files=(pickle,),
        runtime=descriptions.SKLEARN,
        allowed_globals=("sklearn.pipeline.Pipeline",),
        extra_globals=("flats.Rounded",),
    )
    publish(folder_store, model, "rents", clock=lambda: NOON, progress=lambda _: None)
    shown = lines(run("show", "rents", "--store", folder_store.url).stdout)
    assert "known globals sklearn.pipeline.Pipeline" in shown
    assert "extra globals flats.Rounded" in shown


@pytest.mark.parametrize(
    ("file", "problem"),
    [
        ("weights.bin", "weights.bin: found 8 bytes with SHA-256"),
        ("golden.json", "golden.json: found "),
        ("manifest.json", "manifest.json: $"),
    ],
)
def test_an_alias_is_refused_for_a_version_that_does_not_verify(store: Store, file: str, problem: str) -> None:
    key = f"breast-cancer/2/{file}"
    store.replace(key, store.read(key) + b"x")
    assert problem in run("alias", "breast-cancer:2", "production", "--store", store.url, code=1).stderr
    store.delete(key)
    run("alias", "breast-cancer:2", "production", "--store", store.url, code=1)
    assert json.loads(store.read("breast-cancer/aliases/production.json"))["version"] == 1


def test_an_alias_is_set_and_moved(store: Store) -> None:
    url = store.url
    assert run("alias", "breast-cancer:2", "staging", "--store", url).stdout == "breast-cancer@staging is version 2\n"
    moved = run("alias", "breast-cancer:2", "production", "--store", url).stdout
    assert moved == "breast-cancer@production is version 2 (before: version 1)\n"
    document = json.loads(run("alias", "breast-cancer:1", "production", "--store", url, "--json").stdout)
    assert document == {"name": "breast-cancer", "alias": "production", "version": 1, "before": 2}


def test_a_copy_is_made_once(store: Store, tmp_path: Path) -> None:
    to = ("copy", "breast-cancer:2", "--from", store.url, "--to", (tmp_path / "b").as_uri())
    assert run(*to).stdout == f"Copied breast-cancer:2 to {(tmp_path / 'b').as_uri()}\n"
    assert run(*to).stdout == f"breast-cancer:2 already exists in {(tmp_path / 'b').as_uri()}\n"
    document = json.loads(run(*to, "--json").stdout)
    assert document.keys() == {"name", "version", "from", "to", "copied"}
    assert document["copied"] is False


@pytest.mark.usefixtures("index")
def test_pin_says_what_it_pinned_and_what_was_before(store: Store, tmp_path: Path) -> None:
    first = run("pin", "breast-cancer@production", "--store", store.url)
    assert first.stdout.startswith("Pinned breast-cancer:1 in model.lock\n")
    assert "runtime onnx on onnxruntime-c" in lines(first.stdout)
    assert "requirements.lock numpy 2.4.6, onnxruntime 1.31.1, orjson 3.13.0" in lines(first.stdout)
    assert (tmp_path / "model.lock").exists()

    second = run("pin", "breast-cancer", "--store", store.url, "--json")
    assert json.loads(second.stdout) == {
        "store": store.url,
        "lock": "model.lock",
        "name": "breast-cancer",
        "version": 2,
        "before": {"name": "breast-cancer", "version": 1},
        "signer": None,
        "engine": "onnxruntime-c",
        "packages": {"numpy": "2.4.6", "onnxruntime": "1.31.1", "orjson": "3.13.0"},
        "contract": [],
        "warnings": [],
    }
    assert "another model" in run("pin", "rents", "--store", store.url, code=1).stderr
    third = run("pin", "rents", "--store", store.url, "--breaking")
    assert "breaking another model breast-cancer rents its routes of V1 and V2, and its replies, have another name" in (
        lines(third.stdout)
    )


@pytest.mark.usefixtures("index")
@pytest.mark.parametrize("added", [b"\n", b"\xff"])
@pytest.mark.parametrize(("file", "check"), [("requirements.lock", 0), ("golden.json", 1)])
def test_verify_refuses_files_that_were_edited(
    store: Store, tmp_path: Path, file: str, check: int, added: bytes
) -> None:
    run("pin", "breast-cancer", "--store", store.url)
    with (tmp_path / file).open("ab") as edited:
        edited.write(added)

    result = run("verify", "--store", store.url, "--json", code=1)
    document = json.loads(result.stdout)
    assert {name: document[name] for name in ("ok", "name", "version")} == {
        "ok": False,
        "name": "breast-cancer",
        "version": 2,
    }
    assert [item["ok"] for item in document["checks"]] == [check != 0, check != 1]
    assert document["checks"][check]["name"] == file
    assert f"error: breast-cancer:2 fails: {file}" in result.stderr
    plain = run("verify", "--store", store.url, code=1)
    assert [line for line in lines(plain.stdout) if line.startswith(f"failed {file} ")]


SAMPLES = ("--golden", str(SAMPLE / "golden.json"))


def test_publish_prints_what_it_found_and_what_comes_next(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    result = run("publish", str(SAMPLE / "model.onnx"), "--name", "tumours", "--store", url, "--alias", "new", *SAMPLES)

    shown = lines(result.stdout)
    assert shown[0] == "tumours:1 @new"
    assert "labels benign, malignant" in shown
    assert shown[-2:] == [f"Published tumours:1 to {url}", "Pin it with: pilotlight pin tumours:1"]
    assert "note: " in result.stderr, "the roles of outputs are guessed"


def test_publish_as_json_has_the_manifest_and_what_was_guessed(tmp_path: Path) -> None:
    url = (tmp_path / "store").as_uri()
    result = run("publish", str(SAMPLE / "model.onnx"), "--name", "tumours", "--store", url, "--json", *SAMPLES)

    document = json.loads(result.stdout)
    assert document.keys() == {"store", "alias", "signer", "notes", "manifest"}
    assert document["notes"]
    shown = json.loads(run("show", "tumours:1", "--store", url, "--json").stdout)
    assert document["manifest"] == shown["manifest"]


def test_what_is_no_model_is_not_published(tmp_path: Path) -> None:
    error = run("publish", __file__, "--name", "a", "--store", tmp_path.as_uri(), code=1).stderr
    assert "test_main.py is not a model file that Pilotlight serves" in error


@pytest.mark.parametrize(
    "options",
    [("--format", "onnx"), ("--allow", "nodots"), ("--allow", "flats.Rounded", "--allow", "os.system")],
)
def test_options_that_do_not_go_with_the_file_are_wrong_usage(tmp_path: Path, options: tuple[str, ...]) -> None:
    run("publish", str(SAMPLE / "model.pkl"), "--name", "a", *options, code=2)
    assert not (tmp_path / "store").exists()


def test_progress_goes_to_stderr_only(store: Store, tmp_path: Path) -> None:
    result = run("copy", "rents:1", "--from", store.url, "--to", (tmp_path / "b").as_uri(), "--json")
    assert json.loads(result.stdout)
    assert result.stderr == "Copying rents:1 (1.2 kB)\n"
