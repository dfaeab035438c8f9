"""Files of collections that are not what they should be, under checksums that are.

As a program it makes as many as it is told, which takes longer than a test may:
``python tests/hamming/collection/collection_mutations.py --count 1000000``; ``tests/native/sanitize.sh`` does so under
sanitizers.
"""

import argparse
import contextlib
import ctypes
import json
import random
import shutil
import struct
import sys
import tempfile
import time
import traceback
import weakref
import zlib
from pathlib import Path

import numpy as np
from collection_helpers import codes_of

from udsph import hamming
from udsph.hamming import FormatError, backend
from udsph.hamming.collection import Collection, container, segment_file

HEADER = (
    "magic",
    "version",
    "flags",
    "kind",
    "size",
    "place",
    "count",
    "chunk",
    "mark",
    "reserved",
    "more",
    "checksum",
)
ENTRY = ("name", "offset", "length", "checksum", "flags", "reserved")
NAMES = (b"codes", b"ids", b"text", b"offsets", b"order", b"removed", b"alive", b"tables", b"firsts", b"rows")
NUMBERS = (0, 1, 2, 7, 511, 512, 4095, 4096, 1 << 20, 2**31, 2**32 - 1, 2**47, 2**63 - 1, 2**63, 2**64 - 1)
VALUES = (
    None,
    True,
    False,
    -1,
    0,
    1,
    511,
    2**31,
    2**48,
    2**63,
    2**64,
    1e300,
    0.5,
    "",
    "x",
    "../x",
    [],
    [1],
    {},
    {"a": 1},
)


class Parts:
    """A file of version 2, taken to pieces."""

    def __init__(self, data):
        self.header = dict(zip(HEADER, container._HEADER.unpack(data[:64]), strict=True))
        place, count = self.header["place"], self.header["count"]
        size = container._ENTRY.size
        self.entries = [
            dict(zip(ENTRY, container._ENTRY.unpack(data[place + i * size : place + (i + 1) * size]), strict=True))
            for i in range(count)
        ]
        self.data = bytearray(data[:place])

    def entry(self, name):
        return next(entry for entry in self.entries if entry["name"].rstrip(b"\0") == name.encode())

    def section(self, name):
        entry = self.entry(name)
        return bytes(self.data[entry["offset"] : entry["offset"] + entry["length"]])

    def replace(self, name, content):
        """Put a section, of another length perhaps, at the end."""
        entry = self.entry(name)
        self.data += bytes(-len(self.data) % 4096)
        entry["offset"], entry["length"] = len(self.data), len(content)
        self.data += content

    def joined(self, **header):
        """The file, with right checksums, and header fields that may be wrong."""
        chunk = header.get("chunk", self.header["chunk"]) or 1
        packed = b""
        for entry in self.entries:
            offset, length = entry["offset"], entry["length"]
            section = bytes(self.data[offset : offset + length])
            checksum = zlib.crc32(section)
            if len(section) > chunk and len(section) // chunk < 10_000:
                checksums = [zlib.crc32(section[i : i + chunk]) for i in range(0, len(section), chunk)]
                more = np.array(checksums, "<u4").tobytes()
                checksum, packed = zlib.crc32(more), packed + more
            entry["checksum"] = checksum
        table = b"".join(container._ENTRY.pack(*entry.values()) for entry in self.entries) + packed
        place = len(self.data) + -len(self.data) % 8
        data = self.data + bytes(place - len(self.data)) + table
        fields = self.header | {
            "size": len(data),
            "place": place,
            "count": len(self.entries),
            "mark": zlib.crc32(table),
        }
        head = container._HEADER.pack(*(fields | header).values())[:-4]
        data[:64] = head + struct.pack("<I", zlib.crc32(head))
        return bytes(data), zlib.crc32(table), len(data)


