"""Prompts as people write them for A1111: `<lora:name:0.8>` among the words.

Owns that form (A1111's `modules/extra_networks.py`). Pure.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

__all__ = ["Lora", "without_networks"]

_NETWORK = re.compile(r"<(lora|lyco|hypernet):([^:<>]{1,255})(?::([^:<>]*))?(?::[^<>]*)?>", re.IGNORECASE)
_SPACES = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Lora:
    """``strength`` is None where none is given that is a number."""

    name: str
    strength: float | None


def without_networks(prompt: str) -> tuple[str, list[Lora]]:
    """The words alone, and what was named among them in its order; hypernetworks, which ComfyUI has none of, too."""
    found = [Lora(name.strip(), _strength(strength)) for _, name, strength in _NETWORK.findall(prompt)]
    if not found:
        return prompt, []
    words = _SPACES.sub(" ", _NETWORK.sub("", prompt))
    return words.strip(" ,"), found


def _strength(text: str) -> float | None:
    try:
        strength = float(text)
    except ValueError:
        return None
    return strength if math.isfinite(strength) else None
