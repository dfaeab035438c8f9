"""Input that a user gets wrong, and what the message says."""

import numpy as np
import pytest

from udsph.errors import InputError
from udsph.evaluation import count, evaluate, mean_average_precision

CODES = np.zeros((4, 2), np.uint8)
LABELS = np.eye(4, 3, dtype=int)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CODES, CODES[:, :1], LABELS, LABELS), "query_codes has 2 columns of uint8, database_codes has 1"),
        ((CODES, CODES, LABELS, LABELS[:, :2]), "query_labels has 3 classes, database_labels has 2"),
        ((CODES, CODES, LABELS[:3], LABELS), "query_labels has 3 rows, query_codes has 4"),
        ((CODES, CODES, LABELS, LABELS[:3]), "database_labels has 3 rows, database_codes has 4"),
        ((CODES, CODES, LABELS, -LABELS), "database_labels must be 0 or 1, found -1 at row 0, column 0"),
        ((CODES, CODES, LABELS * 2, LABELS), "query_labels must be 0 or 1, found 2 at row 0, column 0"),
        ((CODES, CODES, LABELS * 0.5, LABELS), "query_labels must have an integer or bool dtype, got float64"),
        ((CODES, CODES, np.arange(4), LABELS), "both as"),
        (
            (CODES, CODES, np.arange(4) - 1, np.arange(4)),
            "query_labels must be class numbers from 0, found -1 at row 0",
        ),
        ((CODES, CODES, np.arange(4), np.arange(4) - 2), "database_labels must be class numbers from 0, found -2"),
        ((CODES, CODES, np.ones(4, bool), np.arange(4)), "class numbers, not booleans"),
        ((CODES, CODES, LABELS[:, :0], LABELS[:, :0]), "from 1 to 4096 classes, got 0"),
        ((CODES, CODES, np.zeros((4, 4097), bool), np.zeros((4, 4097), bool)), "from 1 to 4096 classes, got 4097"),
        ((CODES, CODES), "give query_labels and database_labels"),
        ((CODES, CODES, LABELS[None], LABELS), "query_labels must have shape"),
    ],
)
def test_arguments_that_do_not_fit(arguments, message):
    for function in (evaluate, mean_average_precision, count):
        with pytest.raises(InputError, match=message):
            function(*arguments)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ties": "random"}, "ties='random' is unknown; choose one of: expected, "),
        ({"denominator": "all"}, "denominator='all' is unknown"),
        ({"empty": "nan"}, "empty='nan' is unknown"),
        ({"empty_lookup": "nan"}, "empty_lookup='nan' is unknown"),
        ({"convention": "mine"}, "convention='mine' is unknown; choose one of: dcmh"),
        ({"cutoffs": (0,)}, "each of cutoffs must be at least 1, got 0"),
        ({"ranks": (-1,)}, "each of ranks must be at least 1, got -1"),
        ({"metrics": "map"}, "metrics must be a list"),
        ({"metrics": ["mop"]}, "metric 'mop' is unknown; choose from: map"),
        ({"metrics": ["r_precision@3"]}, "metric 'r_precision@3' is unknown"),
        ({"metrics": ["map@x"]}, "the cutoff must be a whole number"),
        ({"threads": 0}, "threads must be at least 1, got 0"),
        ({"relevance": np.ones((4, 4))}, "give labels or relevance, not both"),
    ],
)
def test_options_that_do_not_exist(options, message):
    with pytest.raises(InputError, match=message):
        evaluate(CODES, CODES, LABELS, LABELS, **options)


@pytest.mark.parametrize("option", ["cutoffs", "ranks", "threads"])
def test_options_that_are_no_whole_numbers(option):
    value = 1.5 if option == "threads" else (1.5,)
    with pytest.raises(TypeError, match=rf"{option} must be an int, got float \(1.5\)"):
        evaluate(CODES, CODES, LABELS, LABELS, **{option: value})


@pytest.mark.parametrize(
    ("relevance", "message"),
    [
        (np.ones((4, 3)), "relevance must have shape"),
        (np.full((4, 4), -1), "must not be negative, found -1"),
        (np.full((4, 4), np.inf), "must be finite, found inf"),
        (np.full((4, 4), np.nan), "must be finite, found nan"),
        (np.full((4, 4), "a"), "must be booleans or numbers from 0, got dtype"),
        (np.full((4, 4), "a", object), "must be numbers from 0"),
        (np.full((4, 4), 1j), "must be booleans or numbers from 0, got dtype complex128"),
        (np.full((4, 4), 10**400, object), "must be numbers from 0: int too large"),
        (lambda queries, items: np.ones((1, 1)), "relevance returned shape"),
    ],
)
def test_own_relevance_that_does_not_fit(relevance, message):
    with pytest.raises(InputError, match=message):
        evaluate(CODES, CODES, relevance=relevance)


