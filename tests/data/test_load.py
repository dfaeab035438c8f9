"""Names, roots and settings, as the command line and Python give them."""

import subprocess
import sys

import numpy as np
import pytest

from udsph import data
from udsph.data.settings import Setting, resolve
from udsph.errors import InputError

KNOWN = {
    "size": Setting(5, int, "number of things, 5", least=1, most=9),
    "share": Setting(0.5, float, "share of things, a half", least=0),
    "mode": Setting("a", str, "a or b", choices=("a", "b")),
    "limit": Setting(None, int, "most things, all"),
}


def test_names_are_known_and_load():
    assert {"scenes", "features", "wiki", "emotions", "webnews"} <= set(data.names())
    with pytest.raises(InputError, match="unknown dataset 'scene'; known: coco, emotions, features, flickr8k, "):
        data.load("scene")


def test_roots(tmp_path):
    with pytest.raises(InputError, match="wiki reads files: give their place as root"):
        data.load("wiki")
    with pytest.raises(InputError, match=r"features: the root '.*none' does not exist"):
        data.load("features", tmp_path / "none")
    with pytest.raises(InputError, match="scenes is generated and reads no files"):
        data.load("scenes", tmp_path)


def test_unknown_settings_list_the_known_ones():
    with pytest.raises(InputError, match=r"wiki: unknown setting 'txt'; known settings: text \(the text features"):
        data.load("wiki", ".", txt="lda")


def test_settings_are_converted_and_completed():
    assert resolve("x", KNOWN, {}) == {"size": 5, "share": 0.5, "mode": "a", "limit": None}
    assert resolve("x", KNOWN, {"size": "7", "share": "1e-3", "mode": "b", "limit": None}) == {
        "size": 7, "share": 0.001, "mode": "b", "limit": None,
    }  # fmt: skip
    resolved = resolve("x", KNOWN, {"size": np.int64(3), "share": 2})
    assert resolved["size"] == 3
    assert type(resolved["size"]) is int
    assert type(resolved["share"]) is float


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"size": "many"}, "x: the setting size='many' must be a whole number"),
        ({"size": 2.5}, "size=2.5 must be a whole number"),
        ({"size": "2.5"}, "must be a whole number"),
        ({"size": True}, "must be a whole number"),
        ({"size": [1]}, "must be a whole number"),
        ({"size": float("inf")}, "must be a whole number"),
        ({"size": 0}, "must be at least 1"),
        ({"size": 10}, "must be at most 9"),
        ({"share": "half"}, "must be a number"),
        ({"share": "nan"}, "must be at least 0"),
        ({"mode": "c"}, "must be one of: a, b"),
        ({"mode": 2.5}, "must be a text"),
    ],
)
def test_bad_settings_are_named(given, message):
    with pytest.raises(InputError, match=message):
        resolve("x", KNOWN, given)


def test_scenes_need_numpy_only():
    """Neither scipy, h5py nor torch is loaded: the scenes and the contract work without the extras."""
    code = (
        "import sys; from udsph import data; data.load('scenes', pairs=200, workers=1);"
        "print(sorted({'torch', 'scipy', 'h5py', 'PIL', 'numba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
