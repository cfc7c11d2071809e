"""Generated requests to every endpoint, as many as one asks for: `python -m tests.security.fuzz --examples 10000`.

Where our OpenAPI describes an endpoint, requests come from its description, right ones and wrong ones; bodies of the
façades come from those that their clients send, changed in places. What must not become of one is told by `target`.
"""

from __future__ import annotations

import argparse
import copy
import json
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
from anyio.from_thread import BlockingPortal, start_blocking_portal
from hypothesis import HealthCheck, Phase
from hypothesis import strategies as st
from schemathesis import GenerationMode

from tests.engines import running_engine
from tests.security.bodies import BODIES
from tests.security.target import Target, problems, target
from tests.security.wire import Vector
from tests.security.wrong_json import VALUES, as_json, fields_of

__all__ = ["Fuzzer", "fuzzing"]

Strategy = st.SearchStrategy[Vector]


class Fuzzer:
    """Sends generated requests to one target. Everything here is called from a thread that may wait."""

    def __init__(self, portal: BlockingPortal, running: Target) -> None:
        self._portal = portal
        self._target = running

    def endpoints(self) -> Iterator[tuple[str, Strategy]]:
        """Each endpoint by its name, with the requests that are generated for it."""
        schema: Any = schemathesis.openapi.from_url(f"{self._target.address}/openapi.json")
        for found in schema.get_all_operations():
            operation = found.ok()
            right, wrong = (
                operation.as_strategy(generation_mode=mode).map(_as_vector)
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
            )
            # Not everything can be asked for wrongly.
            can_be_wrong = operation.body or operation.path_parameters or operation.query
            yield operation.label, right | wrong if can_be_wrong else right
        for endpoint in BODIES:
            yield f"{endpoint} changed", _changed(endpoint)

    def run(self, requests_made: Strategy, examples: int) -> None:
        """Send so many. Raises AssertionError with the smallest request that did harm."""

        @hypothesis.settings(
            max_examples=examples,
            deadline=None,
            database=None,
            phases=(Phase.generate, Phase.shrink),
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large],
        )
        @hypothesis.given(vector=requests_made)
        def harmless(vector: Vector) -> None:
            found = self._portal.call(problems, self._target, vector)
            assert not found, f"{vector}: {found}"

        harmless()


def _as_vector(case: Any) -> Vector:
    """The request that a client would send for a generated case."""
    known: dict[str, Any] = case.as_transport_kwargs(base_url="http://here")
    names = ("method", "url", "headers", "params", "data", "json", "files", "cookies")
    request = requests.Request(**{name: known[name] for name in names if name in known}).prepare()
    body: Any = request.body or b""
    headers = {
        name: told if isinstance(told, str) else told.decode("latin-1") for name, told in request.headers.items()
    }
    headers.pop("Content-Length", None)
    return Vector(
        f"{request.method} {request.path_url}",
        request.method or "",
        request.path_url,
        body if isinstance(body, bytes) else body.encode("utf-8", "surrogatepass"),
        {name: told.replace("\r", " ").replace("\n", " ") for name, told in headers.items()},
        refused=False,
    )


_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.sampled_from(list(VALUES.values())).map(copy.deepcopy),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=10,
)


@st.composite
def _changed(draw: st.DrawFn, endpoint: str) -> Vector:
    """A body as a client sends it, with one to four places that hold something else, are left out, or are new."""
    body: Any = json.loads(json.dumps(BODIES[endpoint]))
    for _ in range(draw(st.integers(1, 4))):
        ways = list(fields_of(body))
        if not ways:
            break
        way = draw(st.sampled_from(ways))
        inner = body
        for step in way[:-1]:
            inner = inner[step]
        change = draw(st.sampled_from(("another", "none", "more")))
        if change == "none":
            del inner[way[-1]]
        elif change == "more" and isinstance(inner, dict):
            inner[draw(st.text(max_size=20))] = draw(_ANYTHING)
        else:
            inner[way[-1]] = draw(_ANYTHING)
    return as_json("changed", endpoint, json.dumps(body).encode(), refused=False)


@contextmanager
def fuzzing(data: Path, comfyui: str) -> Generator[Fuzzer]:
    """A fuzzer of a workbench that is served meanwhile."""
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(target(data, comfyui)) as running:
        yield Fuzzer(portal, running)


def main(arguments: list[str], show: Callable[[str], object] = print) -> int:
    """How many endpoints failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--examples", type=int, default=10_000, help="requests to each endpoint")
    parser.add_argument("--only", default="", help="endpoints whose names hold this text")
    asked = parser.parse_args(arguments)
    failed = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        running_engine() as engine,
        fuzzing(Path(folder), engine.url) as fuzzer,
    ):
        for name, generated in fuzzer.endpoints():
            if asked.only not in name:
                continue
            started = time.monotonic()
            try:
                fuzzer.run(generated, asked.examples)
                told = "ok"
            except (AssertionError, BaseExceptionGroup) as failure:
                failed += 1
                told = f"FAILED: {str(failure)[:2000]}"
            show(f"{time.monotonic() - started:7.1f} s  {name}: {told}")
    return failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
