"""The lock in the repository's root is what anybody gets who publishes and pins the sample."""

from __future__ import annotations

from pathlib import Path

from harness import pinned
from repository import LOCK, SAMPLE


def test_publishing_and_pinning_the_sample_writes_the_committed_lock(tmp_path: Path) -> None:
    place = tmp_path / "breast-cancer" / "first"
    place.mkdir(parents=True)
    committed = LOCK.with_name("requirements.lock")
    (place / committed.name).write_bytes(committed.read_bytes())  # or newer releases would be resolved
    pinned(
        SAMPLE / "model.onnx",
        "breast-cancer",
        tmp_path,
        signature=SAMPLE / "signature.json",
        golden=SAMPLE / "golden.json",
    )
    for name in ("model.lock", "requirements.lock", "golden.json"):
        assert (place / name).read_bytes() == LOCK.with_name(name).read_bytes()
