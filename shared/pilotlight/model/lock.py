"""The description of a published model, which a manifest in the store and `model.lock` in git share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pilotlight.errors import FormatError
from pilotlight.frozen import dataclass
from pilotlight.model.formats import ENGINES, FORMATS, check_oldest
from pilotlight.model.json_document import Node, read_json
from pilotlight.model.signature import Signature, read_signature, write_signature

FORMAT = 1

GOLDEN = "golden.json"
REFERENCE = "reference.json"

NAME = r"[a-z][a-z0-9_-]{0,40}"
FILE_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}"
GLOBAL = r"[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)+"
PACKAGE = r"[a-z0-9]+(-[a-z0-9]+)*"
DIGEST = r"[0-9a-f]{64}"
VERSION = r"[1-9][0-9]{0,8}"
# The methods of an estimator that answer rows; in brackets, which item of a list.
METHODS = ("predict", "predict_proba", "decision_function", "score_samples", "transform")
METHOD = rf"({'|'.join(METHODS)})(\[[0-9]{{1,4}}\])?"
LAST_VERSION = 999_999_999  # the largest that the pattern takes


@dataclass(frozen=True, slots=True)
class File:
    """A file of an artifact: its name, its size in bytes and its SHA-256 in hexadecimal."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Session:
    """How ONNX Runtime makes its session; the defaults are its own.

    `graph_optimization` is "off" for a graph that was optimised before it was published. Without `prepacking`
    the weights stay in the file's mapping, instead of being copied into a layout that runs faster.
    """

    graph_optimization: str = "all"
    prepacking: bool = True


DEFAULT_SESSION = Session()


@dataclass(frozen=True, slots=True)
class Runtime:
    """What loads the artifact: a runtime, its engine, exact versions of packages by their names on PyPI, a session.

    `methods` has for each output of the signature the method of the estimator that returns it, and in brackets which
    item of a list. Without any, roles decide: predict_proba gives probabilities, predict all others. The session
    differs from the default only for a format with `has_session`, and only one with `has_methods` has methods.
    """

    name: str
    engine: str
    packages: Mapping[str, str]
    session: Session = DEFAULT_SESSION
    methods: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Needs:
    """What one start with this model took when it was published: the peak of its process in MB, its load in ms."""

    memory_mb: int
    load_ms: int


@dataclass(frozen=True, slots=True)
class Description:
    """A published version of a model. The runtime opens `files[0]`; the others are in the same folder.

    `allowed_globals` are the `module.name` pairs that a pickle or a skops file may import because Pilotlight ships
    them as known; `extra_globals` are those that the publisher allowed with --allow. `needs` is None if the
    version was published where they cannot be measured, `reference` if it has none: rows to compare later ones with.
    """

    name: str
    version: int
    format: str
    files: tuple[File, ...]
    runtime: Runtime
    signature: Signature
    golden: File
    allowed_globals: tuple[str, ...] = ()
    extra_globals: tuple[str, ...] = ()
    needs: Needs | None = None
    reference: File | None = None

    @property
    def companions(self) -> tuple[File, ...]:
        """The small files of the version, which `pin` writes beside the lock."""
        return (self.golden, self.reference) if self.reference else (self.golden,)

    def key(self, file_name: str) -> str:
        """Return the key of one of this version's files in the store, below the store's prefix."""
        return f"{self.name}/{self.version}/{file_name}"


@dataclass(frozen=True, slots=True)
class Signer:
    """Who signed a version: the name of a public key's file, and the SHA-256 of that key in PEM in hexadecimal."""

    name: str
    key_id: str


@dataclass(frozen=True, slots=True)
class Lock:
    """`model.lock`: the pin. `requirements_sha256` is the digest of the `requirements.lock` written with it.

    `signer` is the one of the project's signers whose signature `pin` verified, if the project demands one. `breaking`
    says that the version may break callers of the one that it replaces.
    """

    model: Description
    requirements_sha256: str
    signer: Signer | None = None
    breaking: bool = False


# The fields of a description, in a lock and in a manifest.
FIELDS = ("name", "version", "artifact", "runtime", "signature", "golden")
OPTIONAL_FIELDS = ("allowed_globals", "extra_globals", "needs", "reference")


def read_lock(content: bytes) -> Lock:
    """Parse the bytes of a `model.lock` (shared/schema/lock.schema.json). Raise FormatError."""
    optional = (*OPTIONAL_FIELDS, "signer", "breaking")
    fields = Node(read_json(content)).document(FORMAT, "requirements_sha256", *FIELDS, optional=optional)
    signer = _read_signer(fields["signer"]) if "signer" in fields else None
    breaking = "breaking" in fields and fields["breaking"].boolean()
    return Lock(read_description(fields), _digest(fields["requirements_sha256"]), signer, breaking)


