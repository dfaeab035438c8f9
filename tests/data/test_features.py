"""The loader of a user's own file: every file form, every way to split, and every kind of bad input."""

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays as random_arrays

from udsph import data
from udsph.errors import InputError

N = 20
FORMS = ("npz", "v5.mat", "v7.3.mat", "h5")


def write_npz(path, arrays):
    flat = {}
    for key, value in arrays.items():
        if scipy.sparse.issparse(value):
            csr = scipy.sparse.csr_array(value)
            flat |= {f"{key}_{part}": getattr(csr, part) for part in ("data", "indices", "indptr", "shape")}
        else:
            flat[key] = value
    np.savez(path, **flat)


def write_v5(path, arrays):
    scipy.io.savemat(path, arrays)


def write_v73(path, arrays):
    """As MATLAB writes it: a user block of 512 bytes, dimensions reversed, sparse matrices by columns."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for key, value in arrays.items():
            if scipy.sparse.issparse(value):
                columns = scipy.sparse.csc_array(value)
                group = file.create_group(key)
                group.attrs["MATLAB_class"] = np.bytes_("double")
                group.attrs["MATLAB_sparse"] = np.uint64(columns.shape[0])
                group["data"], group["ir"], group["jc"] = columns.data, columns.indices, columns.indptr
            else:
                file[key] = np.atleast_2d(value).T
                file[key].attrs["MATLAB_class"] = np.bytes_("double")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")


def write_h5(path, arrays):
    with h5py.File(path, "w") as file:
        for key, value in arrays.items():
            if scipy.sparse.issparse(value):
                csr = scipy.sparse.csr_array(value)
                group = file.create_group(key)
                group["data"], group["indices"], group["indptr"] = csr.data, csr.indices, csr.indptr
                group.attrs["shape"] = csr.shape
            else:
                file[key] = value


WRITERS = {"npz": write_npz, "v5.mat": write_v5, "v7.3.mat": write_v73, "h5": write_h5}


@pytest.fixture
def write(tmp_path):
    def write_file(form="npz", **arrays):
        path = tmp_path / f"features.{form}"
        WRITERS[form](path, arrays)
        return path

    return write_file


def sample(n=N, **changes):
    random = np.random.default_rng(0)
    labels = (random.random((n, 4)) < 0.4).astype(np.uint8)
    labels[0] = 1
    arrays = {"image": random.normal(size=(n, 6)), "text": random.random((n, 5)), "labels": labels, **changes}
    return {key: value for key, value in arrays.items() if value is not None}


def load(path, **settings):
    return data.load("features", path, **settings)


@pytest.mark.parametrize("form", FORMS)
def test_reads_every_form(write, form):
    arrays = sample()
    loaded = load(write(form, **arrays))
    assert loaded.image.kind == loaded.text.kind == "vectors"
    assert loaded.image.values.dtype == np.float32
    np.testing.assert_allclose(loaded.image.values, arrays["image"], rtol=1e-6)
    np.testing.assert_allclose(loaded.text.values, arrays["text"], rtol=1e-6)
    np.testing.assert_array_equal(loaded.labels, arrays["labels"])
    assert loaded.classes == ("0", "1", "2", "3")


@pytest.mark.parametrize("form", FORMS)
def test_reads_sparse_arrays(write, form):
    arrays = sample()
    text = np.where(arrays["text"] > 0.7, arrays["text"], 0)
    text[3] = 0
    loaded = load(write(form, **{**arrays, "text": scipy.sparse.csc_array(text)}))
    assert scipy.sparse.issparse(loaded.text.values)
    assert loaded.text.values.dtype == np.float32
    assert loaded.text.shape == (5,)
    np.testing.assert_allclose(loaded.text.values.toarray(), text, rtol=1e-6)
    np.testing.assert_allclose(loaded.text.take(np.array([4, 2])).values.toarray(), text[[4, 2]], rtol=1e-6)


@pytest.mark.parametrize("form", FORMS)
def test_reads_sets_of_regions_and_their_lengths(write, form):
    regions = np.random.default_rng(1).normal(size=(N, 3, 7))
    lengths = np.arange(N) % 3 + 1
    loaded = load(write(form, **sample(image=regions, image_lengths=lengths)))
    assert loaded.image.kind == "regions"
    np.testing.assert_allclose(loaded.image.values, regions, rtol=1e-6)
    np.testing.assert_array_equal(loaded.image.lengths, lengths)
    assert loaded.image.lengths.dtype == np.int32
    assert loaded.text.lengths is None


@pytest.mark.parametrize("form", FORMS)
def test_reads_class_numbers(write, form):
    numbers = np.arange(N) % 4 + 1
    loaded = load(write(form, **sample(labels=numbers)))
    assert loaded.classes == ("1", "2", "3", "4")
    np.testing.assert_array_equal(loaded.labels.argmax(axis=1) + 1, numbers)
    np.testing.assert_array_equal(loaded.labels.sum(axis=1), 1)


def test_sparse_labels_and_numbers_from_zero(write):
    arrays = sample()
    sparse = load(write(**{**arrays, "labels": scipy.sparse.csr_array(arrays["labels"])}))
    np.testing.assert_array_equal(sparse.labels, arrays["labels"])
    assert load(write(**sample(labels=np.arange(N) % 3))).classes == ("0", "1", "2")


@pytest.mark.parametrize("form", FORMS)
def test_index_arrays(write, form):
    query, train = np.array([19, 3, 0]), np.arange(5, 15)
    loaded = load(write(form, **sample(query=query, train=train, database=np.arange(4, 19))))
    np.testing.assert_array_equal(loaded.splits["query"], query)
    np.testing.assert_array_equal(loaded.splits["train"], train)
    np.testing.assert_array_equal(loaded.splits["database"], np.arange(4, 19))


@pytest.mark.parametrize("form", ["v5.mat", "v7.3.mat"])
def test_matlab_indices_count_from_one_where_they_must(write, form):
    loaded = load(write(form, **sample(query=np.array([1.0, N]), train=np.arange(2.0, N))))
    np.testing.assert_array_equal(loaded.splits["query"], [0, N - 1])
    np.testing.assert_array_equal(loaded.splits["train"], np.arange(1, N - 1))
    undecided = write(form, **sample(query=np.array([3, 4]), train=np.arange(5, 12)))
    with pytest.raises(InputError, match="first=0 or first=1"):
        load(undecided)
    assert load(undecided, first=1).splits["query"].tolist() == [2, 3]
    assert load(undecided, first="0").splits["query"].tolist() == [3, 4]


@pytest.mark.parametrize("form", FORMS)
def test_masks_serve_as_index_arrays(write, form):
    mask = np.arange(N) < 4
    loaded = load(write(form, **sample(query=mask, database=~mask)))
    assert loaded.splits["query"].tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(loaded.splits["database"], np.arange(4, N))


def test_missing_index_arrays_are_filled_in(write):
    only_query = load(write(**sample(query=np.array([2, 5])))).splits
    rest = np.setdiff1d(np.arange(N), [2, 5])
    np.testing.assert_array_equal(only_query["train"], rest)
    np.testing.assert_array_equal(only_query["database"], rest)
    only_train = load(write(**sample(train=np.arange(12)))).splits
    np.testing.assert_array_equal(only_train["query"], np.arange(12, N))
    np.testing.assert_array_equal(only_train["database"], np.arange(12))


@pytest.mark.parametrize("form", FORMS)
def test_separate_arrays(write, form):
    random = np.random.default_rng(2)
    sizes = {"train": 8, "query": 4, "database": 6}
    arrays = {}
    for split, n in sizes.items():
        arrays[f"image_{split}"] = random.normal(size=(n, 6))
        arrays[f"text_{split}"] = scipy.sparse.csr_array(random.integers(0, 2, (n, 5)).astype(float))
        arrays[f"labels_{split}"] = np.arange(n) % 4
    loaded = load(write(form, **arrays))
    assert len(loaded) == 18
    for split, n in sizes.items():
        index = loaded.splits[split]
        assert len(index) == n
        np.testing.assert_allclose(loaded.image.values[index], arrays[f"image_{split}"], rtol=1e-6)
        np.testing.assert_allclose(loaded.text.values[index].toarray(), arrays[f"text_{split}"].toarray())
        np.testing.assert_array_equal(loaded.labels[index].argmax(axis=1), arrays[f"labels_{split}"])


def test_separate_arrays_without_a_database(write):
    arrays = {f"{key}_{split}": value for key, value in sample().items() for split in ("train", "query")}
    loaded = load(write(**arrays))
    np.testing.assert_array_equal(loaded.splits["train"], np.arange(N))
    np.testing.assert_array_equal(loaded.splits["database"], np.arange(N))
    np.testing.assert_array_equal(loaded.splits["query"], np.arange(N, 2 * N))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(n=st.integers(3, 60), seed=st.integers(0, 2**31))
def test_a_seeded_fifth_are_queries(write, n, seed):
    path = write(**sample(n))
    splits = load(path, seed=seed).splits
    assert len(splits["query"]) == max(1, round(n / 5))
    np.testing.assert_array_equal(splits["train"], splits["database"])
    np.testing.assert_array_equal(np.sort(np.concatenate([splits["query"], splits["train"]])), np.arange(n))
    np.testing.assert_array_equal(splits["query"], load(path, seed=str(seed)).splits["query"])


def test_another_seed_splits_otherwise(write):
    path = write(**sample())
    assert load(path, seed=1).splits["query"].tolist() != load(path, seed=2).splits["query"].tolist()


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(image=random_arrays(st.sampled_from([np.float32, np.int8, np.uint16, np.bool_]), (7, 3), elements={}))
def test_numbers_of_any_type_arrive(write, image):
    path = write(**sample(7, image=image))
    if np.isfinite(image.astype(np.float32)).all():
        np.testing.assert_array_equal(load(path).image.values, image.astype(np.float32))
    else:
        with pytest.raises(InputError, match="'image' has NaN or infinite values in row"):
            load(path)


def test_other_key_names(write):
    arrays = sample()
    path = write(I=arrays["image"], T=arrays["text"], L=arrays["labels"])
    loaded = load(path, image="I", text="T", labels="L")
    np.testing.assert_allclose(loaded.image.values, arrays["image"], rtol=1e-6)
    assert loaded.settings == {"image": "I", "text": "T", "labels": "L", "seed": 0, "first": "auto"}
    with pytest.raises(InputError, match="no array 'image'; it holds: I, L, T"):
        load(path)
    with pytest.raises(InputError, match="three different arrays"):
        load(path, image="I", text="I", labels="L")


def test_a_class_without_items_warns(write):
    labels = sample()["labels"]
    labels[:, 2] = 0
    with pytest.warns(UserWarning, match=r"features\.?.*no item has the class 2"):
        load(write(**sample(labels=labels)))


NAN = np.random.default_rng(0).normal(size=(N, 6))
NAN[13, 2] = np.nan


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text": None}, "no array 'text'; it holds: image, labels"),
        ({"labels": np.zeros((N - 1, 4))}, "'image' 20, 'text' 20, 'labels' 19 items"),
        ({"labels": np.zeros(N + 1)}, "'labels' 21 items"),
        ({"text": np.zeros((N + 2, 4))}, "'image' 20, 'text' 22, 'labels' 20 items"),
        ({"image": NAN}, "'image' has NaN or infinite values in row 13"),
        ({"text": scipy.sparse.csr_array(NAN)}, "'text' has NaN or infinite values in row 13"),
        ({"image": np.full((N, 2), 1e300)}, "'image' has NaN or infinite values in row 0"),
        ({"image": np.zeros((N, 2), complex)}, "complex128, not real numbers"),
        ({"image": np.full((N, 2), "x")}, "not real numbers"),
        ({"image": np.zeros((N, 2, 2, 2))}, "20 x 2 x 2 x 2; expected"),
        ({"image": np.zeros(N)}, "expected \\(n, dims\\)"),
        ({"image": np.zeros((N, 0))}, "20 x 0; every dimension"),
        ({"image": np.zeros((0, 3)), "text": np.zeros((0, 3)), "labels": np.zeros(0)}, "holds no items"),
        ({"image": np.zeros((2, 3)), "text": np.zeros((2, 3)), "labels": np.zeros(2)}, "2 items cannot be split"),
        ({"labels": np.arange(N) - 3}, "class number -3 in row 0"),
        ({"labels": np.full(N, 10**9)}, "1000000000 in row 0, more than 4096"),
        ({"labels": np.eye(N)[:, :6] * 2}, "'labels' holds 2 in row 0; multi-hot labels are 0 or 1"),
        ({"labels": -np.eye(N)[:, :6]}, "'labels' holds -1 in row 0"),
        ({"labels": np.full((N, 3), 0.5)}, "'labels' holds 0.5 in row 0"),
        ({"labels": NAN}, "'labels' holds .* in row 0, which is no whole number"),
        ({"labels": np.zeros((N, 2, 2))}, "has 3 dimensions"),
        ({"query": np.array([1, N])}, "'query' names item 20 of items 0 to 19; if it counts otherwise: first=1"),
        ({"query": np.array([1, -1])}, "'query' names item -1"),
        ({"query": np.array([1, 1])}, "'query' names an item more than once"),
        ({"query": np.array([1.5])}, "'query' holds 1.5"),
        ({"query": np.zeros(0, int)}, "'query' is empty"),
        ({"train": np.arange(N)}, "'query' is empty"),
        ({"query": np.arange(N)}, "'train' is empty"),
        ({"query": np.arange(5), "train": np.arange(4, 9)}, "1 items, the first 4, are both in query and train"),
        ({"image_lengths": np.ones(N)}, "'image_lengths' must hold"),
        ({"image": np.zeros((N, 3, 2)), "image_lengths": np.full(N, 4)}, "from 1 to 3"),
    ],
)
def test_bad_arrays_are_named(write, changes, message):
    with pytest.raises(InputError, match=message) as caught:
        load(write(**sample(**changes)))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"text_query": None}, "no array 'text_query'"),
        ({"labels_train": np.zeros(N - 1)}, "'labels_train' 19 items"),
        ({"image_query": np.zeros((N, 9))}, "'image_train' 20 x 6, 'image_query' 20 x 9 do not have the same"),
        ({"labels_query": np.zeros((N, 9))}, "different widths"),
        ({"image_query": None, "text_query": None, "labels_query": None}, "arrays for train only"),
    ],
)
def test_bad_separate_arrays_are_named(write, changes, message):
    arrays = {f"{key}_{split}": value for key, value in sample().items() for split in ("train", "query")} | changes
    with pytest.raises(InputError, match=message):
        load(write(**{key: value for key, value in arrays.items() if value is not None}))


def test_pairs_without_labels(tmp_path):
    values = {"image": np.ones((20, 3)), "text": np.ones((20, 2))}
    np.savez(tmp_path / "a.npz", **values)
    with pytest.raises(InputError, match=r"a\.npz has no array 'labels'; it holds: image, text; .*labels=none is for"):
        data.load("features", tmp_path / "a.npz")
    found = data.load("features", tmp_path / "a.npz", labels="none")
    assert not found.labelled and found.labels.shape == (20, 0) and found.classes == ()
    assert "no labels" in found.describe() and "no labels" in repr(found)
    np.savez(
        tmp_path / "b.npz", **{f"{key}_{part}": value for key, value in values.items() for part in ("train", "query")}
    )
    assert len(data.load("features", tmp_path / "b.npz", labels="none")) == 40
    np.savez(tmp_path / "c.npz", **values, labels=np.arange(20) % 2)
    assert data.load("features", tmp_path / "c.npz").labelled
    assert not data.load("features", tmp_path / "c.npz", labels="none").labelled


def test_queries_may_be_called_test_and_other_splits_are_named(tmp_path):
    """The queries were filled in as all that is not for training, the validation part among them."""
    values = {"image": np.ones((20, 3)), "text": np.ones((20, 2)), "labels": np.arange(20) % 2}
    index = {"train": np.arange(8), "val": np.arange(8, 12), "test": np.arange(12, 20)}
    np.savez(tmp_path / "a.npz", **values, **index)
    with pytest.warns(UserWarning, match=r"features: not used: 'val'; the splits are train, database and query \(or t"):
        found = data.load("features", tmp_path / "a.npz")
    assert found.splits["query"].tolist() == index["test"].tolist()
    assert found.splits["train"].tolist() == index["train"].tolist()
    assert found.notes == ("not used: 'val'; the splits are train, database and query (or test)",)
    np.savez(tmp_path / "b.npz", **values, query=np.arange(3), test=np.arange(9))
    found = data.load("features", tmp_path / "b.npz")
    assert found.splits["query"].tolist() == [0, 1, 2] and "not used: 'test'" in found.notes[0]
    parts = {f"{key}_{part}": value[rows] for key, value in values.items() for part, rows in index.items()}
    np.savez(tmp_path / "c.npz", **parts)
    found = data.load("features", tmp_path / "c.npz")
    assert {split: len(rows) for split, rows in found.splits.items()} == {"train": 8, "query": 8, "database": 8}
    assert found.notes[0].startswith("not used: 'image_val', 'labels_val', 'text_val'; ")


@pytest.mark.parametrize("numbers", [False, True])
def test_rows_of_minus_one_are_not_known(write, numbers):
    labels = (np.arange(N) % 4 + 1) if numbers else sample()["labels"].astype(float)
    labels[[2, 7]] = -1
    found = load(write(**sample(labels=labels)))
    assert np.flatnonzero(~found.known).tolist() == [2, 7] and len(found.classes) == 4
    assert not found.labels[[2, 7]].any()
    with pytest.raises(InputError, match="'labels' is -1 throughout, so no label is known; labels=none is for pairs"):
        load(write(**sample(labels=np.full_like(labels, -1))))


def test_an_index_names_the_labelled_items(write):
    labels, order = sample()["labels"], np.array([9, 0, 4, 12])
    for table in (labels, labels[order], labels[order].astype(bool)):
        found = load(write(**sample(labels=table, labelled=order)))
        assert np.flatnonzero(found.known).tolist() == [0, 4, 9, 12]
        np.testing.assert_array_equal(found.labels[order], labels[order])
        assert not found.labels[~found.known].any()
        assert any("are not among the labelled are not read" in note for note in found.notes) == (len(table) == N)
    mask = np.isin(np.arange(N), order)
    assert load(write(**sample(labels=labels, labelled=mask))).known.tolist() == mask.tolist()
    numbers = load(write(**sample(labels=np.array([[3, 1, 2, 1]]), labelled=order)))
    assert numbers.labels[order].argmax(1).tolist() == [2, 0, 1, 0]


def test_in_a_mat_file_the_labelled_items_count_like_the_splits(write):
    changes = {"query": np.arange(1, 5), "train": np.arange(5, N + 1), "labelled": np.arange(1, 11)}
    found = load(write("v5.mat", **sample(**changes)))
    assert found.known.tolist() == [True] * 10 + [False] * 10


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": np.zeros(8)}, "'labels' 8 items; .*keeps its row, -1 all over, or is not named by an index"),
        ({"labelled": np.arange(5), "labels": np.zeros(8)}, "has 8 rows, but there are 20 items, 5 of them labelled"),
        ({"labelled": np.array([1, 1])}, "the index of labelled items names one more than once"),
        ({"labelled": np.array([1, N])}, "'labelled' names item 20 of items 0 to 19"),
    ],
)
def test_labels_that_do_not_fit_the_items(write, changes, message):
    with pytest.raises(InputError, match=message):
        load(write(**sample(**changes)))


def test_an_index_of_the_labelled_does_not_go_with_arrays_of_splits(write):
    arrays = {f"{view}_{split}": np.ones((6, 2)) for view in ("image", "text") for split in ("train", "query")}
    arrays |= {f"labels_{split}": np.arange(6) for split in ("train", "query")}
    with pytest.raises(InputError, match="'labelled' does not go with arrays for each split; an item without labels"):
        load(write(**arrays, labelled=np.arange(3)))
    without = {name: array for name, array in arrays.items() if name != "labels_train"}
    with pytest.raises(InputError, match=r"no array 'labels_train'; .*keeps its row, -1 all over, labels=none is for"):
        load(write(**without))
    arrays["labels_train"][2] = -1
    assert np.flatnonzero(~load(write(**arrays)).known).tolist() == [2]
