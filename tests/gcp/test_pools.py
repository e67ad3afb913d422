"""Models with pools of threads, which no fork survives: they answer in the worker, and let it end."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from pathlib import Path

import pytest
import requests
from sklearn.datasets import load_iris
from sklearn.ensemble import HistGradientBoostingClassifier

from harness import in_functions_framework, pinned, stored
from waiting import wait_until

CALLERS = 4


def test_a_model_that_predicts_in_openmps_threads_answers_and_lets_the_worker_end(tmp_path: Path) -> None:
    data = load_iris()
    model = HistGradientBoostingClassifier(max_iter=20, random_state=0).fit(data.data, data.target)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(model))
    flowers = pinned(tmp_path / "model.pkl", "flowers", tmp_path)
    instances = data.data[::3].tolist()
    answers: list[list[list[float]]] = []
    with stored("gcp", flowers) as store, in_functions_framework(flowers, store, PILOTLIGHT_THREADS="2") as runtime:

        def ask() -> None:
            reply = requests.post(f"{runtime.url}/predict_batch", json={"instances": instances}, timeout=60)
            answers.append(reply.json()["probabilities"])

        asking = [threading.Thread(target=ask) for _ in range(CALLERS)]
        for thread in asking:
            thread.start()
        for thread in asking:
            thread.join()
        os.kill(runtime.pid, signal.SIGTERM)
        wait_until(lambda: runtime.exit_code is not None, limit=25)  # a pool that is waited for takes gunicorn's 30 s
        assert runtime.exit_code == 0
    assert len(answers) == CALLERS
    expected = model.predict_proba(data.data[::3]).tolist()
    for answer in answers:
        for row, wanted in zip(answer, expected, strict=True):
            assert row == pytest.approx(wanted, abs=1e-12)
