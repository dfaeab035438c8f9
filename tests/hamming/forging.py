"""Index files with right checksums and wrong contents."""

import struct
import zlib

from udsph.hamming import storage


def forged(data, **fields):
    """A file with other header fields or sections, and right checksums."""
    values = dict(
        zip(
            ("magic", "version", "length", "bits", "flags", "n", "next_id", "count"),
            storage._HEADER.unpack(data[:48])[:8],
            strict=True,
        )
    )
    table = [list(row) for row in storage._SECTION.iter_unpack(data[48 : 48 + 40 * values["count"]])]
    edit = fields.pop("edit", lambda table, data: data)
    data = bytearray(edit(table, bytearray(data)))
    values.update(fields)
    for row in table:
        row[3] = zlib.crc32(data[row[1] : row[1] + row[2]])
    values["count"], values["length"] = len(table), 48 + 40 * len(table)
    packed = b"".join(storage._SECTION.pack(*row) for row in table)
    header = storage._HEADER.pack(*values.values(), 0)[:-4]
    data[: len(header) + 4 + len(packed)] = header + struct.pack("<I", zlib.crc32(header + packed)) + packed
    return bytes(data)
