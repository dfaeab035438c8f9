"""Pairs without labels in training: what they are taught by, how batches are parted, and what is refused."""

from __future__ import annotations

import csv
import dataclasses
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.training.conftest import QUICK, make_dataset
from tests.training.test_trainer import trainer_of
from udsph.data import Dataset
from udsph.encoding import Hasher
from udsph.errors import InputError
from udsph.models import CodeCritic, Outputs
from udsph.training import UDSPH, Config, losses, objective
from udsph.training.adversary import Adversary
from udsph.training.batches import batches
from udsph.training.launch import launch
from udsph.training.plan import Plan
from udsph.training.validation import pair_recall


def partly(dataset: Dataset, labelled: int) -> Dataset:
    """The dataset with labels for the first training items only."""
    supervised = dataset.supervised.copy()
    supervised[dataset.splits["train"][labelled:]] = False
    return dataclasses.replace(dataset, supervised=supervised)


def bare(dataset: Dataset) -> Dataset:
    return dataclasses.replace(dataset, labels=None, classes=(), known=None, supervised=None)


@pytest.fixture(scope="module")
def half() -> Dataset:
    return partly(make_dataset(("regions", "tokens"), multi=True), 24)


def outputs(n: int, bits: int = 16, classes: int = 4) -> Outputs:
    return Outputs(torch.randn(n, 8), torch.randn(n, bits), torch.randn(n, classes))


# -- losses -----------------------------------------------------------------------------------------------------------


def test_pairing_is_the_cross_entropy_of_the_partner_among_those_that_are_not_known_to_be_similar():
    torch.manual_seed(0)
    image, text = torch.randn(4, 6), torch.randn(4, 6)
    similar = torch.eye(4)
    similar[0, 2] = similar[2, 0] = 1
    unit = [values / values.norm(dim=1, keepdim=True) for values in (image, text)]
    cosines, wanted = 5.0 * unit[0] @ unit[1].T, 0.0
    for row in range(4):
        for scores in (cosines[row], cosines[:, row]):
            others = [scores[k] for k in range(4) if k == row or not similar[row, k]]
            wanted = wanted - (scores[row] - torch.stack(others).logsumexp(0)) / 8
    torch.testing.assert_close(losses.pairing(image, text, 5.0, similar), wanted)


def test_items_known_to_share_a_label_are_not_pushed_apart():
    codes = torch.randn(3, 8, requires_grad=True)
    everything = torch.ones(3, 3)
    losses.pairing(codes, torch.randn(3, 8), 10.0, everything).backward()
    assert codes.grad.abs().max() == 0


def test_labels_speak_for_the_first_items_and_pairs_for_all():
    torch.manual_seed(0)
    image, text, teacher = outputs(6), outputs(6), outputs(4)
    labels = torch.eye(4)
    config = Config(**QUICK)
    found = objective.modality_losses(image, text, teacher, labels, config, True)
    alone = objective.modality_losses(image.first(4), text.first(4), teacher, labels, config, True)
    assert set(found) - set(alone) == {"pairing"}
    for name in set(alone) - {"image_equal", "text_equal"}:
        torch.testing.assert_close(found[name], alone[name])
    other = image._replace(code_logits=image.code_logits.clone())
    other.code_logits[4:] *= -1
    changed = objective.modality_losses(other, text, teacher, labels, config, True)
    assert {name for name in found if not torch.equal(found[name], changed[name])} == {"pairing", "image_equal"}


def test_without_any_label_pairs_balance_and_quantisation_are_all_there_is():
    found = objective.modality_losses(outputs(6), outputs(6), None, torch.zeros(0, 4), Config(**QUICK), True)
    assert set(found) == {"pairing", "quantisation", "image_equal", "text_equal"}


def test_classes_that_no_labelled_item_has_do_not_count():
    torch.manual_seed(0)
    logits, labels = torch.randn(5, 4, requires_grad=True), torch.eye(4)[[0, 1, 0, 1, 3]]
    for single in (True, False):
        (gradient,) = torch.autograd.grad(
            losses.classification(logits, labels, single=single, taught=torch.tensor([0, 1, 3])), logits
        )
        assert gradient[:, 2].abs().max() == 0 and gradient[:, [0, 1, 3]].abs().min() > 0


# -- the adversary ----------------------------------------------------------------------------------------------------


def adversary_of(form: str, **settings) -> Adversary:
    torch.manual_seed(0)
    config = Config.of(QUICK | {"adversarial": form} | settings)
    return Adversary(launch(config), config)


def test_the_critic_of_codes_changes_no_faster_than_the_code():
    torch.manual_seed(0)
    critic = CodeCritic(16)
    for _ in range(30):  # the singular vectors are found step by step
        critic(torch.randn(8, 16))
    codes = torch.randn(64, 16, requires_grad=True)
    (gradient,) = torch.autograd.grad(critic.eval()(codes).sum(), codes)
    assert gradient.norm(dim=1).max() <= 1.05


