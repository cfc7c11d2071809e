"""Answers that must be JSON of a given schema: read, mended, checked, and asked for once more.

Owns what is tried in which order; `schemas` checks. `json_repair` is used where it is installed; without `jsonschema`
nothing can be checked, and that is an error, not a silence.
"""

from __future__ import annotations

import json
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import astuple, replace
from typing import Any

from llm_bridge.chat import ChatRequest, Event, Reply, Restarted, Usage
from llm_bridge.errors import SchemaMismatch
from llm_bridge.matching import mended
from llm_bridge.messages import Message
from llm_bridge.schemas import problems, verify

__all__ = ["answered", "parsed"]

_FENCE = re.compile(r"```(?:json)?[^\S\n]*\n(.*)```", re.DOTALL | re.IGNORECASE)


async def answered(
    request: ChatRequest,
    ask: Callable[[ChatRequest], Awaitable[Reply]],
    on_event: Callable[[Event], object] | None = None,
) -> Reply:
    """The reply of ``ask``; when the request has a schema, with ``data`` that fits it.

    The text is left as the model wrote it. An answer that was cut off by `max_tokens` is not asked for again, since it
    would be again; one that calls tools is no answer yet, and not checked. ``on_event`` is told `Restarted` before the
    second answer.

    Raises:
        BadInput: the schema is none, or takes too long to check.
        NotInstalled: jsonschema is missing.
        SchemaMismatch: neither the first nor the second answer fits.
    """
    if request.schema is None:
        return await ask(request)
    await verify(request.schema)
    reply = await ask(request)
    try:
        return await _fitting(request.schema, reply)
    except SchemaMismatch as failure:
        if reply.finish == "length":
            raise SchemaMismatch(
                "The answer was cut off before its JSON was whole.", hint="Raise max_tokens.", text=reply.text[:200]
            ) from None
        wrong = failure.message
    if on_event is not None:
        on_event(Restarted(f"{wrong} It is asked once more."))
    correction = Message.user(f"{wrong} Answer again, with nothing but JSON that fits the schema.")
    again = await ask(replace(request, messages=(*request.messages, reply.message, correction)))
    return _both(reply, await _fitting(request.schema, again))


def _both(first: Reply, second: Reply) -> Reply:
    """The second answer, with what both took."""
    seconds = _sum(first.metrics.seconds, second.metrics.seconds)
    usage = Usage(*map(_sum, astuple(first.usage), astuple(second.usage)))
    notes = ("The first answer did not fit the schema; this is the second.", *second.notes)
    return replace(second, usage=usage, notes=notes).measured(seconds=seconds)


def _sum(first: Any, second: Any) -> Any:
    return None if first is None or second is None else first + second


async def parsed(text: str) -> tuple[Any, bool]:
    """The JSON of an answer, and whether it had to be mended. Raises SchemaMismatch when there is none in it."""
    inner = found.group(1) if (found := _FENCE.fullmatch(text.strip())) else text
    try:
        return json.loads(inner), False
    except (ValueError, RecursionError):
        pass
    # Without an object or a list in it there is nothing to mend.
    meant = await mended(inner) if re.search(r"[{\[]", inner) else None
    if meant in ("", None):
        raise SchemaMismatch("The answer is not JSON.", hint="Choose a model that follows schemas.", text=text[:200])
    return meant, True


async def _fitting(schema: Mapping[str, Any], reply: Reply) -> Reply:
    if reply.tool_calls:
        return reply
    value, was_mended = await parsed(reply.text)
    if found := await problems(schema, value):
        shown = "; ".join(found)
        raise SchemaMismatch(
            f"The answer does not fit the schema: {shown}.",
            hint="Choose a model that follows schemas.",
            problems=found,
            text=reply.text[:200],
        )
    notes = (*reply.notes, "The JSON of the answer was mended.") if was_mended else reply.notes
    return replace(reply, data=value, notes=notes)