def test_masked_relevance_is_refused():
    with pytest.raises(ValueError, match="relevance has masked entries"):
        evaluate(CODES, CODES, relevance=np.ma.masked_equal(np.eye(4), 0))


def test_codes_that_are_not_codes():
    with pytest.raises(TypeError, match="database_codes must be"):
        evaluate(CODES, CODES.astype(np.int32), LABELS, LABELS)
    with pytest.raises(TypeError, match="query_codes must be codes packed in"):
        evaluate(CODES.astype(float), CODES, LABELS, LABELS)
    with pytest.raises(ValueError, match="query_codes of 16 bits in 64-bit words must have shape"):
        evaluate(CODES.astype(int), CODES, LABELS, LABELS)
    with pytest.raises(ValueError, match="query_codes has bits set beyond its width of 12"):
        evaluate(CODES + 255, CODES, LABELS, LABELS, bits=12)
    with pytest.raises(ValueError, match="bitorder must be 'little' or 'big', got 'middle'"):
        evaluate(CODES, CODES, LABELS, LABELS, bitorder="middle")


@pytest.mark.parametrize("dtype", [np.int8, np.int64])
@pytest.mark.parametrize("low", [-1, 0])
def test_one_column_a_bit_is_not_taken_for_packed_codes(dtype, low):
    signs = np.where(np.random.default_rng(0).random((4, 32)) < 0.5, low, 1).astype(dtype)
    with pytest.raises(InputError, match=r"database_codes holds only .*: pack them first, udsph.hamming.pack"):
        evaluate(signs, signs, LABELS, LABELS)


def test_codes_in_every_form_of_the_index_are_the_same_codes():
    rng = np.random.default_rng(1)
    packed = [rng.integers(0, 256, (n, 16), dtype=np.uint8) for n in (5, 60)]
    labels = rng.integers(0, 3, 5), rng.integers(0, 3, 60)
    truth = evaluate(*packed, *labels).to_dict()
    forms = {
        "int8": [(codes.astype(np.int16) - 128).astype(np.int8) for codes in packed],
        "uint64": [codes.view(np.uint64) for codes in packed],
        "int64": [codes.view(np.int64) for codes in packed],
        ">u8": [codes.view("<u8").astype(">u8") for codes in packed],
    }
    for queries, database in forms.values():
        assert evaluate(queries, database, *labels).to_dict() == truth
        assert evaluate(packed[0], database, *labels).to_dict() == truth
    written = [[code.tobytes().hex() for code in codes] for codes in packed]
    numbers = [[int.from_bytes(code.tobytes(), "little") for code in codes] for codes in packed]
    for queries, database in (written, numbers):
        assert evaluate(queries, database, *labels, bits=128).to_dict() == truth
    big = [np.packbits(np.unpackbits(codes, axis=1, bitorder="little"), axis=1) for codes in packed]
    assert evaluate(*big, *labels, bitorder="big").to_dict() == truth
    twelve = [np.packbits(rng.random((n, 12)) < 0.5, axis=1) for n in (5, 60)]
    result = evaluate(*twelve, *labels, bits=12, bitorder="big")
    assert result.to_dict() == evaluate(*(codes[:, ::-1] for codes in twelve), *labels).to_dict()


def test_class_numbers_in_a_column_are_class_numbers():
    rng = np.random.default_rng(2)
    codes, labels = rng.integers(0, 256, (30, 2), dtype=np.uint8), rng.integers(0, 3, 30)
    for numbers in (labels, labels.astype(np.uint8), np.minimum(labels, 1)):
        truth = evaluate(codes[:5], codes, numbers[:5], numbers).to_dict()
        column = numbers[:, None]
        for queries, items in ((column, column), (column, numbers), (numbers, column)):
            assert evaluate(codes[:5], codes, queries[:5], items).to_dict() == truth
    flags = (labels > 0)[:, None]
    shared = evaluate(codes[:5], codes, flags[:5], flags, metrics=["map"])["map"]
    assert shared == evaluate(codes[:5], codes, relevance=flags[:5] & flags.T, metrics=["map"])["map"]


def test_labels_are_taken_as_matlab_stores_them():
    """Whole numbers as double, class numbers in a row or a column; other floats are refused."""
    classes = np.array([0, 1, 2, 1])
    expected = evaluate(CODES, CODES, classes, classes).to_dict()
    hot = np.eye(3)[classes]
    for labels in (
        hot,
        classes.astype(float),
        classes[None].astype(float),
        classes[:, None].astype(float),
        classes[None],
    ):
        assert evaluate(CODES, CODES, labels, labels).to_dict() == expected
    for wrong in (hot + 0.5, hot * np.nan, hot * 1e300):
        with pytest.raises(InputError, match="query_labels must have an integer or bool dtype, got float64"):
            evaluate(CODES, CODES, wrong, wrong)
