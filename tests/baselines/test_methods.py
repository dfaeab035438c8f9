"""What every method must do, shallow or deep, by name."""

import inspect
import tracemalloc

import numpy as np
import pytest
from PIL import Image
from scipy import sparse

from udsph.baselines import create, methods, names
from udsph.data import Modality
from udsph.errors import InputError

from .views import both_directions, plain_map, planted

SHALLOW = [name for name in names() if methods()[name].kind != "deep"]
LEARNING = [name for name in SHALLOW if name != "random"]
SUPERVISED = [name for name in SHALLOW if methods()[name].supervised]
UNSUPERVISED = [name for name in SHALLOW if not methods()[name].supervised]


def small(name, bits=16, seed=0):
    """A method with settings that make a test short."""
    return create(name, bits, seed, **({"centres": 60, "iterations": 60} if name == "seph" else {}))


@pytest.mark.parametrize("name", LEARNING)
def test_planted_structure_is_found(name):
    images, texts, labels = planted(n=500, classes=8)
    assert min(both_directions(small(name, 8), images, texts, labels, 80)) > 0.7
    assert min(both_directions(small(name, 32), images, texts, labels, 80)) > 0.95


@pytest.mark.parametrize("name", SHALLOW)
def test_shuffled_pairs_without_labels_give_chance(name):
    """Neither pairs nor labels tell which texts belong to which images, so nothing is found."""
    images, texts, labels = planted(n=1000, classes=20)
    rng = np.random.default_rng(1)
    scores = []
    for seed in range(3):
        mixed = np.concatenate([texts[rng.permutation(800)], texts[800:]])  # the queries keep their pairs
        method = small(name, seed=seed).fit(images[:800], mixed[:800], labels[rng.permutation(800)])
        codes = method.encode_image(images[800:]), method.encode_text(texts[:800])
        scores.append(plain_map(*codes, labels[800:], labels[:800], method.bits))
    assert np.mean(scores) < 0.3  # whole classes in random order give 0.12


@pytest.mark.parametrize("name", SUPERVISED)
def test_supervised_methods_learn_what_the_labels_say(name):
    """Two independent structures lie in the same views; the labels choose the one that codes follow."""
    image_a, text_a, wanted = planted(n=500, classes=4, seed=0)
    image_b, text_b, other = planted(n=500, classes=4, seed=1)
    images, texts = np.concatenate([image_a, image_b], 1), np.concatenate([text_a, text_b], 1)
    found = {}
    for what, labels in (("wanted", wanted), ("other", other)):
        method = small(name).fit(images[:400], texts[:400], labels[:400])
        codes = method.encode_image(images[400:]), method.encode_text(texts[:400])
        found[what] = plain_map(*codes, wanted[400:], wanted[:400], method.bits)
    assert found["wanted"] > 0.7 and found["other"] < 0.45


@pytest.mark.parametrize("name", UNSUPERVISED)
def test_unsupervised_methods_never_see_labels(name):
    images, texts, labels = planted(n=120)
    without = small(name).fit(images, texts)
    given = small(name).fit(images, texts, labels)
    np.testing.assert_array_equal(without.encode_image(images), given.encode_image(images))
    np.testing.assert_array_equal(without.encode_text(texts), given.encode_text(texts))


@pytest.mark.parametrize("name", SUPERVISED)
def test_supervised_methods_ask_for_labels(name):
    images, texts, _ = planted(n=60)
    with pytest.raises(InputError, match="supervised: give labels"):
        small(name).fit(images, texts)


