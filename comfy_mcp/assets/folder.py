"""Files in a folder of this machine, readable for people: one folder a month.

Owns atomic, durable writing and confinement: every path is walked from the root folder by descriptors that follow no
link, so there is no moment between a check and its use. Used by workbench through the interface in sink.
"""

from __future__ import annotations

import errno
import logging
import os
import secrets
import stat
import time
from collections.abc import AsyncIterator, Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from anyio.to_thread import run_sync

from comfy_mcp.assets.sink import CHUNK_BYTES, absent, check_key
from comfy_mcp.errors import NotFound, StorageUnavailable

__all__ = ["FolderSink"]

log = logging.getLogger(__name__)

_UNFINISHED = ".unfinished-"
_UNFINISHED_SECONDS = 3600.0
_LEAST_FREE_BYTES = 32 * 2**20
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_READ = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
"""Without blocking: opening a named pipe would wait for its other end."""
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EISDIR, errno.ENXIO, errno.ENAMETOOLONG}
_HINTS = {
    errno.ENOSPC: "The disk is full: free some space, then try again.",
    errno.EDQUOT: "The disk quota is used up: free some space, then try again.",
    errno.EFBIG: "The file is larger than this system lets the workbench write.",
    errno.EROFS: "The disk is read-only: mount it writable, or choose another folder in the setting `assets`.",
    errno.EACCES: "The workbench may not write there: mend the rights of the folder in the setting `assets`.",
    errno.EPERM: "The workbench may not write there: mend the rights of the folder in the setting `assets`.",
    errno.EMFILE: "Too many files are open: raise the limit of open files.",
}


