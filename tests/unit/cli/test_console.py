"""What is printed: nothing that a terminal acts on, whoever wrote it, and no padding into a pipe."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from typer.testing import CliRunner

import descriptions
from pilotlight.model.signature import Input, Output, Signature
from pilotlight.model.tensor import BYTES, FP32
from pilotlight_cli import console
from pilotlight_cli.commands import views
from pilotlight_cli.local.verify import Check, VerifyReport
from pilotlight_cli.main import app
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.manifest import Manifest, write_manifest
from pilotlight_cli.registry.versions import Unreadable
from pilotlight_cli.stores import Store

HOSTILE = "\x1b]0;title\x07 \x1b[2J \x9b31m \u202egnp.\u2066 a\rb \x7f \x08 \u200b \u2028 \U000e0041 [red]x[/red] :bug:"
SHOWN = r"\x1b]0;title\x07 \x1b[2J \x9b31m \u202egnp.\u2066 a\rb \x7f \x08 \u200b \u2028 \U000e0041 [red]x[/red] :bug:"
HALF = "half \udcff"


def hostile(text: str) -> Manifest:
    """Return a manifest with a text wherever a manifest takes any text."""
    model = descriptions.onnx_model()
    signature = Signature(
        (Input(text, FP32, (-1, 2), "features", (text, "b")),),
        (Output(text, BYTES, (-1,), "label"), Output("p", FP32, (-1, 2), "probabilities")),
        (text, "b"),
    )
    return Manifest(replace(model, signature=signature), descriptions.CREATED_AT)


def printed(act: Callable[[], object], capsys: pytest.CaptureFixture[str]) -> str:
    act()
    captured = capsys.readouterr()
    return captured.out + captured.err


def transfer(text: str) -> None:
    with console.transferring(text, 5) as progress:
        progress(5)


WAYS: dict[str, Callable[[str], object]] = {
    "a result": lambda text: console.output().print(text, soft_wrap=True),
    "what is said": console.say,
    "a note": console.note,
    "a warning": console.warning,
    "an error": console.error,
    "a table": lambda text: console.output().print(console.table((text, "b"), [(text, text)])),
    "a transfer": transfer,
    "a version": lambda text: console.output().print(views.details(hostile(text), {text: 1})),
    "a list": lambda text: console.output().print(
        views.version_rows([Unreadable(1, "")], {text: 1}, {1: [text]}, datetime.now(UTC), {})
    ),
    "checks": lambda text: console.output().print(
        views.checks(VerifyReport("aws", "m", 1, (Check(text, ok=False, detail=text),)))
    ),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_terminal_acts_on_is_escaped(
    way: str, terminal: bool, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")
        monkeypatch.setenv("COLUMNS", "2000")
        monkeypatch.setenv("NO_COLOR", "1")
    found = printed(lambda: WAYS[way](HOSTILE), capsys)
    assert SHOWN in found
    assert not {*HOSTILE} & {*found} & {*"\x07\x9b\u202e\u2066\x7f\x08\u200b\u2028\U000e0041"}
    assert "a\rb" not in found
    assert "\x1b]" not in found
    assert "\x1b[2J" not in found


@pytest.mark.parametrize("way", WAYS)
def test_half_a_character_is_escaped(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert r"half \udcff" in printed(lambda: WAYS[way](HALF), capsys)


def test_a_line_break_in_a_name_begins_no_line(capsys: pytest.CaptureFixture[str]) -> None:
    found = printed(lambda: console.output().print(views.details(hostile("a\nok forged"), {})), capsys)
    assert not [line for line in found.splitlines() if line.startswith("ok")]
    assert r"a\nok forged" in found


def test_a_message_keeps_its_lines(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(lambda: console.error("it said:\n  one\n  two"), capsys) == "error: it said:\n  one\n  two\n"
    check = VerifyReport("aws", "m", 1, (Check("model", ok=False, detail="it said:\none"),))
    assert "one" in printed(lambda: console.output().print(views.checks(check)), capsys).splitlines()[-1]


def test_letters_of_all_scripts_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    text = "größe 模型 модель نموذج 🚀"
    assert text in printed(lambda: console.output().print(views.details(hostile(text), {})), capsys)


def test_json_stays_json_and_holds_nothing_that_a_terminal_acts_on(capsys: pytest.CaptureFixture[str]) -> None:
    document = {"name": HOSTILE, HALF: [HALF, "größe"]}
    found = printed(lambda: console.print_json(document), capsys)
    assert json.loads(found) == document
    assert "größe" in found
    assert all(character.isprintable() or character == "\n" for character in found)


def test_lines_into_a_pipe_end_where_their_text_ends(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [("short", "x"), ("long", "y" * 300)]
    found = printed(lambda: console.output().print(console.table(("name", "value"), rows)), capsys)
    assert [line for line in found.splitlines() if line != line.rstrip()] == []
    assert found.splitlines()[1].split() == ["short", "x"]


def test_a_reader_of_a_pipe_gets_each_line_at_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w") as out:
        monkeypatch.setattr(sys, "stdout", out)
        console.output().print("answers on http://127.0.0.1:8080")
        assert (tmp_path / "out").read_text() == "answers on http://127.0.0.1:8080\n"


def test_a_terminal_of_another_encoding_gets_escapes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as out:
        monkeypatch.setattr(sys, "stdout", out)
        console.output().print("größe")
        console.print_json({"größe": "模型"})
    said = (tmp_path / "out").read_text()
    assert said.startswith("gr\\xf6\\xdfe\n")
    assert json.loads(said.partition("\n")[2]) == {"größe": "模型"}


def test_a_hostile_manifest_is_shown_and_listed_escaped(store_of: Callable[[Manifest], Store]) -> None:
    store = store_of(hostile(HOSTILE))
    name = descriptions.onnx_model().name
    store.create(f"{name}/aliases/broken.json", b'{"format": 1, "alias": "\xc2\x9b\xe2\x80\xae", "version": 1}')
    for arguments in (("show", name), ("list",), ("list", name), ("show", name, "--json"), ("show", f"{name}@broken")):
        result = CliRunner().invoke(app, [*arguments, "--store", store.url])
        assert all(character.isprintable() or character == "\n" for character in result.output)
        assert "Traceback" not in result.output
        assert result.exit_code in (0, 1)


@pytest.fixture
def store_of(folder_store: Store) -> Callable[[Manifest], Store]:
    def make(manifest: Manifest) -> Store:
        folder_store.create(manifest.model.key("manifest.json"), to_bytes(write_manifest(manifest)))
        return folder_store

    return make
