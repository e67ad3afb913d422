"""Which file of a folder is the model, what the files beside it say of it, and the sentence for every other folder."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pilotlight.errors import PilotlightError
from pilotlight.model.tensor import BYTES, DATATYPES, FP32, FP64, INT64
from pilotlight_cli.sources import obtained
from pilotlight_cli.sources.declared import Column, Declared, Tensor

FILES = Mapping[str, str]


def mlmodel(flavors: str, inputs: list[dict[str, Any]] | None = None, example: str = "") -> str:
    """Write an MLmodel as MLflow does: the signature's parts are JSON in YAML."""
    lines = ["flavors:", *(f"  {line}" for line in flavors.splitlines())]
    if example:
        lines += ["saved_input_example_info:", "  artifact_path: input_example.json", f"  type: {example}"]
    if inputs is not None:
        lines += ["signature:", f"  inputs: '{json.dumps(inputs)}'", "  outputs: null"]
    return "\n".join(lines)


SKLEARN = "sklearn:\n  pickled_model: model.pkl\npython_function:\n  loader_module: mlflow.sklearn"
ONNX = "onnx:\n  data: model.onnx"
COLUMNS = [
    {"type": "double", "name": "months", "required": False},
    {"type": "string", "name": "plan", "required": True},
]
MATRIX = [{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 4]}}]
ROWS = json.dumps({"columns": ["months", "plan"], "data": [[1.0, "free"], [None, "team"]]})
CONFIG = """
name: "net"  # of the repository
max_batch_size: 8
input [ { name: "x" data_type: TYPE_FP32 dims: [ 4 ] } ]
output [ { name: "label" data_type: TYPE_STRING dims: [1] label_filename: "labels.txt" } ]
instance_group [ { kind: KIND_CPU } ]
"""


@dataclass(frozen=True)
class Taken:
    path: str
    declared: Declared | None = None
    notes: tuple[str, ...] = ()


