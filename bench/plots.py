"""The pictures of a run, made from its summary: PNG files for the page and the documentation."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

Summary = Mapping[str, Any]

# What a phase is part of, by what its name has in it; the first that matches.
_KINDS: Final = (
    ("Python and the platform's runtime", r"^Python and", "#9aa0a6"),
    ("the store's client", r"boto3|google\.cloud|storage\.Client", "#e8833a"),
    ("fetch the model", r"download|^fetch", "#f2c14e"),
    ("the model's libraries", r"import (numpy|onnxruntime|joblib|the runtime)", "#4c78a8"),
    ("load the model", r"InferenceSession|joblib\.load|^load|^prime", "#59a14f"),
    ("the web framework", r"fastapi|mangum|pydantic|BaseModel|@app|Mangum", "#b07aa1"),
    ("first request", r"^first request", "#76b7b2"),
    ("own code", r"", "#333f50"),
)
_OURS, _FLOOR, _THEIRS = "#1b7f79", "#8fc7c3", "#b8bec6"
_LEAST = 0.0005  # seconds of a phase that can be seen
_CONDITION_COLOURS = ("#1b7f79", "#8fc7c3", "#4c78a8", "#a8c3df", "#8e5ea2", "#cfb5d9")


def draw(found: Summary, folder: Path) -> list[tuple[str, Path]]:
    """Draw all that a run has into `folder`: titles and files."""
    folder.mkdir(parents=True, exist_ok=True)
    style: Any = {"font.size": 9, "axes.spines.top": False, "axes.spines.right": False, "figure.dpi": 110}
    made = []
    with mpl.rc_context(style):
        for name, title, figure in _figures(found):
            file = folder / f"{name}.png"
            figure.savefig(file, dpi=130, bbox_inches="tight", metadata={"Software": None})
            made.append((title, file))
    return made


def kind(phase: str) -> str:
    """Return what a phase is part of."""
    return next(name for name, pattern, _ in _KINDS if re.search(pattern, phase))


def lanes(phases: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the lane of each phase: those that overlap lie below one another."""
    ends: list[float] = []
    found = []
    for phase in phases:
        lane = next((number for number, end in enumerate(ends) if end <= phase["start"] + _LEAST), len(ends))
        ends[lane : lane + 1] = [phase["start"] + phase["seconds"]]
        found.append(lane)
    return found


def _figures(found: Summary) -> Iterator[tuple[str, str, Figure]]:
    for name, title in (("aws", "AWS Lambda's runtime"), ("google", "Functions Framework")):
        if name not in found:
            continue
        field = found[name]
        for condition, phases in field["waterfalls"].items():
            about = f"Cold start by phase, {title}: {field['conditions'][condition]['title']}"
            yield f"{name}-phases-{condition}", about, _waterfalls(field, phases)
        yield f"{name}-ratios", f"Cold start as a ratio to {_title(field, field['reference'])}", _ratios(field)
        yield f"{name}-weight", f"Peak memory and package, {title}", _weight(field)
    if "large" in found:
        yield "large-loads", "Large models: load and first run over the default session", _large(found["large"])
        if found["large"]["end_to_end"]:
            field = found["large"]["end_to_end"]
            for condition, phases in field["waterfalls"].items():
                about = f"Cold start by phase, a transformer of 436 MB: {field['conditions'][condition]['title']}"
                yield f"large-phases-{condition}", about, _waterfalls(field, phases)
    if "warm" in found:
        yield "warm", "Warm requests: the handler over a bare session.run", _warm(found["warm"])


def _waterfalls(field: Summary, found: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    figure, axes = _axes(field, len(field["order"]))
    for row, name in enumerate(field["order"]):
        phases = [phase for phase in found[name] if phase["seconds"] >= _LEAST]
        placed = lanes(phases)
        height = 0.72 / (max(placed, default=0) + 1)
        for phase, lane in zip(phases, placed, strict=True):
            axes.barh(
                row - 0.36 + height * (lane + 0.5),
                phase["seconds"] * 1000,
                height * 0.94,
                left=phase["start"] * 1000,
                color=_colour(phase["name"]),
                linewidth=0,
            )
        end = max(phase["start"] + phase["seconds"] for phase in phases) * 1000
        axes.annotate(f"{end:.0f} ms", (end, row), (5, 0), textcoords="offset points", va="center", fontsize=8)
    used = {kind(phase["name"]) for phases in found.values() for phase in phases if phase["seconds"] >= _LEAST}
    handles = [Patch(color=colour, label=name) for name, _, colour in _KINDS if name in used]
    figure.legend(handles=handles, loc="outside lower center", ncols=4, frameon=False, fontsize=8)
    axes.set_xlabel("milliseconds from the start of the process to the first answer (one start)")
    return figure


def _ratios(field: Summary) -> Figure:
    figure, axes = _axes(field, len(field["order"]))
    conditions = list(field["conditions"].values())
    for number, condition in enumerate(conditions):
        offset = (number - (len(conditions) - 1) / 2) * 0.12
        spreads = [condition["first_answer"][name]["ratio"] for name in field["order"]]
        medians = [each["median"] for each in spreads]
        errors = [
            [each["median"] - each["low"] for each in spreads],
            [each["high"] - each["median"] for each in spreads],
        ]
        axes.errorbar(
            medians,
            [row + offset for row in range(len(spreads))],
            xerr=errors,
            fmt="o",
            markersize=4,
            elinewidth=1.2,
            color=_CONDITION_COLOURS[number % len(_CONDITION_COLOURS)],
            label=condition["title"],
        )
    axes.axvline(1, color="#888888", linewidth=0.8, linestyle=":")
    axes.set_xscale("log")
    ticks = [0.05, 0.1, 0.2, 0.3, 0.5, 1, 2, 3, 5]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    axes.set_xlabel(f"ratio to {_title(field, field['reference'])} in the same round: median and middle half")
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=8)
    return figure


