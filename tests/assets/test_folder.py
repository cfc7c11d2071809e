"""The folder: atomic, confined, and clear about what the disk refuses."""

from __future__ import annotations

import os
import resource
import socket
import subprocess
import sys
import time
from pathlib import Path

import anyio
import pytest

from comfy_mcp.assets import FolderSink
from comfy_mcp.errors import NotFound, StorageUnavailable

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
KEY = "2026-11/cat-1234-3f2a9c0d11ee.png"
KILLS = 60


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "assets"


@pytest.fixture
def sink(root: Path) -> FolderSink:
    return FolderSink(root)


def run(*command: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False, env=environment)


def test_no_kill_leaves_a_torn_file(root: Path) -> None:
    done = run(sys.executable, str(HERE / "crash_writer.py"), str(root), str(KILLS))
    assert done.returncode == 0, done.stdout + done.stderr
    # Otherwise no kill came in the middle of a file, and nothing was shown.
    assert int(done.stdout) > KILLS // 5


async def test_leftovers_of_killed_writers_are_swept_once_they_are_old(root: Path) -> None:
    month = root / "2026-11"
    month.mkdir(parents=True)
    old, new = month / ".unfinished-old", month / ".unfinished-new"
    other = month / ".keep"
    for path in (old, new, other):
        path.write_bytes(b"half")
    hour_ago = time.time() - 3601
    for path in (old, other):
        os.utime(path, (hour_ago, hour_ago))
    sink = FolderSink(root)
    await sink.put(KEY, b"picture")
    assert sorted(path.name for path in month.iterdir()) == [".keep", ".unfinished-new", "cat-1234-3f2a9c0d11ee.png"]
    assert await sink.sweep(older_than=-1) == 1
    assert not new.exists()


async def test_nothing_but_the_file_remains(sink: FolderSink, root: Path) -> None:
    await sink.put(KEY, b"picture")
    await sink.check()
    assert [str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()] == [KEY]


async def test_reading_makes_no_folders(sink: FolderSink, root: Path) -> None:
    assert not await sink.exists(KEY)
    await sink.delete(KEY)
    assert not root.exists()


@pytest.mark.parametrize("target", ["/etc/passwd", "../../secret", "other.png"])
async def test_a_link_is_never_followed(sink: FolderSink, root: Path, target: str) -> None:
    (root.parent / "secret").write_bytes(b"secret")
    (root / "2026-11").mkdir(parents=True)
    (root / "2026-11/other.png").write_bytes(b"other")
    (root / KEY).symlink_to(target)
    with pytest.raises(NotFound):
        await sink.get(KEY)
    with pytest.raises(NotFound):
        await anext(sink.stream(KEY))
    assert not await sink.exists(KEY)
    await sink.put(KEY, b"picture")
    assert await sink.get(KEY) == b"picture"
    assert not (root / KEY).is_symlink()
    assert (root.parent / "secret").read_bytes() == b"secret"
    assert (root / "2026-11/other.png").read_bytes() == b"other"


async def test_a_folder_that_is_a_link_is_neither_read_nor_written(
    sink: FolderSink, root: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "x.png").write_bytes(b"secret")
    root.mkdir()
    (root / "2026-11").symlink_to(outside)
    with pytest.raises(NotFound):
        await sink.get("2026-11/x.png")
    assert not await sink.exists("2026-11/x.png")
    await sink.delete("2026-11/x.png")
    with pytest.raises(StorageUnavailable):
        await sink.put("2026-11/y.png", b"picture")
    assert [path.name for path in outside.iterdir()] == ["x.png"]


async def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "large disk").mkdir()
    root.symlink_to(tmp_path / "large disk")
    sink = FolderSink(root)
    await sink.put(KEY, b"picture")
    assert (tmp_path / "large disk" / KEY).read_bytes() == b"picture"


@pytest.mark.parametrize("kind", ["pipe", "socket", "folder", "device"])
async def test_only_regular_files_are_read(sink: FolderSink, root: Path, kind: str) -> None:
    path = root / "2026-11/x"
    path.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listener, anyio.fail_after(5):
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "socket":
                listener.bind(str(path))
            case "folder":
                path.mkdir()
            case _:
                path.symlink_to("/dev/zero")
        with pytest.raises(NotFound):
            await sink.get("2026-11/x")
        assert not await sink.exists("2026-11/x")


async def test_readers_see_all_of_a_file_or_nothing(sink: FolderSink) -> None:
    data = os.urandom(2_000_000)
    seen: set[int] = set()

    async def read() -> None:
        while len(data) not in seen:
            try:
                seen.add(len(await sink.get(KEY)))
            except NotFound:
                seen.add(-1)

    with anyio.fail_after(20):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(read)
            await sink.put(KEY, data)
    assert seen <= {-1, len(data)}


async def test_a_cancelled_writer_leaves_a_whole_file_or_none(sink: FolderSink, root: Path) -> None:
    data = os.urandom(2_000_000)
    with anyio.move_on_after(0.001):
        await sink.put(KEY, data)
    files = [path for path in root.rglob("*") if path.is_file()]
    assert [path.read_bytes() == data for path in files] in ([], [True])


def test_a_full_and_a_read_only_disk_are_told_and_lose_nothing(tmp_path: Path) -> None:
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    if run(*namespace, "mount", "-t", "tmpfs", "none", str(tmp_path)).returncode:
        pytest.skip("this machine lets nobody mount a small disk")
    done = run(*namespace, sys.executable, str(HERE / "full_disk.py"), str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [
        *("full", "kept", "clean", "warned", "recovered"),
        *("read-only", "read-only", "readable"),
    ]


def test_a_file_over_the_limit_of_the_system_is_told_and_leaves_nothing(tmp_path: Path) -> None:
    code = f"""
import asyncio, resource
from pathlib import Path
from comfy_mcp.assets import FolderSink
from comfy_mcp.errors import StorageUnavailable
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, {resource.RLIM_INFINITY}))
sink = FolderSink(Path({str(tmp_path)!r}))
try:
    asyncio.run(sink.put("a/b.png", bytes(200_000)))
except StorageUnavailable as failure:
    print(failure.code, "larger" in failure.hint, {str(tmp_path)!r} in str(failure.record))
asyncio.run(sink.put("a/c.png", bytes(50_000)))
"""
    done = run(sys.executable, "-c", code)
    assert done.stdout.split() == ["storage_unavailable", "True", "False"], done.stderr
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["c.png"]


async def test_a_place_that_is_no_folder_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file")
    sink = FolderSink(tmp_path / "file" / "assets")
    with pytest.raises(StorageUnavailable):
        await sink.put(KEY, b"picture")
    with pytest.raises(StorageUnavailable):
        await sink.check()
    with pytest.raises(NotFound):
        await sink.get(KEY)


async def test_a_root_that_was_removed_is_made_again(sink: FolderSink, root: Path) -> None:
    await sink.put(KEY, b"picture")
    (root / KEY).unlink()
    (root / "2026-11").rmdir()
    root.rmdir()
    await sink.put(KEY, b"picture")
    assert await sink.get(KEY) == b"picture"


async def test_no_descriptor_is_left_open(sink: FolderSink) -> None:
    await sink.put(KEY, bytes(1_000_000))
    before = len(list(Path("/proc/self/fd").iterdir()))
    for _ in range(20):
        await sink.put(KEY, bytes(1_000_000))
        await sink.get(KEY)
        assert b"".join([piece async for piece in sink.stream(KEY)])
        assert not await sink.exists("2026-11/none")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
