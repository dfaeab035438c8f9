"""What the API answers is what the library answers, item by item."""

from __future__ import annotations

import dataclasses
import io
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from udsph import hamming
from udsph.data import Dataset
from udsph.encoding import Hasher
from udsph.serve.state import State

from .conftest import COUNT
from .servers import Client, name_of, serving, state_of

NAMES = [name_of(k) for k in range(COUNT)]


@pytest.fixture(scope="module")
def codes(model: Hasher, folder: Path) -> np.ndarray:
    return model.encode_image([folder / name for name in NAMES])


def expected(model: Hasher, codes: np.ndarray, query: np.ndarray, k: int) -> list[tuple[str, int]]:
    distances, rows = hamming.search(query, codes, k, bits=model.bits)
    return [(NAMES[row], int(distance)) for row, distance in zip(rows[0], distances[0], strict=True)]


def found(reply: object) -> list[tuple[str, int]]:
    return [(item["id"], item["distance"]) for item in reply.json["results"]]  # type: ignore[attr-defined]


def test_a_text_finds_what_the_library_finds(client: Client, model: Hasher, codes: np.ndarray) -> None:
    reply = client.get("/search/text?q=a+red+star&k=7")
    assert reply.status == 200
    code = model.encode_text(["a red star"])
    assert found(reply) == expected(model, codes, code, 7)
    said = reply.json
    assert bytes.fromhex(said["code"]) == code.tobytes() and said["bits"] == model.bits
    assert said["codes"] == said["allowed"] == COUNT
    assert 0 < said["milliseconds"]["encode"] <= said["milliseconds"]["total"]


@pytest.mark.parametrize("form", ["body", "form"])
def test_a_picture_finds_what_the_library_finds(
    form: str, client: Client, model: Hasher, codes: np.ndarray, folder: Path
) -> None:
    data, headers = (folder / NAMES[4]).read_bytes(), {"content-type": "image/png"}
    if form == "form":
        head = b'--X\r\nContent-Disposition: form-data; name="image"; filename="a.png"\r\n\r\n'
        data, headers = head + data + b"\r\n--X--\r\n", {"content-type": "multipart/form-data; boundary=X"}
    reply = client.ask("POST", "/search/image?k=5", data, headers)
    assert reply.status == 200, reply.body
    assert found(reply) == expected(model, codes, codes[4:5], 5)


def test_a_large_photograph_has_the_code_that_its_file_has(client: Client, model: Hasher, tmp_path: Path) -> None:
    """A JPEG is decoded at a fraction of its size from a file, and so it is from a request."""
    noise = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # turned by the camera
    Image.fromarray(noise).resize((1500, 1000)).save(tmp_path / "large.jpg", quality=95, exif=exif)
    reply = client.post("/search/image", (tmp_path / "large.jpg").read_bytes())
    assert bytes.fromhex(reply.json["code"]) == model.encode_image([tmp_path / "large.jpg"]).tobytes()


def test_a_code_and_an_item_find_what_the_library_finds(client: Client, model: Hasher, codes: np.ndarray) -> None:
    wanted = expected(model, codes, codes[3:4], 6)
    reply = client.post(
        "/search/code", f'{{"code": "{codes[3].tobytes().hex()}", "k": 6}}', content_type="application/json"
    )
    assert found(reply) == wanted
    assert found(client.get(f"/search/item?id={quote(NAMES[3])}&k=6")) == wanted


