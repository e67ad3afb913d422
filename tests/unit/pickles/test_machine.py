from __future__ import annotations

import pickle
import struct
import sys
from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from contextlib import suppress
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

import pickles
from pickles import (
    BUILD,
    EMPTY_TUPLE,
    MEMOIZE,
    NEWOBJ,
    NONE,
    REDUCE,
    TUPLE,
    attribute,
    call,
    integer,
    items,
    named,
    number,
    program,
    raw,
    text,
)
from pilotlight.errors import RuntimeMismatch, UnsafePickle
from pilotlight.pickles.loading import loads, scan
from pilotlight_cli.formats.admitted import admitted_globals
from properties import HealthCheck, given, settings, st

ADMITTED = admitted_globals()
EXECUTING = tuple(pickles.executing(Path("/nowhere")))

NDARRAY = named("numpy", "ndarray")
SCALAR = named("numpy._core.multiarray", "scalar")
BUFFER = named("numpy._core.numeric", "_frombuffer")
RIDGE = named("sklearn.linear_model._ridge", "Ridge")
MEAN = named("numpy", "mean")
FLOAT = call(named("numpy", "dtype"), text("f8"), b"\x89", b"\x88")
VOID = call(named("numpy", "dtype"), text("V8"), b"\x89", b"\x88")
OBJECT = call(named("numpy", "dtype"), text("O8"), b"\x89", b"\x88")
NEW_OBJECT = named("sklearn.metrics._dist_metrics", "newObj")
DISTANCE = named("sklearn.metrics._dist_metrics", "EuclideanDistance64")
LOSSES = "sklearn._loss._loss"
LOSS = named(LOSSES, "CyHalfMultinomialLoss")
UNPICKLE_LOSS = named(LOSSES, "__pyx_unpickle_CyHalfMultinomialLoss")
SEEDS = named("numpy.random.bit_generator", "SeedSequence")
EMPTY_ARRAY = call(named("numpy._core.multiarray", "_reconstruct"), NDARRAY, items(number(0)), raw(b"b"))


TREE = named("sklearn.tree._tree", "Tree")
# Strings and numbers as long lists hold them, which are read at once after a mark.
VALUES = pickles.MARK + b"".join(text(f"word {index}") + MEMOIZE + number(index) for index in range(10)) + TUPLE


def array_state(shape: tuple[int, ...], dtype: bytes, content: bytes) -> bytes:
    return items(number(1), items(*map(number, shape)), dtype, b"\x89", content)


def dtype_state(names: bytes, fields: bytes, size: int, flags: int) -> bytes:
    return items(number(3), text("|"), NONE, names, fields, number(size), number(1), number(flags))


CLASSES = (
    EMPTY_ARRAY + array_state((1,), call(named("numpy", "dtype"), text("i8"), b"\x89", b"\x88"), raw(b"a" * 8)) + BUILD
)
NO_SHAPE = EMPTY_ARRAY + array_state((), FLOAT, raw(b"a" * 8)) + BUILD


def refusal(data: bytes, allowed: Any = ADMITTED) -> str:
    with pytest.raises(UnsafePickle) as caught:
        loads(data, allowed)
    return str(caught.value)


# --- what executes


