"""Assets: what goes in is whole, what comes out is unchanged."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from comfy_mcp.assets import Assets, FolderSink, Sink
from comfy_mcp.errors import NotFound, OutputUnreadable, SettingsError, TooLarge
from tests.images import samples

DAY = date(2026, 11, 20)
FIELDS: Mapping[str, str | int] = {"template": "cat", "seed": 1234, "job": "j1", "index": 0}
PICTURE = samples.encoded(samples.photo(400, 300), "PNG")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "assets"


@pytest.fixture
def assets(folder: Path) -> Assets:
    return Assets(FolderSink(folder), today=lambda: DAY)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


async def test_a_kept_picture_is_described_and_comes_back(sink: Sink) -> None:
    assets = Assets(sink, today=lambda: DAY)
    asset = await assets.keep(PICTURE, name_fields=FIELDS)
    digest = hashlib.sha256(PICTURE).hexdigest()
    assert (asset.sha256, asset.size, asset.mime) == (digest, len(PICTURE), "image/png")
    assert (asset.width, asset.height, asset.name) == (400, 300, "cat-1234.png")
    assert asset.key == f"2026-11/cat-1234-{digest[:12]}.png"
    assert await assets.read(asset) == PICTURE
    assert b"".join([piece async for piece in assets.stream(asset, start=3, stop=9)]) == PICTURE[3:9]
    await assets.check()
    await assets.delete(asset)
    with pytest.raises(NotFound):
        await assets.read(asset)


async def test_people_find_their_pictures_in_the_folder(assets: Assets, folder: Path) -> None:
    asset = await assets.keep(PICTURE, name_fields=FIELDS)
    assert files(folder) == [asset.key]
    assert (folder / asset.key).read_bytes() == PICTURE


async def test_the_same_picture_is_stored_once_and_has_two_ids(assets: Assets, folder: Path) -> None:
    one, two = [await assets.keep(PICTURE, name_fields=FIELDS) for _ in range(2)]
    assert one.id != two.id
    assert one.key == two.key
    assert len(files(folder)) == 1
    other = await assets.keep(samples.encoded(samples.photo(400, 300, seed=2), "PNG"), name_fields=FIELDS)
    assert other.name == one.name
    assert other.key != one.key


async def test_ids_are_long_opaque_and_fit_into_an_address(assets: Assets) -> None:
    ids = {(await assets.keep(b"text", name_fields={})).id for _ in range(50)}
    assert len(ids) == 50
    assert all(len(name) >= 22 and name.replace("-", "").replace("_", "").isalnum() for name in ids)


async def test_the_type_comes_from_the_bytes(assets: Assets) -> None:
    svg = await assets.keep(b"<svg onload='alert(1)'/>", name_fields=FIELDS)
    assert (svg.mime, svg.name, svg.width) == ("application/octet-stream", "cat-1234.bin", None)
    sound = await assets.keep(samples.wav(), name_fields=FIELDS)
    assert (sound.mime, sound.name, sound.width) == ("audio/wav", "cat-1234.wav", None)


async def test_the_pattern_names_files(folder: Path) -> None:
    pattern = "{date} {template} {width}x{height} {index}"
    assets = Assets(FolderSink(folder), pattern, today=lambda: DAY)
    asset = await assets.keep(PICTURE, name_fields=FIELDS)
    assert asset.name == "2026-11-20_cat_400x300_0.png"
    assert asset.key.startswith("2026-11/2026-11-20_cat_400x300_0-")


async def test_a_bad_pattern_is_refused_at_once(folder: Path) -> None:
    with pytest.raises(SettingsError):
        Assets(FolderSink(folder), "{prompt}")


async def test_what_is_cut_off_or_too_large_is_never_stored(assets: Assets, folder: Path) -> None:
    for data in (PICTURE[:8], PICTURE[: len(PICTURE) // 2], PICTURE[:-1]):
        with pytest.raises(OutputUnreadable):
            await assets.keep(data, name_fields=FIELDS)
    with pytest.raises(TooLarge):
        await assets.keep(samples.png(20_000, 20_000), name_fields=FIELDS)
    assert files(folder) == []


@pytest.mark.parametrize("change", ["cut", "changed", "longer"])
async def test_a_changed_file_is_never_given_out(assets: Assets, folder: Path, change: str) -> None:
    asset = await assets.keep(PICTURE, name_fields=FIELDS)
    changes = {"cut": PICTURE[:-1], "changed": PICTURE[:-1] + b"x", "longer": PICTURE + b"x"}
    (folder / asset.key).write_bytes(changes[change])
    with pytest.raises(OutputUnreadable):
        await assets.read(asset)


async def test_a_torn_file_heals_when_the_picture_is_made_again(assets: Assets, folder: Path) -> None:
    asset = await assets.keep(PICTURE, name_fields=FIELDS)
    (folder / asset.key).write_bytes(PICTURE[:100])
    again = await assets.keep(PICTURE, name_fields=FIELDS)
    assert await assets.read(again) == await assets.read(asset) == PICTURE


async def test_a_record_with_a_foreign_key_reads_nothing(assets: Assets) -> None:
    asset = await assets.keep(PICTURE, name_fields=FIELDS)
    for key in ("../secret", "/etc/passwd", "2026-11/.hidden"):
        with pytest.raises(NotFound):
            await assets.read(replace(asset, key=key))
