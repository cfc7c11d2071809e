"""What ships for the nodes: its templates and the examples made of them, and an engine that has the pack."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import comfy_nodes
from comfy_mcp.node_pack import lay_out
from comfy_mcp.workflows import ObjectInfo
from tests.engines import running_engine

__all__ = ["EXAMPLES", "PACK", "TEMPLATES", "example_of", "object_info_of", "running_pack"]

PACK = "comfyui-workbench"
EXAMPLES = Path(comfy_nodes.__file__).with_name("example_workflows")
TEMPLATES = ("caption_and_judge", "compare_models", "expand_and_paint", "judge_models")


def example_of(template: str) -> Path:
    """The example workflow that is the template in the format of ComfyUI's page."""
    return EXAMPLES / f"{template.capitalize().replace('_', ' ')}.json"


@contextmanager
def running_pack(place: Path, *servers: str) -> Generator[str]:
    """The address of an engine with the pack, which is laid out in ``place`` and knows these LLM servers."""
    lay_out(place / PACK)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WORKBENCH_LLM_URL", ",".join(servers))
        with running_engine("--pack", str(place / PACK)) as engine:
            yield engine.url


def object_info_of(url: str) -> ObjectInfo:
    raw: dict[str, Any] = httpx.get(f"{url}/object_info", timeout=30, trust_env=False).raise_for_status().json()
    return ObjectInfo(raw)