TAKEN: dict[str, tuple[FILES, str, Taken]] = {
    "one file": ({"a/model.onnx": "", "README.md": ""}, "", Taken("a/model.onnx")),
    "a chosen file": ({"a.onnx": "", "b.onnx": "", "c.bin": ""}, "c.bin", Taken("c.bin")),
    "code beside a file": (
        {"model.skops": "", "code/inference.py": ""},
        "",
        Taken("model.skops", None, ("code/inference.py in FOLDER is not run; what it does has to be in the model",)),
    ),
    "MLflow, scikit-learn": (
        {"MLmodel": mlmodel(SKLEARN, COLUMNS, "dataframe"), "model.pkl": "", "input_example.json": ROWS},
        "",
        Taken(
            "model.pkl",
            Declared(
                "MLmodel",
                columns=(Column("months", FP64, optional=True), Column("plan", BYTES)),
                rows=({"months": 1.0, "plan": "free"}, {"months": None, "plan": "team"}),
                rows_place="input_example.json",
            ),
            ("FOLDER is an MLflow model of the flavor sklearn; model.pkl is taken",),
        ),
    ),
    "MLflow, arrays": (
        {"MLmodel": mlmodel(ONNX, MATRIX, "ndarray"), "model.onnx": "", "input_example.json": "[[1, 2, 3, 4]]"},
        "",
        Taken(
            "model.onnx",
            Declared(
                "MLmodel", inputs=(Tensor("", FP32, (-1, 4)),), rows=([1, 2, 3, 4],), rows_place="input_example.json"
            ),
            ("FOLDER is an MLflow model of the flavor onnx; model.onnx is taken",),
        ),
    ),
    "MLflow, arrays by name": (
        {
            "MLmodel": mlmodel(ONNX, None, "ndarray"),
            "model.onnx": "",
            "input_example.json": '{"a": [1, 2], "b": [3, 4]}',
        },
        "",
        Taken(
            "model.onnx",
            Declared("MLmodel", rows=({"a": 1, "b": 3}, {"a": 2, "b": 4}), rows_place="input_example.json"),
            ("FOLDER is an MLflow model of the flavor onnx; model.onnx is taken",),
        ),
    ),
    "MLflow without signature and example": (
        {"MLmodel": mlmodel("lightgbm:\n  data: model.lgb"), "model.lgb": ""},
        "",
        Taken(
            "model.lgb", Declared("MLmodel"), ("FOLDER is an MLflow model of the flavor lightgbm; model.lgb is taken",)
        ),
    ),
    "Hugging Face": (
        {
            "config.json": '{"id2label": {"1": "good", "0": "bad"}}',
            "onnx/model.onnx": "",
            "onnx/model_quantized.onnx": "",
            "tokenizer.json": "",
        },
        "",
        Taken(
            "onnx/model.onnx",
            Declared("config.json", labels=("bad", "good")),
            (
                "onnx/model.onnx is taken; choose another with --file: onnx/model_quantized.onnx",
                "what tokenizer.json describes is not part of the model: callers send its tensors",
            ),
        ),
    ),
    **{
        f"MLflow, {flavor}, {file}": (
            {"MLmodel": mlmodel(f"{flavor}:\n  {key}: data\n"), f"data/{file}": "", "data/other.txt": ""},
            "",
            Taken(
                f"data/{file}",
                Declared("MLmodel"),
                (f"FOLDER is an MLflow model of the flavor {flavor}; data/{file} is taken",),
            ),
        )
        for flavor, key, file in (
            ("pytorch", "model_data", "model.pt2"),
            ("pytorch", "model_data", "model.pth"),
            ("keras", "data", "model.keras"),
            ("tensorflow", "data", "model.keras"),
        )
    },
    "Hugging Face, another file": (
        {"config.json": '{"id2label": {"0": "LABEL_0", "1": "LABEL_1"}}', "model.onnx": "", "model_int8.onnx": ""},
        "model_int8.onnx",
        Taken("model_int8.onnx", None, ("model_int8.onnx is taken; choose another with --file: model.onnx",)),
    ),
    "a model of Triton's": (
        {
            "config.pbtxt": CONFIG,
            "labels.txt": "no\nyes\n",
            "1/model.onnx": "",
            "10/model.onnx": "",
            "9/model.onnx": "",
        },
        "",
        Taken(
            "10/model.onnx",
            Declared(
                "config.pbtxt",
                inputs=(Tensor("x", FP32, (-1, 4), exact=True),),
                outputs=(Tensor("label", BYTES, (-1, 1), exact=True),),
                labels=("no", "yes"),
            ),
            ("10/model.onnx is taken, of the versions 1, 9, 10",),
        ),
    ),
    "a version in a repository of Triton's": (
        {
            "a/config.pbtxt": 'output { name: "n" data_type: TYPE_INT64 dims: [-1, 2] }',
            "a/1/model.onnx": "",
            "b/1/model.onnx": "",
        },
        "a/1/model.onnx",
        Taken(
            "a/1/model.onnx",
            Declared("a/config.pbtxt", outputs=(Tensor("n", INT64, (-1, 2), exact=True),)),
            ("a/1/model.onnx is taken",),
        ),
    ),
}

