"""Five hundred hostile requests, several at once: each is refused with a sentence, and the server answers as before."""

from __future__ import annotations

import gzip
import io
import json
import random
import re
import struct
import zlib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from PIL import Image

from udsph.encoding import Hasher
from udsph.serve.limits import Limits

from .conftest import COUNT
from .servers import Client, serving, state_of

REQUESTS, AT_ONCE = 500, 8
LIMITS = Limits(workers=2, upload=200_000, pixels=100_000, head_seconds=0.4, body_seconds=0.4)
CLIMBS = (
    "..",
    "%2e%2e",
    "..%2f..",
    "%252e%252e",
    "..\\..",
    "%c0%ae%c0%ae",
    "....//",
    "/",
    "%00",
    "file:",
    "~",
    "%ff%fe",
    "C:",
)
TARGETS = ("etc/passwd", "secret.png", "items.csv", "codes", "proc/self/environ", "con", ".git/config", "a" * 3000)
HEADS = (
    b"GET  HTTP/1.1\r\n\r\n",
    b"\0\0\0\0\r\n\r\n",
    b"GET /health\r\n\r\n",
    b"get / http\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nBad Name: x\r\n\r\n",
    b"POST /search/code HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /search/code HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST /search/code HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: y\r\n" % k for k in range(3000)) + b"\r\n",
    b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
)
BODIES = (
    *(b"", b"null", b"[]", b"7", b'"code"', b"{}", b"{" * 50_000, gzip.compress(b"0" * 10_000_000)),
    *(b'{"code": null}', b'{"code": ["0000"]}', b'{"code": "\\ud800"}', b'{"code": "' + b"0" * 90_000 + b'"}'),
    *(b'{"code": "0000", "k": %s}' % k for k in (b"-1", b"NaN", b"1e99", b'"x"', b"1.5", b"[1]", b"9" * 5000)),
    *(b'{"code": "0000", "radius": %s}' % r for r in (b'"x"', b"-1", b"17", b"{}")),
    *(b'{"code": "0000", "label": %s}' % x for x in (b'"x"', b"7", json.dumps(["x"] * 9000).encode())),
)


def bombs() -> list[bytes]:
    """Small files that are, or say that they are, large pictures."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    def png(width: int, height: int, *more: bytes) -> bytes:
        head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
        return (
            b"\x89PNG\r\n\x1a\n"
            + head
            + b"".join(more)
            + chunk(b"IDAT", zlib.compress(b"\0" * 99))
            + chunk(b"IEND", b"")
        )

    text = chunk(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(b"0" * 20_000_000))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(b"0" * 20_000_000))
    found = [
        png(2**31 - 1, 2**31 - 1),
        png(50_000, 50_000),
        png(0, 0),
        png(900, 90),
        png(900, 90, text),
        png(900, 90, profile),
    ]
    for form in ("GIF", "BMP", "JPEG", "PNG", "WEBP"):
        stream = io.BytesIO()
        Image.new("RGB", (3000, 2000)).save(stream, form, quality=1)
        found += [stream.getvalue()[:190_000], stream.getvalue()[:400]]
    jpeg = found[-5]
    place = jpeg.find(b"\xff\xc0")
    found.append(jpeg[: place + 5] + b"\xff\xff\xff\xff" + jpeg[place + 9 :])
    found += [
        b"GIF89a" + b"\xff" * 4 + bytes(20),
        b"RIFF\xff\xff\xff\xffWEBPVP8 " + bytes(40),
        b"BM" + b"\xff" * 60,
        bytes(1000),
    ]
    return found


def hostile(chance: random.Random, pictures: list[bytes]) -> Callable[[Client], tuple[int, bytes]]:
    """One request, as a function of whom it is sent to; it gives the status and the body of the answer."""

    def ask(method: str, path: str, body: object = None, **headers: str) -> Callable[[Client], tuple[int, bytes]]:
        def asked(client: Client) -> tuple[int, bytes]:
            reply = client.ask(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            return reply.status, reply.body

        return asked

    def send(data: bytes) -> Callable[[Client], tuple[int, bytes]]:
        def sent(client: Client) -> tuple[int, bytes]:
            head, _, rest = client.raw(data).partition(b"\r\n\r\n")  # more may follow, of what was behind a request
            return int(head.split()[1]), rest[: int(re.findall(rb"content-length: (\d+)", head)[0])]

        return sent

    kinds = {"path": 4, "head": 1, "json": 2, "picture": 2, "huge": 1, "query": 2, "slow": 1}
    kind = chance.choices([*kinds], [*kinds.values()])[0]
    if kind == "path":
        way = "/".join(chance.choice(CLIMBS) for _ in range(chance.randrange(1, 6)))
        path = f"/{chance.choice(['images', 'items', 'page', 'static'])}/{way}/{chance.choice(TARGETS)}"
        return send(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    if kind == "head":
        return send(chance.choice(HEADS))
    if kind == "json":
        media = chance.choice(["application/json", "text/plain"])
        return ask("POST", "/search/code", chance.choice(BODIES), content_type=media)
    if kind == "picture":
        path = chance.choice(["/search/image", "/attended/image"])
        return ask("POST", path, chance.choice(pictures), content_type="image/png")
    if kind == "huge":
        return ask("POST", "/search/image", bytes(chance.randrange(200_001, 2_000_000)))
    if kind == "query":
        wrong = ("k=-1", "k=1000000", "k=0x10", "radius=-5", "radius=99999999999", f"label={'z' * 5000}", "q=b&k=")
        method = chance.choice(["GET", "GET", "PUT", "DELETE", "TRACE"])
        return ask(method, f"/search/text?q=a&{chance.choice(wrong)}")
    head = b"POST /search/image HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500\r\n\r\n"
    return send(head + bytes(chance.randrange(400)))


def test_hostile_requests_are_refused_with_a_sentence_and_the_server_lives(model: Hasher, folder: Path) -> None:
    chance, pictures = random.Random(0), bombs()
    requests = [hostile(chance, pictures) for _ in range(REQUESTS)]
    with serving(state_of(model, folder, COUNT, LIMITS), hosts=("localhost", "127.0.0.1")) as client:
        before = client.get("/search/text?q=a+red+star").json["results"]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda request: request(client), requests))
        for status, body in answers:
            assert 400 <= status < 500, (status, body)
            said = json.loads(body)["error"]
            assert len(said) > 10 and "Traceback" not in said and str(folder) not in said
        assert client.get("/search/text?q=a+red+star").json["results"] == before
        assert client.get("/health").json["status"] == "ok"
    statuses = Counter(status for status, _ in answers)
    assert {400, 404, 405, 408, 413, 422} <= set(statuses), statuses  # every kind of refusal came
