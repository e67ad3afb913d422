from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import skl2onnx
from onnx import TensorProto, helper
from skl2onnx.common.data_types import FloatTensorType
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import models
from estimators import NAMES, POINTS
from onnx_models import bfloat16_plus, identity
from pilotlight.errors import FormatError, ModelError
from pilotlight.model.signature import Signature, write_signature
from pilotlight.model.tensor import BF16, BYTES, FP32, INT64
from pilotlight_cli.formats.recognition import recognise
from pilotlight_cli.sandbox.child.onnx import inspect
from pilotlight_cli.sandbox.job import Findings, Job, UsageError


def job(path: Path, **changes: Any) -> Job:
    found = recognise(path)
    given = Job(path, "onnx", frozenset(), path.parent, labels=found.labels, vocabulary=found.vocabulary)
    return replace(given, **changes)


def inspected(path: Path, **changes: Any) -> Findings:
    return inspect(job(path, **changes))


def converted(folder: Path, classes: Any = NAMES, metadata: dict[str, str] | None = None, **options: Any) -> Path:
    estimator = make_pipeline(StandardScaler(), LogisticRegression()).fit(POINTS, classes)
    model = skl2onnx.convert_sklearn(
        estimator,
        initial_types=[("X", FloatTensorType([None, 3]))],
        options={"zipmap": False, **options},
        target_opset=models.OPSETS,
    )
    for key, value in (metadata or {}).items():
        entry = model.metadata_props.add()
        entry.key, entry.value = key, value
    path = folder / "model.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def roles(signature: Signature) -> list[str]:
    return [tensor.role for tensor in signature.inputs] + [tensor.role for tensor in signature.outputs]


def test_a_matrix_of_floats_holds_features_without_names(tmp_path: Path) -> None:
    answer = inspected(converted(tmp_path))
    (tensor,) = answer.signature.inputs
    assert (tensor.name, tensor.datatype, tensor.shape, tensor.role) == ("X", FP32, (-1, 3), "features")
    assert (tensor.feature_names, answer.signature.feature_names) == ((), ("f0", "f1", "f2"))
    assert any("assuming that the input 'X' is 3 features, called f0 to f2" in note for note in answer.notes)


def test_a_classifier_of_skl2onnx_gives_label_and_probabilities(tmp_path: Path) -> None:
    answer = inspected(converted(tmp_path))
    label, probabilities = answer.signature.outputs
    assert (label.name, label.datatype, label.shape, label.role) == ("label", BYTES, (-1,), "label")
    assert (probabilities.shape, probabilities.role) == ((-1, 2), "probabilities")
    assert answer.signature.labels == ("no", "yes")


def test_metadata_names_features_and_labels_and_then_nothing_is_guessed(tmp_path: Path) -> None:
    names = {"pilotlight.feature_names": '["a","b","c"]', "pilotlight.labels": '["no","yes"]'}
    answer = inspected(converted(tmp_path, metadata=names))
    assert answer.signature.feature_names == ("a", "b", "c")
    assert not any("f0" in note for note in answer.notes)


@pytest.mark.parametrize(
    ("metadata", "why"),
    [
        ({"pilotlight.feature_names": '["a"]'}, "the metadata names 1 features"),
        ({"pilotlight.feature_names": "a,b,c"}, "not valid JSON"),
        ({"pilotlight.feature_names": "[1, 2, 3]"}, "expected a JSON array of strings"),
        ({"pilotlight.labels": '{"a": 1}'}, "expected a JSON array of strings or integers"),
        ({"pilotlight.labels": '["yes", "no"]'}, "in the order of the probabilities"),
    ],
)
def test_metadata_that_does_not_go_with_the_model_is_refused(
    metadata: dict[str, str], why: str, tmp_path: Path
) -> None:
    with pytest.raises((FormatError, ModelError), match=why):
        inspected(converted(tmp_path, metadata=metadata))


def test_columns_of_strings_and_numbers_are_features(tmp_path: Path) -> None:
    answer = inspected(models.rents(tmp_path).files["onnx"])
    assert answer.signature.feature_names == models.COLUMNS
    assert [tensor.datatype for tensor in answer.signature.inputs] == [BYTES, FP32, FP32, FP32]
    (sample,) = answer.golden.samples
    assert set(sample.inputs[0].data) <= set(models.CITIES)
    assert len(sample.outputs[0].data) == 5


