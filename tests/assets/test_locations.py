"""The setting that says where pictures are kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from comfy_mcp.assets import FolderSink, MemorySink, S3Sink, sink_from_url
from comfy_mcp.errors import NotFound, SettingsError


async def test_folder_alone_is_below_the_data_folder(tmp_path: Path) -> None:
    sink = sink_from_url("folder", tmp_path)
    assert isinstance(sink, FolderSink)
    await sink.put("a", b"picture")
    assert (tmp_path / "assets/a").read_bytes() == b"picture"


async def test_a_folder_can_be_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    await sink_from_url(f"folder:{tmp_path}/my pictures: new", Path("/nowhere")).put("a", b"picture")
    assert (tmp_path / "my pictures: new/a").read_bytes() == b"picture"
    monkeypatch.setenv("HOME", str(tmp_path))
    await sink_from_url("folder:~/home", Path("/nowhere")).put("a", b"picture")
    assert (tmp_path / "home/a").read_bytes() == b"picture"


async def test_memory_may_have_a_time(tmp_path: Path) -> None:
    for location in ("memory", "memory:3600", " memory:1 "):
        sink = sink_from_url(location, tmp_path)
        assert isinstance(sink, MemorySink)
        await sink.put("a", b"picture")
        assert await sink.get("a") == b"picture"


async def test_a_bucket_has_a_prefix_an_endpoint_and_a_region(s3_endpoint: str, aws_keys: None, tmp_path: Path) -> None:
    sink = sink_from_url(f"s3://pictures/of/all%20of us?endpoint={s3_endpoint}&region=us-east-1", tmp_path)
    assert isinstance(sink, S3Sink)
    await sink.put("a", b"picture")
    assert await sink_from_url(f"s3://pictures?endpoint={s3_endpoint}", tmp_path).get("of/all of us/a") == b"picture"
    with pytest.raises(NotFound):
        await sink_from_url(f"s3://pictures/other/?endpoint={s3_endpoint}", tmp_path).get("a")


@pytest.mark.usefixtures("aws_keys")
@pytest.mark.parametrize(
    "location",
    [
        "",
        "folders",
        "/just/a/path",
        "folder:relative/path",
        "folder:.",
        "folder:/a\0b",
        "folder:~nobody-of-that-name/x",
        "memory:",
        "memory:0",
        "memory:-1",
        "memory:1.5",
        "memory:١٢",
        "memory:1h",
        "memory:" + "9" * 30,
        "s3:pictures",
        "s3://",
        "s3://pi/x",
        "s3://key:hush-hush@pictures/x",
        "s3://hush-hush@pictures",
        "s3://pictures:9000/x",
        "s3://pictures:port/x",
        "s3://[pictures/x",
        "s3://pic_tures!/x",
        "s3://pictures/../x",
        "s3://pictures/a//b",
        "s3://pictures/.hidden",
        "s3://pictures/x#y",
        "s3://pictures?key=hush-hush",
        "s3://pictures?region",
        "s3://pictures?region=a&region=b",
        "s3://pictures?endpoint=http://192.0.2.1",
        "https://bucket.s3.amazonaws.com",
    ],
)
def test_anything_else_is_refused_with_a_hint(location: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError) as refused:
        sink_from_url(location, tmp_path)
    assert refused.value.hint
    assert "hush-hush" not in str(refused.value)