@pytest.mark.parametrize("name", EXECUTING)
def test_pickle_itself_is_fooled_by_the_catalogue(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    with suppress(Exception):  # the folder is made before whatever fails
        pickle.loads(pickles.executing(marker)[name])
    assert marker.exists()


@pytest.mark.parametrize("name", EXECUTING)
def test_nothing_in_the_catalogue_executes(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    hostile = pickles.executing(marker)[name]
    assert "byte" in refusal(hostile) or "protocol" in refusal(hostile)
    assert not marker.exists()


@pytest.mark.parametrize("name", EXECUTING)
def test_an_allow_list_cannot_grant_what_executes(name: str, tmp_path: Path) -> None:
    marker = tmp_path / "marker"

    class Everything(frozenset[str]):
        def __contains__(self, _: object) -> bool:
            return True

    refusal(pickles.executing(marker)[name], Everything())
    assert not marker.exists()


def test_a_forbidden_thing_is_recognised_under_another_name() -> None:
    name = "sklearn.feature_selection._base.attrgetter"
    assert "operator.attrgetter: never allowed" in refusal(program(named(*name.rsplit(".", 1))), {name})


def test_a_module_is_no_class_and_no_function() -> None:
    assert "is no class and no function" in refusal(program(named("sklearn.base", "np")), {"sklearn.base.np"})


def test_an_object_of_a_module_is_no_class_and_no_function() -> None:
    name = "sklearn.utils.validation.FLOAT_DTYPES"
    assert "is no class and no function" in refusal(program(named(*name.rsplit(".", 1))), {name})


# --- what the scan refuses


def test_a_scan_lists_names_in_order_and_once() -> None:
    data = program(items(named("numpy", "ndarray"), named("builtins", "set"), named("numpy", "ndarray")))
    assert scan(data) == ("builtins.set", "numpy.ndarray")


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_a_scan_finds_the_same_names_in_every_protocol(protocol: int) -> None:
    model = OrderedDict(a=np.float64(1.0), b=slice(1, 2))
    assert {"collections.OrderedDict", "builtins.slice", "numpy.dtype"} < set(scan(pickle.dumps(model, protocol)))


def test_a_new_frame_between_a_name_and_its_use_hides_nothing() -> None:
    second = b"\x95" + struct.pack("<Q", 2) + pickles.STACK_GLOBAL
    assert scan(program(text("numpy"), text("ndarray"), second)) == ("numpy.ndarray",)


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("opcode EXT1", program(b"\x82\x01")),
        ("opcode EXT2", program(b"\x83\x01\x00")),
        ("opcode EXT4", program(b"\x84\x01\x00\x00\x00")),
        ("opcode PERSID", program(b"Pname\n")),
        ("opcode BINPERSID", program(text("name"), b"Q")),
        ("opcode NEXT_BUFFER", program(b"\x97", protocol=5)),
        ("opcode READONLY_BUFFER", program(NONE, b"\x98", protocol=5)),
        ("opcode LONG4", program(b"\x8b" + struct.pack("<i", 300) + b"\x01" * 300)),
        ("opcode STRING", program(b"S'a'\n")),
        ("opcode DUP", program(NONE, b"2")),
        ("protocol 2, expected 3 to 5", program(NONE, protocol=2)),
        ("protocol 6, expected 3 to 5", program(NONE, protocol=6)),
        ("begins with its protocol", b"N."),
        ("begins with its protocol", b"\x80\x04\x80\x02N."),
        ("1 bytes follow the end", program(NONE) + b"N"),
        ("follow the end", program(NONE) + program(NONE)),
        ("not a complete pickle", program(NONE)[:-1]),
        ("not a complete pickle", b""),
        ("not a complete pickle", program(b"\x8e" + struct.pack("<Q", 2**62) + b"a")),
        ("not a complete pickle", program(b"B" + struct.pack("<I", 2**31) + b"a")),
        ("not a complete pickle", program(b"\x96" + struct.pack("<Q", 2**64 - 1), protocol=5)),
        ("not a complete pickle", program(b"\xff")),
        ("does not fit", program(b"\x95" + struct.pack("<Q", 2**40), NONE)),
        ("does not fit", program(b"\x95" + struct.pack("<Q", 11), b"\x95" + struct.pack("<Q", 1), NONE)),
        ("has the number 4294967295, expected 0", program(NONE, b"r" + struct.pack("<I", 2**32 - 1))),
        ("has the number 0, expected 1", program(NONE, MEMOIZE, b"q\x00")),
        ("has the number 12, expected 10", program(VALUES, b"q\x0c")),
        ("never stored", program(b"h\x05")),
        ("put together while loading", program(call(named("builtins", "str")), text("system"), pickles.STACK_GLOBAL)),
        ("put together while loading", program(items(text("os")), MEMOIZE, text("system"), pickles.STACK_GLOBAL)),
        (
            "put together while loading",
            program(items(text("posix")), MEMOIZE, b"0h\x00", text("x"), pickles.STACK_GLOBAL),
        ),
        ("a name without a dot", program(named("numpy", "ndarray.tofile"))),
        ("plain names", program(named("numpy", ""))),
        ("plain names", program(named("", "ndarray"))),
        ("plain names", program(named("numpy ", "ndarray"))),
        ("plain names", program(named("\uff4f\uff53", "system"))),
        ("plain names", program(b"cnumpy\nnd array\n", protocol=3)),
    ],
)
def test_a_scan_refuses(why: str, data: bytes) -> None:
    with pytest.raises(UnsafePickle, match=why):
        scan(data)


