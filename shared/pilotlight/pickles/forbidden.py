"""Names that no allow-list may grant, because a pickle that asks for one can run anything.

The first rule is by name: the standard library, numpy and scipy are closed except for what rebuilds data, scikit-learn
is open except for the modules that download, execute or load, and packages known to execute or load are closed. The
second is by kind and needs the object itself: of all other packages, a model may use estimators and the plain classes
of their data, never a function. PyPI cannot be listed, but what compiles, runs or loads is no such class.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Collection
from importlib import import_module
from types import BuiltinFunctionType, MethodType, ModuleType
from typing import Final

from pilotlight.model.lock import GLOBAL

_GONE = """__builtin__ __main__ __mp_main__ _bootsubprocess asynchat asyncore audioop aifc cgi cgitb chunk commands
    compression copy_reg cPickle cStringIO crypt distutils dummy_threading formatter imghdr imp lib2to3 macpath
    mailcap msilib new nis nntplib ossaudiodev parser pipes popen2 smtpd sndhdr spwd sunau symbol telnetlib test
    urllib2 urlparse uu xdrlib"""

_LOADERS = """IPython _distutils_hack _pytest attr attrs autofeat autogluon awslambdaric boto3 botocore cffi click
    cloudpickle cupy cython dask dill distributed django execnet fabric fickling flask fsspec functions_framework
    gevent google gunicorn h2o h5py httpx huggingface_hub hydra ipykernel jax jinja2 joblib jsonpickle keras klepto
    lightning llvmlite loky mako matplotlib mlflow multiprocess narwhals nltk numba numexpr numpydoc onnx
    onnxruntime pandas paramiko pathos pexpect pilotlight pilotlight_cli pip pkg_resources plumbum polars ppft
    psutil ptyprocess pyarrow pycaret pydantic pyspark pytest ray requests ruamel scikeras setuptools sh skl2onnx
    skops skorch spacy sqlalchemy sympy tensorflow threadpoolctl torch tpot transformers twisted typer urllib3 uv
    uvloop werkzeug wheel yaml zmq"""

_CLOSED: Final = frozenset({*sys.stdlib_module_names, *_GONE.split(), *_LOADERS.split()})
_LIBRARIES: Final = frozenset({"_loss", "numpy", "scipy", "sklearn"})  # scikit-learn 1.5 has a module called _loss

# Harmless names of closed packages, which hold data or make it from numbers and bytes. Gradient boosting with
# categories needs functools.partial; pickles/rules.py allows it that one use.
_DATA = """builtins.bool builtins.bytes builtins.complex builtins.dict builtins.float
    builtins.frozenset builtins.int builtins.list builtins.object builtins.range builtins.set builtins.slice
    builtins.str builtins.tuple collections.Counter collections.OrderedDict collections.defaultdict collections.deque
    datetime.date datetime.datetime datetime.time datetime.timedelta datetime.timezone
    decimal.Decimal fractions.Fraction functools.partial uuid.UUID"""
_HARMLESS: Final = frozenset(_DATA.split())

_NUMBERS = """abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh average cbrt ceil clip cos cosh
    cumprod cumsum deg2rad degrees diff divide exp exp2 expm1 fabs floor fmax fmin isfinite isinf isnan log log10 log1p
    log2 logical_not max maximum mean median min minimum mod multiply nan_to_num nanmax nanmean nanmedian nanmin nanstd
    nansum nanvar negative positive power prod ptp rad2deg radians reciprocal remainder rint round sign sin sinh sqrt
    square std subtract sum tan tanh true_divide trunc var amax amin"""
_SPECIAL = """erf erfc erfinv exp10 exp2 expit expm1 gamma gammaln log1p log_expit log_ndtr logit loggamma logsumexp
    ndtr ndtri softmax xlog1py xlogy boxcox boxcox1p inv_boxcox inv_boxcox1p"""
_SCALARS = """bool bool_ byte bytes_ cdouble character clongdouble complex128 complex256 complex64 complexfloating
    csingle datetime64 double flexible float128 float16 float32 float64 floating generic half inexact int16 int32
    int64 int8 intc integer intp long longdouble longlong number object_ short signedinteger single str_ timedelta64
    ubyte uint uint16 uint32 uint64 uint8 uintc uintp ulong ulonglong unsignedinteger ushort void int_ float_
    unicode_ string_"""


def _any(words: str) -> str:
    return f"({'|'.join(words.split())})"


_NUMPY: Final = re.compile(
    "|".join(
        (
            rf"numpy\.({_any(_SCALARS)}|ndarray|dtype|matrix)",
            rf"numpy\.((_?core)\.(_multiarray_umath|umath|fromnumeric)\.)?{_any(_NUMBERS)}",
            r"numpy\.dtypes\.[A-Z][A-Za-z0-9]*DType",
            r"numpy\._?core\.multiarray\.(_reconstruct|scalar)",
            r"numpy\._?core\.numeric\._frombuffer",
            r"numpy\.matrixlib\.defmatrix\.matrix",
            r"numpy\.ma(\.core)?\.(MaskedArray|_mareconstruct)",
            r"numpy\.random\._pickle\.__(randomstate|generator|bit_generator)_ctor",
            r"numpy\.random\._(mt19937\.MT19937|pcg64\.PCG64(DXSM)?|philox\.Philox|sfc64\.SFC64)",
            r"numpy\.random\.bit_generator\.(SeedSequence|__pyx_unpickle_SeedSequence)",
            r"numpy\.random\.mtrand\.RandomState",
            r"numpy\.random\._generator\.Generator",
        )
    )
)
_SCIPY: Final = re.compile(
    "|".join(
        (
            r"scipy\.sparse(\._?[a-z]+)?\.(bsr|coo|csc|csr|dia|lil)_(matrix|array)",
            rf"scipy\.special(\._(special_)?ufuncs|\._basic|\._logsumexp)?\.{_any(_SPECIAL)}",
            r"scipy\.interpolate\._bsplines\.BSpline",
        )
    )
)
_SKLEARN: Final = re.compile(
    r"sklearn\.(__check_build|_build_utils|_config|_distributor_init|_min_dependencies|callback|conftest|datasets"
    r"|experimental|externals|utils\._(estimator_html_repr|joblib|mocking|openmp_helpers|optional_dependencies|plotting"
    r"|pprint|repr_html|set_output|show_versions|test_common|testing)|utils\.(discovery|estimator_checks|parallel))"
    r"(\..*)?"
)
_PRIVATE = re.compile(r"__(?!pyx_unpickle_|(randomstate|generator|bit_generator)_ctor$)")


def forbidden(name: str) -> bool:
    """Return whether a `module.name` may never be granted, not even by --allow."""
    if not re.fullmatch(GLOBAL, name):
        return True
    module, _, attribute = name.rpartition(".")
    parts = module.split(".")
    if _PRIVATE.match(attribute) or any(
        part in ("__main__", "conftest", "_testing", "testing", "tests") for part in parts
    ):
        return True
    if parts[0] == "numpy":
        return not _NUMPY.fullmatch(name)
    if parts[0] == "scipy":
        return not _SCIPY.fullmatch(name)
    if parts[0] == "sklearn":
        return _SKLEARN.fullmatch(module) is not None
    return parts[0] in _CLOSED and name not in _HARMLESS


def is_foreign(name: str) -> bool:
    """Return whether a `module.name` is of a package that has no list of names here."""
    root = name.partition(".")[0]
    return root != "" and root not in _CLOSED and root not in _LIBRARIES


def objection(name: str, found: object, allowed: Collection[str]) -> str:
    """Return why a model may not use the object of an allowed `name`, or "" if it may. `allowed` is the whole list.

    Import the other allowed names of other packages, to find which packages have estimators.
    """
    bound = getattr(found, "__self__", None) if isinstance(found, BuiltinFunctionType) else None
    plain = isinstance(found, type) or (callable(found) and not isinstance(found, MethodType))
    if not plain or not (bound is None or isinstance(bound, ModuleType)):
        return "is no class and no function"
    home = _home(found)
    if home and forbidden(home):
        return f"is {home}: never allowed"
    return _foreign_objection(name, home or name, found, allowed) if is_foreign(name) or is_foreign(home) else ""


def _foreign_objection(name: str, home: str, found: object, allowed: Collection[str]) -> str:
    known = isinstance(found, type) and _is_estimator(found)
    if known or (is_rebuild(name) and _has_estimator(home, allowed)):
        return ""
    if not isinstance(found, type):
        return (
            "is a function of another package than numpy, scipy and scikit-learn, which may run or load anything. "
            "Write what it does as a transformer, a class with fit and transform, and train with that"
        )
    if any("__call__" in vars(base) for base in found.__mro__):
        return "is a class whose objects can be called, like a function; expected an estimator, or a class of its data"
    if _has_estimator(home, allowed):
        return ""
    return (
        "is a class of a package that gives the model no estimator (a class with fit and get_params), which may run or "
        "load anything. Save the model without it"
    )


def is_rebuild(name: str) -> bool:
    """Return whether this is a function that Cython writes for its classes, called while a pickle is loaded."""
    return name.rpartition(".")[2].startswith("__pyx_unpickle_")


def _home(found: object) -> str:
    """Return the `module.name` under which a class or function is defined, or "" where that is unknown."""
    module, own = getattr(found, "__module__", None), getattr(found, "__qualname__", None)
    return f"{module}.{own.rpartition('.')[2]}" if isinstance(module, str) and isinstance(own, str) else ""


def _is_estimator(found: type) -> bool:
    """Return whether a class has scikit-learn's methods or inherits from it: an estimator, sampler or kernel."""
    derived = any(base.__module__.partition(".")[0] == "sklearn" for base in found.__mro__)
    return derived or (hasattr(found, "fit") and hasattr(found, "get_params"))


def _has_estimator(home: str, allowed: Collection[str]) -> bool:
    """Return whether one of the allowed names is an estimator of the package of `home`."""
    root = home.partition(".")[0]
    for name in allowed:
        module, _, attribute = name.rpartition(".")
        if module.partition(".")[0] == root and not forbidden(name):
            try:
                found = getattr(import_module(module), attribute)
            except (ImportError, AttributeError):
                continue
            if isinstance(found, type) and _home(found).partition(".")[0] == root and _is_estimator(found):
                return True
    return False
