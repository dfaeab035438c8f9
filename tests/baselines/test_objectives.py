"""Each method's own arithmetic: objectives that must fall, closed forms that must hold."""

import numpy as np
import pytest

from udsph.baselines import create
from udsph.baselines.inputs import View, principal_directions
from udsph.baselines.linalg import (
    canonical_directions,
    expansion,
    leading_triplets,
    paired_directions,
    procrustes,
    whitener,
)
from udsph.baselines.shallow.cmssh import best_offset, draw_pairs
from udsph.baselines.shallow.stmh import solve_rows
from udsph.baselines.stochastic import embed

from .views import planted


@pytest.mark.parametrize("name", ["cca-itq", "qch", "cmfh", "stmh"])
@pytest.mark.parametrize(("noise", "n"), [(0.3, 400), (3.0, 60)])
def test_alternating_methods_never_raise_their_objective(name, noise, n):
    images, texts, labels = planted(n=n, noise=noise)
    for bits in (8, 64):
        objective = np.array(create(name, bits, 0).fit(images, texts, labels).objective_)
        assert len(objective) > 5 and objective[-1] < objective[0]
        assert (np.diff(objective) <= 1e-9 * np.abs(objective[:-1])).all()


def test_the_gradient_descent_of_seph_ends_lower():
    images, texts, labels = planted(n=200)
    objective = create("seph", 16, 0).fit(images, texts, labels).objective_
    assert min(objective) < 0.9 * objective[0]


def test_the_gradient_of_seph_is_that_of_its_objective():
    """One small step changes the objective by the squared length of the gradient that was followed."""
    labels = (np.random.default_rng(2).random((12, 3)) < 0.5).astype(float)

    def objective(codes):
        unit = labels / np.maximum(np.linalg.norm(labels, axis=1, keepdims=True), 1e-12)
        wanted = unit @ unit.T
        np.fill_diagonal(wanted, 0)
        wanted /= wanted.sum()
        near = 1 / (1 + ((codes[:, None] - codes[None]) ** 2).sum(2) / 4)
        np.fill_diagonal(near, 0)
        q = near / near.sum()
        positive = wanted > 0
        fit = (wanted[positive] * np.log(wanted[positive] / q[positive])).sum()
        return fit + 0.01 / codes.size * np.square(np.abs(codes) - 1).sum()

    class Start:
        def standard_normal(self, shape):
            return 1e4 * np.random.default_rng(0).standard_normal(shape)  # codes of size 1, not at the saddle near 0

    _, found = embed(labels, 4, 2, Start())
    codes = 1e-4 * Start().standard_normal((12, 4))
    assert found[0] == pytest.approx(objective(codes))
    numeric = np.zeros_like(codes)
    for place in np.ndindex(codes.shape):
        step = np.zeros_like(codes)
        step[place] = 1e-5
        numeric[place] = (objective(codes + step) - objective(codes - step)) / 2e-5
    moved = codes - 500 * 1.2 * numeric  # the gains of a first step are 1.2: no step came before it
    assert found[1] == pytest.approx(objective(moved - moved.mean(0)), rel=1e-5)


def test_the_directions_of_imh_minimise_its_objective():
    """The Lanczos form against the eigenvectors of the objective written out as an ``n x n`` matrix."""
    images, texts, _ = planted(n=90, noise=1.0)
    method = create("imh", 6, 0)
    views = (images - images.mean(0), texts - texts.mean(0))
    penalties = (3.0, 2.0)
    codes = method._spectral_codes(views, penalties, np.random.default_rng(0)) / np.sqrt(90)
    objective = np.zeros((90, 90))
    for view, penalty in zip(views, penalties, strict=True):
        hat = view @ np.linalg.inv(view.T @ view + penalty * np.eye(view.shape[1])) @ view.T
        objective += np.eye(90) - hat + method._laplacian(view).toarray()
    centre = np.eye(90) - 1 / 90
    values = np.linalg.eigvalsh(centre @ objective @ centre + 100 * np.full((90, 90), 1 / 90))
    np.testing.assert_allclose(codes.T @ codes, np.eye(6), atol=1e-8)
    np.testing.assert_allclose(np.diag(codes.T @ objective @ codes), values[:6], atol=1e-6)


def test_each_bit_of_sequential_scm_lessens_the_residue():
    images, texts, labels = planted(n=120, noise=1.0)
    method = create("scm-seq", 24, 0).fit(images, texts, labels)
    x = np.where(images_of(method, images) > 0, 1, -1)
    y = np.where(texts_of(method, texts) > 0, 1, -1)
    residue = 24 * (2 * labels @ labels.T - 1)
    norms = [np.linalg.norm(residue)]
    for bit in range(24):
        residue = residue - np.outer(x[:, bit], y[:, bit])
        norms.append(np.linalg.norm(residue))
    assert (np.diff(norms) < 0).all()


def images_of(method, images):
    return method._project_image(method.image_view_(images))


def texts_of(method, texts):
    return method._project_text(method.text_view_(texts))


def test_boosting_bound_falls_with_every_bit():
    images, texts, labels = planted()
    bound = np.array(create("cmssh", 16, 0).fit(images, texts, labels).bound_)
    assert (np.diff(bound) < 0).all() and bound[-1] < 0.5


