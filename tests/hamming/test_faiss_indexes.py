"""Binary indexes of FAISS become indexes of this package, from memory and from files, and find what FAISS finds."""

from __future__ import annotations

import contextlib
import io
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from udsph import hamming
from udsph.errors import InputError
from udsph.hamming import FormatError, from_faiss

faiss = pytest.importorskip("faiss")
BITS, N = 64, 400


def codes_of(n: int = N, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(0, 256, (n, BITS // 8), dtype=np.uint8)


def flat(codes: Any) -> Any:
    index = faiss.IndexBinaryFlat(BITS)
    index.add(codes)
    return index


def mapped(inner: Any, codes: Any, ids: Any, kind: str = "IndexBinaryIDMap") -> Any:
    index = getattr(faiss, kind)(inner)
    index.add_with_ids(codes, ids)
    index.kept = inner  # FAISS holds a bare pointer
    return index


def inverted(codes: Any, ids: Any = None) -> Any:
    quantizer = faiss.IndexBinaryFlat(BITS)
    index = faiss.IndexBinaryIVF(quantizer, BITS, 4)
    index.kept = quantizer
    index.train(codes)
    index.nprobe = 4  # all lists: exact
    index.add(codes) if ids is None else index.add_with_ids(codes, ids)
    return index


def made(name: str) -> Any:
    codes, ids = codes_of(), np.random.default_rng(1).permutation(N) + 10**12
    if name == "flat":
        return flat(codes)
    if name == "empty":
        return faiss.IndexBinaryFlat(BITS)
    if name in ("IndexBinaryIDMap", "IndexBinaryIDMap2"):
        return mapped(faiss.IndexBinaryFlat(BITS), codes, ids, name)
    if name == "ivf":
        return inverted(codes)
    if name == "ivf in a map":
        quantizer = faiss.IndexBinaryFlat(BITS)
        inner = faiss.IndexBinaryIVF(quantizer, BITS, 4)
        inner.kept, inner.nprobe = quantizer, 4
        inner.train(codes)
        return mapped(inner, codes, ids)
    if name == "ivf with ids":
        return inverted(codes, ids)
    index = {"hnsw": faiss.IndexBinaryHNSW, "multi-hash": faiss.IndexBinaryMultiHash}[name](
        *((BITS, 32) if name == "hnsw" else (BITS, 4, 16))
    )
    index.add(codes)
    return index


FILES = ["flat", "empty", "IndexBinaryIDMap", "IndexBinaryIDMap2", "ivf in a map"]


def assert_finds_the_same(ours: hamming.FlatIndex, theirs: Any, exact: Any = None) -> None:
    """Distances, and the ids at distances that only one code has."""
    queries = np.concatenate([codes_of()[:3], codes_of(9, seed=2)])
    distances, ids = (exact or theirs).search(queries, 5)
    found = ours.search(queries, 5)
    if len(ours) == 0:
        assert theirs.ntotal == 0
        return
    np.testing.assert_array_equal(found.distances, distances)
    alone = (distances[:, 1:-1] != distances[:, :-2]) & (distances[:, 1:-1] != distances[:, 2:])
    np.testing.assert_array_equal(found.ids[:, 1:-1][alone], ids[:, 1:-1][alone])
    assert alone.any()


@pytest.mark.parametrize("name", [*FILES, "ivf", "ivf with ids", "ivf in a map", "hnsw", "multi-hash"])
def test_an_index_in_memory(name: str) -> None:
    theirs = made(name)
    ours = from_faiss(theirs)
    assert len(ours) == theirs.ntotal and ours.bits == BITS
    assert_finds_the_same(ours, theirs, flat(codes_of()) if name in ("hnsw", "multi-hash") else None)
    if name == "IndexBinaryIDMap":
        np.testing.assert_array_equal(ours.reconstruct(faiss.vector_to_array(theirs.id_map)), codes_of())


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("as_file", [False, True])
def test_a_file(name: str, as_file: bool, tmp_path: Path) -> None:
    theirs, path = made(name), tmp_path / "index.faiss"
    faiss.write_index_binary(theirs, str(path))
    ours = from_faiss(io.BytesIO(path.read_bytes()) if as_file else path)
    expected = from_faiss(theirs)
    np.testing.assert_array_equal(ours.ids, expected.ids)
    np.testing.assert_array_equal(ours.reconstruct(ours.ids), expected.reconstruct(ours.ids))
    assert ours.to_bytes() == expected.to_bytes()


def test_a_file_is_read_without_faiss(tmp_path: Path) -> None:
    faiss.write_index_binary(made("IndexBinaryIDMap"), str(tmp_path / "index.faiss"))
    code = (
        "import sys; sys.modules['faiss'] = None\nfrom udsph import hamming as h\nprint(len(h.from_faiss(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "index.faiss")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout == f"{N}\n", done.stderr


@pytest.mark.parametrize("name", ["ivf", "sparse ivf", "hnsw", "multi-hash", "hash", "ivf with ids"])
def test_files_of_other_kinds_are_read_for_their_codes(name: str, tmp_path: Path) -> None:
    codes, path = codes_of(), str(tmp_path / "index.faiss")
    ids = np.arange(N)
    if name in ("ivf", "hnsw", "multi-hash"):
        theirs = made(name)
    elif name == "hash":
        theirs = faiss.IndexBinaryHash(BITS, 5)
        theirs.add(codes)
    else:
        quantizer = faiss.IndexBinaryFlat(BITS)
        theirs = faiss.IndexBinaryIVF(quantizer, BITS, 4 if "ids" in name else 64)
        theirs.train(codes)
        ids = np.random.default_rng(3).permutation(9 * N)[:N] if "ids" in name else ids
        few = codes[:7] if name == "sparse ivf" else codes  # most lists are empty
        ids = ids[: len(few)]
        theirs.add_with_ids(few, ids)
    faiss.write_index_binary(theirs, path)
    index = from_faiss(path)
    assert sorted(index.ids.tolist()) == sorted(ids.tolist())
    np.testing.assert_array_equal(index.reconstruct(ids), codes[: len(ids)])
    assert index.ids.tolist() == sorted(ids.tolist())


def test_files_whose_codes_are_not_there_are_refused_by_name(tmp_path: Path) -> None:
    image = b"IBFf" + bytes(faiss.serialize_index_binary(made("flat")))[4:]
    with pytest.raises(FormatError, match=r"holds a IndexBinaryFromFloat.*from_faiss\(faiss.read_index_binary"):
        from_faiss(io.BytesIO(image))


@pytest.mark.parametrize("name", ["ivf", "hnsw", "multi-hash"])
def test_damage_of_other_kinds_is_an_error_or_changes_codes_and_ids_alone(name: str) -> None:
    right, rng = image(name), np.random.default_rng(0)
    for length in rng.integers(0, len(right), 60):
        if name != "multi-hash" or length < 1000:
            with pytest.raises(FormatError):
                from_faiss(io.BytesIO(right[:length]))
    for _ in range(300):
        damaged = bytearray(right)
        damaged[int(rng.choice([rng.integers(0, 200), rng.integers(0, len(right))]))] ^= 1 << int(rng.integers(0, 8))
        with contextlib.suppress(ValueError):  # FormatError, or ids that an index cannot have
            assert len(from_faiss(io.BytesIO(bytes(damaged)))) == N


def test_indexes_that_have_no_binary_codes_are_refused(tmp_path: Path) -> None:
    hashed, floats = faiss.IndexBinaryHash(BITS, 16), faiss.IndexFlatL2(8)
    hashed.add(codes_of())
    with pytest.raises(TypeError, match="source is a IndexBinaryHash, whose codes cannot be read"):
        from_faiss(hashed)
    with pytest.raises(TypeError, match="got IndexFlatL2, whose codes are not binary"):
        from_faiss(floats)
    with pytest.raises(TypeError, match="source must be a binary index of FAISS, a path or a binary file, got int"):
        from_faiss(5)
    faiss.write_index(floats, str(tmp_path / "floats.faiss"))
    with pytest.raises(FormatError, match="whose codes are not binary"):
        from_faiss(tmp_path / "floats.faiss")


def test_ids_that_an_index_cannot_have() -> None:
    repeated = mapped(faiss.IndexBinaryFlat(BITS), codes_of(3), np.array([7, 5, 7]))
    with pytest.raises(InputError, match="source has several codes with the id 7; multi=True keeps them all"):
        from_faiss(repeated)
    assert from_faiss(repeated, multi=True).ids.tolist() == [7, 5, 7]
    with pytest.raises(InputError, match="source has the id -3; ids must be 0 or more"):
        from_faiss(mapped(faiss.IndexBinaryFlat(BITS), codes_of(2), np.array([1, -3])))


def image(name: str) -> bytes:
    return bytes(faiss.serialize_index_binary(made(name)))


@pytest.mark.parametrize("name", ["flat", "IndexBinaryIDMap"])
def test_no_byte_of_a_header_may_differ_and_none_may_be_missing(name: str) -> None:
    right = image(name)
    for length in [*range(140), len(right) - 9, len(right) - 1]:
        with pytest.raises(FormatError):
            from_faiss(io.BytesIO(right[:length]))
    with pytest.raises(FormatError, match="1 bytes follow its end"):
        from_faiss(io.BytesIO(right + b"\0"))
    numbers = [*range(33)] if name == "flat" else [*range(58), *range(len(right) - 8 * N - 8, len(right) - 8 * N)]
    for place in numbers:
        for bit in (1, 128):
            damaged = bytearray(right)
            damaged[place] ^= bit
            if bytes(damaged[:4]) in (b"IBMp", b"IBM2") and name != "flat":
                continue
            with pytest.raises(FormatError):
                from_faiss(io.BytesIO(bytes(damaged)))


def test_a_length_that_is_beyond_the_file_takes_no_memory() -> None:
    header = struct.pack("<4siiqBi", b"IBxF", 8192, 1024, 1 << 50, 1, 1)
    with pytest.raises(FormatError, match=r"is truncated: .* bytes of the codes were expected"):
        from_faiss(io.BytesIO(header + struct.pack("<Q", 1 << 60)))
    nested = struct.pack("<4siiqBi", b"IBMp", 8, 1, 0, 1, 1)
    with pytest.raises(FormatError, match="an ID map within an ID map"):
        from_faiss(io.BytesIO(nested * 1000))


def test_calls_of_the_page_do_what_it_says() -> None:
    codes, queries = codes_of(), codes_of(5, seed=2)
    theirs, ours = flat(codes), hamming.FlatIndex(BITS)
    ours.add(codes)
    offsets, distances, _ = theirs.range_search(queries, 24)
    found = ours.range_search(queries, 23)
    np.testing.assert_array_equal(found.offsets, offsets)
    assert sorted(found.distances) == sorted(distances) and found.distances.max() == 23, "below the radius, or up to it"
    chosen = np.arange(0, N, 7)
    parameters = faiss.SearchParameters(sel=faiss.IDSelectorBatch(chosen))
    filtered = theirs.search(queries, 4, params=parameters)[0]
    np.testing.assert_array_equal(ours.search(queries, 4, where=chosen).distances, filtered)
    np.testing.assert_array_equal(hamming.search(queries, codes, 4).distances, faiss.knn_hamming(queries, codes, 4)[0])
    theirs.remove_ids(np.array([0]))
    ours.remove([0])
    np.testing.assert_array_equal(ours.reconstruct([1])[0], theirs.reconstruct(0))  # FAISS renumbers
    found_theirs = theirs.search(queries, N + 1)
    assert found_theirs[0][0, -1] == hamming.search(queries, codes, N + 1).distances[0, -1] == 2**31 - 1
    assert found_theirs[1][0, -1] == -1


def test_the_page_names_calls_that_faiss_has() -> None:
    page = (Path(__file__).parents[2] / "docs" / "from-faiss.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    names = {
        name for row in rows for name in re.findall(r"`(?:index\.|lims, D, I = index\.|D, I = index\.)?(\w+)", row)
    }
    there = {*dir(faiss), *dir(faiss.IndexBinaryFlat), *dir(faiss.IndexBinaryFlat(BITS))}
    assert len(names) > 20 and names - there <= {"GpuIndexBinaryFlat"}