def test_the_adversary_of_codes_moves_only_codes_of_items_without_labels():
    adversary = adversary_of("codes")
    said = {}
    for name in ("image", "text"):
        one = outputs(6)
        said[name] = one._replace(code_logits=one.code_logits.requires_grad_())
    found = adversary.deception(said, 4, outputs(4))
    assert set(found) == {"image_adversary", "text_adversary"}
    objective.total(found).backward()
    for one in said.values():
        assert one.code_logits.grad[:4].abs().max() == 0 and one.code_logits.grad[4:].abs().min() > 0
    assert all(p.grad is None for p in adversary.critics.parameters())
    assert adversary.deception(said, 6, outputs(6)) == adversary.step(said, 6, outputs(6)) == {}
    assert adversary.deception(said, 0, None) == adversary.step(said, 0, None) == {}


def test_critics_learn_to_tell_codes_of_labels_from_others_and_deceiving_them_makes_codes_more_alike():
    adversary, teacher = adversary_of("codes"), outputs(32)
    teacher = teacher._replace(code_logits=teacher.code_logits.abs())  # codes of labels are all ones
    said = {name: outputs(64) for name in ("image", "text")}
    first = adversary.step(said, 32, teacher)
    for _ in range(60):
        last = adversary.step(said, 32, teacher)
    for name in first:
        assert last[name] < 0.8 * first[name]
    logits = torch.zeros(8, 16, requires_grad=True)
    fake = outputs(8)._replace(code_logits=logits)
    objective.total(adversary.deception({"image": fake, "text": fake}, 0, teacher)).backward()
    assert (logits.grad < 0).float().mean() > 0.9, "a step downhill makes the bits the label network's"


def test_the_control_of_the_adversary_is_quantisation_in_its_place():
    adversary, said = adversary_of("quantise", weight_adversary=0.5), {"image": outputs(6), "text": outputs(6)}
    found = adversary.deception(said, 4, outputs(4))
    for name, one in said.items():
        torch.testing.assert_close(found[f"{name}_adversary"], 0.5 * (one.codes[4:].abs() - 1).square().mean())
    assert adversary.step(said, 4, outputs(4)) == {} and not len(adversary.critics)


@pytest.mark.parametrize("form", ["codes", "features", "quantise", "none"])
def test_every_form_of_the_adversary_trains_on_partly_labelled_pairs(half, form):
    trainer = trainer_of(half, adversarial=form, epochs=1)
    trainer.networks.pair.train()
    found = trainer.networks.step(np.concatenate([half.splits["train"][:10], half.splits["train"][30:40]]))
    names = {name for name in found if "critic" in name or "adversary" in name}
    assert bool(names) == (form != "none") and any("critic" in name for name in names) == (
        form in ("codes", "features")
    )


# -- batches and the plan ---------------------------------------------------------------------------------------------


def test_batches_are_half_labelled_and_none_has_an_item_twice():
    supervised = np.zeros(1000, bool)
    supervised[::10] = True
    made = batches(np.arange(1000), supervised, 128, np.random.default_rng(0))
    assert len(made) == 8  # as many as the items give
    for batch in made:
        assert len(set(batch.tolist())) == len(batch) == 125
        assert supervised[batch].sum() == 62 and supervised[batch[:62]].all()
    seen = np.concatenate(made)
    assert set(seen[supervised[seen]].tolist()) == set(range(0, 1000, 10))
    assert np.bincount(seen[~supervised[seen]]).max() == 1


@pytest.mark.parametrize("labelled", [1, 2, 40, 999])
def test_few_and_many_labelled_items_make_whole_batches(labelled):
    supervised = np.arange(1000) < labelled
    made = batches(np.arange(1000), supervised, 128, np.random.default_rng(0))
    for batch in made:
        share = supervised[batch].sum()
        assert len(set(batch.tolist())) == len(batch) and supervised[batch[:share]].all()
        assert 1 <= share <= max(labelled, 1) and len(batch) >= 64
        assert share >= min(labelled, 60)


def test_where_all_or_none_have_labels_batches_are_what_they_were():
    for supervised in (np.ones(50, bool), np.zeros(50, bool)):
        made = batches(np.arange(50), supervised, 16, np.random.default_rng(3))
        wanted = np.array_split(np.random.default_rng(3).permutation(50), 3)
        assert all(np.array_equal(a, b) for a, b in zip(made, wanted, strict=True))


def test_labelled_and_other_items_are_held_out_alike_but_not_of_a_handful(half):
    plan = Plan.of(Config(**QUICK, validation=0.25), half)
    assert half.supervised[plan.held].sum() == 6 and (~half.supervised[plan.held]).sum() == 12
    assert len(plan.labelled) == 24 and sorted([*plan.held, *plan.fitted]) == sorted(half.splits["train"])
    few = Plan.of(Config(**QUICK), partly(half, 12))
    assert not half.supervised[few.held][np.isin(few.held, few.labelled)].any()


