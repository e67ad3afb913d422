from __future__ import annotations

import pytest

from pilotlight.pickles.forbidden import forbidden
from pilotlight_cli.formats.admitted import admitted_globals

FORBIDDEN = """
builtins.eval builtins.exec builtins.compile builtins.open builtins.__import__ builtins.getattr builtins.setattr
builtins.type builtins.map builtins.super builtins.globals builtins.vars builtins.input builtins.breakpoint
os.system os.popen posix.system nt.system subprocess.Popen sys.exit importlib.import_module runpy.run_path
pickle.loads _pickle.loads cloudpickle.loads dill.loads joblib.load joblib.numpy_pickle.NumpyArrayWrapper
shutil.rmtree socket.socket ctypes.CDLL code.interact pdb.run operator.attrgetter operator.methodcaller
operator.itemgetter functools.reduce functools.partialmethod types.FunctionType types.CodeType types.MethodType
numpy.core._ufunc_reconstruct numpy._core._ufunc_reconstruct numpy.load numpy.save numpy.fromfile numpy.memmap
numpy.vectorize numpy.frompyfunc numpy.apply_along_axis numpy.lib.format.read_array numpy.lib.npyio.load
numpy.lib._npyio_impl.load numpy.f2py.compile numpy.testing.rundocs numpy.zeros numpy.ctypeslib.load_library
distutils.spawn.spawn setuptools.sandbox.run_setup pip.main pkg_resources.run_script
sklearn.utils._testing.assert_run_python_script sklearn.datasets.load_files sklearn.datasets._base.load_files
sklearn.datasets._openml.fetch_openml sklearn.externals._packaging.version.parse sklearn.utils.parallel.Parallel
sklearn.tests.test_base.MyEstimator sklearn.utils.estimator_checks.check_estimator sklearn.conftest.pytest
scipy.stats._distn_infrastructure.rv_continuous scipy.stats._distn_infrastructure.rv_frozen scipy.LowLevelCallable
scipy.io.loadmat scipy._lib.array_api_compat.numpy._aliases.asarray
scipy._lib._bunch._make_tuple_bunch scipy._lib._ccallback.LowLevelCallable
tempfile.mktemp webbrowser.open timeit.timeit logging.config.dictConfig logging.FileHandler multiprocessing.Process
asyncio.create_subprocess_shell asyncio.subprocess.create_subprocess_shell pty.spawn platform.popen platform.system
copyreg._reconstructor copyreg.add_extension codecs.open _codecs.encode pandas.read_pickle pandas.eval torch.load
__main__.Model __builtin__.eval commands.getoutput imp.load_source mypackage.__builtins__ mypackage.tests.run
attr.define attr.make_class attr._make._compile_and_eval attrs.define typer.run typer.main.run pydantic.create_model
skorch.classifier.NeuralNetClassifier mypackage.__main__.main
sklearn.base.__loader__ pilotlight.pickles.loading.loads pilotlight_cli.main.app boto3.client
a..b a.b-c a .b eval
"""
HARMLESS = """
builtins.slice builtins.set collections.OrderedDict datetime.date numpy.ndarray numpy.dtype numpy.float64 numpy.log1p
numpy._core.multiarray._reconstruct numpy.core.multiarray.scalar numpy.random._pickle.__randomstate_ctor
numpy.core._multiarray_umath.sqrt scipy.sparse._csr.csr_matrix scipy.special._ufuncs.expit
sklearn.linear_model._logistic.LogisticRegression sklearn.tree._tree.Tree sklearn.metrics._dist_metrics.newObj
xgboost.sklearn.XGBClassifier mypackage.models.Rounded
"""


@pytest.mark.parametrize("name", FORBIDDEN.split())
def test_what_executes_loads_or_reads_is_forbidden(name: str) -> None:
    assert forbidden(name)


@pytest.mark.parametrize("name", HARMLESS.split())
def test_what_holds_data_may_be_allowed(name: str) -> None:
    assert not forbidden(name)


def test_the_shipped_list_holds_nothing_forbidden() -> None:
    assert len(admitted_globals()) > 500
    assert [name for name in admitted_globals() if forbidden(name)] == []


@pytest.mark.parametrize(
    "name",
    [
        "sklearn.ensemble._forest.RandomForestClassifier",
        "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
        "sklearn.neighbors._kd_tree.KDTree",
        "sklearn.gaussian_process.kernels.Matern",
        "numpy.core.multiarray._reconstruct",
        "numpy._core.numeric._frombuffer",
        "numpy.log1p",
    ],
)
def test_the_shipped_list_holds_what_models_are_made_of(name: str) -> None:
    assert name in admitted_globals()


@pytest.mark.parametrize("word", ["clone", "load", "fetch", "read", "open", "delayed", "compile", "config", "exec"])
def test_the_shipped_list_holds_no_function_that_does_such_a_thing(word: str) -> None:
    functions = [name.rpartition(".")[2] for name in admitted_globals()]
    assert [name for name in functions if name.islower() and word in name.split("_")] == []
