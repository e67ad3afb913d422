"""What a warm request costs over a bare `session.run` of the same input, in one process: `python bench/warm.py`.

Each case is a model and a request. Our handler answers it as `Service.handle(Request)` and as the whole Lambda
handler, event in and reply out, with every check on and a log line written (to /dev/null). FastAPI with pydantic
answers the same through its ASGI app, without a server. All take turns, and answers are compared before it counts.
What counts is the process's processor time: all sides work in it alone, and what else the machine does is left out.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import onnxruntime

from figures import Round, ratios, values
from warm_cases import Case, cases, scores
from warm_sides import fastapi_side, handler_sides

# How long one side goes on before the next one's turn, in seconds.
_TURN = 0.06

_TITLES = {
    "pilotlight_binding": "Service.handle, Python binding",
    "lambda_binding": "Lambda handler, Python binding",
    "pilotlight": "Service.handle, C API",
    "lambda": "Lambda handler, C API",
    "fastapi": "FastAPI + pydantic",
}


@dataclass(frozen=True, slots=True)
class Side:
    """One who answers: a call that returns the reply's body, and how often it is called in a turn."""

    call: Callable[[], object]
    times: int


def measured(rounds: int, says: Callable[[str], None]) -> dict[str, Any]:
    """By case: the bare run's seconds, and the spread of each side's ratio to it in the same round."""
    found: dict[str, Any] = {}
    with TemporaryDirectory(prefix="pilotlight-bench-") as name:
        for case in cases(Path(name)):
            says(case.title)
            done = _rounds(case, rounds)
            found[case.name] = {
                "title": case.title,
                "bare": values(done, "bare", "seconds").median,
                "ratios": {side: asdict(ratios(done, side, "bare", "seconds")) for side in done[0] if side != "bare"},
            }
    present = {side for case in found.values() for side in case["ratios"]}
    return {"titles": {side: title for side, title in _TITLES.items() if side in present}, "cases": found}


def _rounds(case: Case, rounds: int) -> list[Round]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(case.model, options, providers=["CPUExecutionProvider"])
    feeds = {session.get_inputs()[0].name: case.rows}
    with quiet(), frozen(), asyncio.Runner() as runner:
        replies = handler_sides(case) | ({"fastapi": fastapi_side(case, session, runner)} if case.fastapi else {})
        for name, reply in replies.items():
            if not np.allclose(scores(case, reply()), session.run(None, feeds)[-1].ravel(), atol=1e-6):
                raise ValueError(f"{case.title}: {_TITLES[name]} answers something else than the bare run")
        calls: dict[str, Callable[[], object]] = {"bare": lambda: session.run(None, feeds), **replies}
        gc.freeze()
        sides = {name: Side(call, max(1, int(_TURN / seconds(call, 3)))) for name, call in calls.items()}
        return [{name: {"seconds": seconds(s.call, s.times)} for name, s in sides.items()} for _ in range(rounds)]


def seconds(call: Callable[[], object], times: int) -> float:
    """Return the processor time of one call, out of so many."""
    began = time.process_time()
    for _ in range(times):
        call()
    return (time.process_time() - began) / times


@contextmanager
def frozen() -> Iterator[None]:
    """Yield what was frozen is the process's again afterwards.

    A function's start freezes what it made, and no collection goes through it. Here the benchmark's own objects are
    frozen with it, for all sides: a request of many rows would pay for them, many times what it takes itself.
    """
    try:
        yield
    finally:
        gc.unfreeze()


@contextmanager
def quiet() -> Iterator[None]:
    """Log lines are written, and nobody sees them."""
    with Path(os.devnull).open("w") as nowhere, redirect_stdout(nowhere):
        yield


def table(found: Mapping[str, Any]) -> str:
    """Return the figures as lines of text."""
    out = io.StringIO()
    for case in found["cases"].values():
        out.write(f"{case['title']}: bare session.run {case['bare'] * 1e6:.0f} us\n")
        for side, spread in case["ratios"].items():
            text = f"{spread['median']:.2f} ({spread['low']:.2f}-{spread['high']:.2f})"
            out.write(f"  {found['titles'][side]:<32} {text}\n")
    return out.getvalue()


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description="The time of a warm request over a bare session.run.")
    parser.add_argument("--rounds", type=int, default=25)
    parser.add_argument("--json", action="store_true")
    arguments = parser.parse_args()
    found = measured(arguments.rounds, lambda title: print(title, file=sys.stderr))
    print(json.dumps(found, indent=1) if arguments.json else table(found), end="")


if __name__ == "__main__":
    main()
