"""What strangers send does no harm: no failure of ours, no answer that takes long or tells too much, nothing made."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.security.bodies import BODIES
from tests.security.target import problems, target
from tests.security.vectors import vectors

FEWEST = 300
VECTORS = vectors()


def test_the_corpus_is_large_and_its_names_are_its_own() -> None:
    refused = [vector for vector in VECTORS if vector.refused]
    assert len(refused) >= FEWEST and len({vector.name for vector in VECTORS}) == len(VECTORS)


# A form that is cut off in the middle of a file leaves the file to Python to close.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore:Unclosed file:ResourceWarning")
async def test_no_vector_does_harm(tmp_path: Path, embedded_url: str) -> None:
    harm: dict[str, list[str]] = {}
    async with target(tmp_path, embedded_url) as running:
        for vector in VECTORS:
            if found := await problems(running, vector):
                harm[vector.name] = found
        assert not harm, "\n".join(f"{name}: {', '.join(found)}" for name, found in harm.items())
        # And it still does what it is there for.
        assert (await running.client.get("/healthz")).json()["status"] == "ok"
        assert (
            await running.client.post("/sdapi/v1/txt2img", json=BODIES["POST /sdapi/v1/txt2img"])
        ).status_code == 200
