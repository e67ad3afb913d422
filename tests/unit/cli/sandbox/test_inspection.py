from __future__ import annotations

import errno
import json
import os
import pickle
import subprocess
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import onnx
import onnxruntime
import pytest
import sklearn
from imblearn.pipeline import make_pipeline
from imblearn.under_sampling import RandomUnderSampler
from onnx import helper
from sklearn.linear_model import LogisticRegression, Ridge
from sortedcontainers import SortedList  # type: ignore[import-untyped]

import models
import pickles
from estimators import NAMES, POINTS, VALUES
from onnx_hiding import PLACES
from onnx_models import endless, filled, repeating, wide, with_external_data
from pilotlight.errors import FormatError, ModelError, UnsafePickle
from pilotlight_cli.formats.kinds import KINDS
from pilotlight_cli.formats.recognition import NotRecognised, Recognised
from pilotlight_cli.hostenv import host_packages, isolated_python
from pilotlight_cli.sandbox import inspection, isolation
from pilotlight_cli.sandbox.inspection import Inspection, UsageError, inspect
from pilotlight_cli.sandbox.limits import LimitOptions, Limits

OLDER = "1.7.2"
TRAIN = """
import pickle, sys
import joblib, numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier
points = np.random.RandomState(0).normal(size=(80, 3))
model = HistGradientBoostingClassifier(max_iter=5).fit(points, np.where(points[:, 0] > 0, "yes", "no"))
pickle.dump(model, open(sys.argv[1] + "/model.pkl", "wb"))
joblib.dump(model, sys.argv[1] + "/model.joblib", compress=("xz", 3))
np.save(sys.argv[1] + "/answers.npy", model.predict_proba(points[:5]))
np.save(sys.argv[1] + "/points.npy", points[:5])
"""


def inspected(path: Path, **changes: Any) -> Inspection:
    options: dict[str, Any] = {"format": None, "signature": None, "golden": None, "allow": ()}
    return inspect(path, **options | changes)


