"""The runner of the examples finds those that are wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import pilotlight
from docs.matching import difference
from docs.pages import BadPage, Block, blocks, section, table
from docs.session import ExampleFailed, Session, beside_a_model, clone, commands, opened


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    with opened(beside_a_model(tmp_path_factory.mktemp("session"))) as found:
        yield found


def console(text: str, kind: str = "") -> Block:
    return Block("page.md", 1, "console", text, kind)


def test_a_fence_opens_and_closes_a_block_and_a_marker_above_belongs_to_it() -> None:
    text = "# Title\n<!-- file: a.json -->\n```json\n{}\n```\nwords\n```sh\ntrue\n```\n"
    first, second = blocks("page.md", text)
    assert (first.language, first.text, first.kind, first.note) == ("json", "{}\n", "file", "a.json")
    assert (second.place, second.text, second.kind) == ("page.md:7", "true\n", "")


@pytest.mark.parametrize("text", ["```sh\n", "<!-- no run -->\n```sh\n```\n", "<!-- not run -->\n```sh\n```\n"])
def test_a_block_without_an_end_and_a_marker_that_is_none_are_refused(text: str) -> None:
    with pytest.raises(BadPage):
        list(blocks("page.md", text))


def test_a_section_ends_where_the_next_one_of_its_level_begins() -> None:
    assert section("# A\n## B\none\n### C\ntwo\n## D\nthree\n", "## B") == "one\n### C\ntwo\n"
    with pytest.raises(BadPage):
        section("# A\n", "## B")


def test_a_table_is_read_without_its_head() -> None:
    assert table("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | |\n") == [["1", "2"], ["3", ""]]


def test_a_command_goes_with_what_it_prints() -> None:
    assert list(commands(console("$ one \\\n> two\nprinted\n$ three\n"))) == [
        ("one \\\ntwo", "printed\n"),
        ("three", ""),
    ]


@pytest.mark.parametrize(
    ("shown", "printed"),
    [
        ("took 12 ms", "took 3.5 ms"),
        ("fetch  1 ms\nload 119 ms", "fetch 10 ms\nload  90 ms"),
        ("start   took\nload  90 ms", "start    took\nload 1190 ms"),
        ("head\na 1 ms\nb 2 ms\nend", "head\nb 3 ms\na 4 ms\nend"),
        ('"request_id":"abc"', '"request_id":"def"'),
        ("== 4 passed in 3.41s ==", "= 4 passed in 13.20s ="),
        ("created 2026-01-01 10:00", "created 2027-02-03 11:12"),
        ("a\n...\nd", "a\nb\nc\nd"),
        ("a\n...\nd", "a\nd"),
        ("POST {...}", 'POST {"features": 1}'),
    ],
)
def test_what_differs_from_run_to_run_is_no_difference(shown: str, printed: str) -> None:
    assert not difference(shown, printed)


@pytest.mark.parametrize(
    ("shown", "printed"),
    [("a", "b"), ("a", "a\nb"), ("a\nb", "a"), ("a...", "b"), ("x ... y", "x\ny"), ("1.5", "1x5"), ("12 ms", "12 s")],
)
def test_everything_else_is(shown: str, printed: str) -> None:
    assert difference(shown, printed)


def test_an_example_that_prints_something_else_fails(session: Session) -> None:
    session.run(console("$ echo one\none\n"))
    with pytest.raises(ExampleFailed, match="two"):
        session.run(console("$ echo two\none\n"))


def test_an_example_that_ends_with_an_error_shows_it(session: Session) -> None:
    with pytest.raises(ExampleFailed, match="exit code 3"):
        session.run(console("$ (exit 3)\n"))
    session.run(console("$ (echo 'error: no'; exit 1)\nerror: no\n"))
    with pytest.raises(ExampleFailed, match="exit code 0"):
        session.run(console("$ echo 'error: no'\nerror: no\n"))


def test_a_script_or_a_program_that_fails_is_an_error(session: Session) -> None:
    session.run(Block("page.md", 1, "sh", "true\n"))
    with pytest.raises(ExampleFailed):
        session.run(Block("page.md", 1, "sh", "false\n"))
    with pytest.raises(ExampleFailed, match="ZeroDivisionError"):
        session.run(Block("page.md", 1, "python", "1 / 0\n"))


def test_a_file_is_there_for_the_next_block_and_what_is_set_stays(session: Session) -> None:
    session.run(console("$ mkdir -p here\n$ cd here\n"))
    session.run(Block("page.md", 1, "json", '{"a": 1}\n', "file", "a.json"))
    session.run(console('$ cat /home/you/here/a.json\n{"a": 1}\n$ A=1\n$ echo $A\n1\n$ cd ..\n$ pwd\n/home/you\n'))


def test_a_command_that_stays_up_is_waited_for_and_ended_by_the_next(session: Session) -> None:
    server = "$ python3 -c 'import time; print(\":8080\"); time.sleep(600)'\n:8080\n"
    session.run(console(server, "stays up"))
    session.run(console("$ jobs -r | wc -l\n1\n"))
    session.run(console(server, "stays up"))
    session.run(console("$ jobs -r | wc -l\n1\n"))
    with pytest.raises(ExampleFailed, match="something else"):
        session.run(console("$ echo 8081\n8080\n", "stays up"))


def test_a_user_begins_with_a_model_and_the_programs_of_this_environment(session: Session) -> None:
    session.run(console(f"$ ls *.onnx\nmodel.onnx\n$ pilotlight --version\n{pilotlight.__version__}\n"))


def test_make_in_a_project_of_a_page_has_this_environment(session: Session) -> None:
    session.run(console("$ pilotlight init fresh\n...\n"))
    session.run(console(f"$ readlink fresh/.venv/bin\n{Path(sys.executable).parent}\n"))
    session.run(console("$ make -C fresh --dry-run run | grep -oE 'Installing|pilotlight serve'\npilotlight serve\n"))


def test_make_in_a_clone_has_this_environment(tmp_path: Path) -> None:
    with opened(clone(tmp_path)) as session:
        session.run(console(f"$ readlink .venv/bin\n{Path(sys.executable).parent}\n"))
        session.run(console("$ make --dry-run run | grep -oE 'Setting up|serve --cloud aws'\nserve --cloud aws\n"))
