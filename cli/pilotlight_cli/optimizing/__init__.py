"""`pilotlight optimize`: an ONNX model in the form that starts fastest, or as it is where no form is really faster."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotlight.model.lock import DEFAULT_SESSION
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.optimizing.candidates import MODEL, Candidate, make_candidates
from pilotlight_cli.optimizing.choice import Standing, choose, stand
from pilotlight_cli.optimizing.measuring import Bench, measure_rounds
from pilotlight_cli.sandbox.child.onnx_session import mark
from pilotlight_cli.sandbox.inspection import inspect, recognised
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import DEFAULT, Allowance
from pilotlight_cli.stores.arrivals import working_folder


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it: `file` is `kept`, which is one of the standings; the first of these is the original."""

    file: Path
    requests: int
    rounds: int
    standings: tuple[Standing, ...]
    kept: Standing
    notes: tuple[str, ...]

    @property
    def improved(self) -> bool:
        """Whether anything is better than the original."""
        return self.kept is not self.standings[0]


def optimize(
    path: Path,
    folder: Path,
    *,
    signature: bytes | None,
    golden: bytes | None,
    requests: int,
    rounds: int,
    step: Callable[[str], None],
    allowance: Allowance = DEFAULT,
) -> Report:
    """Make candidates, measure them beside the original in so many rounds, and write the best into `folder`.

    The best is the one with which an instance has answered `requests` requests soonest, its load included; where none
    is really better it is the original. `folder` must be new or empty, and is there wholly or not at all. `step` is
    told what is done next. Raises UsageError, and what `inspect` raises.
    """
    path = path.absolute()
    found = recognised(path, allowance)
    if found.kind != "onnx":
        raise UsageError(f"{path.name} is a {found.kind} file of scikit-learn, and this command is for ONNX models")
    if any(companion.name == MODEL for companion in found.companions):
        raise UsageError(
            f"{path.name} keeps tensors in {MODEL}, which is to be the model's own name; save it with others"
        )
    with _made_at_once(folder) as work:
        step(f"looking into {path.name}")
        inspection = inspect(path, format="onnx", signature=signature, golden=golden, allow=(), allowance=allowance)
        if inspection.runtime.session != DEFAULT_SESSION:
            raise UsageError(f"{path.name} was made by this command already; give it the model that it was made from")
        packages = host_packages(KINDS[found.kind].requirements(path.name, found))
        step("optimising the graph")
        limits = allowance.limits(found.size)
        candidates, notes = make_candidates(inspection.files, work, packages, limits)
        outcomes = measure_rounds(candidates, Bench(inspection, found.words, packages, work, limits), rounds, step)
        standings = stand(outcomes, requests)
        kept = choose(standings)
        report = Report(
            folder / MODEL,
            requests,
            rounds,
            standings,
            kept,
            (*notes, *(f"{each.candidate.name}: {each.problem}" for each in outcomes if each.problem)),
        )
        step("writing")
        _place(kept.candidate, work / "result", ours=report.improved)
    return report


@contextmanager
def _made_at_once(folder: Path) -> Iterator[Path]:
    """A folder to work in, beside `folder`; what lies in its `result` at the end becomes `folder`."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder; nothing is overwritten: name another one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(folder) as work:
        yield work
        (work / "result").rename(folder)


def _place(candidate: Candidate, folder: Path, *, ours: bool) -> None:
    """Put a candidate's files into a new folder: those that were made here are moved, the publisher's are copied."""
    folder.mkdir()
    model, *others = candidate.files
    for file, name in ((model, MODEL), *((other, other.name) for other in others)):
        if ours:
            file.rename(folder / name)
        else:
            shutil.copyfile(file, folder / name)
    if candidate.session != DEFAULT_SESSION:
        mark(folder / MODEL, candidate.session)
