"""Jobs and encodings on a cluster leave what they leave on one machine."""

from __future__ import annotations

import numpy as np
import pytest

from tests.experiments.work import Square, numbers
from udsph.errors import InputError
from udsph.experiments import Runner, check_processes, jobs

pytest.importorskip("torch")


def test_processes_are_a_number_or_ray():
    assert [check_processes(value) for value in (0, 3, "3", "ray")] == [0, 3, 3, "ray"]
    with pytest.raises(InputError, match="processes=many: expected a whole number, or ray"):
        check_processes("many")


@pytest.mark.cluster
def test_jobs_on_a_cluster_leave_the_rows_of_processes(cluster, tmp_path):
    work = Square({2: "raises", 3: "is killed"})
    rows = {job.value: row for job, row in Runner(tmp_path, work, "ray", threads=1).run(numbers(1, 2, 3, 4, 5))}
    assert {value: row.get("square") for value, row in rows.items()} == {1: 1, 2: None, 3: None, 4: 16, 5: 25}
    assert rows[3]["error"] == jobs.KILLED
    assert rows[2]["error"].startswith("ValueError: no square of 2")
    runner = Runner(tmp_path, Square(), "ray")
    assert runner.missing(numbers(1, 2, 3, 4, 5)) == numbers(2, 3)
    assert sorted(row["square"] for _, row in runner.run(numbers(1, 2, 3))) == [4, 9]


@pytest.mark.cluster
def test_encoding_on_a_cluster_gives_the_codes_of_one_process_and_goes_on(cluster, tmp_path, monkeypatch):
    from PIL import Image

    from tests.training.conftest import QUICK
    from udsph import data
    from udsph.distributed import encode, encoding
    from udsph.encoding import Hasher, encode_file
    from udsph.hamming import Collection
    from udsph.training import UDSPH

    monkeypatch.setattr(encoding, "IMAGES", 64)
    UDSPH(**(QUICK | {"epochs": 1})).fit(data.load("scenes", pairs=80, workers=1), progress=False).save(
        tmp_path / "run"
    )
    folder = tmp_path / "pictures"
    folder.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (130, 20, 20, 3), dtype=np.uint8)
    for number, picture in enumerate(pixels):
        Image.fromarray(picture).save(folder / f"{number:03}.png")
    (folder / "001.png").write_bytes(b"no picture")
    tally = encode_file(Hasher.load(tmp_path / "run"), folder, tmp_path / "c.npy", modality="image", on_error="skip")
    with pytest.raises(InputError, match=r"001.png .*on_error=skip leaves such items out"):
        encode(tmp_path / "run", folder, tmp_path / "codes", modality="image", workers=1)
    assert not (tmp_path / "codes").exists()
    told = []
    found = encode(
        tmp_path / "run", folder, tmp_path / "codes", modality="image", on_error="skip", workers=1,
        report=lambda *pair: told.append(pair),
    )  # fmt: skip
    assert (found.encoded, found.left_out) == (tally.encoded, tally.left_out) and found.encoded == 129
    assert told[-1] == (130, 130)
    collection = Collection.open(tmp_path / "codes")
    names = (tmp_path / "c.items.txt").read_text().split()
    assert collection.ids.tolist() == names
    np.testing.assert_array_equal(collection.reconstruct(names), np.load(tmp_path / "c.npy"))
    assert not (tmp_path / "codes.parts").exists()
    with pytest.raises(InputError, match="is there already; choose another output"):
        encode(tmp_path / "run", folder, tmp_path / "codes", modality="image")
