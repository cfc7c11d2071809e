"""A comparison as data for programs: one JSON object whose shape stays.

Owns that shape, which `data` documents; `page` embeds it, and an API may answer it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from math import isfinite
from typing import Any

from llm_bridge.chat import Reply
from llm_bridge.compare.matrix import Cell, Prompt, Variant
from llm_bridge.compare.measures import measures
from llm_bridge.compare.reports.readable import whole
from llm_bridge.compare.reports.table import rows
from llm_bridge.compare.results import CellResult, Results
from llm_bridge.compare.summary import summary

__all__ = ["VERSION", "data", "plain"]

VERSION = 1


def data(results: Results) -> dict[str, Any]:
    """Everything in plain JSON types; times are seconds, what is unknown is null, repeats count from 0.

    - ``version`` 1; fields may be added to it, none changes or goes. ``complete``; ``counts``: ``cells``, ``answered``,
      ``failed``, ``missing``.
    - ``models``: names. ``prompts``: ``name``, ``text``, ``system``, ``expected``, ``images`` (``mime``, ``bytes``,
      ``sha256``). ``variants``: ``name``, ``sampling``, ``system``, ``think``, ``schema``, ``extra``. ``repeats``.
    - ``cells``, every one of the matrix, prompt by prompt: ``model``, ``prompt``, ``variant``, ``repeat``, ``key``,
      ``state`` (answered, failed or missing), ``cached``, ``text``, ``reasoning``, ``tool_calls`` (``id``, ``name``,
      ``arguments``), ``data``, ``finish``, ``server``, ``served_model``, ``notes``, ``measures`` (``ttft``,
      ``tokens_per_second``, ``tokens``, ``characters``, ``reasoning_characters``, ``load``, ``queued``, ``seconds``),
      ``usage`` (``prompt``, ``completion``, ``cached``, ``reasoning``), ``checks`` (``rule``, ``passed``, ``told``) and
      ``error`` (``code``, ``message``, ``hint``). Without an answer its fields are null, lists are empty.
    - ``summary``, a line for each model: ``model``, ``answers``, ``failures``, the same measures as medians,
      ``checks_passed``, ``checks_made``, ``rating``. That and each of ``ranking``: ``model``, ``rating``, ``low``,
      ``high``, ``games``, ``wins``.
    - ``preferences``: ``prompt``, ``variant``, ``repeat``, ``first``, ``second``, ``winner`` (first, second or tie),
      ``by``, ``reason``, ``consistent``. ``notes``: sentences.

    Text is as the model wrote it, control characters too; only lone surrogates, which are no characters, are replaced.
    """
    matrix = results.comparison
    failed = sum(result.failure is not None for result in results.cells)
    told = {
        "version": VERSION,
        "complete": results.complete,
        "counts": {
            "cells": len(matrix),
            "answered": len(results.cells) - failed,
            "failed": failed,
            "missing": len(matrix) - len(results.cells),
        },
        "models": matrix.models,
        "prompts": [_prompt(prompt) for prompt in matrix.prompts],
        "variants": [_variant(variant) for variant in matrix.variants],
        "repeats": matrix.repeats,
        "cells": [
            _cell(Cell(model, row.prompt, row.variant, row.repeat), result)
            for row in rows(results)
            for model, result in zip(matrix.models, row.cells, strict=True)
        ],
        "summary": [asdict(line) for line in summary(results)],
        "ranking": [asdict(rank) for rank in results.ranking],
        "preferences": [asdict(preference) for preference in results.preferences],
        "notes": results.notes,
    }
    answer: dict[str, Any] = plain(told)
    return answer


def _prompt(prompt: Prompt) -> dict[str, Any]:
    images = [
        {"mime": image.mime, "bytes": len(image.data), "sha256": digest}
        for image, digest in zip(prompt.images, prompt.digests, strict=True)
    ]
    texts = {"name": prompt.name, "text": prompt.text, "system": prompt.system, "expected": prompt.expected}
    return {**texts, "images": images}


def _variant(variant: Variant) -> dict[str, Any]:
    return {
        "name": variant.name,
        "sampling": asdict(variant.sampling),
        "system": variant.system,
        "think": variant.think,
        "schema": variant.schema,
        "extra": variant.extra,
    }


def _cell(cell: Cell, result: CellResult | None) -> dict[str, Any]:
    reply = result.reply if result else None
    state = "missing" if result is None else "failed" if reply is None else "answered"
    return {
        "model": cell.model,
        "prompt": cell.prompt.name,
        "variant": cell.variant.name,
        "repeat": cell.repeat,
        "key": cell.key,
        "state": state,
        "cached": result.cached if result else False,
        **_reply(reply),
        "checks": [asdict(check) for check in result.checks] if result else [],
        "error": asdict(result.failure) if result and result.failure else None,
    }


def _reply(reply: Reply | None) -> dict[str, Any]:
    answered = reply or Reply()
    texts = {
        "text": answered.text,
        "reasoning": answered.reasoning,
        "finish": answered.finish,
        "server": answered.server,
        "served_model": answered.model,
    }
    return {
        **(texts if reply else dict.fromkeys(texts)),
        "tool_calls": [asdict(call) for call in answered.tool_calls],
        "data": answered.data,
        "notes": answered.notes,
        "measures": asdict(measures(reply)),
        "usage": asdict(answered.usage),
    }


def plain(value: object) -> Any:
    """The same in JSON's own types, without what JSON has no place for."""
    match value:
        case str():
            return whole(value)
        case None | bool() | int():
            return value
        case float():
            return value if isfinite(value) else None
        case Mapping():
            return {whole(str(key)): plain(item) for key, item in value.items()}  # pyright: ignore
        case Sequence():
            return [plain(item) for item in value]  # pyright: ignore
        case _:
            return str(value)