def test_a_refusal_names_the_type_the_byte_and_what_to_do() -> None:
    message = refusal(program(named("mypackage", "Rounded")))
    assert "mypackage.Rounded at byte 22" in message
    assert "--allow mypackage.Rounded" in message


def test_a_class_of_the_training_script_is_explained() -> None:
    assert "script that trained the model" in refusal(program(named("__main__", "Rounded")))


# --- what the machine refuses of allowed names


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("expected only to be named, not called", program(call(MEAN, items(number(1))))),
        ("expected only to be named, not called", program(call(named("builtins", "list"), items()))),
        ("not called: it is a function", program(call(named("sklearn.utils.validation", "check_array"), NONE))),
        ("its arguments are not those", program(call(named("numpy", "dtype"), text("f8"), b"\x89", b"\x89"))),
        ("its arguments are not those", program(call(named("numpy", "dtype"), text("O,f8"), b"\x89", b"\x88"))),
        (
            "its arguments are not those",
            program(
                call(named("numpy._core.multiarray", "_reconstruct"), NDARRAY, items(number(2**31 - 1)), raw(b"d"))
            ),
        ),
        ("its arguments are not those", program(call(SCALAR, OBJECT, raw(b"a" * 8)))),
        ("its arguments are not those", program(call(SCALAR, FLOAT, raw(b"a")))),
        ("its arguments are not those", program(call(BUFFER, raw(b"a" * 8), OBJECT, items(number(1)), text("C")))),
        (
            "its arguments are not those",
            program(call(named("numpy.random._pickle", "__randomstate_ctor"), text("a"), named("builtins", "str"))),
        ),
        ("does not fit", program(EMPTY_ARRAY + array_state((3,), OBJECT, b"](" + text("a") + b"e") + BUILD)),
        ("does not fit", program(EMPTY_ARRAY + array_state((2**30, 2**30), FLOAT, raw(b"")) + BUILD)),
        ("does not fit", program(EMPTY_ARRAY + array_state((1,), OBJECT, raw(b"a" * 8)) + BUILD)),
        ("is its version, shape", program(EMPTY_ARRAY + array_state((-1,), FLOAT, raw(b"")) + BUILD)),
        (
            "not one that numpy writes",
            program(VOID + dtype_state(items(text("a")), attribute("a", items(OBJECT, number(0))), 8, 0) + BUILD),
        ),
        (
            "not one that numpy writes",
            program(VOID + dtype_state(items(text("a")), attribute("a", items(FLOAT, number(8000))), 8, 0) + BUILD),
        ),
        ("expected only partial", program(call(named("functools", "partial"), MEAN))),
        ("objects of this class", program(NDARRAY + items(number(5)) + NEWOBJ)),
        (
            "expected no arguments",
            program(RIDGE + items(number(5)) + NEWOBJ),
        ),
        ("expected a class", program(MEAN + EMPTY_TUPLE + NEWOBJ)),
        ("calls an object of type int", program(number(1) + EMPTY_TUPLE + REDUCE)),
        ("changes sklearn.linear_model", program(RIDGE + b"N" + attribute("predict", MEAN) + b"\x86" + BUILD)),
        ("changes numpy.mean", program(MEAN + attribute("owner", NONE) + BUILD)),
        ("changes an object of type list", program(b"]" + attribute("a", NONE) + BUILD)),
        ("items are set in sklearn", program(RIDGE + text("a") + NONE + b"s")),
        ("items are added to sklearn", program(RIDGE + text("a") + b"a")),
        ("items are added to an object of type list", program(b"](" + text("a") + b"\x90")),
        ("expected a class of the module that rebuilds it", program(call(NEW_OBJECT, RIDGE + EMPTY_TUPLE + NEWOBJ))),
        ("expected a class of the module that rebuilds it", program(call(NEW_OBJECT, RIDGE))),
        ("expected a class of the module that rebuilds it", program(call(NEW_OBJECT))),
        ("expected one class", program(call(NEW_OBJECT, DISTANCE, DISTANCE))),
        ("expected its own class, a checksum", program(call(UNPICKLE_LOSS, LOSS, number(1)))),
        ("expected a class of the module that rebuilds it", program(call(UNPICKLE_LOSS, RIDGE, number(1), NONE))),
        ("expected its own class", program(call(UNPICKLE_LOSS, named(LOSSES, "CyHuberLoss"), number(1), NONE))),
        ("like __array", program(call(UNPICKLE_LOSS, LOSS, number(1), items(attribute("__array_struct__", NONE))))),
        ("called with numbers and arrays", program(call(RIDGE))),
        ("called with numbers and arrays", program(call(named("sklearn.utils._bunch", "Bunch")))),
        ("called with numbers and arrays", program(call(named(LOSSES, "CyHuberLoss"), RIDGE + EMPTY_TUPLE + NEWOBJ))),
        (
            "its own class",
            program(call(named("numpy.random.bit_generator", "__pyx_unpickle_SeedSequence"), SEEDS, NONE)),
        ),
        ("a number of classes for each output", program(call(TREE, number(1), CLASSES, number(10**6)))),
        ("a number of classes for each output", program(call(TREE, number(1), CLASSES))),
        ("a number of classes for each output", program(call(TREE, number(1), number(1), number(1)))),
        ("a list of nodes", program(call(TREE, number(1), CLASSES, number(1)) + attribute("nodes", NO_SHAPE) + BUILD)),
        ("leaves 2 objects behind", program(NONE, NONE)),
        ("leaves 0 objects behind", program(pickles.MARK)),
        ("IndexError", program(b"\x85")),
        ("unhashable", program(b"}]N" + b"s")),
    ],
)
def test_an_allowed_name_is_not_used_as_no_model_does(why: str, data: bytes) -> None:
    assert why in refusal(data)


