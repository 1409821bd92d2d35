from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mvc.errors import UnsafePath
from mvc.objects import paths
from mvc.objects.model import EXEC, FILE, LINK, SUBMODULE, TREE, TreeEntry
from mvc.objects.portability import warnings

HFS_IGNORES = "\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u206a\u206b\u206c\u206d\u206e\u206f\ufeff"
RESERVED = [".git", ".mvc", ".mvcmeta"]
LOOKALIKES = {
    "i": "iIİı",
    "g": "gGｇ",
    "t": "tT",
    "m": "mMⓜ",
    "v": "vVⅴ",
    "c": "cCｃ",
    "e": "eEé"[:2],
    "a": "aAª",
    ".": ".．",
}


def refused(path: str) -> bool:
    try:
        paths.check_path(path)
    except UnsafePath:
        return True
    return False


@st.composite
def disguised(draw: st.DrawFn) -> str:
    """A reserved name as some file system may let it through."""
    name = draw(st.sampled_from(RESERVED))
    letters = [draw(st.sampled_from(LOOKALIKES[letter])) for letter in name]
    for _ in range(draw(st.integers(0, 3))):
        letters.insert(draw(st.integers(0, len(letters))), draw(st.sampled_from(HFS_IGNORES + "\u00ad\u2060\ufe0f")))
    text = "".join(letters)
    if draw(st.booleans()):
        text = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD", "NFKC", "NFKD"])), text)
    return text + draw(st.sampled_from(["", ".", " ", ". .", "   ", "::$INDEX_ALLOCATION", ":x", " .:stream", "...:"]))


@given(
    disguised(),
    st.sampled_from(["{}", "a/{}", "{}/config", "a/b/{}/hooks/post-checkout", "a\\{}", "{}\\config", "a\\{}\\b"]),
)
def test_disguises_are_refused(name: str, place: str) -> None:
    assert refused(place.format(name))


@pytest.mark.parametrize(
    "name", ["git~1", "GIT~1", "Git~2", "mvc~1", "MVC~10", "MVCMET~1", "gi7eba~1", "MV12ab~3", "git~1.", "GIT~1::$DATA"]
)
def test_short_names_are_refused(name: str) -> None:
    assert refused(name) and refused(f"a/{name}/b")


@pytest.mark.parametrize(
    "path", ["", ".", "..", "a/..", "../a", "a/../b", "/", "/a", "a/", "a//b", "a/./b", "a\0", "..\\a", "a\\..\\b"]
)
def test_paths_that_lead_elsewhere_are_refused(path: str) -> None:
    assert refused(path)


@pytest.mark.parametrize(
    "path",
    [
        "a", "a b", ".gitignore", ".gitattributes", ".github/x", ".mvcignore", "mvc", "git", "a.git", ".gitx",
        "..a", "a..b", "...x", "model~1", "git~x", "a:b", "é", "e\u0301", "weights (copy).bin", "a\nb",
        "\udcff", ".m", "a\\b", " a", "~", "-", "#",
    ],
)  # fmt: skip
def test_odd_but_harmless_paths_pass(path: str) -> None:
    paths.check_path(path)
    paths.check_path(f"folder/{path}/x")


@given(st.text(max_size=12))
def test_nothing_else_raises_anything_else(name: str) -> None:
    refused(name)
    paths.folds_alike(name)


def entry(name: str, mode: int = FILE) -> TreeEntry:
    return TreeEntry(name, mode, "1" * 40)


@pytest.mark.parametrize(
    "entries",
    [
        [entry("a"), entry("a", TREE)],
        [entry("link", LINK), entry("link", TREE)],
        [entry("module", SUBMODULE)],
        [entry("old", 0o100664)],
        [entry("odd", 0o60000)],
        [entry("a/b")],
        [entry(".git", TREE)],
        [entry(".mvcmeta", FILE)],
        [entry(".mvcmeta", LINK)],
        [entry(".MVCmeta", TREE)],
        [entry(".gitmodules", LINK)],
    ],
)
def test_trees_that_are_refused(entries: list[TreeEntry]) -> None:
    with pytest.raises(UnsafePath):
        paths.check_entries(entries, root=True)


def test_metadata_stands_at_the_root_alone() -> None:
    entries = [entry(".mvcmeta", TREE), entry("run", EXEC), entry("to", LINK), entry(".gitmodules")]
    paths.check_entries(entries, root=True)
    with pytest.raises(UnsafePath):
        paths.check_entries(entries, root=False)


# ---- what will not come back everywhere


def reasons(*names: str, others: tuple[str, ...] = ()) -> dict[str, str]:
    return {warning.path: warning.reason for warning in warnings(names, others=others)}


def test_clashes_are_warned_of() -> None:
    assert list(reasons("Model.bin", "model.bin", "other")) == ["model.bin"]
    assert list(reasons("A/x", "a/y", "a/z")) == ["a"]
    assert list(reasons("é", "e\u0301")) == ["e\u0301"]
    assert list(reasons("b/Straße", "b/STRASSE")) == ["b/STRASSE"]
    assert list(reasons("Readme", others=("README",))) == ["Readme"]
    assert reasons("a/x", "a/y", "b/x") == {}


@pytest.mark.parametrize(
    "name",
    [
        "con",
        "NUL.txt",
        "Aux",
        "com1",
        "LPT9.bin",
        "COM¹",
        "conin$",
        "a ",
        "a.",
        "a:b",
        "a?",
        "a*b",
        "a\\b",
        "a\tb",
        'a"',
    ],
)
def test_names_that_windows_does_not_hold(name: str) -> None:
    assert name in reasons(name)
    assert f"x/{name}" in reasons(f"x/{name}/y")


@pytest.mark.parametrize("name", ["console", "com", "com10", "nul1", "a.b.c", ".a", "au x"])
def test_names_that_windows_holds(name: str) -> None:
    assert reasons(name) == {}