def mutated(data, chance):
    """A file with something wrong in it, its mark and size."""
    what = chance.choice(["raw", "cut", "header", "entry", "entries", "contents", "contents", "text", "text"])
    if what == "raw":
        data = bytearray(data)
        for _ in range(chance.choice([1, 1, 4])):
            data[chance.choice([chance.randrange(64), chance.randrange(len(data))])] = chance.randrange(256)
        return bytes(data), None, None
    if what == "cut":
        return data[: chance.randrange(len(data))] + bytes(chance.choice([0, 0, 100])), None, None
    parts = Parts(data)
    if chance.random() < 0.3:
        parts.header["chunk"] = 4096  # the files here are too small to have several chunks of a mebibyte
    if what == "header":
        field = chance.choice(HEADER[1:-1])
        value = parts.header[field]
        wrong = (
            b"segments"
            if field == "kind"
            else _number(value, chance) % (1 << (64 if field in ("size", "place") else 32))
        )
        return parts.joined(**{field: wrong})
    if what == "entry":
        entry = chance.choice(parts.entries)
        field = chance.choice(ENTRY)
        if field == "name":
            entry["name"] = chance.choice([*NAMES, b"new", b"\xff" * 16])
        else:
            entry[field] = _number(entry[field], chance) % (1 << (32 if field in ("checksum", "flags") else 64))
    elif what == "entries":
        one = chance.randrange(len(parts.entries))
        if chance.random() < 0.5:
            del parts.entries[one]
        else:
            parts.entries.append(dict(parts.entries[one]))
            if chance.random() < 0.5:
                parts.entries[-1]["name"] = chance.choice([*NAMES, b"more"])
    elif what == "text" and any(entry["name"].startswith(b"manifest") for entry in parts.entries):
        parts.replace("manifest", _text(json.loads(parts.section("manifest")), chance))
    else:
        name = chance.choice(parts.entries)["name"].rstrip(b"\0").decode()
        parts.replace(name, _bytes(parts.section(name), chance))
    return parts.joined()


def _number(value, chance):
    return chance.choice([*NUMBERS, value + 1, max(0, value - 1), value ^ (1 << chance.randrange(32)), value * 2])