def _weight(field: Summary) -> Figure:
    figure = Figure(figsize=(9, 0.42 * len(field["order"]) + 0.9), layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True)
    condition = next(iter(field["conditions"].values()))
    peaks = [condition["peak"][name]["value"]["median"] / 1e6 for name in field["order"]]
    sizes = [field["sizes"][name] / 1e6 for name in field["order"]]
    for axes, values, title in ((left, peaks, "peak memory, MB"), (right, sizes, "package unzipped, MB")):
        bars = axes.barh(range(len(values)), values, 0.66, color=[_side(name) for name in field["order"]])
        axes.bar_label(bars, [f"{value:.0f}" for value in values], padding=3, fontsize=8)
        axes.set_xlabel(title)
        axes.margins(x=0.12)
    left.set_yticks(range(len(field["order"])), [_title(field, name) for name in field["order"]])
    left.invert_yaxis()
    return figure


def _large(large: Summary) -> Figure:
    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    others = [who for who in large["titles"] if who != "default"]
    labels, spreads, colours = [], [], []
    for model in large["models"].values():
        for name, condition in model["conditions"].items():
            for who in others:
                cache = "cold" if name.endswith("cold") else "warm"
                labels.append(f"{model['title']}, {cache} cache")
                spreads.append(condition["first_run"][who]["ratio"])
                colours.append(_OURS if cache == "warm" else _FLOOR)
    _bars(axes, labels, spreads, colours)
    axes.set_xlabel("ratio to the default session on the plain file: median and middle half")
    return figure


def _warm(warm: Summary) -> Figure:
    cases = list(warm["cases"].values())
    figure = Figure(figsize=(9, 0.28 * sum(len(case["ratios"]) + 1 for case in cases) + 0.6), layout="constrained")
    axes = figure.subplots()
    labels, spreads, colours = [], [], []
    for case in cases:
        for name, spread in case["ratios"].items():
            labels.append(f"{case['title']}: {warm['titles'][name]}")
            spreads.append(spread)
            colours.append(_side(name))
    _bars(axes, labels, spreads, colours)
    axes.set_xscale("log")
    axes.set_xlabel("time over a bare session.run of the same input: median and middle half")
    return figure


def _bars(axes: Axes, labels: Sequence[str], spreads: Sequence[Mapping[str, float]], colours: Sequence[str]) -> None:
    medians = [each["median"] for each in spreads]
    errors = [
        [each["median"] - each["low"] for each in spreads],
        [each["high"] - each["median"] for each in spreads],
    ]
    bars = axes.barh(range(len(labels)), medians, 0.66, color=colours, xerr=errors, error_kw={"elinewidth": 1})
    axes.bar_label(bars, [f"{value:.2f}" for value in medians], padding=6, fontsize=8)
    axes.set_yticks(range(len(labels)), labels)
    axes.invert_yaxis()
    axes.margins(x=0.1)


def _axes(field: Summary, rows: int) -> tuple[Figure, Axes]:
    figure = Figure(figsize=(9, 0.46 * rows + 1.2), layout="constrained")
    axes = figure.subplots()
    axes.set_yticks(range(rows), [_title(field, name) for name in field["order"]])
    axes.invert_yaxis()
    axes.tick_params(axis="y", length=0)
    axes.margins(x=0.08)
    return figure, axes


def _colour(phase: str) -> str:
    found = kind(phase)
    return next(colour for name, _, colour in _KINDS if name == found)


def _side(name: str) -> str:
    if name.endswith("_floor") or name.startswith("lambda"):
        return _FLOOR
    return _OURS if name.startswith("pilotlight") else _THEIRS


def _title(field: Summary, name: str) -> str:
    return str(field["titles"][name])
