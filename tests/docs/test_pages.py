"""What the pages name exists: files, commands, options, settings, fields. Blocks that do not run say why."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, get_args

import pytest
import typer.main
from typer.core import TyperGroup

import emf
import pilotlight
from docs import pages
from docs.pages import NOTES, OF_PROJECT, PAGES, Block
from grpc_codes import CODES
from kafka_settings import KAFKA_SETTINGS
from pilotlight.model.contract import RULES
from pilotlight.settings import SETTINGS
from pilotlight.telemetry import ColdStart, Record, Scored, Served, Summary, fields, level
from pilotlight_cli import regular_files
from pilotlight_cli.assets import ROOT
from pilotlight_cli.commands.options import MaxMemory, MaxSeconds
from pilotlight_cli.commands.signing import PASSPHRASE
from pilotlight_cli.formats import recognition
from pilotlight_cli.main import app
from pilotlight_cli.project.folders import CLOUDS
from pilotlight_cli.project.init import PINNED, STORE
from pilotlight_cli.project.record import FILE as RECORD
from pilotlight_cli.project.starter import rendered
from pilotlight_cli.sandbox.child import samples
from pilotlight_cli.sandbox.child.__main__ import LARGEST_RESULT
from pilotlight_cli.sandbox.child.features import MOST_FEATURES
from pilotlight_cli.sandbox.limits import LimitOptions
from pilotlight_cli.sources import files
from pilotlight_cli.stores import OWNER_VARIABLE
from server_settings import SERVER_SETTINGS
from templates import BATCH

LOGS = pages.read("docs/reference/logs-and-metrics.md")
BLOCKS = [block for page in PAGES for block in pages.blocks(page, pages.read(page))]

EXECUTED = ("console", "sh", "python", "http")
SHOWN = ("mermaid",)

# Every block that no test runs, by its page and its reason, and how many there are.
NOT_RUN = {
    ("CONTRIBUTING.md", "these are the commands that run the tests themselves"): 1,
    ("CONTRIBUTING.md", "it installs every dependency again"): 1,
    ("README.md", "it needs an AWS account"): 1,
    ("docs/guides/publish-a-model.md", "torch is not among the packages that this project installs"): 2,
    ("docs/guides/hugging-face.md", "it downloads a model from the hub"): 2,
    ("docs/guides/pin-and-verify.md", "it serves until Ctrl-C"): 1,
    ("docs/guides/score-a-queue.md", "it needs an AWS account"): 3,
    ("docs/guides/score-a-queue.md", "it is a part of samconfig.toml"): 1,
    ("docs/guides/score-a-queue.md", "it shows what a destination has"): 1,
    ("docs/guides/score-a-stream.md", "it is a part of samconfig.toml"): 1,
    ("docs/guides/look-features-up.md", "it is a features.toml"): 3,
    ("docs/guides/look-features-up.md", "it needs a store of features"): 1,
    ("docs/guides/score-files.md", "it needs a bucket"): 1,
    ("docs/guides/score-files.md", "it needs a project of Google Cloud"): 2,
    ("docs/guides/score-files.md", "it needs an account of AWS"): 2,
    ("docs/guides/score-files.md", "pip installs the extra from the index"): 1,
    (
        "docs/guides/watch-a-server.md",
        "it pulls images; tests/server/test_server_container.py runs the file with stand-ins",
    ): 2,
    (
        "docs/guides/run-in-a-browser.md",
        "tests/contract/test_export_web.py runs it with its own copy",
    ): 1,
    ("docs/guides/run-on-managed-instances.md", "it takes half a minute and needs Docker"): 1,
    ("docs/guides/run-on-managed-instances.md", "it needs an account of AWS"): 1,
    ("docs/guides/use-as-a-library.md", "tests/packaging/test_library.py runs it in an environment of its own"): 1,
    ("docs/guides/score-with-an-engine.md", "apache-beam is not among the packages that this project installs"): 1,
    ("docs/guides/score-with-an-engine.md", "Spark needs Java, and half a minute to start"): 1,
    ("docs/guides/publish-from-a-registry.md", "it needs an MLflow server; the tests publish from a real one"): 1,
    ("docs/guides/publish-from-a-registry.md", "it needs a registry; the tests publish from a real one"): 1,
    ("docs/guides/deploy-to-aws.md", "it needs an AWS account"): 6,
    ("docs/guides/recipes-for-aws.md", "a template; cfn-lint checks it"): 4,
    ("docs/guides/recipes-for-aws.md", "it needs an AWS account"): 1,
    ("docs/guides/recipes-for-aws.md", "it needs aws-cdk-lib and Node.js"): 1,
    ("docs/guides/recipes-for-aws.md", "it pulls an image"): 2,
    ("docs/guides/operate-on-aws.md", "it needs an AWS account"): 10,
    ("docs/guides/operate-on-aws.md", "a query for CloudWatch Logs Insights"): 3,
    ("docs/guides/deploy-to-google-cloud.md", "it needs a Google Cloud project"): 7,
    ("docs/guides/deploy-to-google-cloud.md", "it installs the function's packages"): 1,
    ("docs/guides/operate-on-google-cloud.md", "it needs a Google Cloud project"): 5,
    ("docs/guides/score-in-bigquery.md", "it needs a Google Cloud project"): 3,
    ("docs/guides/score-on-google-cloud.md", "it is a part of gcp.toml"): 1,
    ("docs/guides/score-on-google-cloud.md", "it needs a Google Cloud project"): 5,
    ("docs/guides/run-in-a-container.md", "it needs a Google Cloud project"): 1,
    ("docs/guides/run-in-a-container.md", "it pulls an image"): 3,
    ("docs/guides/score-a-kafka-topic.md", "it needs a broker; the tests run the consumer on a real one"): 1,
    ("docs/guides/score-a-kafka-topic.md", "it pulls an image"): 1,
    ("docs/guides/score-a-kafka-topic.md", "properties of Kafka's client"): 1,
    ("docs/guides/run-in-a-container.md", "it serves until Ctrl-C"): 1,
    ("docs/guides/call-over-grpc.md", "it serves until Ctrl-C"): 1,
    ("docs/guides/call-over-grpc.md", "it needs the client, and a server; the tests run it on a real one"): 1,
    ("docs/guides/call-over-grpc.md", "it needs the image, which needs its base"): 1,
    ("docs/guides/call-over-grpc.md", "a part of a manifest"): 1,
    ("docs/guides/call-over-grpc.md", "a client's configuration"): 1,
    ("docs/guides/run-in-a-container.md", "it needs the image, which needs its base"): 1,
    ("docs/guides/run-on-kubernetes.md", "it needs a cluster"): 3,
    ("docs/guides/sign-a-model.md", "model_signing has an environment of its own"): 2,
    ("docs/reference/performance.md", "it takes ten minutes"): 1,
    ("docs/concepts/cold-start.md", "numbers of one machine, which another run gives otherwise"): 1,
}

WIDTH = 100

# What a user's project has, with a model at its root.
STARTER = rendered("tumours", CLOUDS, "github")
PROJECT = {*STARTER, *PINNED, "pilotlight.toml", RECORD, STORE}
MAKEFILE = (ROOT / "Makefile").read_text()

# Created by commands in the pages, or by the reader.
NOT_COMMITTED = {
    ".venv",
    "build/aws",
    "build/container",
    "build/gcp",
    "build/gcp-records",
    "build/host",
    "bench/results/report.html",
    "features.toml",
    "manifest.json",
}

COLD_START = ColdStart("ready", "m", 1, {"total": 1.0}, 1, 1, "why", device="cpu")
EXPERIMENT = {
    "experiment": "salt",
    "variant": "control",
    "assigned": "m:2",
    "bucket": 1,
    "labels": {"a": 1},
    "score": 1.0,
}
REQUEST = Served("id", "GET", "/version", 500, 1.0, "m", 1, code="internal", error="why", experiment=EXPERIMENT)
VARIANT = ColdStart("failed", "m", 2, {"total": 1.0}, 1, 1, "why", variant="m:2")
SCORED = Scored("id", "rows", 1, 1, 1, 1, 1, 0, 1.0, "m", 1, [{"id": "a"}])


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block.place)
def test_every_block_is_run_or_says_why_not(block: Block) -> None:
    if block.kind == "file":
        assert block.language in ("json", "python", "text")
        if block.language == "json":
            json.loads(block.text)
    elif block.kind != "not run":
        assert block.language in EXECUTED + SHOWN, f"{block.place}: {block.language!r} is run by nothing"


def test_the_blocks_that_do_not_run_are_these() -> None:
    found = Counter((block.page, block.note) for block in BLOCKS if block.kind == "not run")
    for (page, reason), count in found.items():
        print(f"not run: {page}: {count} block(s): {reason}")
    assert found == NOT_RUN


def test_every_other_markdown_file_is_a_note() -> None:
    folders = [path for path in ROOT.glob("[!.]*/") if path.name not in {"build", "docs"}]
    found = {path.relative_to(ROOT) for folder in folders for path in folder.rglob("*.md")}
    made = {path for path in found if any(part == "build" or part.startswith(".") for part in path.parts[:-1])}
    assert {path.as_posix() for path in found - made} == set(NOTES)


def test_the_map_lists_every_page() -> None:
    listed = {target.partition("#")[0] for target in links(pages.read("docs/README.md"))}
    kinds = [page.removeprefix("docs/") for page in PAGES if page.count("/") == 2]
    assert {kind.partition("/")[0] for kind in kinds} == {"guides", "concepts", "reference"}
    assert set(kinds) <= listed


def links(text: str) -> list[str]:
    """Return the targets of a page's links, except for those to other sites."""
    found: list[str] = re.findall(r"\]\(([^)\s]+)\)", pages.prose(text))
    return [target for target in found if not target.startswith("https://")]


