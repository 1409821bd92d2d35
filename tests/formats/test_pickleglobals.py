"""What a pickle would load is told whatever detours it takes, and nothing is loaded."""

from __future__ import annotations

import collections
import io
import os
import pickle
import sys
import types
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mvc.errors import ParseError
from mvc.formats.joblibs import JOBLIB
from mvc.formats.limits import Budget
from mvc.formats.pickleglobals import UNKNOWN, Named, scan
from mvc.gitlink.dangers import judge
from tests.fuzz.guards import unpickled

SYSTEM = Named("os", "system")


def found(data: bytes) -> tuple[Named, ...]:
    return scan(data, Budget(100_000, "opcodes")).globals


class Runs:
    def __reduce__(self) -> object:
        return os.system, ("exit 1",)


@pytest.mark.parametrize("protocol", range(6))
def test_every_protocol(protocol: int) -> None:
    data = pickle.dumps([1, {"a": Runs()}, collections.OrderedDict(b=2)], protocol)
    names = found(data)
    assert Named("posix", "system") in names and judge(names[0]) == "dangerous"
    assert Named("collections", "OrderedDict") in names
    plain = scan(pickle.dumps({"a": [1.5, "x", None, (b"y",)]}, protocol), Budget(1000, ""))
    # Bytes are written as a call in old protocols.
    assert {str(one) for one in plain.globals} <= {"_codecs.encode", "__builtin__.bytes"} and plain.whole


DETOURS = {
    "memo": b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93.",
    "put": b"\x80\x04\x8c\x02osq\x05\x8c\x06systemq\x060h\x05h\x06\x93.",
    "popped": b"\x80\x04\x8c\x02os\x8c\x06systemN0\x93.",
    "dup": b"\x80\x04\x8c\x02os\x8c\x06system20\x93.",
    "mark": b"\x80\x04\x8c\x02os\x8c\x06system(KaKb1\x93.",
    "tuple": b"\x80\x04\x8c\x02os\x8c\x06systemNN\x860\x93.",
    "frame": b"\x80\x04\x95\x0f\0\0\0\0\0\0\0\x8c\x02os\x8c\x06system\x93.",
    "second": b"\x80\x04N.\x80\x04\x8c\x02os\x8c\x06system\x93.",
    "breaks off": b"cos\nsystem\n(S'x'\ntR\xff\xff\xff",
    "inst": b"(S'x'\nios\nsystem\n.",
    "text": b"Vos\nVsystem\n\x93.",
    "short": b"\x80\x04U\x02osU\x06system\x93.",
}


@pytest.mark.parametrize("data", DETOURS.values(), ids=DETOURS)
def test_no_detour_hides_a_name(data: bytes) -> None:
    assert found(data) == (SYSTEM,)


def test_what_cannot_be_told_is_told_so() -> None:
    assert found(b"\x80\x04\x8c\x02osN\x93.") == (Named("os", UNKNOWN),)
    assert found(b"\x80\x02\x82\x07.") == (Named("copyreg", "extension 7"),)
    assert not scan(b"\x80\x04\x8c\x02os", Budget(10, "")).whole
    assert found(b"\x80\x04h\x09\x93.") == ()
    with pytest.raises(ParseError, match="too many"):
        scan(b"N0" * 100 + b"N.", Budget(100, "opcodes"))


PARTS = st.sampled_from(
    [bytes([code]) for code in b"()0123NNtRbeldasu.o}]\x81\x85\x86\x87\x88\x89\x8f\x90\x91\x92\x93\x93\x93\x94\x94"]
    + [
        b"\x80\x04",
        b"\x95\0\0\0\0\0\0\0\0",
        b"h\0",
        b"h\1",
        b"q\0",
        b"q\1",
        b"g0\n",
        b"p1\n",
        b"j\0\0\0\0",
        b"r\1\0\0\0",
    ]
    + [
        b"\x8c\x02os",
        b"X\x06\0\0\0system",
        b"Vos\n",
        b"S'os'\n",
        b'S"sys\\x74em"\n',
        b"U\x02os",
        b"S'\xe9'\n",
        b"U\x01\xe9",
    ]
    + [
        b"cos\nsystem\n",
        b"ios\nsystem\n",
        b"c\xc3\xa9\nx\n",
        b"K\1",
        b"I5\n",
        b"F1\n",
        b"L5L\n",
        b"Px\n",
        b"Q",
        b"\x82\x05",
        b"C\x01x",
    ]
)


@given(st.lists(PARTS, max_size=25).map(b"".join) | st.binary(max_size=60))
@settings(max_examples=400)
def test_whatever_the_real_unpickler_asks_for_is_told(data: bytes) -> None:
    unpickled(data)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_to_their_end(data: bytes) -> None:
    scan(data, Budget(1000, ""))
    scan(b"\x80\x04" + data, Budget(1000, ""))


