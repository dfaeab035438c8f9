"""Before and behind every answer: who may ask, how much may be sent, what a browser is told, and no traceback."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import parse_qs

from udsph.serve.assets import SIGN_IN, SIGN_IN_STYLE, WRONG_TOKEN
from udsph.serve.limits import Limits
from udsph.serve.metrics import Metrics
from udsph.serve.refusal import Refused

log = logging.getLogger(__name__)

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_NONE = 499
LOOPBACK = ("127.0.0.1", "localhost", "::1")
COOKIE = "udsph"
LEAST_TOKEN = 16  # characters
_WITH_BODY = (b"content-length", b"transfer-encoding")
_BODY_OF_NONE = 1 << 16  # bytes of a body that nobody asked for
_DRAINED = 64 << 20  # bytes that are read, to no use, behind a refusal, so that its sentence arrives
_DRAINED_SECONDS, _SILENT_SECONDS = 5.0, 0.5

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src {style}; img-src 'self' blob:; connect-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
_STYLE_MARK = base64.b64encode(hashlib.sha256(SIGN_IN_STYLE.encode()).digest()).decode()
PAGE_POLICY, SIGN_IN_POLICY = _POLICY.format(style="'self'"), _POLICY.format(style=f"'sha256-{_STYLE_MARK}'")
HEADERS = {
    "content-security-policy": PAGE_POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=()",
    "cache-control": "no-store",
}


def answer(status: int, sentence: str, headers: dict[str, str] | None = None) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of an answer that is a sentence."""
    body = json.dumps({"error": sentence}).encode() + b"\n"
    return status, {"content-type": "application/json", **(headers or {})}, body


