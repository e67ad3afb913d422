"""`pin` writes three files that agree with each other, or none."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import descriptions
from descriptions import golden_of
from fakes.package_index import PackageIndex
from onnx_hiding import PLACES
from pilotlight.drift.reference import write_reference
from pilotlight.errors import DigestMismatch, FormatError, ModelError, RuntimeMismatch
from pilotlight.model.lock import File, Lock, Session, load_lock, read_lock, write_lock
from pilotlight.model.signature import Input, Output
from pilotlight.model.tensor import BF16, FP32
from pilotlight_cli.formats.admitted import NotAdmitted
from pilotlight_cli.formats.engines import EngineRefused
from pilotlight_cli.pinning.pin import BreakingChange, LockMismatch, check_requirements, pin
from pilotlight_cli.pinning.requirements import CORE_PACKAGES, Unresolvable, pins
from pilotlight_cli.registry.json_document import to_bytes
from pilotlight_cli.registry.manifest import read_manifest, write_manifest
from pilotlight_cli.registry.publish import publish
from pilotlight_cli.registry.verification import verify_stored
from pilotlight_cli.registry.versions import show
from pilotlight_cli.sandbox.inspection import Inspection
from pilotlight_cli.stores import Store
from pilotlight_cli.stores.folder import FolderStore

NAME = "breast-cancer"
NAMES = ["golden.json", "model.lock", "requirements.lock"]
CORE = dict(package.split("==") for package in CORE_PACKAGES)

pytestmark = pytest.mark.usefixtures("index")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    return folder / "model.lock"


@pytest.fixture
def model(tmp_path: Path) -> Inspection:
    return descriptions.inspection(tmp_path / "model")


@pytest.fixture
def store(folder_store: Store, model: Inspection) -> Store:
    """Return a store with one version of one model."""
    put(folder_store, model)
    return folder_store


def put(store: Store, inspection: Inspection) -> None:
    clock = datetime(2026, 7, 31, tzinfo=UTC)
    publish(store, inspection, NAME, alias="production", clock=lambda: clock, progress=lambda _: None)


def files(lock: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(lock.parent.iterdir())}


def test_a_reference_comes_and_goes_with_its_version(store: Store, model: Inspection, lock: Path) -> None:
    content = to_bytes(write_reference(descriptions.reference()))
    put(store, replace(model, reference=content))

    pinned = pin(store, f"{NAME}:2", lock)
    assert pinned.lock.model.reference == File("reference.json", len(content), hashlib.sha256(content).hexdigest())
    assert files(lock)["reference.json"] == content
    verify_stored(store, NAME, 2, lambda _: None)

    pin(store, f"{NAME}:1", lock)
    assert list(files(lock)) == NAMES


def test_a_reference_that_was_altered_is_not_pinned(folder_store: FolderStore, model: Inspection, lock: Path) -> None:
    put(folder_store, replace(model, reference=to_bytes(write_reference(descriptions.reference()))))
    path = folder_store.folder / NAME / "1" / "reference.json"
    path.write_bytes(path.read_bytes().replace(b"60", b"61"))

    with pytest.raises(DigestMismatch, match=r"reference\.json: .* the stored file was altered"):
        pin(folder_store, NAME, lock)
    assert files(lock) == {}


def test_the_lock_holds_the_digests_of_the_files_beside_it(store: Store, lock: Path) -> None:
    pinned = pin(store, f"{NAME}@production", lock)

    written = files(lock)
    assert list(written) == NAMES
    assert load_lock(lock) == pinned.lock
    published = show(store, NAME, 1).model
    assert pinned.lock.model == replace(published, runtime=pinned.lock.model.runtime)
    assert pinned.lock.model.golden.sha256 == hashlib.sha256(written["golden.json"]).hexdigest()
    check_requirements(pinned.lock, written["requirements.lock"].decode())
    assert pinned.packages == {"numpy": "2.4.6", "onnxruntime": "1.31.1", **CORE}
    assert (pinned.before, pinned.warnings) == (None, ())


def test_a_model_of_tensors_is_pinned_to_the_c_api_which_needs_onnxruntime_alone(store: Store, lock: Path) -> None:
    runtime = pin(store, NAME, lock).lock.model.runtime
    assert (runtime.engine, runtime.packages) == ("onnxruntime-c", {"onnxruntime": "1.31.1"})


def test_the_binding_serves_a_model_where_it_is_asked_for(store: Store, lock: Path) -> None:
    runtime = pin(store, NAME, lock, engine="onnxruntime-python").lock.model.runtime
    assert runtime == show(store, NAME, 1).model.runtime


def test_a_model_with_bf16_is_pinned_to_the_c_api_and_refused_for_the_binding(
    store: Store, lock: Path, model: Inspection
) -> None:
    tensor = replace(model.signature.inputs[0], datatype=BF16)
    signature = replace(model.signature, inputs=(tensor,))
    put(store, replace(model, signature=signature, golden=golden_of(signature)))
    assert pin(store, NAME, lock).lock.model.runtime.engine == "onnxruntime-c"
    with pytest.raises(EngineRefused, match="has BF16 inputs or outputs, .* leave --engine out to use onnxruntime-c"):
        pin(store, NAME, lock, engine="onnxruntime-python")


def test_how_the_session_is_made_is_pinned_with_it(store: Store, lock: Path, model: Inspection) -> None:
    session = Session("off", prepacking=False)
    put(store, replace(model, runtime=replace(model.runtime, session=session)))
    assert pin(store, NAME, lock).lock.model.runtime.session == session


def test_an_engine_of_another_runtime_is_refused(store: Store, lock: Path) -> None:
    before = pinned_before(store, lock)
    with pytest.raises(
        EngineRefused,
        match="--engine scikit-learn cannot serve the format onnx; expected onnxruntime-c or onnxruntime-python",
    ):
        pin(store, NAME, lock, engine="scikit-learn")
    assert files(lock) == before


def test_a_version_that_breaks_callers_of_the_pinned_one_needs_to_be_asked_for(
    store: Store, lock: Path, model: Inspection
) -> None:
    before = pinned_before(store, lock)
    (matrix,) = model.signature.inputs
    signature = replace(model.signature, inputs=(replace(matrix, feature_names=("mean radius", "area")),))
    put(store, replace(model, signature=signature))
    with pytest.raises(BreakingChange) as error:
        pin(store, NAME, lock)
    assert str(error.value) == (
        "breast-cancer:2 breaks callers of breast-cancer:1, which is pinned:\n"
        "  features renamed (mean texture -> area): a row with the names before is a 400\n"
        "nothing was pinned; pin it with --breaking once the callers are ready"
    )
    assert files(lock) == before
    (change,) = pin(store, NAME, lock, breaking=True).changes
    assert (change.kind, change.before, change.after) == ("features renamed", "mean texture", "area")
    assert load_lock(lock).model.version == 2
    assert load_lock(lock).breaking
    assert not pin(store, NAME, lock).lock.breaking  # which is for the next release


def test_a_version_that_callers_cannot_tell_from_the_pinned_one_is_pinned_with_its_changes(
    store: Store, lock: Path, model: Inspection
) -> None:
    pinned_before(store, lock)
    label, probabilities = model.signature.outputs
    put(store, replace(model, signature=replace(model.signature, outputs=(label, replace(probabilities, range=None)))))
    assert [change.kind for change in pin(store, NAME, lock).changes] == ["output's range"]


def test_another_model_does_not_take_the_place_of_the_pinned_one_unnoticed(
    store: Store, lock: Path, model: Inspection
) -> None:
    before = pinned_before(store, lock)
    publish(store, model, "rents", clock=lambda: datetime(2026, 7, 31, tzinfo=UTC), progress=lambda _: None)
    with pytest.raises(BreakingChange, match=r"another model \(breast-cancer -> rents\): its routes of V1 and V2"):
        pin(store, "rents", lock)
    assert files(lock) == before


def test_pinning_again_changes_nothing(store: Store, lock: Path, index: PackageIndex) -> None:
    pin(store, NAME, lock)
    before = files(lock)
    index.add("numpy", "2.4.7")

    assert pin(store, NAME, lock).before == read_lock(before["model.lock"])
    assert files(lock) == before


def test_upgrading_takes_newer_libraries_where_the_model_leaves_them_open(
    store: Store, lock: Path, index: PackageIndex
) -> None:
    pin(store, NAME, lock)
    index.add("numpy", "2.4.7")
    assert pin(store, NAME, lock, upgrade=True).packages == {"numpy": "2.4.7", "onnxruntime": "1.31.1", **CORE}


def test_a_new_version_changes_few_lines_of_the_lock(store: Store, lock: Path, tmp_path: Path) -> None:
    pin(store, NAME, lock)
    before = lock.read_text().splitlines()
    put(store, descriptions.inspection(tmp_path / "new", b"other weights"))

    pinned = pin(store, NAME, lock)
    changed = [line.strip() for line in lock.read_text().splitlines() if line not in before]
    assert pinned.before is not None
    assert (pinned.before.model.version, pinned.lock.model.version) == (1, 2)
    assert [line.split(":")[0] for line in changed] == ['"version"', '"size"', '"sha256"']


def test_the_lock_names_no_store(store: Store, lock: Path) -> None:
    pin(store, NAME, lock)
    assert not re.search("file:|s3:|gs:|/", lock.read_text())


def test_the_three_files_have_the_lock_s_folder(store: Store, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    pin(store, NAME, tmp_path / "b" / "other.lock")
    assert sorted(path.name for path in (tmp_path / "b").iterdir()) == [
        "golden.json",
        "other.lock",
        "requirements.lock",
    ]


def test_a_folder_that_is_not_there_is_named(store: Store, tmp_path: Path) -> None:
    with pytest.raises(
        FormatError, match="the folder .*/nowhere does not exist; create it, or name another with --lock"
    ):
        pin(store, NAME, tmp_path / "nowhere" / "model.lock")


def pinned_before(store: Store, lock: Path) -> dict[str, bytes]:
    pin(store, NAME, lock)
    return files(lock)


def test_altered_golden_samples_are_found_and_nothing_is_written(store: Store, lock: Path) -> None:
    before = pinned_before(store, lock)
    store.replace(f"{NAME}/1/golden.json", store.read(f"{NAME}/1/golden.json").replace(b"given", b"taken"))

    with pytest.raises(DigestMismatch, match=r"breast-cancer/1/golden\.json: found \d+ bytes with SHA-256 .*expected"):
        pin(store, NAME, lock)
    assert files(lock) == before


def test_golden_samples_that_do_not_parse_are_refused(store: Store, lock: Path) -> None:
    content = b'{"format": 2}'
    swap_manifest(store, golden={"name": "golden.json", "size": 13, "sha256": hashlib.sha256(content).hexdigest()})
    store.replace(f"{NAME}/1/golden.json", content)

    with pytest.raises(FormatError, match=r"breast-cancer/1/golden\.json: \$\.format: format 2 is not supported"):
        pin(store, NAME, lock)
    assert files(lock) == {}


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"inputs": (Input("other", FP32, (-1, 2), "features"),)}, "found the inputs other, expected features"),
        (
            {"inputs": (Input("features", FP32, (-1, 3), "features"),)},
            r"FP32 of shape \[1, 3\], expected FP32 of shape",
        ),
        ({"outputs": (Output("sum", FP32, (-1,), "tensor"),)}, "found the outputs sum, expected label, probabilities"),
    ],
)
def test_golden_samples_of_another_signature_are_refused(
    store: Store, lock: Path, model: Inspection, wrong: dict[str, Any], message: str
) -> None:
    put(store, replace(model, golden=golden_of(replace(model.signature, **wrong))))
    with pytest.raises(FormatError, match=rf"breast-cancer/2/golden\.json: golden sample 1: .*{message}"):
        pin(store, NAME, lock)
    assert files(lock) == {}


def test_libraries_that_the_functions_cannot_have_leave_the_files_as_they_were(
    store: Store, lock: Path, model: Inspection, index: PackageIndex
) -> None:
    before = pinned_before(store, lock)
    index.add("numpy", "1.26.4", tag="cp312-cp312-manylinux_2_17_x86_64")
    runtime = replace(model.runtime, packages={"onnxruntime": "1.31.1", "numpy": "1.26.4"})
    put(store, replace(model, runtime=runtime))

    with pytest.raises(Unresolvable, match=r"numpy==1\.26\.4, onnxruntime==1\.31\.1, .* cannot be installed"):
        pin(store, NAME, lock, engine="onnxruntime-python")
    assert files(lock) == before


def test_a_file_that_cannot_be_written_leaves_the_lock_as_it_was(store: Store, lock: Path) -> None:
    (lock.parent / "golden.json").mkdir()
    with pytest.raises(IsADirectoryError):
        pin(store, NAME, lock)
    assert [path.name for path in lock.parent.iterdir()] == ["golden.json"]


def swap_manifest(store: Store, **fields: object) -> None:
    """Write other fields into the store's manifest, as whoever may write there can."""
    key = f"{NAME}/1/manifest.json"
    document = {**json.loads(store.read(key)), **fields}
    store.replace(key, to_bytes(write_manifest(read_manifest(json.dumps(document).encode()))))


