"""The folder of a person's own template once it is written: removing it, and its preview picture.

Owns what is done on the disk. Which folder, and whether it may be, authoring says.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from anyio import to_thread

from comfy_mcp import images
from comfy_mcp.errors import TemplateError

__all__ = ["kept_preview", "preview_changed", "read_preview", "removed"]

_PREVIEW = "preview.webp"
_MOST_PREVIEW, _SIDE = 200_000, 640
_MOST_READ = 1_000_000


def removed(folder: Path) -> None:
    """Remove a template folder, at once for who reads it; of a link only the link. Raises TemplateError."""
    try:
        if folder.is_symlink():
            folder.unlink()
            return
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".deleted-") as scratch:
            folder.rename(Path(scratch) / folder.name)
    except OSError as failure:
        raise TemplateError(
            f"The template cannot be deleted: {failure.strerror}.", hint="Check the rights of the folder."
        ) from None


async def kept_preview(folder: Path, data: bytes) -> None:
    """A small WebP of a picture as the preview. Raises InvalidImage, TooLarge and TemplateError."""
    fitted = await images.fit(data, max_bytes=_MOST_PREVIEW, max_side=_SIDE, mime_preference=("image/webp",))
    await to_thread.run_sync(_written, folder / _PREVIEW, await images.convert(fitted.data, "image/webp"))


def preview_changed(folder: Path) -> int | None:
    """When the preview was last written, in nanoseconds; None where there is none that can be shown."""
    try:
        status = (folder / _PREVIEW).stat()
    except OSError:
        return None
    return status.st_mtime_ns if status.st_size <= _MOST_READ else None


def read_preview(folder: Path) -> bytes | None:
    """The preview, None where there is none that can be shown."""
    try:
        with (folder / _PREVIEW).open("rb") as file:
            data = file.read(_MOST_READ + 1)
    except OSError:
        return None
    return data if len(data) <= _MOST_READ and data[:4] == b"RIFF" and data[8:12] == b"WEBP" else None


def _written(path: Path, data: bytes) -> None:
    fresh = path.with_name(f".{path.name}.new")
    try:
        fresh.write_bytes(data)
        fresh.replace(path)
    except OSError as failure:
        raise TemplateError(
            f"The preview cannot be written: {failure.strerror}.", hint="Check the rights of the folder."
        ) from None