def test_canonical_directions_are_whitened_and_ordered():
    images, texts, _ = planted()
    x, y = images - images.mean(0), texts - texts.mean(0)
    found = canonical_directions(x, y, 5, 1e-9)
    n = len(x)
    np.testing.assert_allclose(found.image.T @ (x.T @ x / n) @ found.image, np.eye(5), atol=1e-6)
    np.testing.assert_allclose(found.image.T @ (x.T @ y / n) @ found.text, np.diag(found.strength), atol=1e-6)
    assert (np.diff(found.strength) <= 0).all() and found.strength[0] <= 1


def test_directions_without_strength_are_left_out():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((50, 8)), rng.standard_normal((50, 6))
    cross = np.outer(rng.standard_normal(8), rng.standard_normal(6))
    assert len(paired_directions(cross, whitener(x, 0.1), whitener(y, 0.1), 5).strength) == 1


def test_semantic_similarity_is_never_formed_but_right():
    images, texts, labels = planted(n=80)
    method = create("scm-orth", 3, 0).fit(images, texts, labels)
    x, y = method.image_view_(images), method.text_view_(texts)
    similarity = 2 * labels @ labels.T - 1
    expected = paired_directions(x.T @ similarity @ y, whitener(x, 0.1), whitener(y, 0.1), 3)
    np.testing.assert_allclose(method.image_weights_, expected.image, atol=1e-8)


def test_few_triplets_of_a_large_matrix_are_those_of_the_whole_decomposition():
    matrix = np.random.default_rng(0).standard_normal((90, 70))
    left, strength, right = leading_triplets(matrix, 3)
    assert strength.shape == (3,)
    whole = np.linalg.svd(matrix, full_matrices=False)
    np.testing.assert_allclose(strength, whole[1][:3])
    np.testing.assert_allclose(left * strength @ right, whole[0][:, :3] * whole[1][:3] @ whole[2][:3], atol=1e-9)
    np.testing.assert_array_equal(leading_triplets(matrix, 3)[0], left)


def test_expansion_keeps_directions_and_fills_the_rest():
    mixing = expansion(np.array([1.0, 0.5, 0.1]), 8, np.random.default_rng(0))
    np.testing.assert_array_equal(mixing[:, :3], np.eye(3))
    np.testing.assert_allclose(np.linalg.norm(mixing, axis=0), 1)
    assert expansion(np.ones(5), 2, np.random.default_rng(0)).shape == (5, 2)


def test_procrustes_is_the_best_rotation():
    rng = np.random.default_rng(0)
    turn = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    points = rng.standard_normal((40, 6))
    np.testing.assert_allclose(procrustes(points, points @ turn), turn, atol=1e-10)


def test_best_offset_is_exact():
    rng = np.random.default_rng(0)
    for _ in range(20):
        projections, votes = rng.standard_normal(15), rng.standard_normal(15)
        found = votes @ np.where(projections + best_offset(projections, votes) > 0, 1, -1)
        cuts = np.concatenate([[-10], np.sort(projections)])
        assert found == pytest.approx(max(votes @ np.where(projections > c, 1, -1) for c in cuts))


def test_drawn_pairs_are_what_they_say():
    labels = (np.random.default_rng(3).random((50, 4)) < 0.3).astype(float)
    rows, columns, similar = draw_pairs(labels, 2000, np.random.default_rng(0))
    shared = (labels[rows] * labels[columns]).sum(1) > 0
    np.testing.assert_array_equal(shared, similar > 0)
    assert 900 <= shared.sum() <= 1100


def test_joint_diagonalisation_solves_every_row():
    rng = np.random.default_rng(0)
    half = rng.standard_normal((4, 3))
    first, second = half @ half.T, np.eye(4) + 0.1
    trust, wanted = rng.random(5) + 0.1, rng.standard_normal((5, 4))
    solved = solve_rows(first, second, trust, wanted)
    for t, g, w in zip(trust, solved, wanted, strict=True):
        np.testing.assert_allclose(g @ (t * first + second), w, atol=1e-10)


def test_wide_sparse_views_are_reduced_without_becoming_dense():
    rng = np.random.default_rng(0)
    factors = rng.standard_normal((300, 5)) @ rng.standard_normal((5, 2000)) + 3
    basis = principal_directions(factors, factors.mean(0), 5, rng)
    exact = np.linalg.svd(factors - factors.mean(0), full_matrices=False)[2][:5]
    np.testing.assert_allclose(np.linalg.svd(exact @ basis)[1], 1, atol=1e-6)
    view = View(factors, "texts", rng)
    assert view(factors).shape == (300, 300)
    assert np.square(view(factors)).sum(1).mean() == pytest.approx(1)


def test_fused_codes_of_pairs_are_at_least_as_good_for_their_views():
    images, texts, labels = planted(n=200)
    method = create("seph", 16, 0, centres=50, iterations=60).fit(images, texts, labels)
    agree = np.unpackbits(method.encode_pair(images, texts) ^ method.encode_text(texts)).mean()
    assert agree < 0.1