def _bytes(content, chance):
    content = bytearray(content)
    what = chance.randrange(4)
    if what == 0 and content:
        content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif what == 1 and len(content) >= 8:
        place = chance.randrange(len(content) // 8) * 8
        content[place : place + 8] = (
            _number(int.from_bytes(content[place : place + 8], "little"), chance) % 2**64
        ).to_bytes(8, "little")
    elif what == 2:
        content = content[: chance.randrange(len(content) + 1)]
    else:
        content += bytes(chance.choice([1, 8, 4096]))
    return bytes(content)


def _text(values, chance):
    at, key = values, chance.choice(list(values))
    while isinstance(at[key], (list, dict)) and at[key] and chance.random() < 0.9:
        at = at[key]
        key = chance.choice(list(at)) if isinstance(at, dict) else chance.randrange(len(at))
    what = chance.randrange(6)
    if what == 0:
        del at[key]
    elif what == 1 and isinstance(at, list):
        at.append(at[key])
    elif what == 2 and isinstance(at[key], int):
        at[key] = at[key] + chance.choice([1, -1, 512, -512])
    elif what == 3:
        values["requires"] = chance.choice(VALUES)
    else:
        at[key] = chance.choice(VALUES)
    text = json.dumps(values).encode()
    return text if chance.random() < 0.95 else chance.choice([text[:-1], text + b"x", b"[" * 100_000, b"\xff", b""])


FORMS = ("positions", "integers", "strings", "own", "repeated", "tables", "distinct")


def make(path, form="strings", bits=20, first=3000, n=3100):
    """Two files, codes removed from both.

    form : of ids, "own" those that closed up; "tables" and "distinct" (with equal codes) are called by position
    """
    with Collection.create(path, bits, multi=form == "repeated", durability="none") as writer:
        for begin, end in ((0, first), (first, n)):
            numbers = np.arange(begin, end)
            ids = {"integers": 3 * numbers, "strings": [f"né {n}" for n in numbers], "repeated": numbers // 3}.get(form)
            writer.add(codes_of(numbers // 3 if form == "distinct" else numbers, bits), ids)
            writer.commit()
            if begin == 0 and form in ("tables", "distinct"):
                writer.kind = "multi"
                writer.compact(tables=True)
                assert backend.name() != "native" or writer.stats()["codes_in_tables"] == first // 512 * 512
            if begin == 0 and form == "own":
                writer.remove([7])
                writer.compact()
        writer.remove(writer.ids[[5, -20]])
    assert len(segments(path)) == 2
    return path


def segments(path):
    """Files of codes, the largest first."""
    return sorted(path.glob("*.segment"), key=lambda file: -file.stat().st_size)


def manifest(path):
    (file,) = path.glob("*.manifest")
    return file


def rewrite_manifest(path, change):
    """Change the values of the manifest under right checksums."""
    parts = Parts(manifest(path).read_bytes())
    values = json.loads(parts.section("manifest"))
    change(values)
    parts.replace("manifest", json.dumps(values).encode())
    manifest(path).write_bytes(parts.joined()[0])  # read, not mapped


def rewrite_segment(path, file, data, mark, size):
    """Replace a file of codes, and let the manifest know it."""
    file.write_bytes(data)

    def change(values):
        for entry in values["segments"]:
            if entry["file"] == file.name:
                entry.update(mark=mark, size=size)

    rewrite_manifest(path, change)


def use(collection):
    """Do what can be done with a collection, and hold its answers against its own codes."""
    ids, n = collection.ids, len(collection)
    assert len(ids) == n
    collection.stats()
    if n:
        rows = collection.reconstruct(ids) if not collection.multi else codes_of(range(3), collection.bits)
        queries = rows[:3]
        near, found = collection.search(queries, 5)
        if not collection.multi:
            known = [None if id is None or id == -1 else id for id in found[0].tolist()]
            back = collection.reconstruct([id for id in known if id is not None])
            truth = hamming.distances(queries[:1], back, bits=collection.bits, bitorder=collection.bitorder)[0]
            np.testing.assert_array_equal(near[0][: len(truth)], truth)
        assert (np.diff(near, axis=1) >= 0).all()
        collection.range_search(queries, 2)
        collection.search(queries, 3, where=ids[:2] if not collection.multi else None)
        assert ids[0] in collection


def try_mutated(path, form, rounds, chance, bits=20):
    """Damage a file of a collection time and again; returns how often it was refused. Anything else is an exception."""
    make(path, form, bits, first=530, n=570)
    kept = {file: file.read_bytes() for file in [manifest(path), *segments(path)]}
    targets, refused = list(kept), 0
    for _ in range(rounds):
        target = chance.choice(targets)
        data, mark, size = mutated(kept[target], chance)
        target.unlink()  # the maps of the last round stay as they are
        known = target.suffix == ".segment" and mark is not None and chance.random() < 0.9
        if known:
            rewrite_segment(path, target, data, mark, size)
        else:
            target.write_bytes(data)
        opened = None
        try:
            opened = Collection.open(path)
            opened.verify()
        except FormatError as error:
            refused += 1
            assert str(path) in str(error) or "generation" in str(error), error
            if opened is not None:
                with contextlib.suppress(ValueError, IndexError, AssertionError, MemoryError):
                    use(opened)  # contents that differ from their checksums
        else:
            use(opened)
            if chance.random() < 0.25:
                with Collection.open(path, "a", durability="none") as writer:
                    writer.compact()
                    use(writer)
                    assert len(Collection.open(path, verify=True)) == len(opened)
                for file in path.iterdir():
                    file.unlink()
        for file, content in kept.items():
            if file == target or (known and file.suffix == ".manifest") or not file.exists():
                file.unlink(missing_ok=True)
                file.write_bytes(content)
    return refused


class Apart:
    """The image of a file of which every part is handed out in memory of its own, aligned and not a byte longer.

    So a sanitizer sees what is read beyond a section, which in a map is another section's.
    """

    def __init__(self, image):
        self._image, self._of_c = image, ctypes.CDLL(None)

    def __len__(self):
        return len(self._image)

    def __getitem__(self, part):
        found = self._image[part]
        if not len(found):
            return found
        place = ctypes.c_void_p()
        if self._of_c.posix_memalign(ctypes.byref(place), ctypes.c_size_t(64), ctypes.c_size_t(len(found))):
            raise MemoryError
        memory = (ctypes.c_uint8 * len(found)).from_address(place.value)
        weakref.finalize(memory, self._of_c.free, place)
        copy = np.frombuffer(memory, np.uint8)
        copy[:] = found
        copy.flags.writeable = False
        return copy


def main():
    """Mutate files of every form and say how many were made; ends with 1 where one did what it should not."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--count", type=int, default=10_000, help="mutations")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so many seconds")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--apart", action="store_true", help="give every section of a file memory of its own")
    options = parser.parse_args()
    if options.apart:
        mapped = segment_file.storage.mapped
        segment_file.storage.mapped = lambda file, size: Apart(mapped(file, size))
    begin, done, refused, wrong, number = time.monotonic(), 0, 0, 0, 0
    while done < options.count and time.monotonic() - begin < options.seconds:
        form, bits = FORMS[number % len(FORMS)], (20, 64, 136)[number // len(FORMS) % 3]
        name, rounds = f"{options.seed}-{number}", min(500, options.count - done)
        folder = Path(tempfile.mkdtemp())
        try:
            refused += try_mutated(folder / "c", form, rounds, random.Random(name), bits)
            done += rounds
        except Exception:  # the next ones are tried all the same
            traceback.print_exc()
            print(f"wrong: {form}, {bits} bits, seed {name}", flush=True)
            wrong += 1
        finally:
            shutil.rmtree(folder)
        number += 1
        print(f"{done} mutations, {refused} refused, {wrong} wrong, {time.monotonic() - begin:.0f} s", flush=True)
    return wrong > 0


if __name__ == "__main__":
    sys.exit(main())
