"""The official Node client of OpenAI's API, which LibreChat and LobeHub are built with, against a served workbench."""

from __future__ import annotations

import json
import os
from pathlib import Path

import anyio
import pytest

from tests.proxy.openai.pictures import mask, plain, shown
from tests.workbenches import served

NEEDED = ("WORKBENCH_TEST_NODE", "WORKBENCH_TEST_OPENAI_MODULES")
TOKEN = "a token of enough characters"


@pytest.fixture
def client() -> list[str]:
    """The command that runs the client, without the address."""
    if not all(os.environ.get(name) for name in NEEDED):
        pytest.skip(f"needs Node 22 and OpenAI's client: set {' and '.join(NEEDED)}, as .ci/run does")
    script = Path(__file__).with_name("openai_client.mjs")
    return [os.environ["WORKBENCH_TEST_NODE"], str(script), os.environ["WORKBENCH_TEST_OPENAI_MODULES"]]


@pytest.mark.requirement("R22")
async def test_it_generates_edits_streams_and_reads_refusals(tmp_path: Path, slow_url: str, client: list[str]) -> None:
    (tmp_path / "picture.png").write_bytes(plain())
    (tmp_path / "mask.png").write_bytes(mask())
    async with served(tmp_path / "data", slow_url, token=TOKEN) as http:
        with anyio.fail_after(60):
            done = await anyio.run_process([*client, f"{http.base_url}/v1", TOKEN, str(tmp_path)], check=False)
    assert done.returncode == 0, done.stderr.decode()
    told = json.loads(done.stdout)

    assert [(shown(each).format, shown(each).size) for each in told["generated"]] == [("WEBP", (256, 256))]
    assert shown(told["fetched"]).size == (256, 256)
    assert [shown(each).size for each in told["edited"]] == [(96, 64)]
    assert [(name, index) for name, index, _ in told["streamed"]] == [
        ("image_generation.partial_image", 0),
        ("image_generation.partial_image", 1),
        ("image_generation.completed", None),
    ]
    assert all(shown(data).format == "PNG" for _, _, data in told["streamed"])
    assert told["refused"] == {"name": "BadRequestError", "status": 400, "param": "size", "code": "invalid_parameter"}