def test_the_state_of_an_object_is_set_once() -> None:
    state = array_state((1,), FLOAT, raw(b"a" * 8))
    assert loads(program(EMPTY_ARRAY + state + BUILD), ADMITTED).shape == (1,)
    assert "just made" in refusal(program(EMPTY_ARRAY + state + BUILD + state + BUILD))


@pytest.mark.parametrize("again", ["the bytes", "the whole state"])
def test_bytes_are_those_of_one_array(again: str) -> None:
    """numpy does not copy them: what was checked in one array could be changed through the other."""
    state = pickles.MARK + number(1) + items(number(1)) + FLOAT + b"\x89" + raw(b"a" * 8) + MEMOIZE + b"t" + MEMOIZE
    other = b"h\x01" if again == "the whole state" else array_state((1,), FLOAT, b"h\x00")
    assert loads(program(EMPTY_ARRAY + state + BUILD), ADMITTED).shape == (1,)
    assert "those of another array" in refusal(program(EMPTY_ARRAY + state + BUILD, EMPTY_ARRAY + other + BUILD))


@pytest.mark.parametrize("content", [raw(b"a" * 8), b"\x96" + struct.pack("<Q", 8) + b"a" * 8])
def test_a_buffer_is_that_of_one_array(content: bytes) -> None:
    arrays = [call(BUFFER, part, FLOAT, items(number(1)), text("C")) for part in (content + MEMOIZE, b"h\x00")]
    assert loads(program(arrays[0], protocol=5), ADMITTED).shape == (1,)
    assert "those of another array" in refusal(program(*arrays, protocol=5))


