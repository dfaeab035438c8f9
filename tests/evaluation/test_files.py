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


def test_mistakes_in_files_are_one_clear_line(case, paths):
    with pytest.raises(InputError, match=r"database codes: the file .* does not exist"):
        evaluate_files(paths[0], paths[0].with_name("none.npy"), *paths[2:])
    paths[3].write_bytes(b"not an array")
    with pytest.raises(InputError, match=r"database labels: .* is not a readable"):
        evaluate_files(*paths)
    np.save(paths[1], case.database_codes.astype(float))
    np.save(paths[3], case.database_labels)
    with pytest.raises(InputError, match="database_codes must have dtype uint8"):
        evaluate_files(*paths)
