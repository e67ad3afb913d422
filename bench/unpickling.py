"""What loading a pickle through its checks takes, beside Python's own unpickler with the same allow-list.

    .venv/bin/python bench/unpickling.py

Runs in the functions' Python where this machine has it, with the scikit-learn of `peers/sklearn_joblib`. The two take
turns. Their processor time counts, with the garbage collector off as in a cold start; ratios are taken in each round.
"""

from __future__ import annotations

import gc
import io
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, TypeAlias

from figures import Round, ratios, values
from pilotlight.pickles.loading import loads, scan

ROUNDS = 25
TREES = 500
WORDS = 50_000


Load: TypeAlias = Callable[[bytes, frozenset[str]], Any]


class AllowList(pickle.Unpickler):
    """Python's own unpickler, which finds nothing but allowed names."""

    def __init__(self, data: bytes, allowed: frozenset[str]) -> None:
        super().__init__(io.BytesIO(data))
        self._allowed = allowed

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 - any class or function
        """Return what an allowed name stands for."""
        if f"{module}.{name}" not in self._allowed:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed")
        return super().find_class(module, name)


SIDES: Final[dict[str, Load]] = {"unpickler": lambda data, allowed: AllowList(data, allowed).load(), "machine": loads}


def models() -> Iterator[tuple[str, Any]]:
    """Yield a model of many small objects, and one of many plain values."""
    import numpy as np
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.feature_extraction.text import TfidfVectorizer

    rows = np.random.default_rng(0).normal(size=(400, 10))
    forest = RandomForestClassifier(TREES, random_state=0)
    yield f"a forest of {TREES} trees", forest.fit(rows, rows[:, 0] > rows[:, 1])
    yield f"a TF-IDF vectorizer of {WORDS:,} words", TfidfVectorizer().fit([f"word{n:x}" for n in range(WORDS)])


def measure() -> None:
    """Print each model's name and rounds as a line of JSON."""
    gc.disable()
    for name, model in models():
        data = pickle.dumps(model, protocol=5)
        allowed = frozenset(scan(data))
        rounds = [
            {side: {"seconds": _seconds(load, data, allowed)} for side, load in SIDES.items()} for _ in range(ROUNDS)
        ]
        sys.stdout.write(json.dumps([name, rounds]) + "\n")


def _seconds(load: Load, data: bytes, allowed: frozenset[str]) -> float:
    began = time.process_time()
    load(data, allowed)
    return time.process_time() - began


def main() -> None:
    """Measure in the functions' Python, and print a line for each model."""
    from packages import PEERS, functions_python
    from pilotlight_cli.assets import CORE
    from pilotlight_cli.hostenv import host_packages, isolated_python

    python = functions_python()
    packages = host_packages(PEERS / "sklearn_joblib" / "requirements.lock", python=python)
    path = os.pathsep.join(map(str, (packages, CORE.parent, Path(__file__).parent)))
    command = [*isolated_python(python), __file__, "measure"]
    done = subprocess.run(
        command, env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}, stdout=subprocess.PIPE, check=True
    )
    for line in done.stdout.splitlines():
        name, rounds = json.loads(line)
        print(f"{name}: {_figures(rounds)}")


def _figures(rounds: list[Round]) -> str:
    took = {side: values(rounds, side, "seconds").median * 1000 for side in ("machine", "unpickler")}
    ratio = ratios(rounds, "machine", "unpickler", "seconds")
    return (
        f"{took['machine']:.0f} ms through the checks, {took['unpickler']:.0f} ms without, "
        f"ratio {ratio.median:.1f} ({ratio.low:.1f}-{ratio.high:.1f})"
    )


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
