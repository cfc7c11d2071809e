"""Hostile requests, each by a name that stays: what `test_vectors` sends, and what must become of it.

Made from tables: what is wrong with JSON, with values, with paths, with forms, with requests; and the bodies that each
endpoint takes. What is ``refused`` asks for something that nobody may get; the rest may be understood or refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from tests.security.wire import Vector
from tests.security.wrong_bodies import wrong_bodies, wrong_forms, wrong_pictures
from tests.security.wrong_json import wrong_json, wrong_values

__all__ = ["vectors"]


_NAMES = {
    "parent": "..",
    "parents": "../../../../etc/passwd",
    "parents, escaped": "..%2f..%2f..%2fetc%2fpasswd",
    "dots, escaped": "%2e%2e/%2e%2e/etc/passwd",
    "dots and slashes, escaped": "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "escaped twice": "%252e%252e%252fetc%252fpasswd",
    "escaped overlong": "%c0%ae%c0%ae%c0%af",
    "backslashes": "..%5c..%5cwindows%5cwin.ini",
    "full-width": "%ef%bc%8e%ef%bc%8e%ef%bc%8f",
    "parameter": "..;/x",
    "absolute": "%2fetc%2fpasswd",
    "drive": "C:%5cwindows",
    "share": "%5c%5chost%5cshare",
    "device": "CON",
    "NUL": "a%00.png",
    "line": "a%0d%0aX-Injected:%20y",
    "space": "%20",
    "dot": ".",
    "very long": "a" * 4_096,
    "database": "workbench.sqlite3",
    "SQL": "%27%20OR%201=1--",
    "format": "%7b0.__class__%7d",
    "percent alone": "%",
    "bad escape": "%zz",
    "not UTF-8": "%ff%fe",
    "negative": "-1",
    "zero hash": "0" * 64,
    "UUID": "00000000-0000-0000-0000-000000000000",
}
_PLACES = (
    *("GET /api/v1/assets/{}", "GET /api/v1/jobs/{}", "DELETE /api/v1/jobs/{}", "GET /api/v1/jobs/{}/events"),
    *("GET /api/v1/templates/{}", "GET /api/v1/compare/{}", "DELETE /api/v1/compare/{}"),
    *("GET /api/v1/compare/{}/results", "GET /api/v1/compare/{}/report.json", "GET /api/v1/compare/{}/events"),
    *("POST /api/v1/backends/{}/pause", "GET /v1/models/{}", "GET /comfyui/view?filename={}"),
    "GET /comfyui/view?filename=a.png&subfolder={}&type=output",
)
_ROUTES = (
    *("/api/v1/jobs", "/api/v1/assets", "/api/v1/templates", "/api/v1/compare", "/healthz", "/openapi.json"),
    *("/sdapi/v1/txt2img", "/sdapi/v1/progress", "/v1/images/generations", "/v1/images/edits", "/v1/models"),
    *("/v1/chat/completions", "/comfyui/prompt", "/comfyui/history", "/comfyui/view"),
)
_NEVER = (
    *("/userdata/x", "/api/userdata/x", "/customnode/install", "/manager/reboot", "/internal/logs", "/free"),
    *("/experiment/models/preview/x", "/extensions", "/comfyui/userdata/x", "/comfyui/free", "/comfyui/internal/logs"),
    *(
        "/comfyui//internal/logs",
        "/comfyui/./internal/logs",
        "/comfyui/api/../internal/logs",
        "/comfyui/manager/reboot",
    ),
    *("/comfyui/%2finternal%2flogs", "/comfyui/extensions", "/sdapi/v1/server-kill", "/.env"),
    *("/internal/ping", "/.git/config", "/static/../../etc/passwd", "//etc/passwd"),
)
_QUERIES = {
    "GET /api/v1/jobs?{}": ("limit=-1", "limit=0", "limit=1e9", "limit=a", "limit=%00", "limit=" + "9" * 5_000),
    "GET /api/v1/queue?{}": ("limit=-1", "limit=99999999999999999999", "limit[]=1", "limit=1&limit=2", "limit=NaN"),
    "GET /api/v1/compare?{}": ("limit=-1", "limit=201", "limit=", "limit=true"),
    "GET /api/v1/templates?{}": ("a=" + "b" * 4_000, "%00=%00", "&&&&", "=", "a=%ff"),
    "GET /comfyui/history?{}": (
        "max_items=-1",
        "max_items=a",
        "offset=-99999999999999999999",
        "max_items=" + "9" * 5_000,
    ),
    "GET /comfyui/view?{}": ("", "filename=", "filename=a&type=elsewhere", "filename=a&preview=;", "filename=%00"),
    "GET /sdapi/v1/progress?{}": ("skip_current_image=maybe", "skip_current_image=%00", "a=" + "b" * 4_000),
}


def vectors() -> list[Vector]:
    """All of them."""
    made = [
        *wrong_json(),
        *wrong_values(),
        *_paths(),
        *_methods(),
        *_queries(),
        *wrong_forms(),
        *wrong_pictures(),
        *wrong_bodies(),
    ]
    assert len({vector.name for vector in made}) == len(made)
    return made


def _paths() -> Iterator[Vector]:
    for place in _PLACES:
        method, path = place.split(" ", 1)
        for name, told in _NAMES.items():
            # `.` and `..` may lead to another route, as they do in a browser; that one is none of a file then.
            yield Vector(f"{place}: {name}", method, path.replace("{}", told), refused=name not in ("dot", "parent"))
    for path in _NEVER:
        for method in ("GET", "POST"):
            yield Vector(f"{method} {path}: no route of ours", method, path)


def _methods() -> Iterator[Vector]:
    for path in _ROUTES:
        for method in ("TRACE", "CONNECT", "PUT", "PATCH", "PROPFIND", "get", "A" * 300):
            yield Vector(f"{method[:20]} {path}: method", method, path, refused=path != "/sdapi/v1/progress")


def _queries() -> Iterator[Vector]:
    for place, queries in _QUERIES.items():
        method, path = place.split(" ", 1)
        for number, query in enumerate(queries, start=1):
            yield Vector(f"{path}: query {number}", method, path.replace("{}", query), refused=False)