def swap_model(store: Store, content: bytes) -> None:
    """Write another model into the store, and a manifest that says so."""
    file = {"name": "model.onnx", "size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    swap_manifest(store, artifact={"format": "onnx", "files": [file]})
    store.replace(f"{NAME}/1/model.onnx", content)


RUNTIME: dict[str, object] = {"name": "onnx", "engine": "onnxruntime-python"}
SKLEARN: dict[str, object] = {"name": "sklearn", "engine": "scikit-learn"}
PACKAGES = {"numpy": "2.4.6", "scikit-learn": "1.9.1"}
PICKLE: dict[str, object] = {
    "artifact": {"format": "pickle", "files": [{"name": "model.pkl", "size": 3, "sha256": "a" * 64}]},
    "runtime": SKLEARN | {"packages": PACKAGES},
}


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (
            {"runtime": RUNTIME | {"packages": {"onnxruntime": "1.23.2"}}},
            r"found onnxruntime 1\.23\.2, expected 1\.27\.0",
        ),
        (
            PICKLE | {"runtime": SKLEARN | {"packages": PACKAGES | {"skops": "0.15.0"}}},
            r"skops 0\.15\.0, expected 0\.16",
        ),
        (
            PICKLE | {"runtime": SKLEARN | {"packages": PACKAGES | {"scikit-learn": "1.4.0"}}},
            r"1\.4\.0, expected 1\.5\.2",
        ),
    ],
)
def test_a_manifest_cannot_ask_for_a_library_that_is_too_old(
    fields: dict[str, object], why: str, store: Store, lock: Path
) -> None:
    before = pinned_before(store, lock)
    swap_manifest(store, **fields)
    with pytest.raises(
        RuntimeMismatch, match=f"the manifest of breast-cancer:1: .*{why}.* or later; publish the model"
    ):
        pin(store, NAME, lock)
    assert files(lock) == before


