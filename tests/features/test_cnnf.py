"""CNN-F: the weights' file, and each trap that its ports fall into."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import torch

from udsph.errors import InputError
from udsph.features.cnnf import CNNF, SIZE, CnnfExtractor, read_weights

DIMS = 8  # of fc6 and fc7, 4096 in the original
SHAPES = {
    "conv1": (11, 11, 3, 64), "conv2": (5, 5, 64, 256), "conv3": (3, 3, 256, 256), "conv4": (3, 3, 256, 256),
    "conv5": (3, 3, 256, 256), "fc6": (6, 6, 256, DIMS), "fc7": (1, 1, DIMS, DIMS),
}  # fmt: skip


def make_layers(**changed: np.ndarray) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    random = np.random.default_rng(0)
    layers = {}
    for name, shape in SHAPES.items():
        scale = 1 / np.sqrt(np.prod(shape[:3]))
        filters = changed.get(name, random.normal(0, scale, shape)).astype(np.float32)
        layers[name] = filters, random.normal(0, 0.1, (1, shape[3])).astype(np.float32)
    return layers


def write_mat(path: Path, layers: dict, *, form: str = "weights", mean: np.ndarray | None = None) -> Path:
    """A file as MatConvNet's: a cell of layer structs, the ones without parameters between the others."""
    cells = []
    for name, (filters, biases) in layers.items():
        layer: dict = {"type": "conv", "name": name}
        if form == "weights":
            weights = np.empty((1, 2), object)
            weights[0, 0], weights[0, 1] = filters, biases
            layer["weights"] = weights
        else:
            layer |= {"filters": filters, "biases": biases}
        cells += [layer, {"type": "relu", "name": f"relu_{name}"}]
    cell = np.empty((1, len(cells)), object)
    for position, layer in enumerate(cells):
        cell[0, position] = layer
    normalization = {"averageImage": np.zeros((SIZE, SIZE, 3), np.float32) if mean is None else mean}
    content = {"layers": cell}
    content |= {"meta": {"normalization": normalization}} if form == "weights" else {"normalization": normalization}
    scipy.io.savemat(path, content)
    return path


