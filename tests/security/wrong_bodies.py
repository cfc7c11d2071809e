"""Forms that are put together wrongly, pictures that are none or too much, and bodies that are not what they are said
to be."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

from tests.security import bombs
from tests.security.bodies import BODIES, PNG
from tests.security.wire import Vector
from tests.security.wrong_json import as_json, with_value

__all__ = ["form", "part", "wrong_bodies", "wrong_forms", "wrong_pictures"]

_ANY_TYPE = ("POST /comfyui/prompt", "POST /comfyui/queue")
"""Here JSON is JSON whatever it is called, since a client of ComfyUI names none; a page is given away by its Origin."""


def form(*parts: bytes, boundary: str = "b") -> bytes:
    """A multipart body of parts that were put together by hand."""
    edge = b"--" + boundary.encode()
    return b"".join(edge + b"\r\n" + part + b"\r\n" for part in parts) + edge + b"--\r\n"


def part(disposition: str, content: bytes = b"x", kind: str = "") -> bytes:
    """One part; its disposition as it stands on the wire."""
    more = f"\r\nContent-Type: {kind}" if kind else ""
    return f"Content-Disposition: form-data; {disposition}{more}".encode() + b"\r\n\r\n" + content


def wrong_forms() -> Iterator[Vector]:
    multipart = "multipart/form-data; boundary=b"
    picture = part('name="file"; filename="a.png"', PNG, "image/png")
    cases: dict[str, tuple[str, bytes]] = {
        "no boundary": ("multipart/form-data", form(picture)),
        "empty boundary": ("multipart/form-data; boundary=", form(picture)),
        "another boundary": ("multipart/form-data; boundary=c", form(picture)),
        "endless boundary": ("multipart/form-data; boundary=" + "b" * 5_000, form(picture)),
        "boundary not ASCII": ("multipart/form-data; boundary=é", form(picture)),
        "no parts": (multipart, b"--b--\r\n"),
        "no body": (multipart, b""),
        "no end": (multipart, b"--b\r\n" + picture),
        "only an edge": (multipart, b"--b"),
        "no disposition": (multipart, form(b"Content-Type: image/png\r\n\r\n" + PNG)),
        "no name": (multipart, form(part('filename="a.png"', PNG))),
        "empty name": (multipart, form(part('name=""; filename="a.png"', PNG))),
        "a thousand fields": (multipart, form(*[part(f'name="f{n}"') for n in range(1_000)])),
        "a thousand files": (multipart, form(*[part(f'name="f{n}"; filename="a"') for n in range(1_000)])),
        "a thousand pictures": (multipart, form(*[picture] * 1_000)),
        "a huge field": (multipart, form(part('name="prompt"', b"x" * 3_000_000))),
        "a huge name": (multipart, form(part(f'name="{"n" * 100_000}"'))),
        "many headers in a part": (multipart, form(b"X: y\r\n" * 5_000 + part('name="file"'))),
        "a header without end": (multipart, form(b"X: " + b"y" * 200_000)),
        "file name with lines": (multipart, form(part('name="file"; filename="a\r\nX-Injected: y"', b"x"))),
        "file name with a path": (multipart, form(part('name="file"; filename="../../etc/x"', b"no picture"))),
        "file name with NUL": (multipart, form(part('name="file"; filename="a\0.png"', b"no picture"))),
        "half a character in a name": (
            multipart,
            form(b'Content-Disposition: form-data; name="\xed\xa0\x80"\r\n\r\nx'),
        ),
        "a picture that is text": (multipart, form(part('name="file"', b"x"))),
        "a page as picture": (multipart, form(part('name="file"; filename="a.png"', b"<script>", "image/png"))),
        "nested forms": (multipart, form(part('name="file"', form(picture), "multipart/mixed; boundary=b"))),
        "bad encoding": (multipart, form(b"Content-Transfer-Encoding: base64\r\n" + part('name="file"', b"!!!!"))),
        "another type": ("application/x-www-form-urlencoded", b"file=a&prompt=b"),
        "strange type": ("multipart/form-data; boundary=b; charset=utf-7", form(part('name="prompt"', b"+AGE-"))),
        "no type": ("", form(picture)),
    }
    for path in ("/api/v1/assets", "/v1/images/edits", "/comfyui/upload/image"):
        for name, (kind, body) in cases.items():
            yield Vector(f"POST {path}: {name}", "POST", path, body, {"Content-Type": kind} if kind else {}, False)


def wrong_pictures() -> Iterator[Vector]:
    multipart = {"Content-Type": "multipart/form-data; boundary=b"}
    for name, make in bombs.BOMBS.items():
        # What is taken, and what takes long to send: `test_decoder` has them all.
        if (
            name.startswith(("10 megapixels", "33 megapixels", "packed", "more pixels"))
            or len(data := make()) > 8_000_000
        ):
            continue
        edit = [part('name="prompt"', b"a"), part('name="image"; filename="a.png"', data, "image/png")]
        kinds = {
            "POST /api/v1/assets": (data, {"Content-Type": "image/png"}),
            "POST /v1/images/edits": (form(*edit), multipart),
            "POST /comfyui/upload/image": (form(part('name="image"; filename="a.png"', data, "image/png")), multipart),
        }
        for place, (body, headers) in kinds.items():
            method, path = place.split(" ")
            yield Vector(f"{place}: picture of {name}", method, path, body, headers)
        if len(data) < 1_000_000:
            told = with_value(BODIES["POST /sdapi/v1/img2img"], ("init_images", 0), base64.b64encode(data).decode())
            yield as_json(f"picture of {name}", "POST /sdapi/v1/img2img", json.dumps(told).encode(), refused=True)

    for name, make in bombs.TEXTS.items():
        body = json.dumps({"image": base64.b64encode(make()).decode()}).encode()
        yield as_json(f"picture of {name}", "POST /sdapi/v1/png-info", body, refused=False)


def wrong_bodies() -> Iterator[Vector]:
    small = b'{"template": "txt2img"}'
    lengths = {"negative": "-1", "no number": "a", "hex": "0x10", "a sum": "1+1", "not ASCII": "\xb2", "two": "1, 2"}
    for name, told in lengths.items():
        headers = {"Content-Length": told, "Content-Type": "application/json"}
        yield Vector(f"length that is {name}", "POST", "/api/v1/jobs", small, headers)
    for kind in ("text/plain", "text/html", "application/x-www-form-urlencoded", "multipart/form-data", "image/png"):
        for endpoint, body in BODIES.items():
            method, path = endpoint.split(" ")
            told = json.dumps(body).encode()
            refused = endpoint not in _ANY_TYPE
            yield Vector(f"{endpoint}: JSON sent as {kind}", method, path, told, {"Content-Type": kind}, refused)
    for name, body in {"zeros": bytes(40_000_000), "spaces": b" " * 40_000_000}.items():
        yield Vector(f"40 megabytes of {name}", "POST", "/api/v1/jobs", body, {"Content-Type": "application/json"})
    packed = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    yield Vector("a body that is packed", "POST", "/api/v1/jobs", b"\x1f\x8b\x08" + bytes(50), packed)
    for key in ("k" * 256, "k" * 10_000, "\x01"):
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        yield Vector(f"a key of {len(key)} letters", "POST", "/api/v1/jobs", small, headers, len(key) > 255)