def load_lock(path: Path) -> Lock:
    """Read the lock in a file.

    Raise FormatError if there is none, saying how to make one, or if it is malformed; RuntimeMismatch if it names a
    library that is too old.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise FormatError(f"no lock at {path}; write one with 'pilotlight pin'", path="") from None
    except OSError as error:
        raise FormatError(f"cannot read the lock at {path}: {error.strerror}", path="") from None
    try:
        lock = read_lock(content)
    except FormatError as error:
        raise error.within(path.name) from None
    check_oldest(path.name, lock.model.runtime.packages)
    return lock


def write_lock(lock: Lock) -> dict[str, object]:
    """Return the JSON form of a lock."""
    document = {
        "format": FORMAT,
        **write_description(lock.model),
        "requirements_sha256": lock.requirements_sha256,
    }
    if lock.signer:
        document["signer"] = {"name": lock.signer.name, "key_id": lock.signer.key_id}
    if lock.breaking:
        document["breaking"] = True
    return document


def read_description(fields: Mapping[str, Node]) -> Description:
    """Read the description among the fields of a lock or a manifest."""
    artifact = fields["artifact"].fields("format", "files")
    artifact_format = artifact["format"].one_of(*FORMATS)
    files = artifact["files"].items(read_file, at_least=1)
    if len({file.name for file in files}) != len(files):
        raise FormatError("duplicate file name", artifact["files"].path)
    empty = Node([], "$")
    runtime = read_runtime(fields["runtime"], artifact_format)
    signature = read_signature(fields["signature"])
    if runtime.methods and len(runtime.methods) != len(signature.outputs):
        raise FormatError(
            f"found {len(runtime.methods)} methods, expected one for each of the {len(signature.outputs)} outputs",
            f"{fields['runtime'].path}.methods",
        )
    return Description(
        name=fields["name"].string(NAME, f"a name that matches ^{NAME}$"),
        version=fields["version"].integer(1, LAST_VERSION),
        format=artifact_format,
        files=files,
        runtime=runtime,
        signature=signature,
        golden=read_file(fields["golden"], GOLDEN),
        allowed_globals=fields.get("allowed_globals", empty).items(_read_global),
        extra_globals=fields.get("extra_globals", empty).items(_read_global),
        needs=_read_needs(fields["needs"]) if "needs" in fields else None,
        reference=read_file(fields["reference"], REFERENCE) if "reference" in fields else None,
    )


def write_description(model: Description) -> dict[str, object]:
    """Return the fields of a lock or a manifest that describe `model`."""
    document: dict[str, object] = {
        "name": model.name,
        "version": model.version,
        "artifact": {"format": model.format, "files": [write_file(file) for file in model.files]},
        "runtime": write_runtime(model.runtime),
        "signature": write_signature(model.signature),
        "golden": write_file(model.golden),
    }
    if model.allowed_globals:
        document["allowed_globals"] = list(model.allowed_globals)
    if model.extra_globals:
        document["extra_globals"] = list(model.extra_globals)
    if model.needs:
        document["needs"] = {"memory_mb": model.needs.memory_mb, "load_ms": model.needs.load_ms}
    if model.reference:
        document["reference"] = write_file(model.reference)
    return document


def read_runtime(node: Node, artifact_format: str) -> Runtime:
    """Read a runtime, which must be one that serves artifacts of this format."""
    format_ = FORMATS[artifact_format]
    optional = [*(["session"] if format_.has_session else []), *(["methods"] if format_.has_methods else [])]
    fields = node.fields("name", "engine", "packages", optional=tuple(optional))
    engine = fields["engine"].one_of(*format_.engines)
    packages = fields["packages"].mapping(lambda item: item.string(r"[0-9][A-Za-z0-9.+!]*", "a version"))
    for package in packages:
        Node(package, fields["packages"].path).string(PACKAGE, "a package by its normalised name on PyPI")
    for package in ENGINES[engine].packages:
        if package not in packages:
            raise FormatError(f"the field {package!r} is missing", fields["packages"].path)
    session = _read_session(fields["session"]) if "session" in fields else DEFAULT_SESSION
    methods = fields["methods"].items(_read_method, at_least=1) if "methods" in fields else ()
    return Runtime(fields["name"].one_of(format_.runtime), engine, packages, session, methods)


def write_runtime(runtime: Runtime) -> dict[str, object]:
    """Return the JSON form of a runtime, with its session unless that is the default, and its methods if it has any."""
    document: dict[str, object] = {
        "name": runtime.name,
        "engine": runtime.engine,
        "packages": dict(runtime.packages),
    }
    if runtime.session != DEFAULT_SESSION:
        document["session"] = {
            "graph_optimization": runtime.session.graph_optimization,
            "prepacking": runtime.session.prepacking,
        }
    if runtime.methods:
        document["methods"] = list(runtime.methods)
    return document


def _read_session(node: Node) -> Session:
    fields = node.fields("graph_optimization", "prepacking")
    return Session(fields["graph_optimization"].one_of("all", "off"), fields["prepacking"].boolean())


def _read_method(node: Node) -> str:
    return node.string(METHOD, "a method like predict or predict_proba[0]")


def read_file(node: Node, name: str = "") -> File:
    """Read a file of an artifact, or the one of that `name`."""
    fields = node.fields("name", "size", "sha256")
    return File(
        name=fields["name"].string(name.replace(".", r"\.") or FILE_NAME, f'"{name}"' if name else "a plain file name"),
        size=fields["size"].integer(at_least=1),
        sha256=_digest(fields["sha256"]),
    )


def _read_signer(node: Node) -> Signer:
    fields = node.fields("name", "key_id")
    return Signer(fields["name"].string(FILE_NAME, "a plain file name"), _digest(fields["key_id"]))


def write_file(file: File) -> dict[str, object]:
    """Return the JSON form of a file."""
    return {"name": file.name, "size": file.size, "sha256": file.sha256}


def _read_needs(node: Node) -> Needs:
    fields = node.fields("memory_mb", "load_ms")
    return Needs(fields["memory_mb"].integer(1), fields["load_ms"].integer(0))


def _digest(node: Node) -> str:
    return node.string(DIGEST, "a SHA-256 in 64 hexadecimal digits")


def _read_global(node: Node) -> str:
    return node.string(GLOBAL, "module.name")