@pytest.fixture(scope="module")
def pixels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (2, SIZE, SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize("form", ["weights", "filters"])
def test_both_layouts_of_the_file_give_the_same_network(tmp_path, pixels, form):
    layers = make_layers()
    mean = np.random.default_rng(2).random((SIZE, SIZE, 3)).astype(np.float32) * 255
    network = read_weights(write_mat(tmp_path / "f.mat", layers, form=form, mean=mean))
    filters = layers["conv2"][0]
    assert network.conv2.weight[7, 3, 1, 4] == filters[1, 4, 3, 7]
    assert network.fc6.weight[5, 250, 2, 3] == layers["fc6"][0][2, 3, 250, 5]
    np.testing.assert_array_equal(network.mean[0].permute(1, 2, 0), mean)
    assert CnnfExtractor(str(tmp_path / "f.mat"))(pixels).shape == (2, DIMS)


def test_the_first_layer_is_matconvnets(tmp_path):
    """Convolution, rectifier and local response normalisation at one place, written out as MatConvNet defines them."""
    layers = make_layers()
    random = np.random.default_rng(3)
    image = random.integers(0, 256, (SIZE, SIZE, 3)).astype(np.float32)
    mean = (random.random((SIZE, SIZE, 3)) * 255).astype(np.float32)
    network = read_weights(write_mat(tmp_path / "f.mat", layers, mean=mean))
    row, column = 5, 9
    window = (image - mean)[4 * row : 4 * row + 11, 4 * column : 4 * column + 11]
    response = np.maximum(np.einsum("hwc,hwco->o", window, layers["conv1"][0]) + layers["conv1"][1][0], 0)
    expected = np.empty(64)
    for channel in range(64):
        group = response[max(0, channel - 2) : channel + 3]  # depth_radius 2: five channels
        expected[channel] = response[channel] / (2 + 1e-4 * (group**2).sum()) ** 0.75  # alpha is not divided by 5
    with torch.inference_mode():
        maps = network.conv1(torch.from_numpy(image).permute(2, 0, 1)[None] - network.mean).relu()
        found = network.normalise(maps)[0, :, row, column]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_channels_are_red_green_blue(tmp_path):
    red_only = np.zeros(SHAPES["conv1"], np.float32)
    red_only[:, :, 0] = 1
    network = read_weights(write_mat(tmp_path / "f.mat", make_layers(conv1=red_only)))
    image = torch.zeros(2, 3, SIZE, SIZE)
    image[0, 0], image[1, 2] = 255, 255  # red, blue
    with torch.inference_mode():
        red, blue = network.conv1(image).amax((1, 2, 3))
    assert red > 1000 and blue < 1


def test_regions_are_the_cells_of_the_last_map(tmp_path, pixels):
    path = str(write_mat(tmp_path / "f.mat", make_layers()))
    regions = CnnfExtractor(path, "regions")
    vectors = CnnfExtractor(path)
    found = regions(pixels)
    assert found.shape == (2, 36, 256) and regions.shape == (36, 256)
    network = regions.network
    with torch.inference_mode():  # fc7 follows from the regions
        maps = torch.from_numpy(found).transpose(1, 2).reshape(2, 256, 6, 6)
        fc7 = network.fc7(network.fc6(maps).relu()).relu().flatten(1)
    np.testing.assert_allclose(vectors(pixels), fc7, rtol=1e-4, atol=1e-4)


def test_the_original_has_4096_dimensions():
    with torch.device("meta"):
        network = CNNF()
    sizes = {name.partition(".")[0]: tuple(p.shape) for name, p in network.named_parameters() if "weight" in name}
    in_matlab_order = {name: (*shape[2:], shape[1], shape[0]) for name, shape in sizes.items()}
    assert in_matlab_order == {**SHAPES, "fc6": (6, 6, 256, 4096), "fc7": (1, 1, 4096, 4096)}
    assert network(torch.zeros(1, 3, SIZE, SIZE, device="meta")).shape == (1, 4096)


def test_other_sizes_are_resized(tmp_path):
    extractor = CnnfExtractor(str(write_mat(tmp_path / "f.mat", make_layers())))
    small = np.full((1, 50, 80, 3), 90, np.uint8)
    np.testing.assert_allclose(extractor(small), extractor(np.full((1, SIZE, SIZE, 3), 90, np.uint8)), rtol=1e-4)


def test_a_mean_of_one_value_a_channel(tmp_path):
    mean = np.array([1.0, 2.0, 3.0], np.float32).reshape(1, 1, 3)
    network = read_weights(write_mat(tmp_path / "f.mat", make_layers(), mean=mean))
    assert network.mean[0, :, 100, 7].tolist() == [1, 2, 3]


def test_what_is_no_cnnf_is_named(tmp_path):
    layers = make_layers()
    without = {name: layer for name, layer in layers.items() if name != "conv4"}
    with pytest.raises(InputError, match="no layer 'conv4'"):
        read_weights(write_mat(tmp_path / "a.mat", without))
    layers["conv3"] = (np.zeros((3, 3, 128, 256), np.float32), layers["conv3"][1])
    with pytest.raises(InputError, match="'conv3' are 3 x 3 x 128 x 256"):
        read_weights(write_mat(tmp_path / "b.mat", layers))
    with pytest.raises(InputError, match="mean image is 8 x 8 x 3"):
        read_weights(write_mat(tmp_path / "c.mat", make_layers(), mean=np.zeros((8, 8, 3), np.float32)))
    scipy.io.savemat(tmp_path / "d.mat", {"x": 1})
    with pytest.raises(InputError, match="no 'layers'"):
        read_weights(tmp_path / "d.mat")


def test_bad_files_are_one_line(tmp_path):
    whole = write_mat(tmp_path / "f.mat", make_layers())
    (tmp_path / "cut.mat").write_bytes(whole.read_bytes()[:5000])
    with pytest.raises(InputError, match="is it the whole file"):
        read_weights(tmp_path / "cut.mat")
    header = b"MATLAB 7.3 MAT-file".ljust(124) + (0x0200).to_bytes(2, "little") + b"IM"
    (tmp_path / "new.mat").write_bytes(header + bytes(1000))
    with pytest.raises(InputError, match=r"version 7\.3"):
        read_weights(tmp_path / "new.mat")
    with pytest.raises(InputError, match="does not exist"):
        read_weights(tmp_path / "missing.mat")
    with pytest.raises(InputError, match="needs its weights"):
        CnnfExtractor("")
