"""Names that no allow-list may hold, because whoever names them in a pickle runs what they like.

The rule forbids whole rooms and names what is harmless in them: the standard library, numpy and scipy are closed but
for what rebuilds data, scikit-learn is open but for the modules that download, execute or load. What else there is on
PyPI cannot be listed; the packages that are known to execute or to load are.
"""

from __future__ import annotations

import re
import sys
from typing import Final

from pilotlight.description import GLOBAL

_GONE = """__builtin__ __main__ __mp_main__ _bootsubprocess asynchat asyncore audioop aifc cgi cgitb chunk commands
    compression copy_reg cPickle cStringIO crypt distutils dummy_threading formatter imghdr imp lib2to3 macpath
    mailcap msilib new nis nntplib ossaudiodev parser pipes popen2 smtpd sndhdr spwd sunau symbol telnetlib test
    urllib2 urlparse uu xdrlib"""

_LOADERS = """IPython _distutils_hack _pytest awslambdaric boto3 botocore cffi click cloudpickle cupy cython dask dill
    distributed django execnet fabric fickling flask fsspec functions_framework gevent google gunicorn h5py httpx
    huggingface_hub hydra ipykernel jax jinja2 joblib jsonpickle keras klepto lightning llvmlite loky mako matplotlib
    mlflow multiprocess narwhals nltk numba numexpr numpydoc onnx onnxruntime pandas paramiko pathos pexpect
    pilotlight pilotlight_cli pip pkg_resources plumbum polars ppft ptyprocess psutil pyarrow pyspark pytest ray
    requests ruamel setuptools sh skl2onnx skops spacy sqlalchemy sympy tensorflow threadpoolctl torch transformers
    twisted urllib3 uv uvloop werkzeug wheel yaml zmq"""

_CLOSED: Final = frozenset({*sys.stdlib_module_names, *_GONE.split(), *_LOADERS.split()})

# What is harmless in the closed rooms: it holds data, or makes it out of numbers and bytes. functools.partial stands
# here because gradient boosting with categories needs it; pickle_rules holds it to that one use.
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
    """Whether a `module.name` may never be asked for, even by somebody's own wish."""
    if not re.fullmatch(GLOBAL, name):
        return True
    module, _, attribute = name.rpartition(".")
    parts = module.split(".")
    if _PRIVATE.match(attribute) or any(part in ("tests", "conftest", "testing", "_testing") for part in parts):
        return True
    if parts[0] == "numpy":
        return not _NUMPY.fullmatch(name)
    if parts[0] == "scipy":
        return not _SCIPY.fullmatch(name)
    if parts[0] == "sklearn":
        return _SKLEARN.fullmatch(module) is not None
    return parts[0] in _CLOSED and name not in _HARMLESS
