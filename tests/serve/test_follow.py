"""A server follows an index that grows: the newest state, and never a mixture of two."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pytest

from udsph.encoding import Hasher
from udsph.encoding.indexed import Items
from udsph.hamming import Collection, FlatIndex
from udsph.serve.catalog import Catalog, read_table
from udsph.serve.follow import Follower, Place
from udsph.serve.limits import Limits
from udsph.serve.state import State, Wanted

from .servers import serving

BATCH = 50


def codes_of(number: int) -> np.ndarray:
    """Codes of one generation: all bits of a byte say which."""
    return np.repeat(np.array([[number, 255 - number]], np.uint8), BATCH, axis=0)


def names_of(number: int) -> list[str]:
    return [f"{number}-{k}" for k in range(BATCH)]


def test_a_growing_collection_is_served_whole_in_every_answer(model: Hasher, tmp_path: Path) -> None:
    """Each generation replaces all codes: an answer that mixed two would name items of both."""
    path = tmp_path / "codes"
    with Collection.create(path, model.bits, durability="none") as writer:
        writer.add(codes_of(0), ids=names_of(0))
        writer.commit()
        state = State(model, Follower(Place(path)), limits=Limits(workers=2))
        seen: set[int] = set()
        wrong: list[object] = []
        stop = threading.Event()

        def ask() -> None:
            while not stop.is_set():
                found = state.search_code("0000", Wanted(2 * BATCH))
                numbers = {int(str(item.id).partition("-")[0]) for item in found.items}
                seen.update(numbers)
                if len(numbers) != 1 or len(found.items) != BATCH or found.codes != BATCH:
                    wrong.append(found)

        threads = [threading.Thread(target=ask) for _ in range(2)]
        for thread in threads:
            thread.start()
        for number in range(1, 9):
            writer.clear()
            writer.add(codes_of(number), ids=names_of(number))
            writer.commit()
            assert state.follower.look() and not state.follower.look()
            assert state.view.generation == writer.generation
            time.sleep(0.02)
        stop.set()
        for thread in threads:
            thread.join()
        assert not wrong and len(seen) > 3


def test_a_running_server_comes_to_the_newest_state_by_itself(model: Hasher, tmp_path: Path) -> None:
    path, table = tmp_path / "codes", tmp_path / "items.csv"
    table.write_text("id,caption,labels\na,one,red\n", encoding="utf-8")
    with Collection.create(path, model.bits, durability="none") as writer:
        writer.add(codes_of(0)[:1], ids=["a"])
        writer.commit()
        state = State(model, Follower(Place(path, table)), limits=Limits(workers=1))
        with serving(state, refresh=0.02) as client:
            assert client.get("/health").json["codes"] == 1
            table.write_text("id,caption,labels\na,one,red\nb,two,red;blue\n", encoding="utf-8")
            writer.add(codes_of(0)[:1], ids=["b"])
            writer.commit()
            end = time.monotonic() + 20
            while client.get("/health").json["codes"] != 2 and time.monotonic() < end:
                time.sleep(0.02)
            found = client.post("/search/code", '{"code": "00ff", "label": ["blue"]}', content_type="application/json")
            assert [item["caption"] for item in found.json["results"]] == ["two"]
            assert found.json["codes"] == 2 and found.json["allowed"] == 1
            # Removed codes leave gaps in the positions, which a filter must not count.
            writer.remove(["a"])
            writer.commit()
            while client.get("/health").json["codes"] != 1 and time.monotonic() < end:
                time.sleep(0.02)
            found = client.post("/search/code", '{"code": "00ff", "label": ["red"]}', content_type="application/json")
            assert [item["id"] for item in found.json["results"]] == ["b"]


def test_what_cannot_be_opened_leaves_what_was_served(model: Hasher, tmp_path: Path) -> None:
    place = tmp_path / "an.index"

    def write(codes: np.ndarray) -> None:
        index = FlatIndex(8 * codes.shape[1])
        index.add(codes)
        index.save(place)

    write(codes_of(1))

    def replace() -> None:
        (tmp_path / "damaged").write_bytes(b"nothing")
        (tmp_path / "damaged").replace(place)

    follower = Follower(Place(place))
    state = State(model, follower, limits=Limits(workers=1))
    for damage in (replace, lambda: write(np.zeros((3, 4), np.uint8)), place.unlink):
        damage()
        assert not follower.look() and follower.trouble
        assert len(state.search_code("0000", Wanted(5)).items) == 5
    write(codes_of(2)[:7])
    assert follower.look() and not follower.trouble
    assert len(state.search_code("0000", Wanted(20)).items) == 7 and state.view.generation > 1


def test_a_table_names_items_by_id_or_by_picture(tmp_path: Path) -> None:
    place = tmp_path / "items.csv"
    place.write_text(
        'image,caption,labels,split\na/b.png,"one, two",red; blue,train\nc.png,,"[""x""]",\n', encoding="utf-8"
    )
    catalog = Catalog(table=read_table(place))
    assert catalog.item("a/b.png")[1:] == ("a/b.png", "one, two", ("red", "blue"), "a/b.png", -1)
    assert catalog.item("none")[1:] == ("none", "", (), "none", -1)
    facets = catalog.facets(np.array(["c.png", "none", "a/b.png"], object))
    assert facets.counts == {"blue": 1, "red": 1, "x": 1}
    assert facets.mask(["red", "blue"]).tolist() == [False, False, True]
    place.write_text("id,image,caption\n7,x.png,seven\n", encoding="utf-8")
    assert Catalog(Items("image", ["x.png"], None, {}, "m"), table=read_table(place)).item(0).caption == "seven"
    assert Catalog(table=read_table(place)).item(7)[2:] == ("seven", (), "x.png", -1)
    place.write_text("name,caption\n7,seven\n", encoding="utf-8")
    with pytest.raises(ValueError, match="neither a column 'id' nor 'image'"):
        read_table(place)


def test_codes_of_the_other_bit_order_are_found(model: Hasher, tmp_path: Path) -> None:
    with Collection.create(tmp_path / "codes", model.bits, bitorder="big", durability="none") as writer:
        little = np.array([[1, 0], [128, 3]], np.uint8)
        writer.add(np.packbits(np.unpackbits(little, axis=1, bitorder="little"), axis=1), ids=["a", "b"])
    state = State(model, Follower(Place(tmp_path / "codes")), limits=Limits(workers=1))
    found = state.search_code("8003", Wanted(2))
    assert [item.id for item in found.items] == ["b", "a"] and found.distances[0] == 0
    assert state.item("b")[1].tobytes().hex() == "8003"
