"""`experiment.lock`, beside `model.lock`: the pinned treatments, their shares, and what a unit is."""

from __future__ import annotations

from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.experiments.assignment import BUCKETS, Range, contains, first_overlap
from pilotlight.frozen import dataclass
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.lock import (
    FIELDS,
    LAST_VERSION,
    NAME,
    OPTIONAL_FIELDS,
    Description,
    File,
    read_description,
    read_file,
    write_description,
    write_file,
)

FORMAT = 1
FILE = "experiment.lock"

SALT = r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}"
UNIT = r"header:[a-z0-9][a-z0-9-]{0,63}|(field|claim):[A-Za-z_][A-Za-z0-9_.:/-]{0,127}|request"
UNIT_EXPECTED = "header:NAME in lower case, field:NAME, claim:NAME or request"
TIME = r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])T([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]Z"
TIME_EXPECTED = 'a time in UTC like "2026-07-31T12:00:00Z"'

# Each request is a unit of its own.
REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Control:
    """The version that `model.lock` pinned when the experiment started."""

    name: str
    version: int
    files: tuple[File, ...]


@dataclass(frozen=True, slots=True)
class Treatment:
    """Another version of the model, and the buckets of the units that get it."""

    model: Description
    buckets: tuple[Range, ...]

    @property
    def variant(self) -> str:
        """Its name in headers and in the log."""
        return f"{self.model.name}:{self.model.version}"


@dataclass(frozen=True, slots=True)
class ExperimentLock:
    """An experiment. Buckets that no treatment has are the control's.

    `unit` is where a unit's id is: `header:NAME`, `field:NAME` of the body, `claim:NAME` of the authorizer, or
    `request`. `is_random_without` is for a request without an id: it is assigned at random, else it gets the control.
    `start` and `end` are UTC to the second, `2026-07-31T12:00:00Z`, or empty; outside of them all get the control.
    """

    salt: str
    unit: str
    control: Control
    treatments: tuple[Treatment, ...]
    is_random_without: bool = False
    start: str = ""
    end: str = ""

    def treatment(self, bucket: int) -> Treatment | None:
        """Return the treatment that has a bucket, None if the control has it."""
        return next((one for one in self.treatments if contains(one.buckets, bucket)), None)

    def is_running(self, now: str) -> bool:
        """Whether a time, in the form of `start`, is in the experiment's: from its start to before its end."""
        return self.start <= now and (not self.end or now < self.end)


def control_of(model: Description) -> Control:
    """Return the control for a pinned version."""
    return Control(model.name, model.version, model.files)


def load_experiment(path: Path, pinned: Description) -> ExperimentLock:
    """Read the experiment in a file. Raise FormatError if it is malformed, or not about the pinned version."""
    try:
        experiment = read_experiment(path.read_bytes())
        check_control(experiment.control, pinned)
        for index, treatment in enumerate(experiment.treatments):
            check_libraries(treatment.model, pinned, f"$.treatments[{index}].runtime")
    except FormatError as error:
        raise error.within(path.name) from None
    except OSError as error:
        raise FormatError(f"cannot be read: {error.strerror}", "", path.name) from None
    return experiment


def read_experiment(content: bytes) -> ExperimentLock:
    """Parse the bytes of an `experiment.lock` (shared/schema/experiment.schema.json). Raise FormatError."""
    optional = ("without_unit", "start", "end")
    fields = Node(read_json(content)).document(FORMAT, "salt", "unit", "control", "treatments", optional=optional)
    unit = fields["unit"].string(UNIT, UNIT_EXPECTED)
    without = fields["without_unit"].one_of("control", "random") if "without_unit" in fields else "control"
    if unit == REQUEST and "without_unit" in fields:
        raise FormatError("every request is a unit; remove the field", fields["without_unit"].path)
    start, end = (fields[name].string(TIME, TIME_EXPECTED) if name in fields else "" for name in ("start", "end"))
    if end and end <= start:
        raise FormatError(f"expected a time after the start, {start}, found {end}", fields["end"].path)
    control = read_control(fields["control"])
    treatments = fields["treatments"].items(_read_treatment, at_least=1)
    _check_treatments(control, treatments, fields["treatments"].path)
    salt = fields["salt"].string(SALT, f"a salt that matches ^{SALT}$")
    return ExperimentLock(salt, unit, control, treatments, without == "random", start, end)


def write_experiment(experiment: ExperimentLock) -> dict[str, object]:
    """Return the JSON form of an experiment."""
    document: dict[str, object] = {"format": FORMAT, "salt": experiment.salt, "unit": experiment.unit}
    if experiment.unit != REQUEST:
        document["without_unit"] = "random" if experiment.is_random_without else "control"
    document |= {name: value for name, value in (("start", experiment.start), ("end", experiment.end)) if value}
    document["control"] = write_control(experiment.control)
    document["treatments"] = [
        {"buckets": [list(one) for one in treatment.buckets], **write_description(treatment.model)}
        for treatment in experiment.treatments
    ]
    return document


def write_control(control: Control) -> dict[str, object]:
    """Return the JSON form of a control."""
    return {"name": control.name, "version": control.version, "files": [write_file(file) for file in control.files]}


def read_control(node: Node) -> Control:
    """Read a control. Raise FormatError."""
    fields = node.fields("name", "version", "files")
    return Control(
        fields["name"].string(NAME, f"a name that matches ^{NAME}$"),
        fields["version"].integer(1, LAST_VERSION),
        fields["files"].items(read_file, at_least=1),
    )


def _read_treatment(node: Node) -> Treatment:
    fields = node.fields("buckets", *FIELDS, optional=OPTIONAL_FIELDS)
    return Treatment(read_description(fields), fields["buckets"].items(_read_range, at_least=1))


def _read_range(node: Node) -> Range:
    numbers = node.items(lambda item: item.integer(0, BUCKETS))
    if len(numbers) != 2 or numbers[0] >= numbers[1]:
        raise node.fail(f"[first, end] with first below end, of 0 to {BUCKETS}")
    return numbers[0], numbers[1]


def _check_treatments(control: Control, treatments: tuple[Treatment, ...], path: str) -> None:
    """Raise FormatError unless each is a version of its own of the control's model, with buckets of its own."""
    versions = [control.version]
    for index, treatment in enumerate(treatments):
        model = treatment.model
        if model.name != control.name or model.version in versions:
            raise FormatError(
                f"expected a further version of {control.name}, found {treatment.variant}", f"{path}[{index}].version"
            )
        versions.append(model.version)
    overlap = first_overlap([one for treatment in treatments for one in treatment.buckets])
    if overlap:
        raise FormatError(f"the buckets [{overlap[0]}, {overlap[1]}] overlap with others", path)


def check_control(control: Control, pinned: Description) -> None:
    """Raise FormatError unless the pinned version is the control."""
    if control != control_of(pinned):
        raise FormatError(
            f"the control is {control.name}:{control.version}, and model.lock pins {pinned.name}:{pinned.version}"
            f"{' with other files' if control.version == pinned.version else ''}; stop the experiment with 'pilotlight "
            "experiment stop', or pin the control again",
            "$.control",
        )


def check_libraries(model: Description, pinned: Description, path: str) -> None:
    """Raise FormatError unless a version beside the pinned one has its libraries. `path` is that of its runtime."""
    runtime, expected = model.runtime, pinned.runtime
    if (runtime.engine, runtime.packages) != (expected.engine, expected.packages):
        raise FormatError(
            f"{model.name}:{model.version} runs on {libraries(model)}, expected {libraries(pinned)}, which model.lock "
            "pins: one package has one set of libraries",
            path,
        )


def libraries(model: Description) -> str:
    """Return the engine of a model and its packages, as messages show them."""
    packages = ", ".join(f"{name} {version}" for name, version in sorted(model.runtime.packages.items()))
    return f"{model.runtime.engine} with {packages}"