@pytest.mark.parametrize("place", PLACES)
def test_a_model_of_files_that_its_manifest_does_not_list_is_not_pinned(place: str, store: Store, lock: Path) -> None:
    before = pinned_before(store, lock)
    swap_model(store, PLACES[place]("/etc/passwd").SerializeToString())
    with pytest.raises(ModelError, match=r"model\.onnx keeps tensors in '/etc/passwd', which model.lock does not list"):
        pin(store, NAME, lock)
    assert files(lock) == before


def test_a_model_that_is_not_the_manifest_s_is_not_pinned(store: Store, lock: Path) -> None:
    store.replace(f"{NAME}/1/model.onnx", b"other")
    with pytest.raises(DigestMismatch, match=r"breast-cancer/1/model\.onnx: found 5 bytes .* publish the model again"):
        pin(store, NAME, lock)
    assert files(lock) == {}


def test_a_manifest_cannot_call_a_name_known_that_pilotlight_does_not_ship(store: Store, lock: Path) -> None:
    swap_manifest(store, **PICKLE, allowed_globals=["sklearn.pipeline.Pipeline", "flats.Rounded"])
    with pytest.raises(NotAdmitted, match=r"lists flats\.Rounded as allowed by Pilotlight, which does not allow them"):
        pin(store, NAME, lock)
    assert files(lock) == {}