def test_whole_labels_come_from_the_file(tmp_path: Path) -> None:
    assert inspected(models.three_classes(tmp_path).files["onnx"]).signature.labels == (1, 2, 3)


def test_string_labels_that_nobody_names_are_asked_for(tmp_path: Path) -> None:
    path = converted(tmp_path)
    model = onnx.load(path)
    classifier = next(node for node in model.graph.node if node.op_type == "LinearClassifier")
    classifier.output[0] = "hidden"
    model.graph.node.append(onnx.helper.make_node("StringNormalizer", ["hidden"], ["label"]))
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"2 classes without names; .* pilotlight\.labels"):
        inspect(replace(job(path), labels=()))


def test_plain_tensors_stay_what_they_are(tmp_path: Path) -> None:
    answer = inspected(models.plain_tensors(tmp_path))
    assert roles(answer.signature) == ["tensor", "tensor", "tensor"]
    assert answer.golden.generated
    (sample,) = answer.golden.samples
    doubled = [2 * value for value in sample.inputs[0].data if isinstance(value, float)]
    assert sample.outputs[0].data == pytest.approx(doubled)


@pytest.mark.parametrize(
    ("kind", "shape", "role"),
    [
        (TensorProto.FLOAT, ("N", 4), "features"),
        (TensorProto.DOUBLE, (1, 4), "features"),
        (TensorProto.FLOAT, ("N", 1), "features"),
        (TensorProto.INT64, ("N",), "features"),
        (TensorProto.INT64, ("N", 4), "tensor"),
        (TensorProto.FLOAT, ("N", "M"), "tensor"),
        (TensorProto.FLOAT, (2, 4), "tensor"),
        (TensorProto.UINT8, ("N", 3, 2, 2), "tensor"),
        (TensorProto.BOOL, (), "tensor"),
        (TensorProto.FLOAT16, ("N", 2, 2), "tensor"),
    ],
)
def test_the_role_of_an_input_follows_its_shape(kind: int, shape: tuple[Any, ...], role: str, tmp_path: Path) -> None:
    answer = inspected(identity(tmp_path, kind, *shape))
    assert answer.signature.inputs[0].role == role
    (sample,) = answer.golden.samples
    assert sample.outputs[0].data == pytest.approx(sample.inputs[0].data, abs=1e-2)


def test_strings_that_nobody_knows_cannot_be_made_up(tmp_path: Path) -> None:
    answer = inspected(identity(tmp_path, TensorProto.STRING, "N", 1))
    assert answer.golden.samples == ()
    assert any("no golden samples" in note for note in answer.notes)


def test_a_large_input_gets_no_made_up_sample(tmp_path: Path) -> None:
    assert inspected(identity(tmp_path, TensorProto.FLOAT, "N", 3, 100, 100)).golden.samples == ()


def test_maps_are_refused_with_the_way_to_convert_without_them(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"seq\(map\(.*, expected a tensor; .* options=\{'zipmap': False\}"):
        inspected(converted(tmp_path, zipmap=True))


def test_an_element_type_that_has_no_datatype_is_refused(tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.FLOAT8E5M2, "N", 2)
    model = onnx.load(path)
    model.ir_version, model.opset_import[0].version = 9, 19  # the first that have the type
    path.write_bytes(model.SerializeToString())
    with pytest.raises(
        ModelError, match=r"tensor\(float8e5m2\), expected a tensor; give it one of the datatypes bool, uint8"
    ):
        inspected(path)


def test_a_model_with_bf16_at_its_ends_is_looked_into_by_the_c_api(tmp_path: Path) -> None:
    answer = inspected(bfloat16_plus(tmp_path, 0.5))
    assert answer.runtime.engine == "onnxruntime-c"
    assert [tensor.datatype for tensor in answer.signature.inputs] == [BF16]
    assert [tensor.datatype for tensor in answer.signature.outputs] == [BF16]
    (sample,) = answer.golden.samples
    given, found = sample.inputs[0].data, sample.outputs[0].data
    assert found == pytest.approx([float(value) + 0.5 for value in given if value is not None], abs=2**-6)


def test_a_file_that_the_library_does_not_load_is_refused(tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.FLOAT, "N", 2)
    model = onnx.load(path)
    model.graph.node[0].op_type = "NoSuchThing"
    path.write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match=r"model\.onnx uses the operator NoSuchThing, which onnxruntime \S+ does not"):
        inspected(path)


