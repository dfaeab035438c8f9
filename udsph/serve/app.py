"""The HTTP of a server: what is asked where, and how it is answered. What the answers are, ``state.py`` says."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Annotated, Any
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

from udsph._version import __version__
from udsph.errors import InputError
from udsph.serve import answers
from udsph.serve.assets import ASSETS, PAGE, Asset
from udsph.serve.description import page_of
from udsph.serve.guard import Guard
from udsph.serve.metrics import MEDIA, Metrics
from udsph.serve.pictures import SIDES
from udsph.serve.refusal import Refused
from udsph.serve.state import SPREAD, Found, State, Wanted
from udsph.serve.work import Work

REFRESH = 1.0  # seconds between two looks at the index
LABELS = 300  # the most frequent ones, which the page offers

Text = Annotated[str, Query(description="What to look for, in words", examples=["a red star"])]
Id = Annotated[str, Query(description="Of an item of the index")]
K = Annotated[int, Query(description="Results wanted, at most", ge=1)]
Radius = Annotated[int | None, Query(description="Largest distance of a result", ge=0)]
Labels = Annotated[list[str] | None, Query(description="A label that results must have; all of them, if repeated")]


class Json(JSONResponse):
    """JSON in ASCII: what is no text in the name of a file stays one."""

    def render(self, content: Any) -> bytes:
        return json.dumps(content, separators=(",", ":"), allow_nan=False).encode("ascii")


class Code(BaseModel):
    """A query by a code."""

    code: str = Field(description="Packed bytes in hexadecimal, bit i in byte i // 8, bit i % 8")
    k: int = Field(10, ge=1)
    radius: int | None = Field(None, ge=0)
    label: list[str] = Field(default_factory=list)


PICTURE: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "description": "The file of a picture: JPEG, PNG, WebP, GIF or BMP; by itself, or as a field of a form",
        "content": {
            "image/*": {"schema": {"type": "string", "format": "binary"}},
            "multipart/form-data": {
                "schema": {"type": "object", "properties": {"image": {"type": "string", "format": "binary"}}}
            },
        },
    }
}
PROBLEMS: dict[int | str, dict[str, Any]] = {
    status: {"model": answers.Problem, "description": said}
    for status, said in ((400, "Bad input"), (401, "The token is missing"), (429, "Too much at once"))
}


def application(state: State, *, hosts: tuple[str, ...] = (), token: str = "", refresh: float = REFRESH) -> Guard:
    """The ASGI application of a server.

    Parameters
    ----------
    state
        What is served.
    hosts
        Names by which it may be called; empty: any.
    token
        What anybody must bring for anything but ``/health``; empty: nothing.
    refresh
        Seconds between two looks whether the index has grown.
    """
    limits, metrics = state.limits, Metrics(state.follower)
    work = Work(limits.workers, limits.waiting, limits.seconds)
    pictures = Work(limits.workers, 4 * limits.waiting, limits.seconds, "pictures")

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        following = asyncio.create_task(_follow(state, refresh))
        yield
        following.cancel()
        work.close()
        pictures.close()

    app = FastAPI(
        title="UDSPH search", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None,
        description="Exact search among the codes of a trained cross-modal hashing model.",
        default_response_class=Json, responses=PROBLEMS,
    )  # fmt: skip
    _add_searches(app, state, work, metrics)
    _add_items(app, state, work, pictures, metrics)
    _add_looks(app, state, work)
    _add_server(app, state, work, metrics)
    _add_page(app)
    _add_problems(app)
    return Guard(app, limits, metrics, hosts, token)


async def _follow(state: State, refresh: float) -> None:
    while True:
        await asyncio.sleep(refresh)
        await asyncio.to_thread(state.follower.look)


# -- the API --------------------------------------------------------------------------------------------------------


def _add_searches(app: FastAPI, state: State, work: Work, metrics: Metrics) -> None:
    async def searched(search: Callable[..., Found], query: Any, wanted: Wanted) -> dict[str, Any]:
        began = time.perf_counter()
        found = await work.do(search, query, wanted)
        for stage, seconds in found.seconds.items():
            metrics.stages.labels(stage).observe(seconds)
        return answers.results(state, found, time.perf_counter() - began)

    @app.get("/search/text", tags=["search"], response_model=answers.Results, summary="Search by words")
    async def search_text(q: Text, k: K = 10, radius: Radius = None, label: Labels = None) -> Any:
        """Items whose codes are nearest to that of a text."""
        return Json(await searched(state.search_text, q, Wanted(k, radius, tuple(label or ()))))

    @app.post("/search/image", tags=["search"], response_model=answers.Results, summary="Search by a picture",
              openapi_extra=PICTURE)  # fmt: skip
    async def search_image(request: Request, k: K = 10, radius: Radius = None, label: Labels = None) -> Any:
        """Items whose codes are nearest to that of a picture."""
        data = await _file_of(request)
        return Json(await searched(state.search_image, data, Wanted(k, radius, tuple(label or ()))))

    @app.post("/search/code", tags=["search"], response_model=answers.Results, summary="Search by a code")
    async def search_code(query: Code) -> Any:
        """Items whose codes are nearest to a code."""
        return Json(await searched(state.search_code, query.code, Wanted(query.k, query.radius, tuple(query.label))))

    @app.get("/search/item", tags=["search"], response_model=answers.Results, summary="Search by an item")
    async def search_item(id: Id, k: K = 10, radius: Radius = None, label: Labels = None) -> Any:
        """Items whose codes are nearest to that of an item, which is one of them."""
        return Json(await searched(state.search_item, id, Wanted(k, radius, tuple(label or ()))))


def _add_items(app: FastAPI, state: State, work: Work, pictures: Work, metrics: Metrics) -> None:
    @app.get("/items", tags=["items"], response_model=answers.Listed, summary="Some items")
    async def items(count: Annotated[int, Query(ge=1, le=SPREAD)] = 24) -> Any:
        """Items spread evenly over the index."""
        return Json({"items": [answers.known(state, item) for item in await work.do(state.sample, count)]})

    @app.get("/items/{id:path}", tags=["items"], response_model=answers.Described, summary="One item")
    async def item(id: str, request: Request) -> Any:
        """What is known of an item, and its code."""
        found, code = await work.do(state.item, _id_in(request, "/items/"))
        return Json({**answers.known(state, found), "code": code.tobytes().hex()})

    @app.get("/images/{id:path}", tags=["items"], response_class=Response, summary="The picture of an item",
             responses={200: {"content": {"image/jpeg": {}, "image/png": {}}}})  # fmt: skip
    async def image(
        id: str, request: Request, size: Annotated[str, Query(description=" or ".join(SIDES))] = "small"
    ) -> Response:
        """Its picture, made smaller where it is large."""
        if size not in SIDES:
            raise InputError(f"size={size[:20]!r}: expected {' or '.join(SIDES)}")
        media, body = await pictures.do(state.picture, _id_in(request, "/images/"), size)
        return Response(body, media_type=media, headers={"cache-control": "private, max-age=300"})


def _add_looks(app: FastAPI, state: State, work: Work) -> None:
    @app.get("/attended/text", tags=["attention"], response_model=answers.Looks, summary="Of words")
    async def attended_text(q: Text) -> Any:
        """Where the surest classes looked in a text."""
        return Json(answers.looks(state, await work.do(state.attended_text, q)))

    @app.post("/attended/image", tags=["attention"], response_model=answers.Looks, summary="Of a picture",
              openapi_extra=PICTURE)  # fmt: skip
    async def attended_image(request: Request) -> Any:
        """Where the surest classes looked in a picture."""
        return Json(answers.looks(state, await work.do(state.attended_image, await _file_of(request))))

    @app.get("/attended/item", tags=["attention"], response_model=answers.Looks, summary="Of an item")
    async def attended_item(id: Id) -> Any:
        """Where the surest classes looked in the picture or the text of an item."""
        return Json(answers.looks(state, await work.do(state.attended_item, id)))


def _add_server(app: FastAPI, state: State, work: Work, metrics: Metrics) -> None:
    @app.get("/about", tags=["server"], response_model=answers.About, summary="What is served")
    async def about() -> Any:
        """What the page, or a program, needs to know before it asks."""
        view, hasher, limits = state.view, state.hasher, state.limits
        facets = await work.do(lambda: view.facets)
        counts = list(facets.counts.items())[:LABELS]
        return Json({
            "version": __version__, "bits": hasher.bits, "codes": len(view.index), "generation": view.generation,
            "modality": view.catalog.modality, "pictures": state.pictures is not None,
            "queries": {name: hasher.inputs.take(name, hasher.model.spec(name).kind) for name in ("text", "image")},
            "attention": {name: state.attends(name) for name in ("text", "image")},
            "labels": [{"name": name, "count": count} for name, count in counts],
            "limits": {"k": limits.k, "text": limits.text, "upload": limits.upload, "pixels": limits.pixels},
            "trained_on": str(hasher.data.get("name", "")),
        })  # fmt: skip

    @app.get("/health", tags=["server"], response_model=answers.Health, summary="Whether it is there")
    async def health() -> Any:
        """Asks for no token."""
        view = state.view
        status = "stale" if state.follower.trouble else "ok"
        return Json({"status": status, "codes": len(view.index), "generation": view.generation})

    @app.get("/metrics", tags=["server"], response_class=Response, summary="Numbers for Prometheus")
    async def numbers() -> Response:
        """Requests, times, codes, memory."""
        return Response(metrics.text(), media_type=MEDIA)


# -- the page -------------------------------------------------------------------------------------------------------


def _add_page(app: FastAPI) -> None:
    @app.get("/", include_in_schema=False)
    async def page(request: Request) -> Response:
        return _file(request, PAGE)

    @app.get("/page/{name}", include_in_schema=False)
    async def asset(name: str, request: Request) -> Response:
        if name not in ASSETS:
            raise Refused(404, "there is nothing here")
        return _file(request, ASSETS[name])

    @app.get("/favicon.ico", include_in_schema=False)
    async def icon(request: Request) -> Response:
        return _file(request, ASSETS["icon.svg"])

    @app.get("/docs", include_in_schema=False)
    async def description() -> Response:
        return Response(page_of(app.openapi()), media_type="text/html; charset=utf-8")


def _file(request: Request, asset: Asset) -> Response:
    headers = {"etag": asset.tag, "cache-control": "no-cache"}
    if request.headers.get("if-none-match") == asset.tag:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, media_type=asset.media, headers=headers)


# -- what is wrong --------------------------------------------------------------------------------------------------


def _add_problems(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> Response:
        return Json({"error": error.sentence}, error.status, error.headers)

    @app.exception_handler(InputError)
    async def wrong(request: Request, error: InputError) -> Response:
        return Json({"error": str(error)}, 400)

    @app.exception_handler(RequestValidationError)
    async def unfit(request: Request, error: RequestValidationError) -> Response:
        return Json({"error": "; ".join(_said(one) for one in error.errors()[:5])}, 422)

    @app.exception_handler(HTTPException)
    async def other(request: Request, error: HTTPException) -> Response:
        sentences = {404: "there is nothing here; /docs lists what is", 405: "this is asked with another method"}
        return Json({"error": sentences.get(error.status_code, str(error.detail))}, error.status_code, error.headers)

    @app.exception_handler(Exception)
    async def mistake(request: Request, error: Exception) -> Response:
        return Json({"error": "the server made a mistake; its log says more"}, 500)


def _said(error: dict[str, Any]) -> str:
    """What is wrong with one argument; what was given is not repeated."""
    if error["type"] in ("json_invalid", "model_attributes_type") or error["loc"] == ("body",):
        return "the body: expected an object of JSON, with the header 'Content-Type: application/json'"
    place, said = [str(part) for part in error["loc"][1:]], str(error["msg"])
    return f"{'.'.join(place)}: {said[:1].lower()}{said[1:]}"[:300]


def _id_in(request: Request, before: str) -> str:
    """The id behind ``before`` in the path as it was sent; names of files need not be UTF-8."""
    path: bytes = request.scope["raw_path"]
    return unquote_to_bytes(path[len(before) :]).decode("utf-8", "surrogateescape")


async def _file_of(request: Request) -> bytes:
    """The body, or the first file of a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "multipart/form-data":
        return await request.body()
    try:
        async with request.form(max_files=1, max_fields=8, max_part_size=1 << 16) as form:
            for value in form.values():
                if not isinstance(value, str):
                    return await value.read()
    except HTTPException as error:
        raise InputError(f"the form cannot be read: {error.detail}") from None
    raise InputError("the form has no file: send the picture as the field 'image'")
