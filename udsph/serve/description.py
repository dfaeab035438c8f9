"""The description of the API as a page, made from OpenAPI; it needs no script and nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any


def page_of(schema: dict[str, Any]) -> str:
    """An HTML page of an OpenAPI schema."""
    sections: dict[str, list[str]] = {}
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            tag = (operation.get("tags") or ["other"])[0]
            sections.setdefault(tag, []).append(_operation(path, method.upper(), operation, schema))
    sections["types"] = [_type(name, schema) for name in _inner(schema)]
    body = "\n".join(f"<h2>{escape(tag.capitalize())}</h2>\n{''.join(parts)}" for tag, parts in sections.items())
    title = escape(schema["info"]["title"])
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>API · {title}</title>
<link rel="icon" href="/page/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/page/app.css">
</head>
<body class="document">
<header class="top"><a class="name" href="/"><img src="/page/icon.svg" width="24" height="24" alt="">UDSPH</a>
<nav aria-label="Pages"><a href="/">Search</a> <a href="/docs" aria-current="page">API</a></nav></header>
<main>
<h1>API</h1>
<p class="lead">{escape(schema["info"]["description"])} Answers are JSON; what is refused comes with a status of 4xx and
<code>{{"error": "a sentence"}}</code>. The same for programs: <a href="/openapi.json">openapi.json</a>.</p>
<pre tabindex="0"><code>curl 'HOST/search/text?q=a+red+star&amp;k=5'
curl --data-binary @photo.jpg 'HOST/search/image?k=5&amp;label=star'
curl --json '{{"code": "f95683c3fc2323db", "radius": 8}}' HOST/search/code</code></pre>
{body}
</main>
</body>
</html>
"""


def _operation(path: str, method: str, operation: dict[str, Any], schema: dict[str, Any]) -> str:
    rows = [
        (p["name"], _kind(p["schema"]), "" if p.get("required") else _default(p["schema"]), p.get("description", ""))
        for p in operation.get("parameters", [])
    ]
    content = operation.get("requestBody", {}).get("content", {})
    fields = _fields(content.get("application/json", {}).get("schema"), schema)
    said = [f"<p>{escape(operation.get('description', ''))}</p>"]
    if rows:
        said.append(_table("Parameters", ("name", "type", "default", "meaning"), rows))
    if fields:
        said.append(_table("Body, JSON", ("name", "type", "default", "meaning"), fields))
    elif content:
        said.append(f"<p>Body: {escape(operation['requestBody'].get('description', ', '.join(content)))}.</p>")
    answer = operation["responses"].get("200", {}).get("content", {}).get("application/json", {}).get("schema")
    given = _fields(answer, schema)
    if given:
        shown = [(name, kind, meaning) for name, kind, _, meaning in given]
        said.append(_table("Answer", ("name", "type", "meaning"), shown))
    name = escape(f"{method}-{path}".replace("/", "-").replace("{", "").replace("}", "").replace(":path", ""))
    return (
        f'<section class="operation" aria-labelledby="{name}"><h3 id="{name}"><b>{method}</b> '
        f"<code>{escape(path.replace(':path', ''))}</code></h3>{''.join(said)}</section>\n"
    )


def _inner(schema: dict[str, Any]) -> list[str]:
    """Names of the types that are parts of others."""
    found: dict[str, None] = {}
    for one in schema["components"]["schemas"].values():
        for field in one.get("properties", {}).values():
            for part in (field, field.get("items", {}), *field.get("anyOf", [])):
                if "$ref" in part:
                    found[part["$ref"].rpartition("/")[2]] = None
    return [name for name in found if name != "ValidationError"]


def _type(name: str, schema: dict[str, Any]) -> str:
    """A type that is a part of others."""
    rows = [(field, kind, meaning) for field, kind, _, meaning in _fields({"$ref": f"/{name}"}, schema)]
    said = escape(schema["components"]["schemas"][name].get("description", ""))
    return (
        f'<section class="operation" aria-labelledby="{name}"><h3 id="{name}">{name}</h3><p>{said}</p>'
        f"{_table('Fields', ('name', 'type', 'meaning'), rows)}</section>\n"
    )


def _table(caption: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    heads = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join(
        f'<tr><th scope="row"><code>{escape(row[0])}</code></th>'
        + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:])
        + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" tabindex="0" role="group" aria-label="{caption}"><table><caption>{caption}</caption>'
        f"<thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _fields(part: dict[str, Any] | None, schema: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """Name, type, default and meaning of the fields of an object."""
    if not part or "$ref" not in part:
        return []
    found = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return [(name, _kind(one), _default(one), one.get("description", "")) for name, one in found["properties"].items()]


def _kind(part: dict[str, Any]) -> str:
    if "anyOf" in part:
        return " or ".join(_kind(one) for one in part["anyOf"] if one.get("type") != "null")
    if "$ref" in part:
        return str(part["$ref"]).rpartition("/")[2]
    if part.get("type") == "array":
        return f"list of {_kind(part['items'])}" if "items" in part else "list"
    return str(part.get("type", "any"))


def _default(part: dict[str, Any]) -> str:
    default = part.get("default")
    return "" if default is None or default == [] else str(default)