@pytest.mark.parametrize(
    ("changes", "why"), [({"requested_format": "skops"}, "--format says skops"), ({"allow": ("a.b",)}, "--allow")]
)
def test_options_of_other_files_are_wrong_usage(changes: dict[str, Any], why: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=why):
        inspected(converted(tmp_path), **changes)


# --- the publisher's own signature


def signature_of(path: Path) -> dict[str, Any]:
    return write_signature(inspected(path).signature)


def test_the_publishers_signature_wins(tmp_path: Path) -> None:
    path = converted(tmp_path)
    own = signature_of(path)
    own["inputs"][0]["feature_names"] = ["height", "width", "depth"]
    own["outputs"][1]["range"] = [0, 1]
    answer = inspected(path, signature=json.dumps(own))
    assert answer.signature.feature_names == ("height", "width", "depth")
    assert answer.signature.outputs[1].range == (0.0, 1.0)
    assert not any("assuming" in note for note in answer.notes)


def test_the_publishers_signature_may_leave_outputs_out(tmp_path: Path) -> None:
    path = converted(tmp_path)
    own = signature_of(path)
    own["outputs"] = own["outputs"][1:]
    answer = inspected(path, signature=json.dumps(own))
    assert [output.name for output in answer.signature.outputs] == ["probabilities"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda own: own["inputs"][0].update(name="Z"), r"\$\.inputs\[0\]: the model has no input 'Z', only X"),
        (lambda own: own["inputs"][0].update(datatype="FP64"), r"\$\.inputs\[0\]\.datatype: found FP64, expected FP32"),
        (
            lambda own: own["inputs"][0].update(shape=[-1, 2], feature_names=["a", "b"]),
            r"\$\.inputs\[0\]\.shape: found \[-1, 2\], expected \[-1, 3\]",
        ),
        (lambda own: own["outputs"][0].update(name="z"), "the model has no output 'z'"),
        (lambda own: own["outputs"][1].update(datatype="FP64"), r"outputs\[1\]\.datatype: found FP64"),
        (lambda own: own.update(labels=["yes", "no"]), "in the order of the probabilities"),
        (lambda own: own.update(labels=["yes"]), "at least 2"),
        (lambda own: own.pop("outputs"), "the field 'outputs' is missing"),
    ],
)
def test_a_signature_that_does_not_go_with_the_model_is_refused(change: Any, why: str, tmp_path: Path) -> None:
    path = converted(tmp_path)
    own = signature_of(path)
    change(own)
    with pytest.raises((FormatError, ModelError), match=why):
        inspected(path, signature=json.dumps(own))


def test_a_signature_without_an_input_is_refused(tmp_path: Path) -> None:
    path = models.rents(tmp_path).files["onnx"]
    own = signature_of(path)
    del own["inputs"][1]
    with pytest.raises(FormatError, match="the inputs rooms of the model are missing"):
        inspected(path, signature=json.dumps(own))


# --- the publisher's own samples


def test_instances_become_a_sample_with_the_models_answers(tmp_path: Path) -> None:
    trained = models.rents(tmp_path)
    drawn = trained.draw(4, models.new_seed())
    answer = inspected(trained.files["onnx"], golden=json.dumps({"instances": drawn.instances}))
    (sample,) = answer.golden.samples
    assert not answer.golden.generated
    assert sample.outputs[0].data == pytest.approx(drawn.predictions, rel=1e-5)
    assert not any("golden" in note for note in answer.notes)


def test_a_column_with_an_outputs_name_is_compared_and_the_other_outputs_are_filled_in(tmp_path: Path) -> None:
    path = converted(tmp_path)
    (sample,) = inspected(path, golden="f0,f1,f2\n0.5,1,2\n").golden.samples
    (right,) = sample.outputs[0].data
    (again,) = inspected(path, golden=f"label,f0,f1,f2\n{right},0.5,1,2\n").golden.samples
    assert again == sample
    with pytest.raises(ModelError, match=f"output 'label', value 0: found '{right}', expected 'other'; correct the"):
        inspected(path, golden="label,f0,f1,f2\nother,0.5,1,2\n")
    with pytest.raises(
        FormatError, match='unknown column "species", expected the model\'s features or the output "lab'
    ):
        inspected(path, golden="species,f0,f1,f2\nother,0.5,1,2\n")


