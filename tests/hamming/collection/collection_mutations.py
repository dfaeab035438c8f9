"""Files of collections that are not what they should be, under checksums that are."""

import json
import struct
import zlib

import numpy as np

from udsph.hamming.collection import container

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
