"""Files that are missing, of another type, damaged or dangerous: one error each, and nothing is unpickled."""

import pickle
import sys

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from udsph.data.arrays import Arrays
from udsph.data.magic import read_npy
from udsph.errors import InputError, MissingExtra


class Bomb:
    """Leaves a trace when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def read_all(path):
    with Arrays(path) as arrays:
        return {key: arrays.read(key) for key in arrays.keys}


@pytest.fixture
def files(tmp_path):
    values = {"image": np.arange(600.0).reshape(100, 6), "labels": np.arange(100) % 7}
    np.savez_compressed(tmp_path / "a.npz", **values)
    scipy.io.savemat(tmp_path / "a.mat", values, do_compression=True)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for key, value in values.items():
            file[key] = value
    return tmp_path


@pytest.mark.parametrize("name", ["a.npz", "a.mat", "a.h5"])
def test_keys_and_values(files, name):
    read = read_all(files / name)
    assert list(read) == ["image", "labels"]
    np.testing.assert_array_equal(read["image"], np.arange(600.0).reshape(100, 6))


@pytest.mark.parametrize("name", ["a.npz", "a.mat", "a.h5"])
def test_truncated_files(files, name):
    content = (files / name).read_bytes()
    for length in (0, 1, 100, len(content) // 2, len(content) - 30):
        (files / name).write_bytes(content[:length])
        with pytest.raises(InputError, match=f"cannot read {name}") as caught:
            read_all(files / name)
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["a.npz", "a.mat"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
def test_a_changed_byte_never_shows_a_foreign_error(files, name, place, byte):
    content = bytearray((files / name).read_bytes())
    content[int(place * len(content))] = byte
    damaged = files / f"damaged{name[1:]}"
    damaged.write_bytes(content)
    try:
        read_all(damaged)  # a byte may be of no consequence
    except InputError as error:
        assert "\n" not in str(error)


@pytest.mark.parametrize(("name", "other"), [("a.npz", "a.mat"), ("a.mat", "a.npz"), ("a.h5", "a.npz")])
def test_a_file_under_a_wrong_name(files, name, other):
    (files / name).write_bytes((files / other).read_bytes())
    with pytest.raises(InputError, match=f"cannot read {name}"):
        read_all(files / name)


OTHERS = {"a.mat": "a MATLAB file", "a.h5": "an HDF5 file", "a.npz": r"a \.npz archive", "a.png": r"a picture \(PNG\)"}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("suffix", ["npy", "npz", "mat"])
def test_a_file_under_another_name_is_called_what_it_is(files, suffix, other):
    """And not said to contain pickled data, to be loaded unsafely."""
    if other.endswith(suffix):
        return
    (files / "a.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    folder = files / "folder"
    folder.mkdir()
    path = folder / f"image.{suffix}"
    path.write_bytes((files / other).read_bytes())
    with pytest.raises(InputError, match=f"it is {OTHERS[other]}") as caught:
        read_all(folder if suffix == "npy" else path)
    assert "pickle" not in str(caught.value)


def test_a_npy_file_of_objects_or_of_nothing_known(tmp_path):
    np.save(tmp_path / "image.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(InputError, match=r"cannot read image\.npy: it holds Python objects"):
        read_npy(tmp_path / "image.npy")
    (tmp_path / "image.npy").write_bytes(b"hello" * 100)
    with pytest.raises(InputError, match=r"cannot read image\.npy: it does not begin as one; is it a whole \.npy"):
        read_npy(tmp_path / "image.npy")


def test_missing_unknown_and_folder(tmp_path):
    with pytest.raises(InputError, match="does not exist"):
        Arrays(tmp_path / "none.npz")
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(InputError, match=r"unknown file type '\.csv'; known: \.npz, \.mat, \.h5"):
        Arrays(tmp_path / "a.csv")
    with pytest.raises(InputError, match=r"holds no \.npy files"):
        Arrays(tmp_path)


def test_a_missing_key_lists_those_found(files):
    with Arrays(files / "a.npz") as arrays, pytest.raises(InputError, match="no array 'x'; it holds: image, labels"):
        arrays.read("x")


def test_nothing_is_unpickled(tmp_path):
    trace = tmp_path / "trace"
    np.savez(tmp_path / "member.npz", image=np.array([Bomb(trace)], dtype=object))
    with pytest.raises(InputError, match=r"cannot read member\.npz, array 'image'"):
        read_all(tmp_path / "member.npz")
    (tmp_path / "whole.npz").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(InputError, match=r"cannot read whole\.npz"):
        read_all(tmp_path / "whole.npz")
    assert not trace.exists()


def test_a_single_array_is_no_archive(tmp_path):
    with (tmp_path / "a.npz").open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="holds a single array"):
        Arrays(tmp_path / "a.npz")


def test_groups_and_cells_are_no_arrays(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_group("image")["other"] = np.zeros(3)
    with Arrays(tmp_path / "a.h5") as arrays, pytest.raises(InputError, match="'image' is no array of numbers"):
        arrays.read("image")
    cells = np.empty(2, dtype=object)
    cells[:] = [np.zeros(2), np.zeros(3)]
    scipy.io.savemat(tmp_path / "a.mat", {"image": cells})
    with Arrays(tmp_path / "a.mat") as arrays, pytest.raises(InputError, match="'image' is no array of numbers"):
        arrays.read("image")


@pytest.mark.parametrize("bad", [{"indices": [0, 9]}, {"indptr": [0, 3, 2]}, {"indptr": [0, 1]}, {"shape": [2]}])
def test_sparse_parts_that_do_not_fit(tmp_path, bad):
    parts = {"data": [1.0, 2.0], "indices": [0, 1], "indptr": [0, 1, 2], "shape": [2, 3], **bad}
    np.savez(tmp_path / "a.npz", **{f"text_{name}": np.array(values) for name, values in parts.items()})
    with pytest.raises(InputError, match=r"cannot read a\.npz, array 'text'"):
        read_all(tmp_path / "a.npz")


@pytest.mark.parametrize(("name", "module"), [("a.mat", "scipy.io"), ("a.h5", "h5py")])
def test_a_missing_reader_names_the_extra(files, monkeypatch, name, module):
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtra, match=r"needs the extra 'train'"):
        Arrays(files / name)