def test_recall_of_pairs_is_in_expectation_over_ties():
    same = np.zeros((40, 2), np.uint8)
    assert pair_recall(same, same) == pytest.approx(4 / 40)  # 4 of 40 are nearest, at random
    different = np.arange(40, dtype=np.uint8)[:, None]
    assert pair_recall(different, different) == 1


# -- trainings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kinds", [("vectors", "vectors"), ("pixels", "tokens")])
def test_pairs_without_any_label_train_and_the_run_opens(kinds, tmp_path: Path):
    dataset = bare(make_dataset(kinds))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = UDSPH(**QUICK).fit(dataset, output=tmp_path / "run", progress=False)
    assert not model.config.label_net and model.asked.label_net and model.classes == ()
    with (tmp_path / "run" / "log.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert {row["phase"] for row in rows} <= {"select", "refit"} and rows[0]["validation_map"] == ""
    assert 0 <= float(rows[0]["validation_recall"]) <= 1
    opened = Hasher.load(tmp_path / "run")
    np.testing.assert_array_equal(opened.encode_image(dataset.image), model.encode_image(dataset.image))
    again = UDSPH(**QUICK).fit(dataset, output=tmp_path / "run", progress=False)
    np.testing.assert_array_equal(again.encode_text(dataset.text), model.encode_text(dataset.text))


def test_pairs_alone_teach_which_text_belongs_to_an_image():
    random = np.random.default_rng(0)
    hidden = random.standard_normal((300, 6))
    views = [(hidden @ random.standard_normal((6, 20))).astype(np.float32) for _ in range(2)]
    toy = make_dataset(n=300)
    image, text = (dataclasses.replace(toy.image, values=view) for view in views)
    dataset = bare(dataclasses.replace(toy, image=image, text=text))
    model = UDSPH(**QUICK | {"bits": 32, "epochs": 15}).fit(dataset, progress=False)
    queries = dataset.splits["query"]
    found = pair_recall(model.encode_image(image.take(queries)), model.encode_text(text.take(queries)))
    assert found > 0.6, "0.09 by chance"


def test_partly_labelled_training_goes_on_from_a_checkpoint_to_the_same_weights(half, tmp_path: Path):
    settings = QUICK | {"epochs": 2, "refit": "false"}
    whole = UDSPH(**settings).fit(half, progress=False)
    trainer = trainer_of(half, **{"epochs": 2, "refit": "false"})
    trainer.begin("label")
    steps = trainer.run()
    for _ in range(2):  # the label network and the first epoch
        next(steps)
    state = trainer.state()
    assert set(state["adversary"]["critics"]) and float(trainer.networks.scale().detach()) != 10
    second = trainer_of(half, **{"epochs": 2, "refit": "false"})
    second.restore(state)
    for _ in second.run():
        pass
    for name, value in whole.model.tensors().items():
        torch.testing.assert_close(second.model.tensors()[name], value)


def test_labels_of_items_that_are_not_supervised_are_never_read(half):
    settings = QUICK | {"epochs": 1}
    spoilt = half.labels.copy()
    spoilt[~half.supervised] = 1 - spoilt[~half.supervised]
    other = dataclasses.replace(half, labels=spoilt)
    first, second = (UDSPH(**settings).fit(data, progress=False).model.tensors() for data in (half, other))
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_one_labelled_item_of_a_class_and_classes_of_unlabelled_items_only_train(toy):
    supervised = toy.supervised.copy()
    train = toy.splits["train"]
    kinds = toy.labels[train].argmax(1)
    supervised[train] = (kinds == 0) | (np.cumsum(kinds == 1) == 1) & (kinds == 1)  # many ants, one bee
    dataset = dataclasses.replace(toy, supervised=supervised)
    model = UDSPH(**QUICK | {"epochs": 1}).fit(dataset, progress=False)
    assert np.isfinite(model.tensors()["pair.image.to_classes.weight"].numpy()).all()
    assert model.classes == toy.classes


def test_labels_without_contrast_are_refused_where_only_some_are_known(toy):
    for count in (1, 3):
        supervised = toy.supervised.copy()
        train = toy.splits["train"]
        supervised[train] = False
        supervised[train[toy.labels[train].argmax(1) == 0][:count]] = True
        dataset = dataclasses.replace(toy, supervised=supervised)
        with pytest.raises(InputError, match=rf"the {count} training items with labels all have the same.*labelled=0"):
            UDSPH(**QUICK).fit(dataset, progress=False)


def test_a_batch_without_labelled_items_is_learnt_from_by_its_pairs(half):
    trainer = trainer_of(half)
    trainer.networks.pair.train()
    found = trainer.networks.step(half.splits["train"][30:50])
    assert "pairing" in found and not [name for name in found if "bit" in name or "classify" in name]
    weights = list(trainer.networks.adversary.critics.parameters())
    assert weights and all(p.grad is None for p in weights)
    assert isinstance(trainer.networks.scale, nn.Module)