def test_names_that_pilotlight_ships_need_no_word(store: Store, lock: Path) -> None:
    swap_manifest(store, **PICKLE, allowed_globals=["sklearn.pipeline.Pipeline"])
    pinned = pin(store, NAME, lock)
    assert pinned.lock.model.allowed_globals == ("sklearn.pipeline.Pipeline",)
    assert pinned.warnings == ()


def test_a_name_that_the_publisher_allowed_is_pinned_with_a_warning(store: Store, lock: Path) -> None:
    swap_manifest(store, **PICKLE, extra_globals=["flats.Rounded"])
    pinned = pin(store, NAME, lock)
    assert [text for text in pinned.warnings if text.endswith("loading the model may call them: flats.Rounded")]
    assert '"extra_globals": ["flats.Rounded"]' in lock.read_text()


@pytest.mark.parametrize("name", ["os.system", "builtins.eval", "subprocess.Popen"])
def test_a_name_that_executes_is_never_pinned(store: Store, lock: Path, name: str) -> None:
    swap_manifest(store, **PICKLE, extra_globals=[name])
    with pytest.raises(NotAdmitted, match=f"allows {re.escape(name)}, which"):
        pin(store, NAME, lock)
    assert files(lock) == {}


def test_a_package_that_a_name_needs_which_was_allowed_is_pinned_with_a_warning(
    store: Store, lock: Path, index: PackageIndex
) -> None:
    index.add("flats", "3.1")
    packages = PACKAGES | {"flats": "3.1"}
    swap_manifest(store, **(PICKLE | {"runtime": SKLEARN | {"packages": packages}}), extra_globals=["flats.Rounded"])

    pinned = pin(store, NAME, lock)
    assert pinned.warnings[1:] == ("the model requires packages that Pilotlight does not know: flats",)
    assert pinned.packages == packages | CORE