def test_an_object_gets_no_attributes_that_python_looks_up_itself() -> None:
    optimizer = named("sklearn.neural_network._stochastic_optimizers", "AdamOptimizer") + EMPTY_TUPLE + NEWOBJ
    assert loads(program(optimizer + attribute("t", number(1)) + BUILD), ADMITTED).t == 1
    assert "no attribute with a name like __class__" in refusal(
        program(optimizer + attribute("__class__", NONE) + BUILD)
    )
    slots = NONE + attribute("__class__", named("builtins", "object")) + b"\x86"
    assert "no attribute with a name like __class__" in refusal(program(optimizer + slots + BUILD))
    number_named = b"}" + number(1) + NONE + b"s"
    assert "strange attributes" in refusal(program(optimizer + number_named + BUILD))


@pytest.mark.parametrize("state", [attribute("__array__", NONE), items(attribute("__array__", NONE), NONE)])
@pytest.mark.parametrize("kind", ["sklearn.linear_model._ridge.Ridge", "sklearn.isotonic.IsotonicRegression"])
def test_a_state_that_its_class_sets_itself_gives_no_such_attributes_either(state: bytes, kind: str) -> None:
    made = named(*kind.rsplit(".", 1)) + EMPTY_TUPLE + NEWOBJ
    assert "no attribute with a name like __array__" in refusal(program(made + state + BUILD))


def test_an_attribute_that_a_class_makes_of_a_pair_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("pairs")
    module.Pairs = type("Pairs", (BaseEstimator,), {"__module__": "pairs"})  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pairs", module)
    pairs = b"](" + items(text("__array_interface__"), b"}") + b"e"
    made = named("pairs", "Pairs") + EMPTY_TUPLE + NEWOBJ
    assert "like __array_interface__" in refusal(program(made + pairs + BUILD), {"pairs.Pairs"})


def test_the_items_of_a_bunch_are_attributes() -> None:
    bunch = named("sklearn.utils._bunch", "Bunch") + EMPTY_TUPLE + NEWOBJ
    assert loads(program(bunch + text("a") + number(1) + b"s"), ADMITTED).a == 1
    assert "like __array_struct__" in refusal(program(bunch + text("__array_struct__") + NONE + b"s"))


def test_words_of_a_vocabulary_may_have_any_name() -> None:
    texts = CountVectorizer().fit(["__init__ __array__ of"])
    found = loads(pickle.dumps([texts, OrderedDict(__init__=1)], 5), ADMITTED)
    assert found[0].vocabulary_ == texts.vocabulary_


def test_a_name_without_its_package_is_a_mismatch() -> None:
    with pytest.raises(RuntimeMismatch, match=r"nosuchpackage\.Model, which is not installed"):
        loads(program(named("nosuchpackage", "Model")), {"nosuchpackage.Model"})


def test_nothing_is_imported_unless_all_names_are_allowed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_for_once.py").write_text("raise AssertionError('it was imported')\nModel = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    data = program(items(named("imported_for_once", "Model"), named("mypackage", "Other")))
    assert "mypackage.Other" in refusal(data, {"imported_for_once.Model"})


# --- what would take for ever


def doubled(levels: int) -> bytes:
    """Return a tuple that holds the one before twice, so many times."""
    parts = [EMPTY_TUPLE + MEMOIZE]
    parts += [b"h" + bytes([level]) + b"\x86" + MEMOIZE for level in range(levels)]
    return b"".join(parts)


def test_tuples_that_double_are_refused_before_they_are_hashed() -> None:
    assert "nested too deep" in refusal(program(doubled(60)))
    assert "key" in refusal(program(b"}" + doubled(10) + NONE + b"s"))


LONG = call(named("builtins", "range"), integer(2**40))
MANY = call(named("builtins", "range"), number(1_000_000))
COLUMNLESS = array_state((2**31 - 1, 0), FLOAT, raw(b""))
NOTHING = call(named("numpy", "dtype"), text("V0"), b"\x89", b"\x88")