def test_rows_that_would_fill_the_package_are_refused(tmp_path: Path) -> None:
    golden = "x\n" + "1\n" * 500_001
    signature = {
        "inputs": [{"name": "x", "datatype": "FP32", "shape": [-1], "role": "features"}],
        "outputs": [{"name": "y", "datatype": "FP32", "shape": [-1], "role": "tensor"}],
    }
    with pytest.raises(FormatError, match="found 500,001 values, expected at most 500,000; give fewer rows"):
        inspected(identity(tmp_path, TensorProto.FLOAT, "N"), golden=golden, signature=json.dumps(signature))


def test_a_model_of_one_instance_at_a_time_gets_a_sample_for_each(tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.INT64, 1, 2)
    answer = inspected(path, golden=json.dumps({"instances": [[1, 2], [3, 4]]}))
    assert [sample.outputs[0].data for sample in answer.golden.samples] == [(1, 2), (3, 4)]


def golden_of(*samples: dict[str, Any], source: str = "given") -> str:
    tolerance = {"absolute": 1e-5, "relative": 1e-4}
    return json.dumps({"format": 1, "source": source, "tolerance": tolerance, "samples": list(samples)})


def values(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": list(data)}


def test_outputs_that_were_given_are_checked_and_kept(tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.FLOAT, "N")
    given = {"inputs": [values("x", "FP32", 1.0, 2.0)], "outputs": [values("y", "FP32", 1.000001, 2.0)]}
    without = {"inputs": [values("x", "FP32", 3.0, None)]}
    first, second = inspected(path, golden=golden_of(given, without)).golden.samples
    assert first.outputs[0].data == (1.000001, 2.0)
    assert second.outputs[0].data == (3.0, None)
    assert second.outputs[0].datatype is FP32


@pytest.mark.parametrize(
    ("sample", "why"),
    [
        (
            {"inputs": [values("x", "INT64", 1)], "outputs": [values("y", "INT64", 2)]},
            r"golden sample 0 differs from the model's outputs: output 'y', value 0: found 1, expected 2",
        ),
        ({"inputs": [values("z", "INT64", 1)]}, "found the inputs z, expected x"),
        ({"inputs": [values("x", "INT32", 1)]}, r"input 'x' is INT32 of shape \[1\], expected INT64"),
        ({"inputs": [values("x", "INT64", 1) | {"shape": [1, 1]}]}, r"INT64 of shape \[1, 1\]"),
        ({"outputs": [values("y", "INT64", 1)]}, "the field 'inputs' is missing"),
    ],
)
def test_samples_that_do_not_go_with_the_model_are_refused(sample: dict[str, Any], why: str, tmp_path: Path) -> None:
    path = identity(tmp_path, TensorProto.INT64, "N")
    with pytest.raises((FormatError, ModelError), match=why):
        inspected(path, golden=golden_of(sample))


@pytest.mark.parametrize(
    ("golden", "why"),
    [
        ('{"instances": [[1, "a"]]}', r"\$\.instances\[0\]\[1\]: expected a whole number"),
        ('{"instances": 1}', r"\$\.instances: expected an array"),
        ("[]", r"\$: expected at least 1 item"),
        ("{", "not valid JSON"),
    ],
)
def test_golden_files_of_no_known_form_are_refused(golden: str, why: str, tmp_path: Path) -> None:
    with pytest.raises(FormatError, match=why):
        inspected(identity(tmp_path, TensorProto.INT64, "N", 2), golden=golden)


def test_the_datatypes_of_an_answer_are_those_of_the_model(tmp_path: Path) -> None:
    answer = inspected(identity(tmp_path, TensorProto.INT64, "N"))
    assert (answer.signature.inputs[0].datatype, answer.signature.outputs[0].datatype) == (INT64, INT64)
    assert answer.runtime.packages.keys() == {"numpy", "onnxruntime"}


def test_a_model_without_inputs_is_refused(tmp_path: Path) -> None:
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    node = helper.make_node("Constant", [], ["y"], value_floats=[1.0])
    graph = helper.make_graph([node], "constant", [], [output])
    path = tmp_path / "model.onnx"
    opsets = [helper.make_opsetid("", 13)]
    path.write_bytes(helper.make_model(graph, opset_imports=opsets, ir_version=8).SerializeToString())
    with pytest.raises(ModelError, match=r"model\.onnx has no inputs, .*; expected at least one"):
        inspected(path)
