"""A server in this process: its socket, its patience with slow visitors, and its end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from types import FrameType
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from udsph.errors import InputError
from udsph.serve.limits import Limits

_HEAD = 16 << 10  # bytes of a request's head
_IDLE = 15  # seconds that a connection stays open without a request
_STOP = 1  # seconds that requests have to end when the server stops


class Patient(H11Protocol):
    """HTTP for visitors who may be slow, or many, or send no HTTP: each is answered with a sentence and let go."""

    def __init__(self, *arguments: Any, limits: Limits, **named: Any) -> None:
        super().__init__(*arguments, **named)
        self._limits = limits
        self._timer: asyncio.TimerHandle | None = None
        self._since = self.loop.time()  # when something was asked or answered last

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self.connections) > self._limits.connections and not self._make_room():
            self._end(429, "too many connections are open; try again in a second")
            return
        self._wait(self._limits.head_seconds, "head")

    def _make_room(self) -> bool:
        """Let go who has been silent for longest, so that many who say nothing do not keep others out."""
        silent = [one for one in self.connections if one is not self and isinstance(one, Patient) and one._idle]
        if not silent:
            return False
        min(silent, key=lambda one: one._since)._end(408, "others wait, and nothing was asked here")
        return True

    def data_received(self, data: bytes) -> None:
        asked = self.cycle
        super().data_received(data)
        if self.cycle is not asked:  # a request has begun
            self._wait(self._limits.whole_seconds, "rest")
        elif self._idle and self._timer is None:
            self._wait(self._limits.head_seconds, "head")

    def on_response_complete(self) -> None:
        self._stop_waiting()
        self._since = self.loop.time()
        asked = self.cycle
        super().on_response_complete()
        if self.cycle is not asked:  # the next request was there already
            self._wait(self._limits.whole_seconds, "rest")
        elif self.conn.trailing_data[0]:  # the beginning of one
            self._wait(self._limits.head_seconds, "head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls for what is no request."""
        self._end(400, "this is no request of HTTP that can be read")

    def handle_websocket_upgrade(self, event: Any) -> None:
        """There are none."""
        self._end(400, "there are no web sockets here")

    @property
    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _wait(self, seconds: float, what: str) -> None:
        self._stop_waiting()
        self._timer = self.loop.call_later(seconds, self._late, seconds, what)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _late(self, seconds: float, what: str) -> None:
        self._timer = None
        if self._idle:
            self._end(408, f"the {what} of the request did not arrive within {seconds:g} seconds")
        else:
            self.transport.abort()

    def _end(self, status: int, sentence: str) -> None:
        """Say why, and close."""
        from udsph.serve.guard import HEADERS, answer

        if self.transport.is_closing():
            return
        _, headers, body = answer(status, sentence)
        lines = {**HEADERS, **headers, "content-length": str(len(body)), "connection": "close"}
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self.transport.write(f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\n{head}\r\n".encode("latin-1") + body)
        self.transport.close()


class Server(uvicorn.Server):
    """A server that ends where it is told to, without the signal that told it."""

    ready: Callable[[], object] = staticmethod(lambda: None)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {number: signal.signal(number, self._told) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _told(self, number: int, frame: FrameType | None) -> None:
        self.force_exit = self.should_exit  # the second time
        self.should_exit = True


def listen(host: str, port: int) -> socket.socket:
    """A socket that is bound but does not accept yet.

    Raises
    ------
    InputError
        The address is not one of this machine, or somebody has it.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except OSError as error:
        raise InputError(f"{host}, port {port}: {error.strerror or error}; choose another") from None
    return bound


def server(app: Any, limits: Limits, ready: Callable[[], object] = lambda: None) -> Server:
    """A server of an ASGI application, to be given sockets with ``run``; ``ready`` is called once it answers."""
    config = uvicorn.Config(
        app, http=partial(Patient, limits=limits), ws="none", loop="asyncio", lifespan="on",  # type: ignore[arg-type]
        log_config=None, log_level="critical", access_log=False, server_header=False, proxy_headers=False,
        timeout_keep_alive=_IDLE, timeout_graceful_shutdown=_STOP, h11_max_incomplete_event_size=_HEAD, backlog=512,
    )  # fmt: skip
    made = Server(config)
    made.ready = ready  # type: ignore[method-assign]
    return made
