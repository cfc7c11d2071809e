"""What every job store promises of pictures as a person looks for them, and of those that are deleted."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncGenerator, Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from comfy_mcp.errors import NotFound, StorageUnavailable
from comfy_mcp.jobs import Asset, JobState, Upload
from comfy_mcp.store import JobStore, NewJob, Outcome, QueueLimits, Sought, SqliteStore, Usage, rows
from tests.store.stores import STORES, first, new_job, picture

LONG_AGO, FAR_AWAY = 0.0, 4e9


@pytest.fixture(params=STORES)
async def store(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[JobStore]:
    async with request.param(tmp_path, limits=QueueLimits(100, 100)) as opened:
        yield opened


async def made(store: JobStore, new: NewJob, *assets: Asset) -> str:
    job = await store.enqueue(new)
    leased = await store.lease(job.id, first)
    assert leased is not None
    assert await store.finish(leased.id, leased.token, Outcome(JobState.SUCCEEDED, assets=assets))
    return job.id


def asked(prompt: str, owner: str = "ann", **more: Any) -> NewJob:
    new = new_job(owner, **more)
    return replace(new, bound=replace(new.bound, values={"prompt": prompt, "seed": 1}))


async def names(store: JobStore, owner: str = "ann", **sought: Any) -> list[str]:
    return [found.asset.id for found in await store.pictures.find(owner, Sought(**sought))]


def ids(found: Sequence[Any]) -> list[str]:
    return [each.asset.id for each in found]


async def test_the_newest_come_first_page_by_page_and_both_ways(store: JobStore) -> None:
    for number in range(5):
        await made(store, asked("a lake"), picture(f"picture-{number}"))
    await made(store, asked("a lake", "bob"), picture("of-bob"))
    pictures = store.pictures
    page = await pictures.find("ann", Sought(), limit=2)
    assert ids(page) == ["picture-4", "picture-3"]
    assert ids(await pictures.find("ann", Sought(), limit=2, beyond="picture-3")) == ["picture-2", "picture-1"]
    assert ids(await pictures.find("ann", Sought(), limit=1, beyond="picture-2", newer=True)) == ["picture-3"]
    assert await pictures.find("ann", Sought(), beyond="picture-0") == []
    for somebody_elses in ("of-bob", "none"):
        with pytest.raises(NotFound):
            await pictures.find("ann", Sought(), beyond=somebody_elses)


async def test_a_picture_tells_where_it_comes_from(store: JobStore) -> None:
    job = await made(store, asked("a lake", model="sd15"), picture("one"), picture("two"))
    found = await store.pictures.get("two", "ann")
    assert (found.asset, found.job, found.prompt, found.template, found.kept) == (
        *(picture("two"), job, "a lake", "txt2img", False),
    )
    with pytest.raises(NotFound):
        await store.pictures.get("two", "bob")


async def test_filters_hold_together(store: JobStore) -> None:
    await made(store, asked("a", model="sd15"), picture("still"))
    await made(store, asked("a", model="sdxl"), replace(picture("film"), mime="video/mp4"))
    await made(store, asked("a", template="img2img", model="sdxl"), picture("other"))
    await made(store, replace(asked("a"), turn="by the hundred"), picture("cell"))
    await store.add_asset("ann", picture("sent"))
    assert await names(store) == ["sent", "cell", "other", "film", "still"]
    assert await names(store, source="made") == ["other", "film", "still"]
    assert (await names(store, source="upload"), await names(store, source="cell")) == (["sent"], ["cell"])
    assert await names(store, kind="video") == ["film"]
    assert await names(store, model="sdxl") == ["other", "film"]
    assert await names(store, model="sdxl", template="txt2img") == ["film"]
    assert (await names(store, style="anime", source="cell"), await names(store, style="ani")) == (["cell"], [])
    assert await names(store, since=LONG_AGO, until=FAR_AWAY, kind="video") == ["film"]
    assert (await names(store, since=FAR_AWAY), await names(store, until=LONG_AGO)) == ([], [])
    facets = await store.pictures.facets("ann")
    assert (facets.templates, facets.models, facets.styles) == (["img2img", "txt2img"], ["sd15", "sdxl"], ["anime"])
    assert (await store.pictures.facets("bob")).templates == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lighthouse", True),
        ("LIGHT storm", True),
        ("cafe", True),
        ("海边", True),
        ("边的", True),
        ("海的", False),
        ("house", False),
        ("lighthouse submarine", False),
        ("mid-century", True),
        ("!!! *", True),
        ('"', True),
        ('") OR text : (a', False),
        ("facets : o", False),
        ("NOT lighthouse", False),
        ("light\0storm", True),
        ("\ud800", True),
        ("a " * 500, True),
    ],
)
async def test_words_are_found_by_their_beginning_in_any_script(store: JobStore, text: str, expected: bool) -> None:
    await made(store, asked("A lighthouse in a Storm, mid-century café, 海边的房子"), picture("one"))
    assert await names(store, text=text) == (["one"] if expected else [])


async def test_somebody_elses_are_never_found(store: JobStore) -> None:
    await made(store, asked("lake"), picture("one"))
    for owner in ("an", "ann ", "ANN", "bob", '" OR "', ""):
        assert await names(store, owner, text="lake") == [], owner


async def test_usage_counts_what_is_there(store: JobStore) -> None:
    await made(store, asked("lake"), picture("one"), picture("two"))
    await made(store, asked("lake", "bob"), picture("three"))
    assert await store.pictures.usage("ann") == Usage(2, 14)
    assert await store.pictures.usage() == Usage(3, 21)
    assert await store.pictures.usage("nobody") == Usage(0, 0)
    await store.pictures.drop(["one"], "ann")
    assert await store.pictures.usage("ann") == Usage(1, 7)


async def test_what_is_dropped_is_gone_and_its_bytes_are_told_until_they_are_too(store: JobStore) -> None:
    job = await made(store, asked("lake"), picture("one"), replace(picture("two"), key=picture("one").key))
    await made(store, asked("lake", "bob"), picture("of-bob"))
    dropped = await store.pictures.drop(["one", "of-bob", "none"], "ann")
    assert (ids_of(dropped.gone), dropped.needed) == (["one"], [])
    assert await names(store) == ["two"]
    assert await store.pictures.leaving(10) == (), "another one has the same bytes"
    await store.pictures.drop(["two"], "ann")
    (left,) = await store.pictures.leaving(10)
    assert left.key == picture("one").key
    removed = list[str]()
    for _ in range(2):
        await store.pictures.erase(left.key, lambda: removed.append(left.key))
    assert removed == [left.key], "what is not to go any more is not removed"
    assert await store.pictures.leaving(10) == ()
    assert (await store.get(job)).assets == ()
    assert await names(store, "bob") == ["of-bob"]


def ids_of(assets: Sequence[Asset]) -> list[str]:
    return [asset.id for asset in assets]


async def test_bytes_that_are_recorded_again_meanwhile_are_not_removed(store: JobStore) -> None:
    await made(store, asked("lake"), picture("one"))
    await store.pictures.drop(["one"], "ann")
    (left,) = await store.pictures.leaving(10)
    await store.add_asset("bob", replace(picture("of-bob"), key=left.key))
    await store.pictures.erase(left.key, lambda: pytest.fail("the bytes are bob's"))
    assert await store.pictures.leaving(10) == ()


async def test_what_cannot_be_removed_is_left_for_later(store: JobStore) -> None:
    def refuse() -> None:
        raise StorageUnavailable("full")

    await made(store, asked("lake"), picture("one"))
    await store.pictures.drop(["one"], "ann")
    with pytest.raises(StorageUnavailable):
        await store.pictures.erase(picture("one").key, refuse)
    assert ids_of(await store.pictures.leaving(10)) == ["one"]


async def test_the_newest_of_each_template_and_style_is_told(store: JobStore) -> None:
    await made(store, asked("a"), picture("old"))
    await made(store, asked("a"), picture("new"))
    await made(store, asked("a"), replace(picture("film"), mime="video/mp4"))
    await made(store, asked("a", template="wan"), replace(picture("other-film"), mime="video/mp4"))
    await made(store, asked("a", template="img2img"), picture("other"))
    await made(store, asked("a", "bob"), picture("of-bob"))
    await store.add_asset("ann", picture("sent"))
    assert await store.pictures.newest("ann", "template") == {"txt2img": "new", "img2img": "other"}
    assert await store.pictures.newest("ann", "style") == {"anime": "other"}
    assert await store.pictures.newest("nobody", "style") == {}


async def test_bytes_that_a_running_job_may_have_stored_again_stay_until_it_has_ended(store: JobStore) -> None:
    await made(store, asked("lake"), picture("one"))
    again = await store.enqueue(asked("lake"))
    leased = await store.lease("again", first)
    assert leased is not None
    await store.pictures.drop(["one"], "ann")
    assert await store.pictures.leaving(10) == ()
    same = replace(picture("one-again"), key=picture("one").key)
    await store.finish(again.id, leased.token, Outcome(JobState.SUCCEEDED, assets=[same]))
    assert await store.pictures.leaving(10) == ()
    assert await names(store) == ["one-again"]


async def test_what_a_waiting_or_running_job_reads_is_not_dropped(store: JobStore) -> None:
    await store.add_asset("ann", picture("input"))
    new = asked("lake")
    job = await store.enqueue(replace(new, bound=replace(new.bound, uploads=(Upload("input", ()),))))
    assert (await store.pictures.drop(["input"], "ann")).needed == ["input"]
    assert (await store.lease("attempt", first)) is not None
    assert (await store.pictures.drop_aged(FAR_AWAY, 10)).gone == []
    leased = await store.get(job.id)
    await store.finish(job.id, leased.token, Outcome(JobState.SUCCEEDED))
    assert ids_of((await store.pictures.drop_aged(FAR_AWAY, 10)).gone) == ["input"]


async def test_age_takes_the_oldest_first_and_never_what_is_marked(store: JobStore) -> None:
    for name in ("one", "two", "three"):
        await made(store, asked("lake"), picture(name))
    await store.pictures.mark("one", "ann", True)
    assert (await names(store, kept=True), (await store.pictures.get("one")).kept) == (["one"], True)
    assert await names(store, text="lake", kept=True) == ["one"]
    with pytest.raises(NotFound):
        await store.pictures.mark("one", "bob", False)
    assert (await store.pictures.drop_aged(LONG_AGO, 10)).gone == ()
    assert ids_of((await store.pictures.drop_aged(FAR_AWAY, 1)).gone) == ["two"]
    assert ids_of((await store.pictures.drop_aged(FAR_AWAY, 10)).gone) == ["three"]
    assert await names(store) == ["one"]
    await store.pictures.mark("one", "ann", False)
    assert ids_of((await store.pictures.drop_aged(FAR_AWAY, 10)).gone) == ["one"]


async def test_an_upload_that_is_let_go_is_not_found_any_more(store: JobStore) -> None:
    await store.add_asset("ann", picture("sent"))
    assert await names(store, source="upload") == ["sent"]
    await store.drop_asset(picture("sent"))
    assert await names(store) == []


async def test_pictures_of_a_database_of_before_are_found(tmp_path: Path) -> None:
    database = tmp_path / "jobs.sqlite3"
    with sqlite3.connect(database) as connection:
        for step in range(1, 5):
            migration = resources.files("comfy_mcp.store").joinpath(f"migrations/{step}.sql")
            connection.executescript(migration.read_text())
        connection.execute("PRAGMA user_version = 4")
        bound = rows.dump(asked("海边 lighthouse").bound)
        job = "INSERT INTO job (id, owner, template, bound, state, created, finished) VALUES (?, ?, ?, ?, ?, ?, ?)"
        connection.execute(job, ("job", "ann", "txt2img", bound, "succeeded", 5, 9))
        for name, made_by in (("sent", None), ("made", 1)):
            record = rows.dump(picture(name))
            insert = "INSERT INTO asset (id, owner, job, record) VALUES (?, 'ann', ?, ?)"
            connection.execute(insert, (name, made_by, record))
    connection.close()
    async with SqliteStore.open(database) as store:
        assert await names(store) == ["made", "sent"]
        assert await names(store, text="海边 light", source="made", template="txt2img") == ["made"]
        assert (await store.pictures.get("made")).made.timestamp() == 9
        assert await names(store, source="upload") == ["sent"]