@pytest.mark.parametrize(
    ("why", "data"),
    [
        ("a range of at most 1000000 numbers", program(LONG)),
        (
            "a range of at most 1000000 numbers",
            program(call(named("builtins", "range"), integer(-(2**70)), integer(2**70))),
        ),
        ("not handed to a call", program(call(named("builtins", "set"), MANY))),
        ("not handed to a call", program(call(named("builtins", "frozenset"), MANY))),
        ("not handed to a call", program(call(named("collections", "Counter"), MANY))),
        ("not handed to a call", program(call(named("collections", "deque"), MANY))),
        ("expected only to be named", program(call(named("builtins", "bytes"), integer(2**40)))),
        ("without an exponent", program(call(named("fractions", "Fraction"), text("1e999999999")))),
        ("is its version, shape", program(EMPTY_ARRAY + COLUMNLESS + BUILD)),
        ("does not fit", program(EMPTY_ARRAY + array_state((2**31 - 1,), NOTHING, raw(b"")) + BUILD)),
        ("its arguments are not", program(call(BUFFER, raw(b""), NOTHING, items(number(2**31 - 1)), text("C")))),
    ],
)
def test_a_few_bytes_do_not_stand_for_millions_of_objects(why: str, data: bytes) -> None:
    assert why in refusal(data, ADMITTED | {"collections.deque", "fractions.Fraction"})


@pytest.mark.parametrize(
    "value",
    [
        range(5),
        range(1_000_000),
        range(10, 0, -3),
        Counter("aab"),
        Fraction(-1, 3),
        deque(maxlen=4),
        {1, 2},
        np.zeros((9, 0)),
    ],
)
@pytest.mark.parametrize("protocol", [3, 5])
def test_what_looks_like_it_and_is_small_comes_back(value: Any, protocol: int) -> None:
    allowed = ADMITTED | {"collections.deque", "fractions.Fraction"}
    assert repr(loads(pickle.dumps(value, protocol), allowed)) == repr(value)


def test_a_deep_nest_of_tuples_is_refused() -> None:
    assert "nested too deep" in refusal(program(EMPTY_TUPLE + b"\x85" * 100_000))


def test_a_deep_nest_of_lists_loads_without_recursion() -> None:
    nest = loads(program(b"]" * 50_000 + b"a" * 49_999), ())
    for _ in range(49_999):
        (nest,) = nest
    assert nest == []


# --- what loads


@pytest.mark.parametrize("protocol", [3, 4, 5])
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
        lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
        max_leaves=20,
    )
)
@settings(max_examples=60, deadline=None)
def test_plain_data_comes_back(protocol: int, value: object) -> None:
    assert loads(pickle.dumps(value, protocol), ()) == value


@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_long_lists_and_dictionaries_come_back(protocol: int) -> None:
    words = [f"{'word' * (index % 20)} {index}" for index in range(3_000)]
    mixed = [*words[:9], None, True, 1.5, 2**40, b"x", 2.5, *range(50), words, words[5]]
    value = {"columns": dict(zip(words, range(-9, 70_000, 10), strict=False)), "again": words[::7], "mixed": mixed}
    found = loads(pickle.dumps(value, protocol), ())
    assert found == value
    assert found["mixed"][-1] is found["mixed"][-2][5]


def test_a_name_after_values_that_are_read_at_once_is_found() -> None:
    data = program(pickles.MARK, *[text("a") + MEMOIZE] * 9, text("numpy") + MEMOIZE, text("ndarray"), MEMOIZE)
    data = data[:-1] + pickles.STACK_GLOBAL + TUPLE + pickles.STOP
    assert scan(data) == ("numpy.ndarray",)
    assert loads(data, ADMITTED) == (*"a" * 9, np.ndarray)


def test_plain_data_that_holds_itself_comes_back() -> None:
    loop: list[Any] = [1]
    loop.append((loop, {"loop": loop}))
    found = loads(pickle.dumps(loop, 5), ())
    assert found[1][0] is found
    assert found[1][1]["loop"] is found


