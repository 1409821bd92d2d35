"""Which classes and functions a pickle may load without harm, and which run code.

Three answers. *Safe*: what weights are made of; torch's and numpy's own lists (`torch._weights_only_unpickler`,
`numpy.core.multiarray`), and classes of the libraries that save models so. *Dangerous*: everything of Python's
standard library that is not listed as safe, so that nothing has to be known of how it could be misused; functions of
the known libraries that are not listed; what the pickle computes; a dotted name that walks through another module.
*Unknown*: of any other package, that of the user's own code, say. Nobody can tell from here; `strict` refuses them.
"""

from __future__ import annotations

import re
import sys
from typing import Literal

from mvc.formats.pickleglobals import UNKNOWN, Named

Danger = Literal["safe", "unknown", "dangerous"]

_SAFE: dict[str, str] = {
    "_codecs": "encode",
    "argparse": "Namespace",
    "array": "array _array_reconstructor",
    "builtins": "bool bytearray bytes complex dict float frozenset int list object range set slice str tuple "
    "NotImplemented Ellipsis long unicode xrange ArithmeticError Exception KeyError ValueError TypeError RuntimeError",
    "collections": "OrderedDict defaultdict Counter deque ChainMap",
    "copyreg": "_reconstructor __newobj__ __newobj_ex__",
    "datetime": "date datetime time timedelta timezone",
    "decimal": "Decimal",
    "enum": "Enum IntEnum Flag IntFlag",
    "fractions": "Fraction",
    "pathlib": "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath",
    "random": "Random",
    "re": "_compile",
    "types": "SimpleNamespace",
    "uuid": "UUID",
    "zoneinfo": "ZoneInfo",
    # numpy: what arrays, scalars and random states are put together from
    "numpy": "dtype ndarray bool_ bool8 float16 float32 float64 float128 longdouble int8 int16 int32 int64 uint8 "
    "uint16 uint32 uint64 complex64 complex128 str_ bytes_ datetime64 timedelta64 void object_ matrix recarray record "
    # what an estimator may be given to calculate with
    "poly1d abs absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh cbrt ceil clip cos cosh deg2rad "
    "divide exp exp2 expm1 fabs floor fmax fmin hypot isfinite isinf isnan log log10 log1p log2 logaddexp maximum "
    "minimum mod multiply negative positive power rad2deg reciprocal rint sign sin sinh sqrt square subtract tan "
    "tanh true_divide trunc amax amin argmax argmin array asarray average concatenate cumsum linspace max mean "
    "median min nanmax nanmean nanmedian nanmin nanstd nansum nan_to_num ones percentile prod ptp quantile ravel "
    "squeeze std sum var zeros",
    "numpy.rec": "recarray record",
    "numpy.matrixlib.defmatrix": "matrix",
    "numpy.core.multiarray": "_reconstruct scalar",
    "numpy.core._internal": "_reconstruct",
    "numpy._core.multiarray": "_reconstruct scalar",
    "numpy.core.numeric": "_frombuffer",
    "numpy._core.numeric": "_frombuffer",
    "numpy.ma.core": "_mareconstruct",
    "numpy.random.bit_generator": "__pyx_unpickle_SeedSequence",
    "numpy.random._pickle": "__generator_ctor __bit_generator_ctor __randomstate_ctor",
    # torch: its allow list
    "torch": "device dtype finfo iinfo layout memory_format qscheme bfloat16 bool cdouble cfloat chalf complex128 "
    "complex32 complex64 double float float16 float32 float64 half int int16 int32 int64 int8 long qint32 qint8 "
    "quint2x4 quint4x2 quint8 short uint8 uint16 uint32 uint64 float8_e4m3fn float8_e5m2 "
    "float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu "
    "strided sparse_coo per_tensor_affine per_channel_affine per_tensor_symmetric per_channel_symmetric "
    "contiguous_format preserve_format channels_last",
    "torch._utils": "_rebuild_tensor _rebuild_tensor_v2 _rebuild_tensor_v3 _rebuild_qtensor _rebuild_parameter "
    "_rebuild_parameter_with_state _rebuild_sparse_tensor _rebuild_sparse_csr_tensor _rebuild_device_tensor_from_numpy "
    "_rebuild_device_tensor_from_cpu_tensor _rebuild_meta_tensor_no_storage _rebuild_nested_tensor "
    "_rebuild_wrapper_subclass _rebuild_xla_tensor",
    "torch._tensor": "_rebuild_from_type_v2",
    "torch.nn.parameter": "_rebuild_parameter",
    "torch.jit._pickle": "build_boollist build_doublelist build_intlist build_tensor_from_id build_tensorlist "
    "restore_type_tag",
    "torch.serialization": "_get_layout",
    # scikit-learn, scipy, pandas, joblib
    "joblib.numpy_pickle": "NumpyArrayWrapper NDArrayWrapper ZNDArrayWrapper",
    "pandas._libs.internals": "_unpickle_block",
    "pandas.core.indexes.base": "_new_Index",
    "pandas.core.indexes.datetimes": "_new_DatetimeIndex",
    "pandas.core.indexes.period": "_new_PeriodIndex",
    "pandas.core.internals.blocks": "new_block",
    "pandas.core.internals.managers": "BlockManager SingleBlockManager",
    "pandas._libs.arrays": "__pyx_unpickle_NDArrayBacked",
    "sklearn.tree._tree": "Tree",
    "scipy.interpolate._interpolate": "interp1d",
    "scipy.spatial._ckdtree": "cKDTree",
    "scipy.stats._kde": "gaussian_kde",
    "scipy._lib.array_api_compat.numpy._aliases": "asarray",
    "sklearn.metrics._dist_metrics": "newObj",
    "sklearn.utils._bunch": "Bunch",
    "sklearn.neighbors._kd_tree": "newObj",
    "sklearn.neighbors._ball_tree": "newObj",
    "sklearn._loss._loss": "__pyx_unpickle_CyHalfSquaredError",
}
_KNOWN = frozenset(
    (
        *("accelerate", "catboost", "diffusers", "flax", "jax", "jaxlib", "joblib", "keras", "lightgbm", "lightning"),
        *(
            "numpy",
            "omegaconf",
            "pandas",
            "peft",
            "pytorch_lightning",
            "safetensors",
            "scipy",
            "sklearn",
            "statsmodels",
        ),
        *("tensorflow", "tokenizers", "torch", "torchaudio", "torchtext", "torchvision", "transformers", "xgboost"),
    )
)
"""Packages that save models so. Their classes are safe, unless they are told otherwise; their functions are not."""
_RUNS = re.compile(
    r"(?:torch\.(?:hub|jit|package|utils\.(?:cpp_extension|_config_module|bottleneck|collect_env|data\.datapipes)"
    r"|_dynamo|_inductor|fx|distributed\.rpc|testing|multiprocessing|serialization)"
    r"|numpy\.(?:testing|f2py|distutils|ctypeslib|lib)|scipy\._lib|pandas\.(?:io|_testing|core\.computation)"
    r"|joblib\.(?:externals|memory|parallel|pool|func_inspect)|tensorflow\.python\.(?:util|platform|debug)"
    r"|transformers\.(?:dynamic_module_utils|commands|utils\.import_utils)|keras\.(?:layers\.core\.lambda_layer|src\.utils))"
    r"(?:\.|$)"
)
"""Modules of theirs that load or run code: their classes are not safe, either."""
_CLASS = re.compile(r"_*[A-Z]\w*")
_STORAGE = re.compile(r"(?:torch(?:\.cuda|\.storage)?)\.(?:\w*Storage|Size|Tensor)")
_SPARSE = re.compile(r"scipy\.sparse\.(?:\w+\.)?(?:bsr|coo|csc|csr|dia|dok|lil)_(?:array|matrix)")
_CALCULATES = re.compile(r"sklearn\.(?:cluster|feature_selection|metrics|preprocessing)\.")
"""Modules whose functions, which estimators keep (`f_classif`, a scorer), work on numbers: none reads a file, imports
or runs what a text says. (scipy's distributions do: `rv_generic.__setstate__` calls `exec`.)"""
_OLD_NAMES = {"__builtin__": "builtins", "copy_reg": "copyreg", "Queue": "queue", "commands": "subprocess"}
_STANDARD = sys.stdlib_module_names | {
    "__builtin__",
    "__main__builtins",
    "commands",
    "copy_reg",
    "exceptions",
    "pip",
    "nt",
}
_INSTALLERS = frozenset(
    (
        *("pip", "setuptools", "pkg_resources", "_distutils_hack", "ensurepip", "IPython", "numba", "cffi"),
        *("cloudpickle", "dill", "jsonpickle", "pexpect"),
    )
)
"""Packages of others that are there to make code from bytes, or to run commands."""


def is_installed(named: Named) -> bool:
    """Is this of Python's standard library, or of a package that is known here?"""
    top = _OLD_NAMES.get(named.module, named.module).partition(".")[0]
    return top in _STANDARD or top in _INSTALLERS or top in _KNOWN


def judge(named: Named) -> Danger:
    """What loading this may do."""
    module = _OLD_NAMES.get(named.module, named.module)
    top = module.partition(".")[0]
    if UNKNOWN in named:
        return "dangerous"
    if named.name in _SAFE.get(module, "").split() or _STORAGE.fullmatch(f"{module}.{named.name}"):
        return "safe"
    if _SPARSE.fullmatch(f"{module}.{named.name}"):
        return "safe"
    if top in _STANDARD or top in _INSTALLERS or not module or named.name.startswith("extension "):
        return "dangerous"
    classes = all(_CLASS.fullmatch(part) for part in named.name.split("."))
    if "." in named.name and not classes:
        return "dangerous"  # `sys.modules.os`: protocol 4 walks attributes
    if top == "sklearn" and _CALCULATES.match(f"{module}.") and "." not in named.name:
        return "safe"
    if top in _KNOWN:
        return "safe" if classes and not _RUNS.match(module) else "dangerous"
    return "unknown"
