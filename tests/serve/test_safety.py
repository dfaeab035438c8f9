"""A server among strangers: what they send is refused with a sentence, and nothing leaves that should not."""

from __future__ import annotations

import io
import json
import socket
import struct
import threading
import zlib
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image

from udsph.encoding import Hasher
from udsph.hamming import Collection
from udsph.serve.follow import Follower, Place
from udsph.serve.limits import Limits
from udsph.serve.pictures import Folder
from udsph.serve.state import State

from .conftest import COUNT
from .servers import Client, name_of, serving, state_of

TOKEN = "a-long-and-secret-token"
BAD_REQUESTS = [
    ("/search/text", 422, "q: field required"),
    ("/search/text?q=", 400, "empty"),
    ("/search/text?q=%20%09", 400, "empty"),
    (f"/search/text?q={'a' * 5000}", 400, "at most 2,000 characters"),
    ("/search/text?q=a&k=0", 422, "k: "),
    ("/search/text?q=a&k=201", 400, "expected 1 to 200"),
    ("/search/text?q=a&k=99999999999999999999999", 4, "k"),
    ("/search/text?q=a&k=many", 422, "k: "),
    ("/search/text?q=a&radius=-1", 422, "radius: "),
    ("/search/text?q=a&radius=1000", 400, "expected 0 to 16"),
    ("/search/text?q=a&label=nothing", 400, "no item has this label"),
    ("/search/item?id=none", 404, "no item of this id"),
    ("/items/none", 404, "no item"),
    ("/items/", 404, "no item"),
    ("/items?count=1000", 422, "count: "),
    ("/images/none", 404, "no item"),
    (f"/images/{quote(name_of(4), safe='')}?size=huge", 400, "small or large"),
    ("/page/app.py", 404, "nothing here"),
    ("/page/..%2fapp.py", 404, "nothing here"),
    ("/nothing", 404, "nothing here"),
    ("/search/image", 405, "another method"),
]


@pytest.mark.parametrize(("path", "status", "said"), BAD_REQUESTS)
def test_bad_input_is_a_sentence(path: str, status: int, said: str, client: Client) -> None:
    reply = client.get(path)
    assert reply.status == status or (status == 4 and 400 <= reply.status < 500)
    assert said in reply.error


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "body"),
        (b"{", "JSON"),
        (b"[" * 100_000, "body"),
        (b'{"code": "zz"}', "hexadecimal"),
        (b'{"code": "00"}', "expected 2 bytes (16 bits), got 1"),
        (b'{"code": 7}', "code: "),
        (b'{"code": "0000", "k": 1e400}', "k"),
        (b'{"code": "0000", "k": ' + b"9" * 5000 + b"}", ""),
        (b'{"code": "0000", "label": ["' + b"x" * 1000 + b'"]}', "no item has this label"),
        (b"\xff\xfe", ""),
    ],
)
def test_a_bad_body_is_a_sentence(body: bytes, said: str, client: Client) -> None:
    reply = client.post("/search/code", body, content_type="application/json")
    assert reply.status in (400, 422) and said in reply.error