@pytest.mark.parametrize("fields", [{}, PICKLE])
def test_a_manifest_cannot_ask_for_packages_that_nothing_needs(
    fields: dict[str, object], store: Store, lock: Path, index: PackageIndex
) -> None:
    index.add("flats", "3.1")
    swap_manifest(store, **fields)
    document = json.loads(store.read(f"{NAME}/1/manifest.json"))
    document["runtime"]["packages"]["flats"] = "3.1"
    swap_manifest(store, runtime=document["runtime"])
    with pytest.raises(
        NotAdmitted, match=r"the manifest of breast-cancer:1 requires flats, expected only packages of its"
    ):
        pin(store, NAME, lock)
    assert files(lock) == {}


@pytest.mark.parametrize(
    "package", ["flats @ https://example.org/flats.whl", "-r", "flats\n--index-url x", "Flats", "a_b"]
)
def test_a_package_that_is_no_name_gets_nowhere(store: Store, lock: Path, package: str) -> None:
    document = json.loads(store.read(f"{NAME}/1/manifest.json"))
    document["runtime"]["packages"][package] = "1"
    store.replace(f"{NAME}/1/manifest.json", json.dumps(document).encode())
    with pytest.raises(FormatError, match="expected a package by its normalised name on PyPI, found"):
        pin(store, NAME, lock)


def test_the_same_version_with_other_bytes_is_pinned_with_a_warning(store: Store, lock: Path, tmp_path: Path) -> None:
    pin(store, NAME, lock)
    swap_model(store, b"other")
    pinned = pin(store, NAME, lock)
    assert pinned.warnings == (
        "breast-cancer:1 was pinned before with different files; versions never change within one store",
    )


def test_requirements_that_were_edited_are_refused(store: Store, lock: Path) -> None:
    pinned = pin(store, NAME, lock).lock
    text = (lock.parent / "requirements.lock").read_text()
    with pytest.raises(LockMismatch, match=r"requirements\.lock has SHA-256 .* run 'pilotlight pin breast-cancer:1'"):
        check_requirements(pinned, text + "\n")


@pytest.mark.parametrize(("text", "found"), [("onnxruntime==1.31.0 \\\n", "1.31.0"), ("numpy==2.4.6 \\\n", "nothing")])
def test_requirements_with_another_runtime_than_the_lock_s_are_refused(text: str, found: str) -> None:
    lock = Lock(descriptions.onnx_model(), hashlib.sha256(text.encode()).hexdigest())
    with pytest.raises(LockMismatch, match=f"pins onnxruntime to {found}, expected 1.31.1 as model.lock says"):
        check_requirements(lock, text)


def test_pins_are_read_with_and_without_hashes() -> None:
    text = (
        "# by hand\nnumpy==2.4.6 \\\n    --hash=sha256:ab\nscikit-learn==1.9.1\na.b_c==1!2.0+x ; python_version>'3'\n"
    )
    assert pins(text) == {"numpy": "2.4.6", "scikit-learn": "1.9.1", "a.b_c": "1!2.0+x"}


def test_a_lock_is_written_as_it_is_read() -> None:
    for model in (
        descriptions.onnx_model(),
        descriptions.pickled_model(),
        descriptions.onnx_model(descriptions.TENSORS),
    ):
        lock = descriptions.lock(model)
        assert read_lock(to_bytes(write_lock(lock))) == lock
