"""What stands for a value: the same digits whenever the value is the same.

Pure; for `matrix`, `judge` and `votes`.
"""

from __future__ import annotations

import hashlib
import json

__all__ = ["key_of"]


def key_of(value: object) -> str:
    """64 hexadecimal digits for plain JSON types; in which order the names of an object stand makes no difference."""
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()