def test_sets_and_bytes_come_back() -> None:
    value = {"a": {1, (2, 3)}, "b": frozenset([b"x" * 300]), "c": bytearray(b"y"), "d": slice(1, 2), "e": "é" * 200}
    assert loads(pickle.dumps(value, 5), ADMITTED) == value


@pytest.mark.parametrize(
    "value",
    [
        np.arange(12.0).reshape(3, 4)[:, ::2],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.array(["a", None, 1.5], dtype=object),
        np.array(["ä", "beta"]),
        np.array([b"a", b"bc"]),
        np.array([(1, 2.0)], dtype=[("a", ">i4"), ("b", "f8")]),
        np.zeros(2, np.dtype([("a", "u1"), ("b", "f8")], align=True)),
        np.zeros(2, np.dtype(("f4", (2,)))),
        np.array(["2026-01-01"], "M8[D]"),
        np.float64(1.5),
        np.str_("a"),
        np.bool_(True),
        np.array(7),
        np.zeros((0, 3)),
    ],
)
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_arrays_and_scalars_come_back(value: Any, protocol: int) -> None:
    found = loads(pickle.dumps(value, protocol), ADMITTED)
    assert found.dtype == value.dtype
    np.testing.assert_array_equal(found, value)


def test_an_empty_string_comes_back_as_numpy_1_writes_it() -> None:
    dtype = call(named("numpy", "dtype"), text("U0"), b"\x89", b"\x88")
    assert loads(program(call(SCALAR, dtype, raw(b""))), ADMITTED) == ""
    with pytest.raises(UnsafePickle, match="does not fit"):
        loads(program(EMPTY_ARRAY + array_state((2,), dtype, raw(b"")) + BUILD), ADMITTED)


def test_a_random_generator_comes_back() -> None:
    generator = np.random.default_rng(1)
    assert loads(pickle.dumps(generator), ADMITTED).random() == generator.random()


# --- whatever the bytes are


def _model() -> bytes:
    points, classes = np.random.RandomState(0).rand(20, 3), np.tile(["a", "b"], 10)
    tree = make_pipeline(StandardScaler(), DecisionTreeClassifier(max_depth=2)).fit(points, classes)
    texts = CountVectorizer().fit(["hot day", "cold day"])
    return pickle.dumps([tree, LogisticRegression().fit(points, classes), texts], 5)


MODEL = _model()


@settings(
    max_examples=250, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(data=st.data())
def test_altered_bytes_load_or_are_refused(data: st.DataObject, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    sources = [MODEL, *pickles.executing(marker).values()]
    altered = bytearray(data.draw(st.sampled_from(sources)))
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(altered)))
        part = data.draw(st.binary(max_size=3) | st.sampled_from(sources).map(lambda source: source[2:40]))
        altered[at : at + data.draw(st.integers(0, 3))] = part
    with suppress(UnsafePickle):
        loads(bytes(altered), ADMITTED)
    assert not marker.exists()


_BARE = [bytes([code]) for code in b"\x88]})\x8f(t\x85\x86\x87aesu\x90\x91\x9401N"]
_RUN = b"".join(text(letter) + MEMOIZE + b"K\x07" for letter in "abcde")
_WITH_ARGUMENTS = [b"h\x00", b"h\x01", b"q\x00", b"q\x01", text("a"), number(7), raw(b"x"), b"\x8a\x01\x05", _RUN]
OPCODES = st.sampled_from([*_BARE, *_WITH_ARGUMENTS])


@settings(max_examples=400, deadline=None)
@given(st.lists(OPCODES, max_size=14))
def test_a_program_gives_what_pickle_gives_or_is_refused(parts: list[bytes]) -> None:
    data = program(*parts)

    def outcome(load: Callable[[bytes], object]) -> str:
        try:
            return repr(load(data))
        except (UnsafePickle, RecursionError):
            return ""

    found = outcome(lambda content: loads(content, ()))
    assert not found or found == outcome(pickle.loads)
