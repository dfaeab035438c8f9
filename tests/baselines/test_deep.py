"""The deep methods: few epochs on an easy set, their own arithmetic, every kind of data."""

import numpy as np
import pytest
import torch
from scipy import sparse

from udsph.baselines import create, methods, names
from udsph.baselines.deep.acmr import reverse, triplet
from udsph.baselines.deep.udsph import SSAH, FullUDSPH
from udsph.baselines.deep.ugach import nearest
from udsph.data import Modality
from udsph.errors import InputError

from .views import both_directions, plain_map, planted

DEEP = [name for name in names() if methods()[name].kind == "deep"]
OWN = [name for name in DEEP if name not in ("udsph", "ssah")]  # trained by the loop of this room
EPOCHS = 5


@pytest.fixture(autouse=True)
def quick_teacher(monkeypatch):
    """A short training of the label network, and no second training on the whole set."""
    for method in (FullUDSPH, SSAH):
        monkeypatch.setattr(method, "settings", {**method.settings, "label_steps": 60, "refit": "false"})


def short(name, bits=16, seed=0, epochs=EPOCHS):
    return create(name, bits, seed, epochs=epochs, device="cpu")


def test_all_deep_methods_are_there():
    assert set(DEEP) == {"cmnnh", "dcmh", "cmdvh", "acmr", "acmr-real", "mith", "ucch", "ugach", "ssah", "udsph"}


@pytest.mark.parametrize("name", DEEP)
def test_planted_structure_is_found(name):
    images, texts, labels = planted(n=300)
    assert (
        min(both_directions(short(name, epochs=5 if name in ("ssah", "udsph") else 8), images, texts, labels, 80)) > 0.8
    )


@pytest.mark.parametrize("name", DEEP)
def test_shuffled_pairs_give_chance(name):
    """Neither pairs nor labels tell which texts belong to which images, so nothing is found."""
    images, texts, labels = planted(n=600, classes=20)
    rng = np.random.default_rng(1)
    scores = []
    for seed in range(2):
        mixed, wrong = texts[rng.permutation(480)], labels[rng.permutation(480)]
        method = short(name, seed=seed, epochs=2).fit(images[:480], mixed, wrong)
        codes = method.encode_image(images[480:]), method.encode_text(texts[:480])  # the queries keep their pairs
        scores.append(plain_map(*codes, labels[480:], labels[:480], 16))
    assert np.mean(scores) < 0.3  # whole classes in random order give 0.12


@pytest.mark.parametrize("name", OWN)
def test_the_loss_falls_and_the_seed_decides(name):
    images, texts, labels = planted(n=200)
    before = torch.random.get_rng_state()
    first, again, other = (short(name, seed=seed, epochs=4).fit(images, texts, labels) for seed in (0, 0, 1))
    assert first.history_ == again.history_ and first.history_ != other.history_
    start = 1 if name == "ucch" else 0  # which tells pairs from those of the batch first, then from all
    assert name == "ugach" or first.history_[-1] < first.history_[start]
    np.testing.assert_array_equal(first.encode_image(images), again.encode_image(images))
    assert torch.equal(before, torch.random.get_rng_state())  # the caller's generator is left alone
    assert float(torch.tensor(1e-40) * 1) != 0  # and so are denormal numbers


@pytest.mark.parametrize("name", OWN)
def test_half_precision_learns_the_same(name):
    images, texts, labels = planted(n=200)
    whole, half = (
        create(name, 16, 0, epochs=2, precision=p).fit(images, texts, labels) for p in ("32-true", "bf16-mixed")
    )
    np.testing.assert_allclose(half.history_, whole.history_, rtol=0.1)
    assert half.history_ != whole.history_
    with pytest.raises(InputError, match="precision=4: expected one of"):
        create(name, 16, precision="4").fit(images, texts, labels)


@pytest.mark.parametrize("name", ["ucch", "ugach"])
def test_what_needs_no_labels_never_sees_them(name):
    images, texts, labels = planted(n=120)
    without, given = (short(name, epochs=1).fit(images, texts, marks) for marks in (None, labels))
    np.testing.assert_array_equal(without.encode_text(texts), given.encode_text(texts))


@pytest.mark.parametrize("name", [name for name in DEEP if methods()[name].supervised])
def test_labels_decide_what_supervised_methods_learn(name):
    images, texts, labels = planted(n=100)
    right = short(name, epochs=3).fit(images, texts, labels).encode_text(texts)
    wrong = short(name, epochs=3).fit(images, texts, np.roll(labels, 1, axis=0)).encode_text(texts)
    assert (right != wrong).any()


