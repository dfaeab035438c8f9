"""Files whose ids are strings: what can be wrong in them under right checksums."""

import numpy as np
import pytest
from forging import forged

from udsph import hamming


def write_strings(offsets, data):
    def edit(table, everything):
        row = next(row for row in table if row[0].startswith(b"strings"))
        row[2] = 8 * len(offsets) + len(data)
        everything[row[1] :] = np.asarray(offsets, "<i8").tobytes() + data
        return everything

    return edit


def without_strings(table, data):
    del table[1]
    return data


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"edit": write_strings([0, 1, 3, 4, 6], b"aeeuoo")}, None),
        ({"edit": write_strings([0, 1, 3, 4], b"aeeuoo")}, "has 38 bytes, too few"),
        ({"edit": write_strings([0], b"")}, "has 8 bytes, too few for 4 offsets"),
        ({"edit": write_strings([0, 1, 3, 4, 7], b"aeeuoo")}, "do not part its 6 bytes"),
        ({"edit": write_strings([0, 3, 1, 4, 6], b"aeeuoo")}, "do not part its 6 bytes"),
        ({"edit": write_strings([1, 1, 3, 4, 6], b"aeeuoo")}, "do not part its 6 bytes"),
        ({"edit": write_strings([0, 1, 3, 4, 6], b"aeeu\xffo")}, "is not UTF-8"),
        ({"edit": write_strings([0, 1, 2, 4, 6], b"a\xc3\xa9uoo")}, "within a character"),
        ({"edit": write_strings([0, 1, 2, 4, 6], b"aauboo")}, "id 'a' occurs twice"),
        ({"edit": without_strings}, "ids are missing"),
        ({"flags": 8}, "speak of strings, but of no ids"),
    ],
)
def test_wrong_strings_under_right_checksums_are_refused(engine, tmp_path, fields, message):
    path = tmp_path / "a"
    index = hamming.FlatIndex(16)
    index.add(np.arange(8, dtype=np.uint8).reshape(4, 2), ["a", "ee", "u", "oo"])
    index.save(path)
    path.write_bytes(forged(path.read_bytes(), **fields))
    if message is None:
        assert hamming.load(path).ids.tolist() == ["a", "ee", "u", "oo"]
        return
    with pytest.raises(hamming.FormatError, match=message):
        hamming.load(path)
