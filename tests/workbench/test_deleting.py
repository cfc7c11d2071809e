"""Bytes of pictures that are deleted while another process on the same folder stores the same; and thumbnails."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import pytest

from comfy_mcp.assets import Assets, FolderSink
from comfy_mcp.errors import InvalidImage
from comfy_mcp.jobs import Asset
from comfy_mcp.workbench import Workbench
from comfy_mcp.workbench.inputs import Inputs
from comfy_mcp.workbench.thumbnails import Thumbnails
from tests.images import samples
from tests.texts import NOWHERE
from tests.workbenches import settings_for

OWNER = "local"


def picture(seed: int) -> bytes:
    return samples.encoded(samples.noise(8, 8, seed=seed), "PNG")


@dataclass
class Point:
    """Somewhere that work stops until it is told to go on."""

    reached: anyio.Event = field(default_factory=anyio.Event)
    goes_on: anyio.Event = field(default_factory=anyio.Event)

    async def stop(self) -> None:
        self.reached.set()
        await self.goes_on.wait()


class Halting(FolderSink):
    """A folder that stops after it stored something, or before it deletes something."""

    def __init__(self, root: Path, *, stored: Point | None = None, deleting: Point | None = None) -> None:
        super().__init__(root)
        self._stored, self._deleting = stored, deleting

    async def put(self, key: str, data: bytes) -> None:
        await super().put(key, data)
        if self._stored is not None:
            await self._stored.stop()

    async def delete(self, key: str) -> None:
        if self._deleting is not None:
            await self._deleting.stop()
        await super().delete(key)


@asynccontextmanager
async def two(data: Path) -> AsyncGenerator[tuple[Workbench, Workbench]]:
    settings = settings_for(data, NOWHERE)
    async with (
        Workbench.open(settings, dispatch=False) as one,
        Workbench.open(settings, dispatch=False) as other,
    ):
        yield one, other


async def test_what_another_process_has_stored_and_not_recorded_yet_is_there_in_the_end(tmp_path: Path) -> None:
    stored, kept = Point(), list[Asset]()
    async with two(tmp_path) as (one, other):
        inputs = Inputs(other.store, Assets(Halting(tmp_path / "assets", stored=stored)))
        first = await one.upload(picture(1))
        data = await one.read(first)

        async def upload() -> None:
            kept.append(await inputs.keep(data, OWNER))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(upload)
            await stored.reached.wait()
            await one.gallery.delete([first.id], OWNER)
            stored.goes_on.set()
        assert kept[0].key == first.key
        assert await other.read(kept[0]) == data


async def test_what_is_uploaded_while_its_bytes_are_deleted_is_there_in_the_end(tmp_path: Path) -> None:
    deleting, kept, ended = Point(), list[Asset](), anyio.Event()
    async with two(tmp_path) as (one, other):
        gone = [await one.upload(picture(seed)) for seed in range(4)]
        one.assets._sink = Halting(tmp_path / "assets", deleting=deleting)  # pyright: ignore[reportPrivateUsage]

        async def upload() -> None:
            kept.extend([await other.upload(picture(seed)) for seed in range(4)])
            ended.set()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(one.gallery.delete, [asset.id for asset in gone], OWNER)
            await deleting.reached.wait()
            tasks.start_soon(upload)
            # It may have to wait for what is being deleted, but not for longer than that.
            with anyio.move_on_after(0.5):
                await ended.wait()
            deleting.goes_on.set()
        assert {asset.key for asset in kept} == {asset.key for asset in gone}
        for asset in kept:
            await other.read(asset)


async def test_storage_that_hangs_holds_the_database_for_a_moment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("comfy_mcp.workbench.inputs._MOST_SECONDS", 0.1)
    async with two(tmp_path) as (one, other):
        asset = await one.upload(picture(1))
        whole = one.assets._sink  # pyright: ignore[reportPrivateUsage]
        one.assets._sink = Halting(tmp_path / "assets", deleting=Point())  # pyright: ignore[reportPrivateUsage]
        with anyio.fail_after(5):
            assert await one.gallery.delete([asset.id], OWNER) == 1
            await other.upload(picture(2))
        assert [left.key for left in await one.store.pictures.leaving(9)] == [asset.key], "it is tried again"
        one.assets._sink = whole  # pyright: ignore[reportPrivateUsage]
        again = await other.upload(picture(3))
        await other.gallery.delete([again.id], OWNER)
        assert await one.store.pictures.leaving(9) == ()


def broken(name: str, mime: str) -> Asset:
    return Asset(id=name, key=name, sha256="0" * 64, mime=mime, size=7, name=name, width=None, height=None)


async def test_a_thumbnail_that_cannot_be_made_is_tried_once_for_all_who_wait_and_never_of_a_film() -> None:
    reads, goes_on, refused = list[str](), anyio.Event(), list[str]()

    async def read(asset: Asset) -> bytes:
        reads.append(asset.id)
        await goes_on.wait()
        return b"nothing"

    thumbnails = Thumbnails(read)
    with anyio.fail_after(5), pytest.raises(InvalidImage):
        await thumbnails.of(broken("film", "video/mp4"))

    async def look() -> None:
        try:
            await thumbnails.of(broken("picture", "image/png"))
        except InvalidImage as failure:
            refused.append(failure.code)

    async with anyio.create_task_group() as tasks:
        for _ in range(5):
            tasks.start_soon(look)
        await anyio.wait_all_tasks_blocked()
        goes_on.set()
    assert (reads, len(refused)) == (["picture"], 5)