NOT_UTF8 = "\udcff"
REFUSED: dict[str, tuple[FILES, str, str]] = {
    "weights without ONNX": (
        {"config.json": "{}", "model.safetensors": ""},
        "",
        (
            "FOLDER has the weights of a Hugging Face model, model.safetensors, and no ONNX; export it with "
            "'optimum-cli export onnx --model FOLDER exported'"
        ),
    ),
    "an empty folder": ({}, "", "FOLDER has no files; expected one model file, or the folder of an MLflow model"),
    "other files": ({"a.txt": "", "b.csv": ""}, "", "FOLDER has a.txt, b.csv; expected one model file"),
    "two models": (
        {"a.onnx": "", "b.pkl": ""},
        "",
        "FOLDER has 2 model files, expected one; choose one with --file: a.onnx, b.pkl",
    ),
    "a file that is not there": ({"a.onnx": ""}, "b.onnx", "FOLDER has no file 'b.onnx', only a.onnx"),
    "a SavedModel": (
        {"saved_model.pb": "", "variables/variables.index": ""},
        "",
        "FOLDER is a TensorFlow SavedModel; convert it where TensorFlow is: python -m tf2onnx.convert --saved-model ",
    ),
    "a SavedModel below it": ({"1/saved_model.pb": ""}, "", "FOLDER/1 is a TensorFlow SavedModel; "),
    "a Keras folder": (
        {"config.json": "", "metadata.json": "", "model.weights.h5": ""},
        "",
        "FOLDER has the parts of a Keras model; pack and convert them: python -m zipfile -c model.keras FOLDER/. && ",
    ),
    "a file of Keras": (
        {"new/net.keras": ""},
        "",
        "FOLDER/new has a Keras model, net.keras; convert it: pilotlight convert FOLDER --file new/net.keras",
    ),
    "an old file of Keras": ({"net.h5": ""}, "", "has a Keras model, net.h5; load it, save it again with model.save("),
    "MLflow, Python code": (
        {"MLmodel": mlmodel("python_function:\n  loader_module: mlflow.pyfunc.model")},
        "",
        (
            "FOLDER is an MLflow model of Python code alone (mlflow.pyfunc.model), which a function does"
            " not run; log the model inside it with its own flavor, like mlflow.sklearn or mlflow.onnx"
        ),
    ),
    "MLflow, another flavor": (
        {"MLmodel": mlmodel("spark:\n  model_data: sparkml")},
        "",
        (
            "FOLDER is an MLflow model of the flavor spark; expected one of onnx, sklearn, xgboost, lightgbm, "
            "catboost, pytorch, keras, tensorflow; log the model with mlflow.onnx"
        ),
    ),
    "MLflow with a SavedModel": (
        {"MLmodel": mlmodel("keras:\n  data: data"), "data/model/saved_model.pb": ""},
        "",
        (
            "FOLDER/data/model is a TensorFlow SavedModel; convert it where TensorFlow is: python -m tf2onnx.convert "
            "--saved-model FOLDER/data/model --output model.onnx"
        ),
    ),
    "MLflow without its file": (
        {"MLmodel": mlmodel(SKLEARN)},
        "",
        "FOLDER/MLmodel: found the model file 'model.pkl', expected one that the folder has: MLmodel",
    ),
    "MLflow with a path that leads elsewhere": (
        {"MLmodel": mlmodel("onnx:\n  data: ../model.onnx")},
        "",
        "found the model file '../model.onnx', expected one that the folder has",
    ),
    "MLflow with two files": (
        {"MLmodel": mlmodel(SKLEARN), "model.pkl": "", "a.onnx": ""},
        "a.onnx",
        "--file a.onnx: FOLDER/MLmodel names model.pkl as its model; leave --file out",
    ),
    "MLflow with no YAML": ({"MLmodel": "flavors: ["}, "", "FOLDER/MLmodel is not valid YAML: "),
    "MLflow with YAML that makes objects": (
        {"MLmodel": "flavors: !!python/object/apply:os.getcwd []"},
        "",
        "FOLDER/MLmodel is not valid YAML: ",
    ),
    "MLflow without flavors": ({"MLmodel": "[]"}, "", "FOLDER/MLmodel has no flavors"),
    "MLflow that is not UTF-8": (
        {"MLmodel": NOT_UTF8},
        "",
        "FOLDER/MLmodel is not UTF-8: invalid start byte at byte 0",
    ),
    "MLflow with a date": (
        {"MLmodel": mlmodel(SKLEARN, [{"type": "datetime", "name": "day"}]), "model.pkl": ""},
        "",
        (
            "FOLDER/MLmodel: found the column 'day' of the type datetime, expected one of boolean, "
            "integer, long, float, double, string"
        ),
    ),
    "MLflow with another signature": (
        {"MLmodel": mlmodel(SKLEARN) + "\nsignature:\n  inputs: x", "model.pkl": ""},
        "",
        "FOLDER/MLmodel: found signature.inputs 'x', expected JSON",
    ),
    "MLflow with an example that is no JSON": (
        {"MLmodel": mlmodel(SKLEARN, None, "dataframe"), "model.pkl": "", "input_example.json": "{"},
        "",
        "FOLDER/input_example.json is not valid JSON",
    ),
    "Hugging Face without a plain file": (
        {"config.json": "{}", "a.onnx": "", "b.onnx": ""},
        "",
        "FOLDER has 2 ONNX files, none of them model.onnx; choose one with --file: a.onnx, b.onnx",
    ),
    "Hugging Face with gaps in its labels": (
        {"config.json": '{"id2label": {"0": "a", "2": "b"}}', "model.onnx": ""},
        "",
        ("FOLDER/config.json: found id2label {'0': 'a', '2': 'b'}, expected a label for each number from 0 on"),
    ),
    "Hugging Face with a label twice": (
        {"config.json": '{"id2label": {"0": "a", "1": "a"}}', "model.onnx": ""},
        "",
        "FOLDER/config.json: found the labels a, a, expected each once",
    ),
    "Triton, several models": (
        {"a/1/model.onnx": "", "b/1/model.onnx": ""},
        "",
        "FOLDER has the models a, b, expected one; choose a folder or a --file",
    ),
    "Triton, another backend": (
        {"1/model.onnx": "", "config.pbtxt": 'platform: "tensorrt_plan"'},
        "",
        "FOLDER/config.pbtxt is for tensorrt_plan, expected onnxruntime",
    ),
    "Triton, no configuration": (
        {"1/model.onnx": "", "config.pbtxt": "a: 1\nname = 3"},
        "",
        ("FOLDER/config.pbtxt, line 2: unexpected '= 3'; expected a configuration in protobuf's text format"),
    ),
    "Triton, no datatype": (
        {"1/model.onnx": "", "config.pbtxt": 'input { name: "x" dims: 1 }'},
        "",
        "FOLDER/config.pbtxt: found a tensor 'x' of no data_type, expected a name and one of TYPE_BOOL",
    ),
    "Triton, no labels": (
        {"1/model.onnx": "", "config.pbtxt": 'output { name: "x" data_type: TYPE_FP32 label_filename: "l.txt" }'},
        "",
        "FOLDER/config.pbtxt names the labels l.txt, but l.txt does not exist",
    ),
}