@pytest.mark.parametrize("name", DEEP)
def test_raw_pixels_and_words(name):
    rng = np.random.default_rng(0)
    images = Modality("pixels", rng.integers(0, 256, (24, 32, 32, 3)).astype(np.uint8))
    words = rng.integers(1, 12, (24, 6)).astype(np.int32)
    texts = Modality("tokens", words, np.full(24, 6, np.int32), ("", *map(str, range(11))))
    method = short(name, 9, epochs=1).fit(images, texts, np.eye(3)[rng.integers(0, 3, 24)])
    assert method.encode_image(images.take(np.arange(5))).shape == (5, 2)
    assert method.encode_text(texts.take(np.arange(5))).shape == (5, 2)


@pytest.mark.parametrize("name", DEEP)
def test_fewer_pairs_than_bits_sparse_rows_and_no_items(name):
    images, texts, labels = planted(n=12)
    method = short(name, 32, epochs=1).fit(sparse.csr_array(images), texts, labels)
    np.testing.assert_array_equal(method.encode_image(images), method.encode_image(sparse.csr_array(images)))
    assert method.encode_image(images).shape == (12, 4) and method.encode_text(texts[:0]).shape == (0, 4)


@pytest.mark.parametrize("name", ["udsph", "ssah"])
def test_the_seed_decides_what_the_trainer_of_udsph_learns(name):
    images, texts, labels = planted(n=100)
    first, again, other = (short(name, seed=seed, epochs=1).fit(images, texts, labels) for seed in (0, 0, 1))
    np.testing.assert_array_equal(first.encode_text(texts), again.encode_text(texts))
    assert (first.encode_text(texts) != other.encode_text(texts)).any()


def test_regions_with_nan_are_refused():
    images, texts, labels = planted(n=12)
    regions = np.tile(images[:, None].astype(np.float32), (1, 3, 1))
    regions[2, 1, 0] = np.nan
    with pytest.raises(InputError, match="images: holds NaN"):
        short("cmnnh", epochs=1).fit(Modality("regions", regions), texts, labels)


@pytest.mark.parametrize("name", DEEP)
@pytest.mark.parametrize("damage", ["nan", "constant", "lengths", "one view"])
def test_bad_input_is_one_clear_error(name, damage):
    images, texts, labels = planted(n=40)
    if damage == "nan":
        images[3, 2] = np.nan
    elif damage == "constant":
        texts = np.ones_like(texts)
    else:
        texts = texts[:-1] if damage == "lengths" else None
    wanted = {
        "nan": "images: holds NaN",
        "constant": "texts: every row",
        "lengths": "40 images but 39 texts",
        "one view": "texts: None given",
    }[damage]
    with pytest.raises(InputError, match=wanted):
        short(name, epochs=1).fit(images, texts, labels)


def test_real_acmr_embeds_with_unit_rows():
    images, texts, labels = planted(n=60)
    method = short("acmr-real", epochs=1).fit(images, texts, labels)
    assert method.real_valued and not methods()["acmr"].real_valued
    np.testing.assert_allclose(np.linalg.norm(method.embed_image(images), axis=1), 1, rtol=1e-5)


def test_gradient_reversal_keeps_values_and_turns_gradients():
    values = torch.tensor([1.0, -2.0], requires_grad=True)
    turned = reverse(values, 0.3)
    torch.testing.assert_close(turned, values)
    turned.sum().backward()
    torch.testing.assert_close(values.grad, torch.tensor([-0.3, -0.3]))


def test_the_adversary_of_acmr_reaches_the_encoders():
    images, texts, labels = planted(n=40)
    method = short("acmr", epochs=1).fit(images, texts, labels)
    method.progress_ = 0.5
    batch = method._batch(Modality("vectors", images), Modality("vectors", texts), labels, np.arange(40))
    method._losses(batch)["image_adversary"].backward()
    assert method.pair_.image.to_code.weight.grad.abs().sum() > 0


def test_triplet_is_zero_once_pairs_are_clear_of_others():
    same = torch.eye(3)
    apart = ~torch.eye(3, dtype=torch.bool)
    assert triplet(same, same, apart, 0.1) == 0
    assert triplet(same, same.roll(1, 0), apart, 0.1) == pytest.approx(1.1)


def test_nearest_leaves_the_item_itself_out():
    points = np.array([[0, 1.0], [0.1, 1.0], [1.0, 0], [1.0, 0.1]])
    np.testing.assert_array_equal(nearest(Modality("vectors", points), 1).ravel(), [1, 0, 3, 2])
