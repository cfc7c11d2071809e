"""The values of a comparison as JSON records and back: what a run folder, a cache and an API hold.

Owns the form of the records, no file. Reading a record of another form raises KeyError, TypeError or ValueError.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, fields
from typing import Any

from llm_bridge.chat import Metrics, Reply, Sampling, Timings, Usage
from llm_bridge.compare.matrix import Cell, Comparison, Prompt, Variant
from llm_bridge.compare.results import CellResult, Checked, Failure, Preference
from llm_bridge.messages import Image, ToolCall

__all__ = [
    "Record",
    "comparison_of",
    "comparison_record",
    "preference_of",
    "preference_record",
    "reply_of",
    "reply_record",
    "result_of",
    "result_record",
]

Record = Mapping[str, Any]


def comparison_record(comparison: Comparison) -> dict[str, Any]:
    """What is compared; an image stands there by its SHA-256 and type."""
    return {
        "models": list(comparison.models),
        "prompts": [_prompt_record(prompt) for prompt in comparison.prompts],
        "variants": [_variant_record(variant) for variant in comparison.variants],
        "repeats": comparison.repeats,
    }


def comparison_of(record: Record, image: Callable[[str, str], Image]) -> Comparison:
    """``image`` gives the one of a SHA-256 and a type. Raises: BadInput as `Comparison` does."""
    return Comparison(
        tuple(record["models"]),
        tuple(_prompt_of(prompt, image) for prompt in record["prompts"]),
        tuple(_variant_of(variant) for variant in record["variants"]),
        record["repeats"],
    )


def _prompt_record(prompt: Prompt) -> dict[str, Any]:
    images = [
        {"sha256": digest, "mime": image.mime} for digest, image in zip(prompt.digests, prompt.images, strict=True)
    ]
    told = {"system": prompt.system, "images": images, "expected": prompt.expected}
    return {"name": prompt.name, "text": prompt.text} | _without_empty(told)


def _prompt_of(record: Record, image: Callable[[str, str], Image]) -> Prompt:
    images = tuple(image(known["sha256"], known["mime"]) for known in record.get("images", ()))
    return Prompt(record["name"], record["text"], record.get("system", ""), images, record.get("expected", ""))


def _variant_record(variant: Variant) -> dict[str, Any]:
    sampling = _without_empty(asdict(variant.sampling))
    told = {"sampling": sampling, "system": variant.system, "think": variant.think, "extra": dict(variant.extra)}
    # The empty schema is one: any JSON.
    schema = {} if variant.schema is None else {"schema": dict(variant.schema)}
    return {"name": variant.name} | _without_empty(told) | schema


def _variant_of(record: Record) -> Variant:
    sampling: dict[str, Any] = dict(record.get("sampling", {}))
    stop = tuple(sampling.pop("stop", ()))
    return Variant(
        record["name"],
        Sampling(**sampling, stop=stop),
        record.get("system", ""),
        record.get("think"),
        record.get("schema"),
        record.get("extra", {}),
    )


def _without_empty(record: Record) -> dict[str, Any]:
    return {name: value for name, value in record.items() if value is not None and value not in ("", (), [], {})}


def result_record(key: str, result: CellResult) -> dict[str, Any]:
    """With the key and the names of its cell, of which the key alone is read again."""
    cell = result.cell
    return {
        "key": key,
        "model": cell.model,
        "prompt": cell.prompt.name,
        "variant": cell.variant.name,
        "repeat": cell.repeat,
        "reply": result.reply and reply_record(result.reply),
        "failure": result.failure and asdict(result.failure),
        "checks": [asdict(check) for check in result.checks],
        "cached": result.cached,
    }


def result_of(record: Record, cell: Cell) -> CellResult:
    reply, failure = record["reply"], record["failure"]
    if (reply is None) == (failure is None):
        raise ValueError
    return CellResult(
        cell,
        reply and reply_of(reply),
        failure and Failure(**failure),
        tuple(Checked(**check) for check in record["checks"]),
        record["cached"],
    )


def reply_record(reply: Reply) -> dict[str, Any]:
    return asdict(reply)


def reply_of(record: Record) -> Reply:
    nested: dict[str, Any] = {
        "tool_calls": tuple(ToolCall(**call) for call in record["tool_calls"]),
        "usage": Usage(**record["usage"]),
        "timings": Timings(**record["timings"]),
        "metrics": Metrics(**record["metrics"]),
        "notes": tuple(record["notes"]),
    }
    if not all(isinstance(record[name], str) for name in ("text", "reasoning", "finish")):
        raise TypeError
    return Reply(**{field.name: record[field.name] for field in fields(Reply)} | nested)


def preference_record(preference: Preference) -> dict[str, Any]:
    return asdict(preference)


def preference_of(record: Record) -> Preference:
    if record["winner"] not in ("first", "second", "tie") or not record["first"] < record["second"]:
        raise ValueError
    return Preference(**record)
