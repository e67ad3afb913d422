"""What --allow grants of packages that no list knows: estimators and the classes of their data, never a function."""

from __future__ import annotations

import json
import pickle
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, normalize

import pickles
from estimators import POINTS, VALUES, with_schema
from pickles import attribute, call, items, named, program, text
from pilotlight.errors import UnsafePickle
from pilotlight.pickles.forbidden import objection
from pilotlight.pickles.loading import loads, scan
from pilotlight.runtimes.sklearn import parse
from pilotlight_cli.formats.admitted import admitted_globals

PACKAGE = """
import subprocess
from pathlib import Path
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.gaussian_process.kernels import RBF

class Table:
    def __init__(self, marker=None):
        if marker:
            Path(marker).mkdir()

class Scaled(BaseEstimator, TransformerMixin):
    def __init__(self, marker=None):
        if marker:
            Path(marker).mkdir()
    def fit(self, X, y=None):
        self.table_ = Table()
        return self
    def transform(self, X):
        return X * 2

class Duck:
    def fit(self, X, y=None): return self
    def get_params(self, deep=True): return {}
    def predict(self, X): return X[:, 0]

class Waves(RBF): pass

class Runner:
    def __call__(self, X): return X

class Meta(type): pass

class Odd(metaclass=Meta):
    def __call__(self): pass

def doubled(X): return X * 2

def __pyx_unpickle_Table(kind, checksum, state): return kind.__new__(kind)

instance = Runner()
"""
WITHOUT_ESTIMATOR = """
class Table: pass

def __pyx_unpickle_Table(kind, checksum, state): return kind.__new__(kind)
"""


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    """`ownmodel`, which brings estimators, beside `ownhelpers`, which brings none."""
    (tmp_path / "ownmodel.py").write_text(PACKAGE)
    (tmp_path / "ownhelpers.py").write_text(WITHOUT_ESTIMATOR)
    monkeypatch.syspath_prepend(tmp_path)
    yield import_module("ownmodel")
    for name in ("ownmodel", "ownhelpers"):
        sys.modules.pop(name, None)


def refusal(data: bytes, *allowed: str, form: str = "pickle") -> str:
    with pytest.raises(UnsafePickle) as caught:
        parse(data, form, (*admitted_globals(), *allowed))
    return str(caught.value)


def asks_for(name: str) -> bytes:
    return program(named(*name.rsplit(".", 1)))


# --- by kind


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ownmodel.doubled", "is a function of another package"),
        ("ownmodel.instance", "is a function of another package"),
        ("ownmodel.Runner", "objects can be called"),
        ("ownmodel.Meta", "objects can be called"),
        ("ownmodel.Odd", "objects can be called"),
        ("ownmodel.subprocess", "is no class and no function"),
        ("ownmodel.BaseEstimator.fit", "a name without a dot|which is not installed"),
        ("ownhelpers.Table", "gives the model no estimator"),
        ("ownhelpers.__pyx_unpickle_Table", "is a function of another package"),
        ("chevron.render", "is a function of another package"),
        ("chevron.renderer.render", "is a function of another package"),
        ("docker.client.DockerClient", "gives the model no estimator"),
        ("hypothesis.given", "is a function of another package"),
        ("markupsafe.Markup", "gives the model no estimator"),
        ("packaging.version.Version", "gives the model no estimator"),
    ],
)
@pytest.mark.usefixtures("package")
def test_what_may_run_anything_is_refused_whatever_it_is_called(name: str, why: str) -> None:
    message = refusal_of(name)
    assert any(part in message for part in why.split("|"))


def refusal_of(name: str) -> str:
    with pytest.raises(Exception, match=r"byte|installed") as caught:
        parse(asks_for(name), "pickle", [name, "ownmodel.Scaled"])
    return str(caught.value)


@pytest.mark.parametrize("name", ["Scaled", "Duck", "Waves", "Table"])
def test_estimators_and_the_classes_of_their_data_may_be_allowed(name: str, package: ModuleType) -> None:
    allowed = {f"ownmodel.{name}", "ownmodel.Scaled"}
    assert loads(asks_for(f"ownmodel.{name}"), allowed) is getattr(package, name)


def test_a_class_of_data_needs_an_estimator_beside_it(package: ModuleType) -> None:
    assert "gives the model no estimator" in refusal(asks_for("ownmodel.Table"), "ownmodel.Table")
    assert objection("ownmodel.Table", package.Table, ["ownmodel.Table", "ownmodel.nothing", "nowhere.Scaled"])


def test_a_refusal_says_what_to_do_instead_of_a_function(package: ModuleType) -> None:
    data = pickle.dumps(make_pipeline(FunctionTransformer(package.doubled), Ridge()).fit(POINTS, VALUES))
    assert "Write what it does as a transformer, a class with fit and transform" in refusal(data, "ownmodel.doubled")


def test_a_model_with_an_estimator_of_another_package_loads(package: ModuleType) -> None:
    model = make_pipeline(package.Scaled(), Ridge()).fit(POINTS, VALUES)
    data = pickle.dumps(model)
    assert {"ownmodel.Scaled", "ownmodel.Table"} <= set(scan(data))
    found = parse(data, "pickle", scan(data))
    np.testing.assert_array_equal(found.predict(POINTS), model.predict(POINTS))


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # numpy's of its old names
def test_nothing_that_is_shipped_is_refused_by_kind() -> None:
    wrong, found = [], 0
    for name in sorted(admitted_globals()):
        module, _, attribute = name.rpartition(".")
        try:
            thing = getattr(import_module(module), attribute)
        except (ImportError, AttributeError):  # of another version
            continue
        found += 1
        wrong += [name] if objection(name, thing, admitted_globals()) else []
    assert wrong == []
    assert found > 400