@pytest.mark.parametrize("name", SHALLOW)
@pytest.mark.parametrize("bits", [1, 13, 40])
def test_codes_have_the_asked_width_even_beyond_the_dimensions(name, bits):
    images, texts, labels = planted(n=90, dims=(7, 5))
    method = small(name, bits).fit(images, texts, labels)
    for codes in (method.encode_image(images[:10]), method.encode_text(texts[:10])):
        assert codes.shape == (10, -(-bits // 8)) and codes.dtype == np.uint8
        assert not np.unpackbits(codes, axis=1, bitorder="little")[:, bits:].any()


@pytest.mark.parametrize("name", SHALLOW)
def test_the_seed_decides_everything(name):
    images, texts, labels = planted(n=150)
    first, again = (small(name, 24, 5).fit(images, texts, labels) for _ in range(2))
    np.testing.assert_array_equal(first.encode_image(images), again.encode_image(images))
    np.testing.assert_array_equal(first.encode_text(texts), again.encode_text(texts))


@pytest.mark.parametrize("name", SHALLOW)
def test_items_are_encoded_one_by_one_and_from_one_view(name):
    images, texts, labels = planted(n=120)
    method = small(name).fit(images, texts, labels)
    together = method.encode_image(images[:6])
    apart = np.concatenate([method.encode_image(images[i : i + 1]) for i in range(6)])
    np.testing.assert_array_equal(together, apart)
    assert list(inspect.signature(method.encode_text).parameters) == ["texts"]


@pytest.mark.parametrize("name", SHALLOW)
def test_sparse_input_is_the_same_as_dense(name):
    images, texts, labels = planted(n=100)
    texts = np.where(np.abs(texts) < 1, 0, texts)
    dense = small(name).fit(images, texts, labels)
    thin = small(name).fit(images, sparse.csr_array(texts), labels)
    same = np.unpackbits(dense.encode_text(texts) ^ thin.encode_text(sparse.csr_array(texts)))
    assert same.mean() < 0.05  # the sums are taken in another order, and discrete choices (STMH) amplify a rounding


@pytest.mark.parametrize("name", SHALLOW)
def test_no_items_have_no_codes(name):
    images, texts, labels = planted(n=40)
    method = small(name).fit(images, texts, labels)
    assert method.encode_image(images[:0]).shape == (0, 2) and method.encode_text(texts[:0]).shape == (0, 2)


@pytest.mark.parametrize("name", SHALLOW)
def test_the_unit_of_a_view_does_not_matter(name):
    images, texts, labels = planted(n=60)
    plain, scaled = (small(name).fit(images, texts * unit, labels) for unit in (1, 2.0**-40))
    np.testing.assert_array_equal(plain.encode_text(texts), scaled.encode_text(texts * 2.0**-40))


@pytest.mark.parametrize("name", SHALLOW)
def test_memory_is_linear_in_the_pairs(name):
    """A matrix of all pairs of 20,000 items would be 3200 MB."""
    images, texts, labels = planted(n=20_000, dims=(20, 12))
    tracemalloc.start()
    create(name, 16, 0, **({"iterations": 3, "centres": 20} if name == "seph" else {})).fit(images, texts, labels)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < (1200e6 if name == "seph" else 400e6)  # SePH: several matrices of 5000 x 5000


@pytest.mark.parametrize("name", SHALLOW)
def test_fewer_pairs_than_bits(name):
    images, texts, labels = planted(n=12)
    assert small(name, 32).fit(images, texts, labels).encode_image(images).shape == (12, 4)


@pytest.mark.parametrize("name", SHALLOW)
@pytest.mark.parametrize("damage", ["nan", "constant", "lengths", "one view"])
def test_bad_input_is_one_clear_error(name, damage):
    images, texts, labels = planted(n=60)
    if damage == "nan":
        images[3, 2] = np.nan
    elif damage == "constant":
        texts = np.ones_like(texts)
    elif damage == "lengths":
        texts = texts[:-1]
    else:
        texts = None
    message = {
        "nan": "images: holds NaN",
        "constant": "texts: every row is the same",
        "lengths": "60 images but 59 texts",
        "one view": "texts: None given",
    }
    with pytest.raises(InputError, match=message[damage]):
        small(name).fit(images, texts, labels)


@pytest.mark.parametrize("name", SHALLOW)
def test_unfitted_and_other_widths(name):
    images, texts, labels = planted(n=60)
    method = small(name)
    with pytest.raises(InputError, match="not fitted"):
        method.encode_image(images)
    method.fit(images, texts, labels)
    with pytest.raises(InputError, match="columns, but the method was fitted on"):
        method.encode_image(images[:, :-1])


@pytest.mark.parametrize("name", names())
def test_parameters_are_readable_and_settable(name):
    method = create(name, 24, 3)
    parameters = method.get_params()
    assert parameters["bits"] == 24 and parameters["random_state"] == 3
    method.set_params(bits=8)
    assert method.bits == 8
    assert type(method)(**parameters).get_params() == parameters


def test_names_and_unknown_names():
    wanted = "cvh cmssh imh cmfh qch stmh scm-orth scm-seq seph cca-itq random"
    assert set(wanted.split()) <= set(names())
    with pytest.raises(InputError, match="unknown method 'cvx'; known: random"):
        create("cvx")
    with pytest.raises(InputError, match="rounds"):
        create("cvh", rounds=3)


@pytest.mark.parametrize("bits", [0, 8193, 1.5, True, "16"])
def test_impossible_code_lengths(bits):
    images, texts, _ = planted(n=20)
    with pytest.raises((InputError, TypeError), match="bits must be"):
        create("cvh", bits).fit(images, texts)


@pytest.mark.parametrize(
    "labels",
    [np.ones((59, 2)), np.full((60, 2), 2), np.full(60, np.nan), ["a"] * 60, np.ones((60, 2)), np.zeros((60, 2))],
)
def test_impossible_labels(labels):
    images, texts, _ = planted(n=60)
    with pytest.raises(InputError, match="labels"):
        create("scm-seq").fit(images, texts, labels)


@pytest.mark.parametrize("images", [None, np.ones((60, 3), complex), np.full((60, 3), "a"), np.ones(60), [[1], [2, 3]]])
def test_images_that_are_no_matrix_of_real_numbers(images):
    _, texts, labels = planted(n=60)
    with pytest.raises(InputError, match="images: "):
        create("scm-seq").fit(images, texts, labels)


@pytest.mark.parametrize("name", ["cca-itq", "cmfh", "cvh", "imh", "qch"])
@pytest.mark.parametrize("amount", [0, -1.0, np.inf])
def test_impossible_regularisation(name, amount):
    images, texts, _ = planted(n=60)
    with pytest.raises(InputError, match="regularisation="):
        create(name, 8, regularisation=amount).fit(images, texts)


def test_class_numbers_are_labels_too():
    images, texts, labels = planted(n=60)
    hot, numbers = (create("scm-seq").fit(images, texts, given) for given in (labels, labels.argmax(1)))
    np.testing.assert_array_equal(hot.encode_text(texts), numbers.encode_text(texts))


IMPOSSIBLE = {
    "iterations": (-1, 2.5, "many", True),
    "samples": (1, 2.5),
    "pairs": (0,),
    "sweeps": (-1,),
    "neighbours": (0,),
    "centres": (0,),
    "penalty": (-1.0, np.nan, np.inf),
    "coupling": (-1.0, np.nan),
    "smoothness": (-1.0,),
    "reconstruction": (-1.0,),
    "correlation": (-1.0,),
    "balance": (-0.5, 1.5),
    "width": (0.0, -1.0),
    "epochs": (-1, 1.5, "3"),
    "batch_size": (0, 12.5),
    "learning_rate": (-0.001, np.nan, "fast"),
    "weight_decay": (-1.0, np.inf),
    "regularisation": (0.0, -1.0, np.nan, "much"),
}


@pytest.mark.parametrize("name", names())
def test_impossible_settings_are_named(name):
    """Every setting of every method, beside bits and seed: none is taken as it comes."""
    images, texts, labels = planted(n=60)
    settings = set(create(name).get_params()) - {"bits", "random_state", "device", "precision"}
    assert settings <= set(IMPOSSIBLE)
    for setting in settings:
        for value in IMPOSSIBLE[setting]:
            with pytest.raises((InputError, TypeError), match=setting):
                create(name, 8, **{setting: value}).fit(images, texts, labels)


def test_masked_entries_are_not_read():
    images, texts, labels = planted(n=60)
    masked = np.ma.masked_array(images, np.zeros_like(images, bool))
    given, plain = (create("scm-seq", 8).fit(values, texts, labels) for values in (masked, images))
    np.testing.assert_array_equal(given.encode_image(masked), plain.encode_image(images))
    masked[3, 2] = np.ma.masked
    with pytest.raises(InputError, match="images: has masked entries"):
        create("scm-seq", 8).fit(masked, texts, labels)
    with pytest.raises(InputError, match="labels: has masked entries"):
        create("scm-seq", 8).fit(images, texts, np.ma.masked_equal(labels.argmax(1), 1))


def test_class_numbers_in_a_column_are_class_numbers():
    images, texts, labels = planted(n=60)
    for classes in (labels.argmax(1), labels.argmax(1) % 2):
        flat, column = (create("scm-seq", 8).fit(images, texts, given) for given in (classes, classes[:, None]))
        np.testing.assert_array_equal(flat.encode_text(texts), column.encode_text(texts))


@pytest.mark.parametrize("name", ["random", "cmnnh"])  # udsph goes through UDSPH, whose tests see to it
def test_pictures_of_another_size_are_resized_as_a_loader_does(name):
    """What is fitted on 16 x 16 reads 16 x 16."""
    rng = np.random.default_rng(0)
    images = Modality("pixels", rng.integers(0, 256, (24, 16, 16, 3)).astype(np.uint8))
    settings = {"epochs": 1} if methods()[name].kind == "deep" else {}
    method = create(name, 16, **settings).fit(images, rng.standard_normal((24, 5)), np.eye(3)[np.arange(24) % 3])
    large = rng.integers(0, 256, (5, 40, 50, 3)).astype(np.uint8)
    small = np.stack([np.asarray(Image.fromarray(one).resize((16, 16), Image.Resampling.BILINEAR)) for one in large])
    np.testing.assert_array_equal(
        method.encode_image(Modality("pixels", large)), method.encode_image(Modality("pixels", small))
    )
    with pytest.raises(InputError, match="vectors"):
        method.encode_image(Modality("vectors", large[:, 0, 0, :].astype(np.float32)))