class Guard:
    """An ASGI application around another one.

    Parameters
    ----------
    app
        What answers where nothing speaks against it.
    hosts
        Names by which the server may be called (the header ``Host``), without ports; empty: any. On a loopback address
        this keeps out a page elsewhere that had its own name point here.
    token
        What anybody must bring for anything but ``/health``; empty: nothing.
    """

    def __init__(
        self, app: Any, limits: Limits, metrics: Metrics, hosts: tuple[str, ...] = (), token: str = ""
    ) -> None:
        self._app, self._limits, self._metrics, self._hosts = app, limits, metrics, tuple(map(str.lower, hosts))
        self._token = token.encode()
        self._pass = hmac.new(self._token, b"page", hashlib.sha256).hexdigest() if token else ""
        self._bodies = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        self._metrics.running.inc()
        exchange = Exchange(receive, send, with_body=any(name in _WITH_BODY for name, _ in scope["headers"]))
        try:
            await self._answer(scope, exchange)
        except Refused as refused:
            # Who is slow is not waited for once more.
            await exchange.refuse(*self._refusal(scope, refused), drain=refused.status != 408)
        except asyncio.CancelledError:  # only the end of the server does that
            await exchange.refuse(*answer(503, "the server ends; ask again when it is there"), drain=False)
        except Exception:
            for line in traceback.format_exc().splitlines():  # one by one: the command's log escapes line ends
                log.error(line)
            await exchange.refuse(*answer(500, "the server made a mistake; its log says more"))
        finally:
            self._metrics.running.dec()
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in ("GET", "HEAD", "POST") else "other"
            self._metrics.requests.labels(route, method, exchange.status).inc()
            self._metrics.seconds.labels(route).observe(time.perf_counter() - began)

    async def _answer(self, scope: Scope, exchange: Exchange) -> None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        self._check_origin(scope, headers)
        if "content-length" in headers and "transfer-encoding" in headers:  # a proxy before this might see it otherwise
            raise Refused(400, "the request says in two ways how long it is")
        signing_in = self._token and scope["method"] == "POST" and scope["path"] == "/signin"
        if not signing_in:
            self._check_token(scope, headers)
        body = await self._body(scope, headers, exchange)
        if signing_in:
            await exchange.refuse(*self._signed_in(body))
            return
        if scope["method"] != "HEAD":
            await self._app(scope, exchange.replay(body), exchange.send)
            return
        inner = {**scope, "method": "GET"}  # the protocol leaves the body out
        await self._app(inner, exchange.replay(body), exchange.send)
        scope["route"] = inner.get("route")

    def _check_origin(self, scope: Scope, headers: dict[str, str]) -> None:
        """That the request was meant for this server."""
        host = _name_of(headers.get("host", ""))
        if self._hosts and host not in self._hosts:
            raise Refused(421, f"this server is called {' or '.join(self._hosts)}; --allow-host adds a name")
        if headers.get("sec-fetch-site") == "cross-site" and headers.get("sec-fetch-mode") != "navigate":
            raise Refused(403, "pages of other sites may not ask this server")

    def _check_token(self, scope: Scope, headers: dict[str, str]) -> None:
        if not self._token or scope["path"] == "/health":
            return
        kind, _, given = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), self._token):
            return
        for part in headers.get("cookie", "").split(";"):
            name, _, value = part.strip().partition("=")
            if name == COOKIE and hmac.compare_digest(value.encode("latin-1"), self._pass.encode()):
                return
        raise Refused(401, "this server asks for its token: send the header 'Authorization: Bearer TOKEN'")

    def _refusal(self, scope: Scope, refused: Refused) -> tuple[int, dict[str, str], bytes]:
        """A refusal as an answer: for a browser without the token the page on which it is given."""
        if refused.status != 401:
            return answer(refused.status, refused.sentence, refused.headers)
        accepts = b"".join(value for name, value in scope["headers"] if name == b"accept")
        known = {"www-authenticate": "Bearer"}
        if scope["method"] == "GET" and b"text/html" in accepts:
            policy = {"content-security-policy": SIGN_IN_POLICY}
            return 401, {"content-type": "text/html; charset=utf-8", **policy, **known}, SIGN_IN.encode()
        return answer(401, refused.sentence, known)

    def _signed_in(self, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """To the page with a cookie, if the form held the token; else to the form again."""
        given = parse_qs(body.decode("latin-1"), max_num_fields=4).get("token", [""])[0]
        if not hmac.compare_digest(given.strip().encode("latin-1", "replace"), self._token):
            policy = {"content-security-policy": SIGN_IN_POLICY, "content-type": "text/html; charset=utf-8"}
            return 401, policy, WRONG_TOKEN.encode()
        cookie = f"{COOKIE}={self._pass}; Path=/; HttpOnly; SameSite=Strict"
        return 303, {"location": "/", "set-cookie": cookie}, b""

    async def _body(self, scope: Scope, headers: dict[str, str], exchange: Exchange) -> bytes:
        """The whole body of a request, within the bounds."""
        if not exchange.more:
            return b""
        most = self._limits.upload if scope["method"] == "POST" else _BODY_OF_NONE
        too_much = Refused(413, f"the request has more than {most:,} bytes; send a smaller one")
        if int(headers.get("content-length", "0")) > most:
            raise too_much
        if self._bodies >= self._limits.bodies:
            raise Refused(429, "too many uploads at once; try again in a second", again=1)
        self._bodies += 1
        try:
            return await asyncio.wait_for(exchange.read(most, too_much), self._limits.body_seconds)
        except (asyncio.TimeoutError, TimeoutError):
            seconds = f"{self._limits.body_seconds:g}"
            raise Refused(408, f"the request's body did not arrive within {seconds} seconds") from None
        finally:
            self._bodies -= 1


class Exchange:
    """One request and its answer.

    Attributes
    ----------
    more
        Whether more of the body may come.
    status
        Of the answer; 499 where whoever asked went away before there was one.
    """

    def __init__(self, receive: Receive, send: Send, *, with_body: bool) -> None:
        self._receive, self._send = receive, send
        self.more = with_body
        self.status = _NONE

    async def read(self, most: int, too_much: Refused) -> bytes:
        """The body, or the refusal that is given for more than ``most`` bytes of it."""
        parts, size = [], 0
        while self.more:
            message = await self._receive()
            if message["type"] == "http.disconnect":
                raise Refused(400, "the request's body is not whole")
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            self.more = message.get("more_body", False)
            if size > most:
                raise too_much
        return b"".join(parts)

    def replay(self, body: bytes) -> Receive:
        """What an application receives of a body that was read already."""
        given = False

        async def receive() -> Message:
            nonlocal given
            if given:
                return await self._receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        return receive

    async def send(self, message: Message) -> None:
        """Send what an application sends, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = {name for name, _ in message.get("headers", [])}
            more = [(n.encode(), v.encode()) for n, v in HEADERS.items() if n.encode() not in own]
            message = {**message, "headers": [*message.get("headers", []), *more]}
        await self._send(message)

    async def refuse(self, status: int, headers: dict[str, str], body: bytes, *, drain: bool = True) -> None:
        """Answer at once; then read, for a moment, what is still sent, so that the answer is not lost with it."""
        if self.status != _NONE:  # an answer has begun, nothing can be said any more
            return
        headers = {**headers, "content-length": str(len(body))} | ({"connection": "close"} if self.more else {})
        pairs = [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body, "more_body": True})
        if self.more and drain:
            with contextlib.suppress(asyncio.TimeoutError, TimeoutError):
                await asyncio.wait_for(self._drain(), _DRAINED_SECONDS)
        await self.send({"type": "http.response.body", "body": b""})

    async def _drain(self) -> None:
        """Read what is still sent, and keep nothing of it: most programs send all before they read the answer."""
        left = _DRAINED
        while self.more and left > 0:
            message = await asyncio.wait_for(self._receive(), _SILENT_SECONDS)
            left -= len(message.get("body", b""))
            self.more = message.get("more_body", False)


def _name_of(host: str) -> str:
    """The name or address in a header ``Host``, without its port."""
    host = host.lower()
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return (host.rpartition(":")[0] if host.count(":") == 1 else host).removesuffix(".")
