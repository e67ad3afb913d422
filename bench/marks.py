"""Where a start's time goes: a copy of a contestant's module that notes the time after each of its statements.

The copy stands before the original on the path and says that it lies where the original does. What it adds to a start
is a call of the clock for each statement, and reading its source, which has no bytecode.
"""

from __future__ import annotations

import ast
import json
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path

from instances import FirstAnswer, Launch

_SAID = "pilotlight-bench-marks "
_LONGEST = 64  # characters of a statement that are shown


@dataclass(frozen=True, slots=True)
class Phase:
    """A part of a start: what it does, when it begins after the start of the process, how long it takes; in seconds."""

    name: str
    start: float
    seconds: float


def traced(launch: Launch, folder: Path) -> Launch:
    """Return the same launch with a marked copy of its module, which is put into `folder`."""
    module = "main" if launch.kind in ("framework", "uvicorn") else launch.entry.partition(".")[0]
    source = launch.function.folder / f"{module}.py"
    folder.mkdir()
    (folder / source.name).write_text(marked(source.read_text(), source))
    return replace(launch, traced=folder)


def marked(source: str, path: Path) -> str:
    """Return a module's source that says, at its end, when each of its statements had ended."""
    first, others = _split(ast.parse(source).body)
    lines = [*map(ast.unparse, first), "import json as _json, os as _os, time as _time", f"__file__ = {str(path)!r}"]
    lines.append("_marks = [('', _time.monotonic())]")
    for statement in others:
        text = ast.unparse(statement)
        lines += [text, f"_marks.append(({_title(text)!r}, _time.monotonic()))"]
    lines.append(f"_os.write(2, ('\\n' + {_SAID!r} + _json.dumps(_marks) + '\\n').encode())")
    return "\n".join(lines) + "\n"


def phases(log: str, answer: FirstAnswer) -> list[Phase]:
    """Return the phases of a traced start: what comes before the module, its statements, and all that comes after them.

    The statement that starts our own function is told by the function's own record of its cold start.
    """
    said = next(line for line in log.splitlines() if line.startswith(_SAID))
    marks: list[tuple[str, float]] = [(name, at - answer.began) for name, at in json.loads(said.removeprefix(_SAID))]
    entered = marks[0][1]
    found = [Phase("Python and the platform's runtime", 0, entered)]
    record = _cold_start(log)
    for (_, start), (name, end) in pairwise(marks):
        if "boot(" in name and record:
            found += _booted(record, entered, start)
        else:
            found.append(Phase(name, start, end - start))
    return [*found, Phase("first request", marks[-1][1], answer.seconds - marks[-1][1])]


def _booted(record: dict[str, float], entered: float, start: float) -> list[Phase]:
    """Return the overlapping phases of our start. `entered` is when the module began, from which the record counts."""
    took = {name: milliseconds / 1000 for name, milliseconds in record.items()}
    begun = start + took["lock"]
    ended = entered + took["total"]
    # A load that begins before the runtime is ready waits for it, in its own time: it is shown from there on.
    load = max(ended - took.get("load", 0), begun + took.get("runtime", 0))
    return [
        Phase("read the lock", start, took["lock"]),
        Phase("fetch and check the model", begun, took.get("fetch", 0)),
        Phase("get the runtime ready", begun, took.get("runtime", 0)),
        Phase("load the model", load, max(ended - load, 0)),
    ]


def _cold_start(log: str) -> dict[str, float]:
    for line in log.splitlines():
        if '"cold_start"' in line:
            record = json.loads(line[line.index("{") :])
            if record.get("state") == "ready":
                return dict(record["phases_ms"])
    return {}


def _split(body: list[ast.stmt]) -> tuple[list[ast.stmt], list[ast.stmt]]:
    """Return what has to stay at a module's beginning, and the rest."""
    count = 0
    for statement in body:
        is_text = isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
        is_future = isinstance(statement, ast.ImportFrom) and statement.module == "__future__"
        if not is_text and not is_future:
            break
        count += 1
    return body[:count], body[count:]


def _title(statement: str) -> str:
    line = statement.splitlines()[0]
    return line if len(line) <= _LONGEST else f"{line[: _LONGEST - 3]}..."