def written(folder: Path, files: FILES) -> Path:
    folder.mkdir()
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.encode(errors="surrogateescape"))
    return folder


@pytest.mark.parametrize("case", TAKEN)
def test_a_known_folder_gives_its_model_and_what_is_said_of_it(case: str, tmp_path: Path) -> None:
    files, file, expected = TAKEN[case]
    folder = written(tmp_path / "model", files)
    source = obtained(str(folder), file)
    notes = tuple(note.replace(str(folder), "FOLDER") for note in source.notes)
    assert Taken(str(source.path.relative_to(folder)), source.declared, notes) == expected


@pytest.mark.parametrize("case", REFUSED)
def test_any_other_folder_is_refused_with_a_sentence(case: str, tmp_path: Path) -> None:
    files, file, sentence = REFUSED[case]
    folder = written(tmp_path / "model", files)
    with pytest.raises(PilotlightError) as error:
        obtained(str(folder), file)
    assert str(error.value).replace(str(folder), "FOLDER").startswith(sentence) or sentence in str(error.value)


def test_a_file_is_taken_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "model.onnx"
    file.touch()
    assert obtained(str(file)).path == file
    with pytest.raises(PilotlightError, match=re.escape(f"{file} is a file; --file a chooses a file of a folder")):
        obtained(str(file), "a")
    with pytest.raises(
        PilotlightError, match="nowhere does not exist; expected a model file, a model folder, models:/"
    ):
        obtained("nowhere")


@pytest.mark.parametrize("name", DATATYPES)
def test_triton_names_every_datatype(name: str, tmp_path: Path) -> None:
    kind = "STRING" if name == "BYTES" else name
    config = f'input {{ name: "x" data_type: TYPE_{kind} dims: [] }}'
    source = obtained(str(written(tmp_path / "m", {"1/model.onnx": "", "config.pbtxt": config})))
    assert source.declared is not None
    assert source.declared.inputs[0].datatype.name == name