class FolderSink:
    """Stores each key as the file of that name below ``root``, which is made when the first file comes.

    ``durable`` waits until the disk has the file and its name; without it a crash of the machine may lose the newest
    files, though never tear one.
    """

    def __init__(self, root: Path, *, durable: bool = True) -> None:
        self._root = root
        self._durable = durable
        self._swept = False

    async def put(self, key: str, data: bytes) -> None:
        segments = check_key(key)
        # Shielded by the thread: a cancelled caller leaves a whole file or none.
        await run_sync(self._put, segments, data)

    async def get(self, key: str) -> bytes:
        return await run_sync(self._get, check_key(key))

    async def stream(self, key: str, *, start: int = 0, stop: int | None = None) -> AsyncIterator[bytes]:
        descriptor = await run_sync(self._open, check_key(key))
        try:
            at = start
            while stop is None or at < stop:
                wanted = CHUNK_BYTES if stop is None else min(CHUNK_BYTES, stop - at)
                piece = await run_sync(self._read, descriptor, wanted, at)
                if not piece:
                    return
                at += len(piece)
                yield piece
        finally:
            os.close(descriptor)

    async def exists(self, key: str) -> bool:
        return await run_sync(self._exists, key)

    async def delete(self, key: str) -> None:
        await run_sync(self._delete, key)

    async def check(self) -> None:
        await run_sync(self._check)

    async def sweep(self, *, older_than: float = _UNFINISHED_SECONDS) -> int:
        """Remove what killed writers left behind, if it is older than so many seconds; returns how many files.

        Done once before the first write as well. The age spares the writers of other processes.
        """
        return await run_sync(self._sweep, older_than)

    def _put(self, segments: tuple[str, ...], data: bytes) -> None:
        with _writing():
            self._prepare()
            with self._folder(segments[:-1], create=True) as folder:
                if not _is_there(folder, segments[-1], len(data)):
                    self._write(folder, segments[-1], data)
                if self._durable:
                    # Also for a file that was there: its writer may not have come that far yet.
                    os.fsync(folder)

    def _write(self, folder: int, name: str, data: bytes) -> None:
        unfinished = _UNFINISHED + secrets.token_hex(8)
        descriptor = os.open(unfinished, _CREATE, 0o666, dir_fd=folder)
        try:
            try:
                view = memoryview(data)
                while view:
                    view = view[os.write(descriptor, view) :]
                if self._durable:
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)
            os.rename(unfinished, name, src_dir_fd=folder, dst_dir_fd=folder)
        except BaseException:
            with suppress(OSError):
                os.unlink(unfinished, dir_fd=folder)
            raise

    def _prepare(self) -> None:
        if self._swept:
            return
        self._swept = True
        self._root.mkdir(parents=True, exist_ok=True)
        self._sweep(_UNFINISHED_SECONDS)

    @contextmanager
    def _folder(self, segments: tuple[str, ...], *, create: bool = False) -> Generator[int]:
        """A descriptor of the folder ``segments`` below the root, reached without following a link below it."""
        descriptor = self._open_root(create=create)
        try:
            for segment in segments:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(segment, dir_fd=descriptor)
                        if self._durable:
                            os.fsync(descriptor)
                inner = os.open(segment, _FOLDER, dir_fd=descriptor)
                os.close(descriptor)
                descriptor = inner
            yield descriptor
        finally:
            os.close(descriptor)

    def _open_root(self, *, create: bool) -> int:
        # The root itself may be a link: the person who set it chose where it goes.
        flags = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC
        try:
            return os.open(self._root, flags)
        except FileNotFoundError:
            if not create:
                raise
            self._root.mkdir(parents=True, exist_ok=True)
            return os.open(self._root, flags)

    def _open(self, segments: tuple[str, ...]) -> int:
        with _reading():
            with self._folder(segments[:-1]) as folder:
                descriptor = os.open(segments[-1], _READ, dir_fd=folder)
            if stat.S_ISREG(os.fstat(descriptor).st_mode):
                return descriptor
            os.close(descriptor)
            raise absent()

    def _get(self, segments: tuple[str, ...]) -> bytes:
        descriptor = self._open(segments)
        with _reading(), os.fdopen(descriptor, "rb", buffering=0) as file:
            return file.readall()

    def _read(self, descriptor: int, length: int, at: int) -> bytes:
        with _reading():
            return os.pread(descriptor, length, at)

    def _exists(self, key: str) -> bool:
        with suppress(NotFound):
            os.close(self._open(check_key(key)))
            return True
        return False

    def _delete(self, key: str) -> None:
        with suppress(NotFound):
            segments = check_key(key)
            with _reading(), self._folder(segments[:-1]) as folder:
                os.unlink(segments[-1], dir_fd=folder)

    def _check(self) -> None:
        name = _UNFINISHED + secrets.token_hex(8)
        with _writing():
            self._prepare()
            with self._folder((), create=True) as folder:
                self._write(folder, name, b"The workbench can write here.")
                os.unlink(name, dir_fd=folder)
                space = os.fstatvfs(folder)
        # Some network disks tell nothing: no blocks at all.
        if space.f_blocks and space.f_bavail * space.f_frsize < _LEAST_FREE_BYTES:
            raise StorageUnavailable("The disk for pictures is almost full.", hint="Free some space.")

    def _sweep(self, older_than: float) -> int:
        count = 0
        latest = time.time() - older_than
        for _, _, names, folder in os.fwalk(self._root):
            for name in names:
                if name.startswith(_UNFINISHED):
                    count += _remove_if_older(folder, name, latest)
        if count:
            log.info("%d unfinished files of earlier runs were removed.", count)
        return count


def _is_there(folder: int, name: str, size: int) -> bool:
    try:
        found = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_size == size


def _remove_if_older(folder: int, name: str, latest: float) -> bool:
    try:
        if os.stat(name, dir_fd=folder, follow_symlinks=False).st_mtime > latest:
            return False
        os.unlink(name, dir_fd=folder)
    except OSError:
        # Another process was quicker, or may do what this one may not: neither stops a start.
        return False
    return True


@contextmanager
def _reading() -> Generator[None]:
    """Raises NotFound for what is no regular file inside the root."""
    with _writing():
        try:
            yield
        except OSError as failure:
            if failure.errno in _ABSENT:
                raise absent() from failure
            raise


@contextmanager
def _writing() -> Generator[None]:
    """Raises what the system says as an error of ours, without its path."""
    try:
        yield
    except OSError as failure:
        log.warning("The asset folder refuses: %s", failure)
        hint = _HINTS.get(failure.errno or 0, "Look at the disk and at the setting `assets`.")
        raise StorageUnavailable("The folder for pictures refuses.", hint=hint) from failure
