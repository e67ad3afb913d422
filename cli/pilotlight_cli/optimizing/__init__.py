"""`pilotlight optimize`: write an ONNX model in the form that starts fastest, or unchanged if none is faster."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from pilotlight.model.formats import FORMATS
from pilotlight.model.lock import DEFAULT_SESSION
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.hostenv import host_packages
from pilotlight_cli.optimizing.candidates import MODEL, Candidate, Writing, make_candidates
from pilotlight_cli.optimizing.choice import Evaluation, choose, evaluate
from pilotlight_cli.optimizing.measuring import Bench, measure_rounds
from pilotlight_cli.sandbox.child.onnx_metadata import mark, write_session
from pilotlight_cli.sandbox.inspection import check_onnx, inspect, recognise_file
from pilotlight_cli.sandbox.job import UsageError
from pilotlight_cli.sandbox.limits import DEFAULT, LimitOptions
from pilotlight_cli.stores.arrivals import working_folder


@dataclass(frozen=True, slots=True)
class Report:
    """The result: `file` has the form `kept`, one of the evaluations; the first of these is the original."""

    file: Path
    requests: int
    rounds: int
    evaluations: tuple[Evaluation, ...]
    kept: Evaluation
    notes: tuple[str, ...]

    @property
    def improved(self) -> bool:
        """Whether a form is better than the original."""
        return self.kept is not self.evaluations[0]


def optimize(
    path: Path,
    folder: Path,
    *,
    signature: bytes | None,
    golden: bytes | None,
    requests: int,
    rounds: int,
    one_file: bool = False,
    step: Callable[[str], None],
    limit_options: LimitOptions = DEFAULT,
) -> Report:
    """Make candidates, measure them and the original in so many rounds, and write the best into `folder`.

    The best takes the least time to load and serve `requests` requests; if none is measurably better, it is the
    original. With `one_file` the candidates are in ONNX Runtime's own format. `folder` must be new or empty and is
    written atomically. `step` gets the name of each next step. Raises UsageError, and what `inspect` raises.
    """
    path = path.absolute()
    found = recognise_file(path, limit_options)
    check_onnx(path, found)
    if MODEL in found.external_names:
        raise UsageError(
            f"{path.name} keeps tensors in {MODEL}, which is the output's name; save them under another name"
        )
    with _atomic_folder(folder) as work:
        step(f"inspecting {path.name}")
        inspection = inspect(
            path, format="onnx", signature=signature, golden=golden, allow=(), limit_options=limit_options
        )
        if inspection.runtime.session != DEFAULT_SESSION:
            raise UsageError(f"{path.name} is already an output of this command; expected the original model")
        packages = host_packages(KINDS[found.kind].requirements(path.name, found))
        step("optimising the graph")
        limits = limit_options.limits(found.size)
        candidates, notes = make_candidates(inspection, Writing(work, packages, limits), one_file=one_file)
        outcomes = measure_rounds(candidates, Bench(inspection, found.vocabulary, packages, work, limits), rounds, step)
        evaluations = evaluate(outcomes, requests)
        kept = choose(evaluations)
        report = Report(
            folder / FORMATS[kept.candidate.format].file_name,
            requests,
            rounds,
            evaluations,
            kept,
            (*notes, *(f"{each.candidate.name}: {each.problem}" for each in outcomes if each.problem)),
        )
        step("writing")
        _place(kept.candidate, work / "result", move=report.improved)
    return report


@contextmanager
def _atomic_folder(folder: Path) -> Iterator[Path]:
    """Yield a working folder beside `folder`; its `result` becomes `folder` at the end."""
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UsageError(f"{folder} exists and is not an empty folder; choose another one")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with working_folder(folder) as work:
        yield work
        (work / "result").rename(folder)


def _place(candidate: Candidate, folder: Path, *, move: bool) -> None:
    """Put a candidate's files into a new folder: move those made here, copy the publisher's."""
    folder.mkdir()
    model, *others = candidate.files
    first = (model, FORMATS[candidate.format].file_name)
    for file, name in (first, *((other, other.name) for other in others)):
        if move:
            file.rename(folder / name)
        else:
            shutil.copyfile(file, folder / name)
    if candidate.format == "onnx" and candidate.session != DEFAULT_SESSION:
        mark(folder / MODEL, write_session(candidate.session))
