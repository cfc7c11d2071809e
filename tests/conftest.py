"""What every test may ask for: engines, a served workbench, a picture, and an environment without our settings."""

from __future__ import annotations

import io
import os
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import httpx
import hypothesis
import pytest
from PIL import Image

from tests.engines import running_engine
from tests.llama.servers import LlamaServer, running_router, running_single
from tests.workbenches import served

# In CI the same examples each time: what a draw finds elsewhere becomes an example, and no commit is red by chance.
hypothesis.settings.register_profile("strict", derandomize=True)
if os.environ.get("WORKBENCH_TEST_STRICT"):
    hypothesis.settings.load_profile("strict")


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """No setting of the person who runs the tests reaches them."""
    for name in list(os.environ):
        if name.startswith("WORKBENCH_") and not name.startswith("WORKBENCH_TEST_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("WORKBENCH_SETTINGS", str(tmp_path_factory.getbasetemp() / "no-settings.toml"))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """In CI nothing may be skipped but what needs a real ComfyUI: a skip nobody sees is a test nobody runs."""
    if report.skipped and os.environ.get("WORKBENCH_TEST_STRICT") and "COMFYUI_URL" not in str(report.longrepr):
        report.outcome = "failed"


@pytest.fixture(scope="session")
def embedded_url() -> Generator[str]:
    with running_engine() as engine:
        yield engine.url


@pytest.fixture(scope="session")
def slow_url() -> Generator[str]:
    """An engine whose steps take a tenth of a second, to catch jobs while they run."""
    with running_engine("--step-delay", "0.1") as engine:
        yield engine.url


@pytest.fixture(params=["embedded", "real"])
def comfyui_url(request: pytest.FixtureRequest) -> str:
    """Both engines of the contract: the embedded one always, a real one when COMFYUI_URL names it."""
    if request.param == "embedded":
        return request.getfixturevalue("embedded_url")
    real = os.environ.get("COMFYUI_URL")
    if not real:
        pytest.skip("set COMFYUI_URL to run the contract against a real ComfyUI as well")
    return real


@pytest.fixture(scope="session")
def llama_folder() -> Path:
    """Where llama-server and its tiny models are."""
    folder = os.environ.get("WORKBENCH_TEST_LLAMA")
    if not folder:
        pytest.skip("set WORKBENCH_TEST_LLAMA to a folder that tests/llama/build.py has filled")
    return Path(folder).resolve()


@pytest.fixture(scope="session")
def llama_router(llama_folder: Path) -> Generator[LlamaServer]:
    """Three models on demand, one at a time; which of them is loaded, the test before has decided."""
    with running_router(llama_folder) as server:
        yield server


@pytest.fixture(scope="session")
def llama_single(llama_folder: Path) -> Generator[LlamaServer]:
    """One model with two slots of 1024 tokens each."""
    with running_single(llama_folder) as server:
        yield server


@pytest.fixture(scope="session")
def picture() -> bytes:
    """A PNG of 96×64 with something in it."""
    image = Image.linear_gradient("L").resize((96, 64)).convert("RGB")
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


@pytest.fixture
async def api(tmp_path: Path, embedded_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, embedded_url) as client:
        yield client


@pytest.fixture
async def slow_api(tmp_path: Path, slow_url: str) -> AsyncGenerator[httpx.AsyncClient]:
    async with served(tmp_path, slow_url) as client:
        yield client