def test_many_small_pickles_take_time_in_line() -> None:
    assert scan(b"N." * 100_000, Budget(300_000, "")).pickles == 100_000


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("torch._utils._rebuild_tensor_v2", "safe"),
        ("torch.FloatStorage", "safe"),
        ("torch.nn.modules.linear.Linear", "safe"),
        ("numpy.core.multiarray._reconstruct", "safe"),
        ("sklearn.linear_model._logistic.LogisticRegression", "safe"),
        ("builtins.set", "safe"),
        ("__builtin__.set", "safe"),
        ("mypackage.nets.Net", "unknown"),
        ("__main__.Net", "unknown"),
        ("os.system", "dangerous"),
        ("posix.system", "dangerous"),
        ("builtins.eval", "dangerous"),
        ("__builtin__.eval", "dangerous"),
        ("builtins.getattr", "dangerous"),
        ("functools.partial", "dangerous"),
        ("asyncio.unix_events._UnixSubprocessTransport._start", "dangerous"),
        ("pip._internal.main", "dangerous"),
        ("torch.hub.load", "dangerous"),
        ("torch.storage._load_from_bytes", "dangerous"),
        ("torch.jit._script.RecursiveScriptModule", "dangerous"),
        ("numpy.testing._private.utils.runstring", "dangerous"),
        ("numpy.f2py.crackfortran.getlincoef", "dangerous"),
        ("joblib.numpy_pickle.load", "dangerous"),
        ("pandas.io.pickle.read_pickle", "dangerous"),
        ("transformers.pipeline", "dangerous"),
    ],
)
def test_verdicts(name: str, verdict: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert judge(Named(module, attribute)) == verdict


def test_attributes_of_modules_are_walked_by_nobody() -> None:
    assert judge(Named("numpy", "os.system")) == "dangerous"
    assert judge(Named("mypackage", "sys.modules")) == "dangerous"
    assert judge(Named("torch", "Outer.Inner")) == "safe"


def test_real_files_of_joblib(tmp_path: Path) -> None:
    joblib = pytest.importorskip("joblib")
    arrays = {
        "f": np.arange(300.0),
        "i": np.arange(7, dtype="<i2"),
        "s": np.array(["ab", "c"]),
        "o": np.array([1, "x"], object),
        "r": np.zeros(5, [("a", "<i4"), ("b", [("c", "<f8", (2,)), ("d", "S3")])]),
        "ro": np.array([(1, "x")], [("a", "<i4"), ("b", object)]),
    }
    for inside, bad in ((Runs(), True), ("fine", False)):
        file = io.BytesIO()
        joblib.dump([arrays, np.zeros((3, 4), order="F"), inside], file)
        assert JOBLIB in file.getvalue()
        read = scan(file.getvalue(), Budget(100_000, ""))
        assert read.whole and any(judge(one) == "dangerous" for one in read.globals) == bad, read
        joblib.dump([arrays, inside], tmp_path / "z", compress=("zlib", 3))
        assert any(judge(one) == "dangerous" for one in found(zlib.decompress((tmp_path / "z").read_bytes()))) == bad


@pytest.mark.parametrize(
    ("dtype", "state"),
    [
        ("S999999", (3, "|", None, None, None, 1, 1, 0)),
        ("V999999", (3, "|", None, ("a",), {"a": (np.dtype("<i4"), 0)}, 1, 1, 0)),
        ("V1", (3, "|", None, ("a",), {"a": (np.dtype(object), 0)}, 1, 1, 0)),
        ("V1", (3, "|", None, ("a",), {"a": (np.dtype([("b", object)]), 0)}, 1, 1, 0)),
        ("V1", (3, "|", None, None)),
    ],
)
def test_an_array_of_joblibs_that_lies_about_its_end(dtype: str, state: tuple[object, ...]) -> None:
    class Dtype:
        def __reduce__(self) -> object:
            return np.dtype, (dtype, False, True), state

    class Wrapper:
        def __init__(self) -> None:
            self.dtype, self.shape, self.subclass = Dtype(), (1,), np.ndarray

    module = types.ModuleType("joblib.numpy_pickle")
    module.NumpyArrayWrapper = Wrapper  # type: ignore[attr-defined]
    Wrapper.__module__, Wrapper.__qualname__ = module.__name__, "NumpyArrayWrapper"
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "joblib", types.ModuleType("joblib"))
        patch.setitem(sys.modules, module.__name__, module)
        data = pickle.dumps([Wrapper()], protocol=4)
    read = scan(data + bytes(1_000_000), Budget(100_000, ""))
    assert not read.whole and not read.pickles


@pytest.mark.parametrize(
    ("name", "verdict"),
    [
        ("numpy.log1p", "safe"),
        ("numpy.fromfile", "dangerous"),
        ("scipy.sparse._csr.csr_matrix", "safe"),
        ("scipy.sparse.csc.csc_matrix", "safe"),
        ("scipy.sparse._matrix_io.load_npz", "dangerous"),
        ("scipy.stats._continuous_distns.norm_gen", "dangerous"),
        ("sklearn.feature_selection._univariate_selection.f_classif", "safe"),
        ("sklearn.datasets._base.load_files", "dangerous"),
        ("sklearn.metricsystem.run", "dangerous"),
        ("cloudpickle.loads", "dangerous"),
        ("dill._dill._load_type", "dangerous"),
    ],
)
def test_what_estimators_keep(name: str, verdict: str) -> None:
    module, _, attribute = name.rpartition(".")
    assert judge(Named(module, attribute)) == verdict


def test_real_files_of_torch(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from mvc.gitlink.guard import Rules, look
    from mvc.gitlink.staged import StagedFile

    class Disk:
        def head(self, name: str, length: int, size: int) -> bytes:
            return (tmp_path / name).read_bytes()[:length]

        def read(self, name: str) -> bytes:
            return (tmp_path / name).read_bytes()

    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    optimizer = torch.optim.AdamW(net.parameters())
    for name, value in {
        "state": net.state_dict(),
        "whole": net,
        "opt": optimizer.state_dict(),
        "bad": [net, Runs()],
    }.items():
        for legacy in (False, True):
            path = tmp_path / f"{name}-{legacy}.pt"
            torch.save(value, path, _use_new_zipfile_serialization=not legacy)
            file = StagedFile(path.name, path.name, path.stat().st_size)
            assert bool(look([file], Disk(), Rules())) == (name == "bad"), look([file], Disk(), Rules())  # type: ignore[arg-type]