def test_a_radius_and_labels_leave_out_the_rest(
    client: Client, model: Hasher, codes: np.ndarray, scenes: Dataset
) -> None:
    everything = found(client.get(f"/search/text?q=a+red+star&k={COUNT}"))
    radius = everything[COUNT // 2][1]
    within = found(client.get(f"/search/text?q=a+red+star&k={COUNT}&radius={radius}"))
    assert within == [near for near in everything if near[1] <= radius]
    counts = scenes.labels[:COUNT].sum(axis=0)
    one = scenes.classes[int(counts.argmax())]
    has = scenes.labels[:COUNT, int(counts.argmax())] == 1
    other = int(
        np.where(np.arange(len(counts)) != counts.argmax(), scenes.labels[:COUNT][has].sum(axis=0), -1).argmax()
    )
    both = has & (scenes.labels[:COUNT, other] == 1)
    for labels, mask in (([one], has), ([one, scenes.classes[other]], both)):
        query = "".join(f"&label={quote(label)}" for label in labels)
        reply = client.get(f"/search/text?q=a+red+star&k={COUNT}{query}")
        names = {name for name, kept in zip(NAMES, mask, strict=True) if kept}
        assert found(reply) == [near for near in everything if near[0] in names]
        assert reply.json["allowed"] == mask.sum() and 0 < mask.sum() < COUNT


def test_an_item_is_described_and_its_picture_comes(
    client: Client, codes: np.ndarray, scenes: Dataset, folder: Path
) -> None:
    assert scenes.captions is not None
    for k in (3, 4):
        item = client.get(f"/items/{quote(NAMES[k], safe='')}").json
        assert (item["id"], item["name"], item["caption"]) == (NAMES[k], NAMES[k], scenes.captions[k])
        assert set(item["labels"]) == set(np.array(scenes.classes)[scenes.labels[k] == 1])
        assert bytes.fromhex(item["code"]) == codes[k].tobytes()
        picture = client.get(item["image"])
        assert picture.status == 200 and picture.headers["content-type"] == "image/png"
        with Image.open(io.BytesIO(picture.body)) as sent, Image.open(folder / NAMES[k]) as stored:
            assert np.array_equal(np.asarray(sent), np.asarray(stored))
    listed = client.get("/items?count=5").json["items"]
    assert [item["id"] for item in listed] == [NAMES[k] for k in range(0, COUNT, COUNT // 5)]


def test_large_pictures_are_sent_small(client: Client, state: State, folder: Path) -> None:
    place = folder / NAMES[7]
    before = place.read_bytes()
    try:
        Image.new("RGB", (3000, 2000), "teal").save(place)
        for size, width in (("small", 320), ("large", 1024)):
            reply = client.get(f"/images/{quote(NAMES[7], safe='')}?size={size}")
            with Image.open(io.BytesIO(reply.body)) as sent:
                assert sent.size == (width, round(width * 2 / 3)) and reply.headers["content-type"] == "image/jpeg"
    finally:
        place.write_bytes(before)


def test_attention_is_what_the_model_says(client: Client, model: Hasher, folder: Path) -> None:
    looks = client.get("/attended/text?q=a+red+star").json
    seen = model.attended("text", ["a red star"])
    assert seen.words is not None and looks["words"] == list(seen.words[0])
    best = np.argsort(-seen.scores[0], kind="stable")
    assert [look["name"] for look in looks["classes"]] == [model.classes[i] for i in best[: len(looks["classes"])]]
    np.testing.assert_allclose(looks["classes"][0]["weights"], seen.weights[0, best[0]], atol=1e-5)
    of_item = client.get(f"/attended/item?id={quote(NAMES[4])}").json
    assert of_item == client.post("/attended/image", (folder / NAMES[4]).read_bytes()).json
    rows, columns = of_item["grid"]
    assert all(len(look["weights"]) == rows * columns for look in of_item["classes"])
    assert sum(of_item["classes"][0]["weights"]) == pytest.approx(1, abs=0.01)


def test_a_model_that_was_trained_without_labels_has_no_classes_to_look(
    model: Hasher, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model.model, "description", dataclasses.replace(model.model.description, classes=()))
    with serving(state_of(model, folder, COUNT)) as client:
        assert client.get("/about").json["attention"] == {"text": False, "image": False}
        assert "does not attend" in client.get("/attended/text?q=a+red+star").error
        assert client.get("/search/text?q=a+red+star").status == 200


def test_what_is_served_is_said(client: Client, model: Hasher) -> None:
    about = client.get("/about").json
    assert about["bits"] == model.bits and about["codes"] == COUNT and about["modality"] == "image"
    assert about["queries"] == about["attention"] == {"text": True, "image": True}
    assert about["pictures"] and sum(label["count"] for label in about["labels"]) >= COUNT
    assert client.get("/health").json == {"status": "ok", "codes": COUNT, "generation": about["generation"]}


def test_a_text_without_a_known_word_is_remarked_upon(client: Client) -> None:
    reply = client.get("/search/text?q=qwertz")
    assert reply.status == 200 and reply.json["remarks"] == ["the model knows none of these words"]


def test_a_long_text_is_read_from_its_beginning(client: Client, model: Hasher) -> None:
    reply = client.get(f"/search/text?q={'star+' * 60}")
    assert reply.json["remarks"] == [f"only the first {model.inputs.longest} known words are read"]


def test_head_answers_as_get_without_a_body(client: Client) -> None:
    for path, status in (("/health", 200), ("/", 200), ("/nothing", 404)):
        reply = client.ask("HEAD", path)
        assert (reply.status, reply.body) == (status, b"")


def test_metrics_count_requests_by_route(client: Client) -> None:
    def counted() -> dict[str, float]:
        lines = client.get("/metrics").body.decode().splitlines()
        return {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines if not line.startswith("#")}

    key = 'udsph_requests_total{method="GET",route="/search/text",status="200"}'
    before = counted().get(key, 0)
    client.get("/search/text?q=a+star")
    client.get("/search/text?q=a+star&k=0")
    after = counted()
    assert after[key] == before + 1
    assert after['udsph_requests_total{method="GET",route="/search/text",status="422"}'] >= 1
    assert after['udsph_stage_seconds_count{stage="encode"}'] >= 1 and after["udsph_codes"] == COUNT
    assert not any("a star" in name for name in after)  # what was asked is nobody's business


def test_the_description_names_every_route_and_needs_nothing_from_elsewhere(client: Client) -> None:
    schema, page = client.get("/openapi.json").json, client.get("/docs")
    assert {"/search/text", "/search/image", "/search/code", "/items/{id}", "/health", "/metrics"} <= set(
        schema["paths"]
    )
    text = page.body.decode()
    assert page.headers["content-type"].startswith("text/html")
    for path in schema["paths"]:
        assert f"<code>{path}</code>" in text
    assert all(f'<h3 id="{name}">' in text for name in ("Result", "Milliseconds", "Label"))  # parts of answers
    assert "http://" not in text and "https://" not in text and "<script" not in text
