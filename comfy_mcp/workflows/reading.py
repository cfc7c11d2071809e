"""One file out of a template folder, never more of it than a limit, never from a pipe or a device.

Owns the refusal of what is no ordinary file. Used by the readers of manifests, graphs and styles.
"""

from __future__ import annotations

import stat
from pathlib import Path

from comfy_mcp.errors import TemplateError

__all__ = ["read_file"]


def read_file(path: Path, most: int) -> bytes | None:
    """The bytes of a file of at most ``most`` bytes, None when there is no file.

    Raises:
        TemplateError: it is no ordinary file, unreadable or too large; only its name is told.
    """
    try:
        # A pipe would be waited for, a device might never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise TemplateError(f"{path.name} is no ordinary file.", hint="Put a file in its place.")
        with path.open("rb") as file:
            data = file.read(most + 1)
    except FileNotFoundError:
        return None
    except OSError as failure:
        raise TemplateError(
            f"{path.name} cannot be read: {failure.strerror}.", hint="Check the rights of the file."
        ) from None
    if len(data) > most:
        raise TemplateError(f"{path.name} is larger than {most >> 20} MiB.", hint="Keep pictures and data out of it.")
    return data
