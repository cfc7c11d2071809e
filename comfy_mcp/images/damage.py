"""How a broken file is told to a person; one wording for all formats. Used inside images."""

from __future__ import annotations

from comfy_mcp.errors import InvalidImage

__all__ = ["cut_off", "garbled"]


def cut_off() -> InvalidImage:
    """The end is missing."""
    return InvalidImage("The file is not complete: its end is missing.", hint="Send the whole file again.")


def garbled(what: str) -> InvalidImage:
    """Something else is wrong; ``what`` finishes the sentence."""
    return InvalidImage(f"The file is damaged: {what}.", hint="Save it again and send the new file.")