@pytest.mark.parametrize("page", [*PAGES, *NOTES])
def test_links_lead_somewhere(page: str) -> None:
    for target in links(pages.read(page)):
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        assert file.exists(), f"{page} links to {target}"
        assert not anchor or anchor in anchors(file.read_text()), f"{page} links to {target}"


@pytest.mark.parametrize("page", [*PAGES, *NOTES])
def test_lines_have_at_most_100_characters(page: str) -> None:
    text = pages.prose(pages.read(page))
    assert not [line for line in text.splitlines() if len(line) > WIDTH and can_break(line)]


def can_break(line: str) -> bool:
    """Return whether a line of prose has a space to break it at, outside of its indent and of code and links."""
    if line.startswith(("|", "!", "<!--")):
        return False
    return " " in re.sub(r"`[^`]*`|\[[^]]*\]\([^)]*\)", "-", line.strip().removeprefix("- "))


@pytest.mark.parametrize(
    ("line", "breaks"),
    [
        ("some words", True),
        ("- some words", True),
        ("- [a long link](https://example.com/)", False),
        ("`a long command`", False),
        ("| a | row |", False),
    ],
)
def test_what_cannot_break_may_be_long(line: str, breaks: bool) -> None:
    assert can_break(line) == breaks


def anchors(text: str) -> set[str]:
    """Return the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.*)$", pages.prose(text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES)
def test_the_files_that_a_page_names_exist(page: str) -> None:
    missing = [span for span in pages.code_spans(pages.read(page)) if is_path(span) and not exists(span)]
    assert not missing


def is_path(span: str) -> bool:
    known = tuple(f"{path.name}/" for path in ROOT.iterdir() if path.is_dir())
    return span.startswith(known) or bool(re.fullmatch(r"[\w.-]+\.(py|md|lock|toml)", span))


def exists(span: str) -> bool:
    if "/" in span or (ROOT / span).exists() or span in PROJECT:
        path = span.partition(" ")[0].rstrip("/")  # a command's arguments may follow it
        return (
            path in NOT_COMMITTED
            or (ROOT / path).exists()
            or any(f"{file}/".startswith(f"{path}/") for file in PROJECT)
        )
    return any(root.rglob(span) for root in (ROOT / "shared", ROOT / "functions", ROOT / "cli"))


def commands() -> dict[str, set[str]]:
    """Return every command of `pilotlight` with its options; one of a group under both names, like `keys create`."""
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    return dict(named_commands(group))


def named_commands(group: TyperGroup, before: str = "") -> Iterator[tuple[str, set[str]]]:
    for name, command in group.commands.items():
        if isinstance(command, TyperGroup):
            yield from named_commands(command, f"{before}{name} ")
        if not isinstance(command, TyperGroup) or command.invoke_without_command:
            options = {option for parameter in command.params for option in parameter.opts}
            yield f"{before}{name}", options | {"--help"}


def command_in(words: str, known: dict[str, set[str]]) -> str:
    """Return the command at the beginning of a line after `pilotlight `, or an empty string."""
    return next((name for name in known if re.match(rf"{name}(?![\w-])", words)), "")


@pytest.mark.parametrize("page", PAGES)
def test_commands_and_options_exist(page: str) -> None:
    text = pages.read(page)
    known = commands()
    groups = {name.split()[0] for name in known if " " in name}
    for line in re.findall(r"^(?:\$ |> |`)?pilotlight ([a-z](?:.|\\\n> )*)$", code(text), re.MULTILINE):
        if line in groups:
            continue
        name = command_in(line, known)
        assert name, f"{page}: pilotlight {line}"
        unknown = set(re.findall(r"(?<!\S)--[a-z-]+", line)) - known[name]
        assert not unknown, f"{page}: pilotlight {name} {unknown}"
    everything = set().union(*known.values()) | {"--version"}
    named = {span.split()[0] for span in pages.code_spans(text) if span.startswith("--")}
    assert named <= everything


def code(text: str) -> str:
    """Return all code of a page, a line for each line and span."""
    fenced = "\n".join(block.text for block in pages.blocks("", text))
    return "\n".join((fenced, *pages.code_spans(text)))


def test_every_command_is_documented() -> None:
    everything = "\n".join(code(pages.read(page)) for page in PAGES)
    for name in commands():
        assert re.search(rf"^(\$ )?pilotlight {name}\b", everything, re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page: str) -> None:
    files = [STARTER["Makefile"].decode()] if page in OF_PROJECT else [STARTER["Makefile"].decode(), MAKEFILE]
    targets = set(re.findall(r"^([a-z-]+):", "\n".join(files), re.MULTILINE))
    found = re.findall(r"^(?:\$ )?make ([a-z-]+)", code(pages.read(page)), re.MULTILINE)
    assert set(found) <= targets


def test_the_settings_table_is_the_code() -> None:
    rows = pages.table(pages.section(pages.read("docs/reference/settings.md"), "## Function settings"))
    named = {row[0].strip("`"): row[1:] for row in rows}
    assert named.keys() == {setting.variable for setting in SETTINGS}
    defaults = {"THREADS": "the whole processors, also where it is empty", "STORE": "none; it must be set"}
    for setting in SETTINGS:
        default, meaning = named[setting.variable]
        assert default.strip("`") == defaults.get(setting.name, setting.default or "empty"), setting.name
        assert setting.meaning in meaning


def test_the_table_of_kafka_settings_is_the_code() -> None:
    rows = pages.table(pages.section(pages.read("docs/reference/settings.md"), "## Kafka settings"))
    named = {row[0].strip("`"): row[1:] for row in rows}
    assert named.keys() == {setting.variable for setting in KAFKA_SETTINGS}
    for setting in KAFKA_SETTINGS:
        default, meaning = named[setting.variable]
        without = "empty" if setting.is_valid("") else "none; it must be set"
        assert default.strip("`") == (setting.default or without), setting.name
        assert setting.meaning in meaning


def test_the_table_of_server_settings_is_the_code() -> None:
    rows = pages.table(pages.section(pages.read("docs/reference/settings.md"), "## Server settings"))
    named = [(row[0].strip("`"), row[1].strip("`")) for row in rows]
    assert named == [(setting.variable, setting.default or "empty") for setting in SERVER_SETTINGS]
    assert all(setting.meaning in row[2] for setting, row in zip(SERVER_SETTINGS, rows, strict=True))


def test_the_table_of_grpc_codes_is_the_code() -> None:
    rows = pages.table(pages.section(pages.read("docs/reference/grpc.md"), "## Status codes"))
    assert {int(row[0]): row[1].strip("`") for row in rows} == {status: code.name for status, code in CODES.items()}


@pytest.mark.parametrize("page", PAGES)
def test_the_settings_that_a_page_names_exist(page: str) -> None:
    named = set(re.findall(r"\bPILOTLIGHT_[A-Z_]+\b", pages.read(page)))
    of_commands = {get_args(kind)[1].envvar for kind in (MaxMemory, MaxSeconds)}
    of_containers = {setting.variable for setting in (*KAFKA_SETTINGS, *SERVER_SETTINGS)}
    named = {name for name in named if not name.startswith("PILOTLIGHT_KAFKA_CLIENT_")} - {"PILOTLIGHT_KAFKA_"}
    of_functions = {setting.variable for setting in SETTINGS}
    of_batch = set(BATCH["Resources"]["BatchFunction"]["Properties"]["Environment"]["Variables"])
    assert named <= of_functions | of_batch | of_containers | of_commands | {PASSPHRASE, OWNER_VARIABLE}


@pytest.mark.parametrize("record", [COLD_START, REQUEST, SCORED], ids=["cold_start", "request", "records"])
def test_the_tables_of_log_fields_are_the_code(record: Record) -> None:
    event = str(fields(record)["event"])
    after = LOGS.partition(f"| Field of `{event}` |")[2]
    rows = pages.table(f"| Field |{after}")
    named = {name for row in rows for name in re.findall(r"`([^`]+)`", row[0])}
    assert named == set(fields(record))


def test_the_table_of_limits_is_the_code() -> None:
    least, more = LimitOptions().limits(0), LimitOptions().limits(10**6)
    expected = [
        [least.memory // 10**6, (more.memory - least.memory) // 10**6],
        [least.seconds],
        [least.timeout // least.seconds],
        [recognition.LEAST // 10**6, recognition.TIMES],
        [],
        [files.LARGEST // 2**20],
        [files.MOST_FILES],
        [samples.MOST_IN_A_REQUEST],
        [MOST_FEATURES],
        [samples.MOST_VALUES],
        [samples.MOST_GENERATED_OUTPUTS, samples.MOST_GENERATED_BYTES],
        [samples.MOST_OUTPUTS, samples.MOST_BYTES],
        [samples.MOST_GIVEN_VALUES],
        [LARGEST_RESULT // 10**6],
        [regular_files.LARGEST // 10**6],
    ]
    rows = pages.table(pages.section(pages.read("docs/reference/limits.md"), "## Publishing a model"))
    assert [list(map(int, re.findall(r"\d+", row[1]))) for row in rows] == expected


def test_the_table_of_metrics_is_the_code() -> None:
    units = {
        metric["Name"]: metric["Unit"]
        for record in (COLD_START, VARIANT, REQUEST, SCORED)
        for metric in metrics(record)["Metrics"]
    }
    rows = pages.table(pages.section(LOGS, "## Metrics on AWS"))
    assert {row[0].strip("`"): row[1] for row in rows} == units
    for dimension in (name for names in metrics(REQUEST)["Dimensions"] for name in names):
        assert f"`{dimension}`" in pages.section(LOGS, "## Metrics on AWS")


def metrics(record: Record) -> dict[str, Any]:
    document: Any = emf.to_line(record, "Pilotlight", 0.0)["_aws"]
    (found,) = document["CloudWatchMetrics"]
    assert isinstance(found, dict)
    return found


def test_the_log_line_that_is_shown_has_the_fields_of_a_real_one() -> None:
    shown, drift = [json.loads(block.text) for block in pages.blocks("", LOGS) if block.language == "json"]
    assert list(shown) == [
        name for name in emf.to_line(COLD_START, "Pilotlight", 0.0) if name not in ("device", "error")
    ]
    assert shown["_aws"]["CloudWatchMetrics"] == [metrics(COLD_START)]
    counts = {name: drift[name] for name in ("reference", "rows", "seen", "first", "counts")}
    summary = Summary("drift", drift["model_name"], drift["model_version"], counts)
    assert drift == {"severity": level(summary), "namespace": "Pilotlight", **fields(summary)}


def test_the_table_of_states_is_the_code() -> None:
    loading = (ROOT / "shared/pilotlight/start/loading.py").read_text()
    states = re.search(r"^State = Literal\[(.*)\]$", loading, re.MULTILINE)
    assert states is not None
    rows = pages.table(pages.section(pages.read("docs/concepts/cold-start.md"), "## States"))
    assert {row[0].strip("`") for row in rows} == set(re.findall(r'"(\w+)"', states[1]))


def test_the_table_of_commands_is_the_code() -> None:
    rows = pages.table(pages.read("docs/reference/command.md"))
    named = {command_in(row[0].strip("`").removeprefix("pilotlight "), commands()): row[2] for row in rows}
    assert {name: set(re.findall(r"`(--[a-z-]+)`", options)) | {"--help"} for name, options in named.items()} == {
        name: {option for option in options if option.startswith("--")} for name, options in commands().items()
    }


def test_there_is_one_diagram() -> None:
    assert [block.page for block in BLOCKS if block.language == "mermaid"] == ["docs/concepts/architecture.md"]


def test_the_changelog_knows_the_version() -> None:
    version = pilotlight.__version__
    assert re.search(
        rf"(^## \[{re.escape(version)}\]|^Will be {re.escape(version)}\.$)", pages.read("CHANGELOG.md"), re.MULTILINE
    )


def test_the_table_of_breaking_changes_is_the_code() -> None:
    section = pages.section(pages.read("docs/guides/pin-and-verify.md"), "## A version that breaks callers")
    assert dict(pages.table(section)) == {kind: breaks or "no" for kind, breaks in RULES.items()}
