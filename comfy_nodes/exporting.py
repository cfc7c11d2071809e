"""The files of a comparison in ComfyUI's output or temp folder, each export in a numbered folder of its own.

Owns the place and its bounds: nothing is written anywhere else. What is in the files belongs to `llm_bridge`. Blocks:
the node Results Export calls it in a thread.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from comfy_nodes.host import output_folder
from llm_bridge.compare import Results
from llm_bridge.compare.reports import write
from llm_bridge.errors import BadInput

__all__ = ["export"]

_PART = re.compile(r'[^\x00-\x1f\x7f<>:"|?*/\\. ]([^\x00-\x1f\x7f<>:"|?*/\\]{0,98}[^\x00-\x1f\x7f<>:"|?*/\\. ])?')
"""A name that every system takes, and that leads nowhere else."""


def export(results: Results, formats: Collection[str], prefix: str, kind: str) -> list[dict[str, str]]:
    """Writes the reports and answers where `/view` finds them: filename, subfolder and type (``kind``) of each.

    ``prefix`` names the folder below ComfyUI's: `poems` or `texts/poems`, of which `poems_00001` and so on are made.

    Raises: BadInput for a prefix that leads out of ComfyUI's folder, or when it cannot be written.
    """
    if not formats:
        return []
    base = output_folder(kind)
    folder = _new_folder(base, _parts(prefix))
    names = write(results, folder, formats)
    subfolder = folder.relative_to(base).as_posix()
    return [{"filename": name, "subfolder": subfolder, "type": kind} for name in names]


def _parts(prefix: str) -> list[str]:
    parts = prefix.replace("\\", "/").split("/")
    if not all(_PART.fullmatch(part) for part in parts):
        raise BadInput(
            f"The files cannot be called {prefix[:64]!r}.", hint="Give a name such as comparison, or texts/comparison."
        )
    return parts


def _new_folder(base: Path, parts: list[str]) -> Path:
    """The next number that is free. Two at once get two folders."""
    parent = base.joinpath(*parts[:-1])
    if not parent.resolve().is_relative_to(base.resolve()):
        raise BadInput("The folder of the files lies elsewhere.", hint="Give a name without links to other folders.")
    try:
        parent.mkdir(parents=True, exist_ok=True)
        numbered = re.compile(re.escape(parts[-1]) + r"_(\d{5,9})")
        taken = [int(found[1]) for path in parent.iterdir() if (found := numbered.fullmatch(path.name))]
        number = max(taken, default=0) + 1
        while True:
            folder = parent / f"{parts[-1]}_{number:05}"
            try:
                folder.mkdir()
            except FileExistsError:
                number += 1
            else:
                return folder
    except OSError as error:
        why = error.strerror or "the disk refuses"
        raise BadInput(f"The files cannot be written: {why}.", hint="Look at ComfyUI's folder and the disk.") from None
