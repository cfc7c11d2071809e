"""Every template that ships, run to its picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from comfy_mcp.errors import SettingsError
from comfy_mcp.jobs import JobRequest, JobState
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import write_manifest
from tests.workbenches import settings_for

SMALL = {"steps": 2, "width": 64, "height": 64, "megapixels": 0.01}


@pytest.mark.parametrize("name", ["txt2img", "img2img", "inpaint", "upscale", "txt2img_lora", "txt2img_dit"])
async def test_a_shipped_template_gives_its_picture(
    name: str, tmp_path: Path, embedded_url: str, picture: bytes
) -> None:
    async with Workbench.open(settings_for(tmp_path, embedded_url)) as workbench:
        template = workbench.catalogue.get(name)
        values: dict[str, Any] = {key: value for key, value in SMALL.items() if key in template.parameters}
        for parameter in template.required:
            values[parameter] = "a red house" if parameter == "prompt" else (await workbench.upload(picture)).id
        job = await workbench.submit(JobRequest(name, values))
        done = await workbench.wait(job.id, 60)
        assert done.state is JobState.SUCCEEDED, done.error
        data = await workbench.read(done.assets[0])
    assert Image.open(io.BytesIO(data)).format == "PNG"
    assert done.warnings[-1] == "procedural preview, not a diffusion model"


async def test_a_template_may_limit_its_own_time(tmp_path: Path, slow_url: str) -> None:
    async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench:
        template = workbench.catalogue.get("txt2img")
        folder = tmp_path / "templates" / "brief"
        folder.mkdir(parents=True)
        manifest = template.manifest.model_copy(update={"timeout": 1.0})
        (folder / "manifest.toml").write_text(write_manifest(manifest))
        (folder / "workflow.json").write_bytes((Path(template.folder) / "workflow.json").read_bytes())
    async with Workbench.open(settings_for(tmp_path, slow_url)) as workbench:
        values = {"prompt": "x", "width": 64, "height": 64, "steps": 150}
        job = await workbench.submit(JobRequest("brief", values))
        done = await workbench.wait(job.id, 30)
    assert done.error is not None and done.error.code == "timed_out"


async def test_a_storage_that_does_not_exist_is_a_setting_to_mend(tmp_path: Path) -> None:
    with pytest.raises(SettingsError):
        async with Workbench.open(settings_for(tmp_path, "http://127.0.0.1:9", assets="floppy:")):
            pass
