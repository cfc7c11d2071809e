"""A JSON Schema as people type it into a node. For the nodes that have a field for one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, cast

from llm_bridge.errors import BadInput

__all__ = ["schema_of"]


def schema_of(text: str) -> Mapping[str, Any] | None:
    """The schema, None when there is no text. Raises: BadInput when it is no JSON object."""
    if not text.strip():
        return None
    try:
        told = json.loads(text)
    except (ValueError, RecursionError) as failure:
        raise BadInput(f"The schema is no JSON: {failure}.", hint="Give a JSON Schema, or nothing.") from None
    if not isinstance(told, dict):
        raise BadInput("The schema is no JSON object.", hint="Give a JSON Schema, or nothing.")
    return cast("dict[str, Any]", told)