def png_of(width: int, height: int) -> bytes:
    """A small file that says that it is a large picture."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    )


def postscript() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4)).save(stream, "EPS")
    return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "empty"),
        (b"GIF89a", "no picture that can be read"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "no picture that can be read"),
        (png_of(100_000, 100_000), "pixels"),
        (png_of(10_000, 6_000), "10,000 x 6,000 pixels, more than 50,000,000"),
        (png_of(100, 100), "no whole"),
        (postscript(), "no picture that can be read"),  # which would start a program
    ],
    ids=["empty", "damaged", "svg", "bomb", "large", "cut", "postscript"],
)
def test_a_bad_picture_is_a_sentence(data: bytes, said: str, client: Client) -> None:
    reply = client.post("/search/image", data, content_type="image/png")
    assert reply.status == 400 and said in reply.error


def test_a_form_without_a_file_is_a_sentence(client: Client) -> None:
    for body, kind in (
        (b'--X\r\nContent-Disposition: form-data; name="image"\r\n\r\ntext\r\n--X--\r\n', "; boundary=X"),
        (b"nothing of the kind", "; boundary=X"),
        (b"nothing of the kind", ""),
    ):
        reply = client.post("/search/image", body, content_type=f"multipart/form-data{kind}")
        assert reply.status == 400 and "form" in reply.error


def test_a_body_that_is_too_large_is_refused_whether_it_says_so_or_not(model: Hasher, folder: Path) -> None:
    with serving(state_of(model, folder, COUNT, Limits(workers=1, upload=100_000))) as client:
        reply = client.post("/search/image", b"x" * 100_001)
        assert reply.status == 413 and "more than 100,000 bytes" in reply.error
        parts = [b"x" * 50_000] * 40
        reply = client.ask("POST", "/search/image", iter(parts))
        assert reply.status == 413 and "more than 100,000 bytes" in reply.error
        reply = client.post("/search/image", bytes(20_000_000))  # all of which is sent before the answer is read
        assert reply.status == 413 and "more than 100,000 bytes" in reply.error
        head = b"POST /search/image HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999999999999\r\n\r\n"
        assert b" 413 " in client.raw(head)
        assert client.ask("GET", "/health", b"x" * 70_000).status == 413  # nobody asked for a body
        assert client.get("/health").status == 200


def test_files_outside_the_folder_are_not_reachable(model: Hasher, folder: Path, tmp_path: Path) -> None:
    """Even where an index or a table names them, by any of the ways that lead out."""
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    for place in (root / "good.png", tmp_path / "secret.png"):
        Image.new("RGB", (8, 8), "red").save(place)
    (root / "link.png").symlink_to(tmp_path / "secret.png")
    (root / "up").symlink_to(tmp_path)
    (root / "inside.png").symlink_to(root / "good.png")
    names = [
        *("good.png", "inside.png", "../secret.png", "link.png", "up/secret.png", str(tmp_path / "secret.png"), "sub"),
        *(".", "sub/../../secret.png", "nul\0.png", "x" * 5000, "/dev/zero", "good.png/..", "..%2fsecret.png"),
    ]
    with Collection.create(tmp_path / "codes", model.bits, durability="none") as collection:
        collection.add(np.zeros((len(names), 2), np.uint8), ids=names)
    state = State(model, Follower(Place(tmp_path / "codes")), Folder(root, 10_000), Limits(workers=1))
    with serving(state) as client:
        for name in names:
            reply = client.get(f"/images/{quote(name, safe='')}")
            assert (reply.status == 200) == (name in ("good.png", "inside.png")), name
            assert reply.status == 200 or "no picture" in reply.error
        for path in ("/images/../secret.png", "/images/..%2f..%2fsecret.png", "/images//etc/passwd", "/images/%00"):
            assert b" 404 " in client.raw(f"GET {path} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())


def test_no_answer_is_a_page_of_somebody_elses_making(client: Client) -> None:
    for path in ("/", "/docs", "/search/text?q=<script>alert(1)</script>", "/nothing<script>", "/health"):
        reply = client.get(quote(path, safe="/?=&"))
        assert reply.headers["x-content-type-options"] == "nosniff"
        policy = reply.headers["content-security-policy"]
        assert "default-src 'none'" in policy and "unsafe" not in policy and "frame-ancestors 'none'" in policy
        assert b"alert(1)" not in reply.body
        assert "server" not in reply.headers


def test_a_page_elsewhere_cannot_ask(client: Client) -> None:
    assert client.get("/health", host="evil.example").status == 421  # its own name, pointed here
    assert "evil" not in client.get("/health", host="evil.example").error
    reply = client.get("/search/text?q=a", sec_fetch_site="cross-site", sec_fetch_mode="no-cors")
    assert reply.status == 403 and "other sites" in reply.error
    assert client.get("/", sec_fetch_site="cross-site", sec_fetch_mode="navigate").status == 200  # a link
    for host in (f"localhost:{client.port}", "LOCALHOST", "localhost.", "127.0.0.1"):
        assert client.get("/health", host=host).status == 200
    assert "access-control-allow-origin" not in client.get("/health", origin="http://evil.example").headers


def test_a_token_is_asked_for_but_for_health(state: State) -> None:
    with serving(state, token=TOKEN) as client:
        paths = [
            "/",
            "/docs",
            "/openapi.json",
            "/metrics",
            "/about",
            "/items",
            "/page/app.js",
            "/search/text?q=a",
            "/nothing",
        ]
        for path in paths:
            assert client.get(path).status == 401 and "token" in client.get(path).error
            assert client.get(path, authorization="Bearer wrong-and-long-token").status == 401
            assert client.get(path, authorization=f"Bearer {TOKEN}").status != 401
        assert client.post("/search/image", b"x").status == 401
        assert client.get("/health").status == 200
        # A browser gets a form; the form gives a cookie, and the cookie is not the token.
        form = client.get("/", accept="text/html,*/*")
        assert form.status == 401 and b"<form" in form.body and b"Token" in form.body
        wrong = client.post("/signin", "token=wrong", content_type="application/x-www-form-urlencoded")
        assert wrong.status == 401 and "set-cookie" not in wrong.headers and b'<p role="alert">' in wrong.body
        right = client.post("/signin", f"token={TOKEN}", content_type="application/x-www-form-urlencoded")
        cookie = right.headers["set-cookie"]
        assert right.status == 303 and "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
        assert client.get("/", cookie=cookie.partition(";")[0]).status == 200
        assert client.get("/", cookie="udsph=").status == client.get("/", cookie="udsph=x").status == 401


def test_slow_visitors_are_let_go_with_a_sentence(model: Hasher, folder: Path) -> None:
    limits = Limits(workers=1, head_seconds=0.3, body_seconds=0.3)
    with serving(state_of(model, folder, COUNT, limits)) as client:
        for data in (b"", b"GET / HT", b"GET /health HTTP/1.1\r\nHost: a\r\n\r\nGET /heal"):
            assert b"did not arrive within 0.3 seconds" in client.raw(data, timeout=10)
        said = client.raw(b"POST /search/image HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nab", timeout=10)
        assert b" 408 " in said and b"body did not arrive" in said


def test_more_at_once_than_there_is_room_for_is_refused(model: Hasher, folder: Path) -> None:
    limits = Limits(workers=1, waiting=0, connections=3)
    state = state_of(model, folder, COUNT, limits)
    begun, go_on = threading.Event(), threading.Event()

    def slow(*_: object) -> None:
        begun.set()
        go_on.wait(20)

    state.search_text = slow  # type: ignore[method-assign, assignment]
    with serving(state) as client:
        first = threading.Thread(target=lambda: client.get("/search/text?q=a"))
        first.start()
        assert begun.wait(20)
        reply = client.get("/search/item?id=x")
        assert reply.status == 429 and reply.headers["retry-after"] == "1" and "try again" in reply.error
        go_on.set()
        first.join()
        # Who says nothing makes room for who does, the oldest first.
        held = [socket.create_connection(("127.0.0.1", client.port)) for _ in range(3)]
        assert client.get("/health").status == 200
        assert b"others wait" in held[0].recv(1 << 16)
        for connection in held:
            connection.close()


def test_no_traceback_leaves(model: Hasher, folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    state = state_of(model, folder, COUNT)

    def broken(*_: object) -> None:
        raise RuntimeError("the secret path /home/somebody")

    state.search_text = broken  # type: ignore[method-assign, assignment]
    with serving(state) as client:
        reply = client.get("/search/text?q=a")
        assert reply.status == 500 and "secret" not in reply.body.decode() and "log says more" in reply.error
        assert client.get("/health").status == 200
    assert "secret path" in caplog.text  # but whoever runs the server reads it


def test_what_is_no_http_is_answered(client: Client) -> None:
    for data in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: " + b"y" * 200_000,
    ):
        said = client.raw(data)
        assert said.startswith(b"HTTP/1.1 400 ") and json.loads(said.partition(b"\r\n\r\n")[2])["error"]
    both = b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    said = client.raw(b"POST /search/code HTTP/1.1\r\nHost: localhost\r\n" + both + b"GET /metrics HTTP/1.1\r\n\r\n")
    assert said.startswith(b"HTTP/1.1 400 ") and said.count(b"HTTP/1.1") == 1
    upgrade = b"GET /health HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade, close\r\nUpgrade: websocket\r\n\r\n"
    assert b" 200 " in client.raw(upgrade)  # a server may go on as if nothing was said
    assert client.get("/health").status == 200


def test_a_hasher_of_another_width_is_refused(model: Hasher, tmp_path: Path) -> None:
    with Collection.create(tmp_path / "codes", 32, durability="none") as collection:
        collection.add(np.zeros((1, 4), np.uint8))
    with pytest.raises(ValueError, match="32 bits, the model makes codes of 16"):
        State(model, Follower(Place(tmp_path / "codes")))
