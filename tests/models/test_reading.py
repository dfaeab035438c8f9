"""Bits read from the classes found in an item, by layers that start as the label network's."""

from __future__ import annotations

import pytest
import torch

from tests.models.test_attention import items, pair_of
from udsph.encoding import config as configuration
from udsph.encoding.config import Config
from udsph.encoding.model import Description, Model
from udsph.models.networks import LabelNetwork, LabelReader, ModalitySpec
from udsph.training.schedule import parameter_groups

SPECS = {"image": ModalitySpec("pixels", (16, 16, 3)), "text": ModalitySpec("vectors", (9,))}


def test_a_reader_starts_with_what_the_label_network_says_of_certain_classes():
    torch.manual_seed(0)
    teacher, reader = LabelNetwork(24, 5, 32), LabelReader(24, 5, 32)
    labels = torch.randint(0, 2, (9, 5))
    certain = torch.where(labels > 0, 30.0, -30.0)
    assert not torch.allclose(reader(certain), teacher(labels).code_logits, atol=1e-4)
    reader.start_from(teacher)
    torch.testing.assert_close(reader(certain), teacher(labels).code_logits)
    reader.to_code.weight.data.add_(1)
    assert not torch.equal(reader.to_code.weight, teacher.to_code.weight), "it learns on by itself"


@pytest.mark.parametrize(
    ("reading", "attention", "label_net", "image", "text"),
    [
        ("auto", "label", True, True, False),
        ("auto", "uniform", True, True, False),
        ("auto", "none", True, False, False),
        ("true", "label", True, True, True),
        ("true", "none", True, True, True),
        ("false", "label", True, False, False),
        ("true", "label", False, False, False),
    ],
)
def test_which_networks_read_bits_from_classes(reading: str, attention: str, label_net: bool, image: bool, text: bool):
    asked = Config(bits=16, width=16, reading=reading, attention=attention, label_net=label_net)
    model = Model(Description(SPECS["image"], SPECS["text"], ("a", "b")), asked, torch.device("cpu"))
    assert (model.pair.image.reader is not None, model.pair.text.reader is not None) == (image, text)


def test_the_code_is_the_sum_of_what_features_and_classes_say():
    pair = pair_of("label", reading="auto").eval()
    said = pair.image(*items("pixels"))
    reader, pair.image.reader = pair.image.reader, None
    torch.testing.assert_close(
        said.code_logits, pair.image(*items("pixels")).code_logits + reader(said.attended.logits)
    )


def test_without_attention_the_classes_of_the_features_are_read():
    pair = pair_of("none", reading="true").eval()
    said = pair.image(*items("pixels"))
    reader, pair.image.reader = pair.image.reader, None
    torch.testing.assert_close(said.code_logits, pair.image(*items("pixels")).code_logits + reader(said.class_logits))


def test_every_parameter_of_a_reader_gets_a_gradient():
    pair = pair_of("label", reading="auto")
    sum(said.code_logits.square().mean() for said in pair(items("pixels"), items("tokens"))).backward()
    assert [name for name, p in pair.named_parameters() if "reader" in name and p.grad is None] == []


def test_a_run_of_before_has_no_reader():
    assert Config.of(configuration.of_earlier_version({"bits": 16})).reading == "false"


def test_what_looks_at_parts_learns_faster_and_what_reads_it_as_fast_as_all():
    pair = pair_of("label", reading="auto")
    names = {id(parameter): name for name, parameter in pair.named_parameters()}
    groups = parameter_groups(pair, Config(attention_rate=3.0))
    found = {group["factor"]: {names[id(p)] for p in group["params"]} for group in groups}
    assert set(found) == {1.0, 3.0}
    assert {"queries.weight", "image.attention.to_logits", "text.attention.log_sharpness"} <= found[3.0]
    assert {"image.attention.to_features.1.weight", "text.reader.scale", "image.to_code.weight"} <= found[1.0]
    assert sum(map(len, found.values())) == len(names), "each in one group"
    pair.queries.requires_grad_(False)
    groups = parameter_groups(pair, Config())
    assert all(p is not pair.queries.weight for group in groups for p in group["params"]), "frozen"
