"""What no decoder sees: how large a picture of each type may be, and where the one is measured that needs a decoder."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
import pytest
from PIL import Image

from comfy_mcp import images
from comfy_mcp.errors import StorageUnavailable, TooLarge
from comfy_mcp.images import UPLOADED, accept_upload, measure
from tests.images import samples
from tests.images.test_decoder import children

LARGER = (3_200, 3_200)
_MEASURED = """
import anyio, sys
from comfy_mcp import images

data = sys.stdin.buffer.read()
found = anyio.run(images.measure, data), anyio.run(images.inspect, data)
print(found[0], found[1].width, [name for name in sys.modules if name.startswith("PIL")])
"""


def test_an_avif_is_measured_in_a_process_of_its_own() -> None:
    data = samples.animated("AVIF", 3)
    done = subprocess.run([sys.executable, "-c", _MEASURED], input=data, capture_output=True, timeout=60, check=False)
    assert done.stdout.decode().strip() == "(24, 16, 3) 24 []", done.stderr.decode()


@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
async def test_what_takes_most_memory_is_refused_sooner_than_others(kind: str) -> None:
    large = samples.encoded(Image.new("RGB", LARGER), kind, **({"speed": 10} if kind == "AVIF" else {"method": 0}))
    with pytest.raises(TooLarge) as refused:
        await accept_upload(large)
    assert "10 megapixels" in refused.value.hint and "PNG" in refused.value.hint
    assert await measure(large) == (*LARGER, 1), "of what ComfyUI made more is taken"
    assert (await accept_upload(samples.encoded(Image.new("RGB", LARGER), "PNG"))).width == LARGER[0]


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("kind", ["WEBP", "AVIF"])
async def test_the_largest_picture_of_these_takes_less_than_256_mb(kind: str) -> None:
    side = int(UPLOADED.heavy**0.5)
    picture = samples.photo(400, 400, "RGBA").resize((side, side))
    data = samples.encoded(picture, kind, **({"speed": 10} if kind == "AVIF" else {"method": 0, "lossless": True}))
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max([most, *map(_most_memory, children())])
            await anyio.sleep(0.005)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        await accept_upload(data)
        tasks.cancel_scope.cancel()
    assert 100 < most < 256 - 2 * len(data) / 2**20


def _most_memory(process: int) -> int:
    """In MB, as far as it has come."""
    try:
        told = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0
    return int(told.partition("VmHWM:")[2].split()[0]) // 1024 if "VmHWM:" in told else 0


async def test_a_disk_without_room_is_no_fault_of_the_picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageUnavailable, match="decoded") as failed:
        await images.convert(samples.encoded(samples.photo(40, 30), "AVIF"), "image/png")
    assert str(tmp_path) not in str(failed.value.record)
