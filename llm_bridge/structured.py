"""Answers that must be JSON of a given schema: read, mended, checked, and asked for once more.

Owns what is tried in which order. `json_repair` and `jsonschema` are used where they are installed; without the latter
nothing can be checked, and that is an error, not a silence.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, cast

from llm_bridge.chat import ChatRequest, Reply
from llm_bridge.errors import BadInput, NotInstalled, SchemaMismatch
from llm_bridge.messages import Message

__all__ = ["answered", "parsed", "problems"]

_FENCE = re.compile(r"^\s*```(?:json)?\s*\n(.*?)\n?\s*```\s*$", re.DOTALL | re.IGNORECASE)
_SHOWN = 3


async def answered(request: ChatRequest, ask: Callable[[ChatRequest], Awaitable[Reply]]) -> Reply:
    """The reply of ``ask``; when the request has a schema, with ``data`` that fits it.

    The text is left as the model wrote it. An answer that was cut off by `max_tokens` is not asked for again, since it
    would be again.

    Raises:
        BadInput: the schema is none.
        NotInstalled: jsonschema is missing.
        SchemaMismatch: neither the first nor the second answer fits.
    """
    if request.schema is None:
        return await ask(request)
    _checked(request.schema)
    reply = await ask(request)
    try:
        return _fitting(request.schema, reply)
    except SchemaMismatch as failure:
        if reply.finish == "length":
            raise SchemaMismatch(
                "The answer was cut off before its JSON was whole.", hint="Raise max_tokens.", text=reply.text[:200]
            ) from None
        correction = Message.user(f"{failure.message} Answer again, with nothing but JSON that fits the schema.")
    again = await ask(replace(request, messages=(*request.messages, reply.message, correction)))
    fitting = _fitting(request.schema, again)
    return replace(fitting, notes=("The first answer did not fit the schema; this is the second.", *fitting.notes))


def parsed(text: str) -> tuple[Any, bool]:
    """The JSON of an answer, and whether it had to be mended. Raises SchemaMismatch when there is none in it."""
    inner = found.group(1) if (found := _FENCE.match(text)) else text
    try:
        return json.loads(inner), False
    except (ValueError, RecursionError):
        pass
    if (mended := _mended(inner)) in ("", None):
        raise SchemaMismatch("The answer is not JSON.", hint="Choose a model that follows schemas.", text=text[:200])
    return mended, True


def _mended(text: str) -> Any:
    """What was probably meant; nothing when there is no object or list in it."""
    if not re.search(r"[{\[]", text):
        return None
    try:
        return importlib.import_module("json_repair").loads(text)
    except (ImportError, ValueError, RecursionError):
        return None


def problems(schema: Mapping[str, Any], value: Any) -> list[str]:
    """What the schema does not allow, in words; empty when it fits. Raises NotInstalled, and BadInput: it is none."""
    return [f"{problem.json_path}: {problem.message[:200]}" for problem in _checked(schema).iter_errors(value)]


def _fitting(schema: Mapping[str, Any], reply: Reply) -> Reply:
    value, mended = parsed(reply.text)
    if found := problems(schema, value):
        shown = "; ".join(found[:_SHOWN])
        raise SchemaMismatch(
            f"The answer does not fit the schema: {shown}.",
            hint="Choose a model that follows schemas.",
            problems=found[:_SHOWN],
            text=reply.text[:200],
        )
    notes = (*reply.notes, "The JSON of the answer was mended.") if mended else reply.notes
    return replace(reply, data=value, notes=notes)


def _checked(schema: Mapping[str, Any]) -> Any:
    """The validator of a schema that is one. Raises BadInput."""
    library = _jsonschema()
    # Both come with jsonschema.
    referencing, unresolvable = (
        importlib.import_module(f"referencing.{name}") for name in ("jsonschema", "exceptions")
    )
    try:
        named = {"$schema": str(schema.get("$schema", ""))}
        kind = library.validators.validator_for(named, default=library.Draft202012Validator)
        kind.check_schema(dict(schema))
        whole = referencing.specification_with(kind.META_SCHEMA["$schema"]).create_resource(dict(schema))
        resolver = referencing.EMPTY_REGISTRY.resolver_with_root(whole)
        for target in _targets(schema):
            # What is not in the schema would be fetched from wherever it says.
            resolver.lookup(target)
    except (library.SchemaError, RecursionError) as failure:
        words = str(getattr(failure, "message", "it is too deep"))[:200]
        raise BadInput(f"The schema is no JSON Schema: {words}.", hint="Mend it.") from None
    except unresolvable.Unresolvable as failure:
        raise BadInput(f"The schema has nothing at {str(failure.ref)[:200]!r}.", hint="Put it in.") from None
    return kind(dict(schema), registry=referencing.EMPTY_REGISTRY)


def _targets(schema: Any) -> Iterator[str]:
    """Where the references in a schema point to."""
    if isinstance(schema, Mapping):
        for name, value in cast("Mapping[str, Any]", schema).items():
            if name in ("$ref", "$dynamicRef") and isinstance(value, str):
                yield value
            else:
                yield from _targets(value)
    elif isinstance(schema, list):
        for value in cast("list[Any]", schema):
            yield from _targets(value)


def _jsonschema() -> Any:
    try:
        return importlib.import_module("jsonschema")
    except ImportError:
        raise NotInstalled("Answers cannot be checked against a schema.", hint="pip install jsonschema") from None