@pytest.fixture(scope="module")
def older(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with models that another minor version of scikit-learn trained."""
    assert not sklearn.__version__.startswith(OLDER[:3])
    folder = tmp_path_factory.mktemp("older")
    packages = host_packages(KINDS["pickle"].requirements("model.pkl", Recognised("pickle", OLDER)))
    command = [*isolated_python(), "-c", TRAIN, str(folder)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONPATH": str(packages)})
    return folder


@pytest.mark.parametrize(("name", "format_"), [("model.pkl", "pickle"), ("model.joblib", "pickle")])
def test_a_model_of_another_scikit_learn_is_inspected_with_its_own(name: str, format_: str, older: Path) -> None:
    points = np.load(older / "points.npy")
    golden = json.dumps({"instances": points.tolist()}).encode()
    found = inspected(older / name, golden=golden)
    assert found.format == format_
    assert found.runtime.packages["scikit-learn"] == OLDER
    assert found.runtime.packages["numpy"].startswith("2.")
    assert found.runtime.packages.keys() == {"joblib", "numpy", "scikit-learn", "scipy"}
    (sample,) = found.golden.samples
    assert sample.outputs[1].data == pytest.approx(np.load(older / "answers.npy").ravel().tolist())


def test_an_onnx_model_is_inspected_with_the_installed_library(tmp_path: Path) -> None:
    trained = models.rents(tmp_path)
    found = inspected(trained.files["onnx"])
    assert found.format == "onnx"
    assert [path.read_bytes() for path in found.files] == [trained.files["onnx"].read_bytes()]
    assert found.runtime.packages == {"numpy": np.__version__, "onnxruntime": onnxruntime.__version__}
    assert found.golden.generated
    assert found.golden.samples


def test_every_form_of_a_model_gives_the_same_signature(tmp_path: Path) -> None:
    trained = models.rents(tmp_path)
    drawn = trained.draw(5, models.new_seed())
    golden = json.dumps({"instances": drawn.instances}).encode()
    found = [inspected(trained.files[form], golden=golden) for form in ("pickle", "skops", "joblib")]
    assert [inspection.format for inspection in found] == ["pickle", "skops", "skops"]
    assert found[0].signature == found[1].signature == found[2].signature
    for inspection_ in found:
        assert inspection_.golden.samples[0].outputs[0].data == pytest.approx(drawn.predictions)
    assert all(path.is_file() for inspection in found for path in inspection.files)


def test_files_with_external_data_are_published_too(tmp_path: Path) -> None:
    (tmp_path / "vector.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    found = inspected(with_external_data(tmp_path, "vector.bin"))
    assert [path.name for path in found.files] == ["model.onnx", "vector.bin"]
    (sample,) = found.golden.samples
    moved = [value + index % 4 for index, value in enumerate(sample.inputs[0].data) if isinstance(value, float)]
    assert sample.outputs[0].data == pytest.approx(moved, rel=1e-6)


@pytest.mark.parametrize("linked", [True, False])
def test_external_data_in_a_folder_is_published_beside_the_model(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not linked:
        monkeypatch.setattr(os, "link", another_file_system)
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "vector.bin").write_bytes(np.ones(4, np.float32).tobytes())
    path = with_external_data(tmp_path, "weights/vector.bin")
    before = path.read_bytes()

    found = inspected(path)

    assert [file.name for file in found.files] == ["model.onnx", "weights-vector.bin"]
    assert found.files[0].read_bytes() == before.replace(b"weights/vector.bin", b"weights-vector.bin")
    assert path.read_bytes() == before
    assert "the external data in weights/vector.bin is published as weights-vector.bin" in found.notes
    (sample,) = found.golden.samples
    moved = [value + 1 for value in sample.inputs[0].data if isinstance(value, float)]
    assert sample.outputs[0].data == pytest.approx(moved, rel=1e-6)


def another_file_system(source: Path, target: Path) -> None:
    raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), str(source), None, str(target))


@pytest.mark.parametrize("linked", [True, False])
def test_what_is_looked_into_and_published_has_nothing_else_beside_it(
    linked: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not linked:
        monkeypatch.setattr(os, "link", another_file_system)
    (tmp_path / "vector.bin").write_bytes(bytes(16))
    (tmp_path / "notes.txt").touch()
    path = with_external_data(tmp_path, "vector.bin")
    found = inspected(path)
    assert [file.read_bytes() for file in found.files] == [path.read_bytes(), bytes(16)]
    assert sorted(path.name for path in found.files[0].parent.iterdir()) == ["model.onnx", "vector.bin"]
    assert [file.samefile(tmp_path / file.name) for file in found.files] == [linked, linked]


@pytest.mark.parametrize("place", PLACES)
def test_a_model_whose_tensors_are_elsewhere_does_not_load(
    place: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file is there, and by mistake it is not taken for a part of the model."""
    monkeypatch.setattr(inspection, "recognise_file", lambda *_: Recognised("onnx"))
    (tmp_path / "canary").write_bytes(bytes(16))
    path = tmp_path / "model.onnx"
    path.write_bytes(PLACES[place]("canary").SerializeToString())
    with pytest.raises(ModelError, match=r"model\.onnx keeps tensors in 'canary'|cannot load model\.onnx"):
        inspected(path)


def test_the_publishers_signature_reaches_the_model(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    with pytest.raises(FormatError, match=r"the signature: \$\.inputs: the field|the signature: \$: the field"):
        inspected(path, signature=b"{}")
    with pytest.raises(FormatError, match="the signature: not UTF-8"):
        inspected(path, signature=b"\xff")


def test_a_package_of_the_publishers_is_pinned_with_the_name_that_needs_it(tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    model = make_pipeline(RandomUnderSampler(random_state=0), LogisticRegression()).fit(POINTS, NAMES)
    path.write_bytes(pickle.dumps(model, 5))
    names = (
        "imblearn.pipeline.Pipeline",
        "imblearn.under_sampling._prototype_selection._random_under_sampler.RandomUnderSampler",
    )
    with pytest.raises(UnsafePickle, match=rf"publish with --allow {names[0]} --allow {names[1]}"):
        inspected(path)
    found = inspected(path, allow=names)
    assert found.extra_globals == names
    assert "imbalanced-learn" in found.runtime.packages


def test_a_class_of_a_package_without_estimators_is_refused_where_it_is_imported(tmp_path: Path) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    estimator.extra_ = SortedList([2, 1])
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(estimator, 5))
    with pytest.raises(UnsafePickle, match="is a class of a package that gives the model no estimator"):
        inspected(path, allow=["sortedcontainers.sortedlist.SortedList"])


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("os.system", "can run any code, directly or indirectly, and cannot be allowed"),
        ("sklearn.utils._testing.raises", "cannot be allowed"),
        ("Rounded", "expected module.name"),
        ("nosuchpackage.Rounded", "no installed package provides nosuchpackage"),
    ],
)
def test_what_cannot_be_allowed_is_wrong_usage(name: str, why: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pkl"
    path.write_bytes(pickle.dumps(Ridge().fit(POINTS, VALUES), 5))
    with pytest.raises(UsageError, match=why):
        inspected(path, allow=[name])


def test_a_hostile_file_is_refused_without_a_trace(tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    path = tmp_path / "model.pkl"
    version = pickles.attribute("_sklearn_version", pickles.text(sklearn.__version__))
    hostile = pickles.call(pickles.named("posix", "mkdir"), pickles.text(str(marker)))
    path.write_bytes(pickles.program(pickles.items(version, hostile)))
    with pytest.raises(UnsafePickle, match=r"posix\.mkdir at byte"):
        inspected(path)
    assert not marker.exists()


def test_a_model_without_an_end_is_ended(tmp_path: Path) -> None:
    message = r"inspecting model\.onnx takes more than the limit of 2 seconds of processor time; .* --max-seconds"
    with pytest.raises(ModelError, match=message):
        inspected(endless(tmp_path), limit_options=LimitOptions(seconds=2))


@pytest.mark.parametrize("size", [2**28, 2**40])
def test_a_model_that_needs_more_memory_than_allowed_is_ended(size: int, tmp_path: Path) -> None:
    message = r"inspecting model\.onnx takes more than the limit of 700 MB of memory; .* --max-memory"
    with pytest.raises(ModelError, match=message):
        inspected(filled(tmp_path, size), limit_options=LimitOptions(megabytes=700))


def test_memory_and_time_grow_with_the_model() -> None:
    assert LimitOptions().limits(78) == Limits(4_000_001_170, 180, 1800)
    assert LimitOptions().limits(500_000_000) == Limits(11_500_000_000, 680, 6800)
    assert LimitOptions(700, 2).limits(500_000_000) == Limits(700_000_000, 2, 20)


def test_a_row_that_no_request_holds_is_refused_before_one_is_made(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="the model takes 8,589,934,592 values a row, expected at most 33,554,432"):
        inspected(wide(tmp_path, 2**33), limit_options=LimitOptions(megabytes=700))


def test_a_rewritten_model_keeps_its_external_data(tmp_path: Path) -> None:
    path = with_external_data(tmp_path, "vector.bin")
    (tmp_path / "vector.bin").write_bytes(np.arange(4, dtype=np.float32).tobytes())
    model = onnx.load(path, load_external_data=False)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.shape.dim[0].dim_value = 1
    path.write_bytes(model.SerializeToString())
    given = path.read_bytes()
    found = inspected(path)
    assert found.notes[0].startswith("the batch, fixed at 1, was made free")
    assert [file.name for file in found.files] == ["model.onnx", "vector.bin"]
    assert found.signature.inputs[0].shape == (-1, 4)
    values = found.golden.samples[0]
    moved = np.array(values.outputs[0].data) - np.array(values.inputs[0].data)
    assert moved.reshape(-1, 4) == pytest.approx(np.tile(np.arange(4), (5, 1)), abs=1e-6)
    assert path.read_bytes() == given


def test_columns_that_are_too_many_to_name_are_a_tensor(tmp_path: Path) -> None:
    found = inspected(wide(tmp_path, 2**20 + 1))
    assert (found.signature.inputs[0].role, found.golden.samples) == ("tensor", ())


def test_made_up_samples_with_large_answers_are_not_kept(tmp_path: Path) -> None:
    found = inspected(repeating(tmp_path, 20_001))
    assert not found.golden.samples
    assert (
        "the outputs for generated inputs have more than 100,000 values or 4,000,000 bytes and are not kept"
        in found.notes
    )
    assert inspected(repeating(tmp_path, 20_000)).golden.samples


def test_given_samples_with_larger_answers_are_refused(tmp_path: Path) -> None:
    golden = json.dumps({"instances": [{"x": 1.0}]}).encode()
    with pytest.raises(
        ModelError, match="golden sample 0: the model returns 1,000,001 values, expected at most 1,000,000"
    ):
        inspected(repeating(tmp_path, 1_000_001), golden=golden)


def test_more_labels_than_a_lock_should_hold_are_refused(tmp_path: Path) -> None:
    path = models.plain_tensors(tmp_path)
    model = onnx.load(path)
    model.graph.node[0].attribute.append(helper.make_attribute("classlabels_strings", ["a" * 65_000_000, "b"]))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"the description of the model .* takes 65 MB, expected at most 64 MB"):
        inspected(path)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"n_features_in_": 2**40}, "a Ridge takes 1,099,511,627,776 features, expected at most 1,048,576"),
        ({"n_features_in_": 2**25}, "a Ridge takes 33,554,432 features, expected at most"),
    ],
)
def test_an_estimator_with_more_features_than_have_names_is_refused(
    change: dict[str, Any], why: str, tmp_path: Path
) -> None:
    estimator = Ridge().fit(POINTS, VALUES)
    vars(estimator).update(change)
    (tmp_path / "model.pkl").write_bytes(pickle.dumps(estimator, 5))
    with pytest.raises(ModelError, match=why):
        inspected(tmp_path / "model.pkl")


def test_a_file_that_changes_while_it_is_inspected_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = models.plain_tensors(tmp_path)

    def growing(*arguments: Any, **options: Any) -> Any:
        answer = isolation.run_task(*arguments, **options)
        if arguments[0] == "inspect":
            with path.open("ab") as file:
                file.write(b"more")
        return answer

    monkeypatch.setattr(inspection, "run_task", growing)
    with pytest.raises(ModelError, match=r"plain-tensors\.onnx changed while it was being inspected"):
        inspected(path)


@pytest.mark.parametrize("version", ["1.4.2", "1.5.1", "0.24.2", "1.6.dev0"])
def test_a_scikit_learn_without_a_build_for_the_functions_is_refused(version: str, tmp_path: Path) -> None:
    path = tmp_path / "model.joblib"
    joblib.dump(LogisticRegression().fit(POINTS, NAMES), path)
    length = bytes([len(sklearn.__version__)]) + sklearn.__version__.encode()
    path.write_bytes(path.read_bytes().replace(length, bytes([len(version)]) + version.encode()))
    with pytest.raises(
        (ModelError, NotRecognised), match=rf"made with scikit-learn {version}, expected release 1\.5\.2 or later"
    ):
        inspected(path)