# --- by use


@pytest.mark.parametrize("name", ["ownmodel.Scaled", "ownmodel.Table"])
@pytest.mark.usefixtures("package")
def test_a_class_of_another_package_is_not_called(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    data = program(call(named(*name.rsplit(".", 1)), text(str(marker))))
    assert "made without its constructor" in refusal(data, name, "ownmodel.Scaled")
    data = program(named(*name.rsplit(".", 1)) + items(text(str(marker))) + pickles.NEWOBJ)
    assert "expected no arguments" in refusal(data, name, "ownmodel.Scaled")
    assert not marker.exists()


def test_cython_s_own_function_rebuilds_its_class(package: ModuleType) -> None:
    allowed = {"ownmodel.__pyx_unpickle_Table", "ownmodel.Scaled", "ownmodel.Table"}
    rebuilt = call(named("ownmodel", "__pyx_unpickle_Table"), named("ownmodel", "Table"), pickles.NONE, pickles.NONE)
    assert type(loads(program(rebuilt), allowed)) is package.Table


# --- the same names in skops files


def skops_file(model: Any, change: Callable[[Any], object] = id) -> bytes:
    def changed(text: str) -> str:
        schema = json.loads(text)
        change(schema)
        return json.dumps(schema)

    return with_schema(skops.io.dumps(model), changed)


def normalized() -> Any:
    model = make_pipeline(FunctionTransformer(normalize), Ridge()).fit(POINTS, VALUES)
    model.extra_ = {"key": [1, 2]}
    return model


NORMALIZE = "sklearn.preprocessing._data.normalize"


def test_a_function_of_scikit_learn_is_a_value_in_a_skops_file() -> None:
    found = parse(skops_file(normalized()), "skops", [NORMALIZE])
    assert found[0].func is normalize


def extra(schema: Any) -> Any:
    return schema["content"]["content"]["extra_"]


def as_list(schema: Any) -> None:
    extra(schema)["content"]["key"] |= {"__module__": "sklearn.preprocessing._data", "__class__": "normalize"}


def as_key_type(schema: Any) -> None:
    extra(schema)["key_types"]["content"][0] |= {"__module__": "sklearn.preprocessing._data", "__class__": "normalize"}


def as_known_key_type(schema: Any) -> None:
    schema["content"]["content"] = {"first": function(7), **schema["content"]["content"]}
    extra(schema)["key_types"]["content"][0]["__id__"] = 7


def function(identity: int) -> dict[str, Any]:
    module, _, name = NORMALIZE.rpartition(".")
    return {"__module__": module, "__class__": name, "__loader__": "FunctionNode", "__id__": identity}


def as_only_key_type(schema: Any) -> None:
    as_key_type(schema)
    extra(schema)["key_types"]["content"][0]["__id__"] = 7


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (as_list, f"a ListNode of {NORMALIZE}, which no model needs"),
        (as_key_type, "the id of a TypeNode of builtins.str on another node"),
        (as_known_key_type, "on another node"),
        (as_only_key_type, f"would call {NORMALIZE}"),
    ],
)
def test_a_skops_file_calls_no_function(change: Any, why: str) -> None:
    assert why in refusal(skops_file(normalized(), change), NORMALIZE, form="skops")


def test_a_skops_file_calls_no_class_of_another_package(package: ModuleType, tmp_path: Path) -> None:
    model = make_pipeline(package.Scaled(), Ridge()).fit(POINTS, VALUES)
    assert type(parse(skops_file(model), "skops", ["ownmodel.Scaled", "ownmodel.Table"])[0]) is package.Scaled

    model.extra_ = {"key": [str(tmp_path / "marker")]}
    data = skops_file(model, lambda schema: extra(schema)["content"]["key"].update(node("ownmodel", "Table")))
    assert "would call ownmodel.Table" in refusal(data, "ownmodel.Scaled", "ownmodel.Table", form="skops")


def node(module: str, name: str) -> dict[str, str]:
    return {"__module__": module, "__class__": name}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("ownmodel.doubled", "is a function of another package"),
        ("ownhelpers.Table", "gives the model no estimator"),
        ("sklearn.feature_selection._base.attrgetter", "is operator.attrgetter: never allowed"),
        ("attr.make_class", "can run or load anything"),
    ],
)
@pytest.mark.usefixtures("package")
def test_a_skops_file_is_held_to_the_same_kinds(name: str, why: str) -> None:
    model = make_pipeline(FunctionTransformer(normalize), Ridge()).fit(POINTS, VALUES)
    module, _, attribute = name.rpartition(".")
    names = {'"sklearn.preprocessing._data"': f'"{module}"', '"normalize"': f'"{attribute}"'}
    data = with_schema(skops.io.dumps(model), lambda schema: renamed(schema, names))
    assert why in refusal(data, name, form="skops")


def renamed(schema: str, names: dict[str, str]) -> str:
    for old, new in names.items():
        schema = schema.replace(old, new)
    return schema


def test_attributes_are_set_on_an_object_of_another_package_alone(package: ModuleType) -> None:
    made = named("ownmodel", "Duck") + pickles.EMPTY_TUPLE + pickles.NEWOBJ
    found = loads(program(made + attribute("a", pickles.NONE) + pickles.BUILD), {"ownmodel.Duck"})
    assert type(found) is package.Duck
    assert found.a is None
