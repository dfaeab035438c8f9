"""Evaluation of .npy files."""

import numpy as np
import pytest

from udsph.errors import InputError
from udsph.evaluation import evaluate, evaluate_files


@pytest.fixture
def paths(case, tmp_path):
    names = [tmp_path / f"{name}.npy" for name in ("query", "database", "query_labels", "database_labels")]
    for path, array in zip(names, case, strict=True):
        np.save(path, array)
    return names


def test_files_are_evaluated_as_arrays_are(case, paths):
    assert evaluate_files(*paths, convention="dcmh").to_dict() == evaluate(*case, convention="dcmh").to_dict()


def test_arguments_in_files_are_one_clear_line(case, paths):
    np.save(paths[1], case.database_codes.astype(float))
    with pytest.raises(InputError, match=r"database_codes must be \(n, bytes\) of uint8"):
        evaluate_files(*paths)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"MATLAB 5.0 MAT-file", "is not a .npy file; numpy.save writes one"),
        (b"PK\x03\x04", "is not a .npy file, but a ZIP archive such as .npz"),
        (b"", "is not a .npy file"),
        (b"\x93NUMPY\x01\x00", "is damaged, or holds no numbers"),
    ],
)
def test_files_of_another_kind_are_named_as_such(paths, content, message):
    paths[3].write_bytes(content)
    with pytest.raises(InputError, match=rf"^database labels: .*labels.npy {message}") as caught:
        evaluate_files(*paths)
    assert "\n" not in str(caught.value) and "pickle" not in str(caught.value)


def test_files_that_cannot_be_read_are_one_clear_line(paths, tmp_path):
    with pytest.raises(InputError, match=r"^database codes: the file .* does not exist$"):
        evaluate_files(paths[0], tmp_path / "none.npy", *paths[2:])
    with pytest.raises(InputError, match=r"^query codes: .* cannot be read: Is a directory$"):
        evaluate_files(tmp_path, *paths[1:])
    np.save(paths[0], np.array([None, 1]), allow_pickle=True)
    with pytest.raises(InputError, match=r"^query codes: .*holds no numbers"):
        evaluate_files(*paths)
    size = paths[1].stat().st_size
    with open(paths[1], "r+b") as file:
        file.truncate(size - 1)
    with pytest.raises(InputError, match=r"^database codes: .* is damaged"):
        evaluate_files(paths[2], *paths[1:])
