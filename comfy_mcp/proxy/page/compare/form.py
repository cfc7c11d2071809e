"""The form of a new comparison: what its fields mean, and beside which field a refusal is shown.

Owns the names of the fields. Neither asks a server nor draws anything.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from comfy_mcp.errors import InvalidParameter, WorkbenchError
from comfy_mcp.workbench.comparison_values import ComparisonValues, comparison_values
from comfy_mcp.workbench.plans import Plan
from llm_bridge.compare import Comparison, Prompt, Variant, prompts_of, variants_of
from llm_bridge.errors import BridgeError

__all__ = ["FORMS", "ROWS", "Refusal", "Row", "fields_like", "key_of", "rows_of", "values_of"]

FORMS = ("txt", "jsonl", "csv")
"""How many prompts at once are written."""
ROWS = 60
"""The most prompts with fields of their own."""

_Value = TypeVar("_Value")

_MODEL = "model:"
_TEXT = re.compile(r"text-([0-9]{1,3})", re.ASCII)
_SAMPLING = ("temperature", "max_tokens", "seed")
_FIELDS = ("models", "prompts", "many", "system", *_SAMPLING, "more", "repeats", "checks", "judge", "criteria")


@dataclass(frozen=True, slots=True)
class Row:
    """The fields of one prompt."""

    number: int
    name: str = ""
    system: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was started; ``field`` is the one to mend, "" where it is none of them."""

    field: str
    message: str
    hint: str

    @classmethod
    def of(cls, error: WorkbenchError) -> Refusal:
        named = error.parameter if isinstance(error, InvalidParameter) else ""
        field = {"parameters": "more"}.get(named, named)
        return cls(field if field in _FIELDS else "", error.message, error.hint)


def rows_of(fields: Mapping[str, str]) -> tuple[Row, ...]:
    """The prompts with fields of their own, in order; one empty one where there is none."""
    numbers = sorted(int(found[1]) for name in fields if (found := _TEXT.fullmatch(name)))[:ROWS]
    rows = [Row(n, *(fields.get(f"{what}-{n}", "") for what in ("name", "system", "text"))) for n in numbers]
    return tuple(rows) or (Row(1),)


def values_of(fields: Mapping[str, str]) -> ComparisonValues:
    """What is asked for. Raises InvalidParameter, whose parameter is a field of the form."""
    told: dict[str, Any] = {
        "models": [name.removeprefix(_MODEL) for name in fields if name.startswith(_MODEL)],
        "prompts": [*_written(fields), *_many(fields)],
        "system": fields.get("system", ""),
        "parameters": _parameters(fields),
        "checks": [line for line in fields.get("checks", "").splitlines() if line.strip()],
        "fresh": "fresh" in fields,
    }
    if not told["models"]:
        raise InvalidParameter("models", "No model is chosen.", hint="Choose one or more.")
    if not told["prompts"]:
        raise InvalidParameter("prompts", "There is nothing to ask.", hint="Write a prompt.")
    if repeats := fields.get("repeats", "").strip():
        told["repeats"] = repeats
    if judge := fields.get("judge", ""):
        criteria = fields.get("criteria", "").strip()
        told["judge"] = {"model": judge, **({"criteria": criteria} if criteria else {})}
    return comparison_values(told)


def key_of(fields: Mapping[str, str]) -> str | None:
    """The same form sent twice starts one comparison; changed, or opened anew, it starts another."""
    if not fields.get("once"):
        return None
    return hashlib.sha256(json.dumps(sorted(fields.items())).encode()).hexdigest()


def fields_like(plan: Plan, asked: Comparison) -> dict[str, str]:
    """A comparison as the form has it, without the pictures of its prompts."""
    fields = {f"{_MODEL}{model}": "on" for model in asked.models}
    judge = {"judge": plan.judge.model, "criteria": plan.judge.criteria} if plan.judge else {}
    told = {"checks": "\n".join(plan.checks), "repeats": str(asked.repeats), **judge}
    return {**fields, **_prompts_like(asked.prompts), **_parameters_like(asked.variants), **told}


def _prompts_like(prompts: Sequence[Prompt]) -> dict[str, str]:
    """Each in fields of its own, or all at once where those do not hold them."""
    if len(prompts) <= ROWS and not any(prompt.expected for prompt in prompts):
        rows = ((n, prompt) for n, prompt in enumerate(prompts, start=1))
        named = [{f"name-{n}": each.name, f"system-{n}": each.system, f"text-{n}": each.text} for n, each in rows]
        return dict(item for row in named for item in row.items())
    lines = [{"name": p.name, "prompt": p.text, "system": p.system, "expected": p.expected} for p in prompts]
    return {"many": "\n".join(json.dumps(line, ensure_ascii=False) for line in lines), "form": "jsonl"}


def _parameters_like(variants: Sequence[Variant]) -> dict[str, str]:
    """The values of each parameter, in the order in which the variants have them."""
    values: dict[str, list[str]] = {}
    for variant in variants:
        told: dict[str, Any] = {name: value for name, value in asdict(variant.sampling).items() if name != "stop"}
        told |= {"stop": next(iter(variant.sampling.stop), None), "think": variant.think}
        told |= {f"extra.{name}": value for name, value in variant.extra.items()}
        for name, value in told.items():
            if value is not None:
                text = value if isinstance(value, str) else json.dumps(value)
                values.setdefault(name, []).append(text)
    written = {name: ",".join(dict.fromkeys(each)) for name, each in values.items()}
    more = ";".join(f"{name}={value}" for name, value in written.items() if name not in _SAMPLING)
    return {**{name: written.get(name, "") for name in _SAMPLING}, "more": more}


def _written(fields: Mapping[str, str]) -> list[dict[str, str]]:
    rows = (row for row in rows_of(fields) if row.text.strip())
    return [{"name": row.name.strip(), "system": row.system, "text": row.text} for row in rows]


def _many(fields: Mapping[str, str]) -> list[dict[str, str]]:
    text, form = fields.get("many", ""), fields.get("form", "txt")
    if not text.strip():
        return []
    read = _read("many", lambda: prompts_of(text, form if form in FORMS else "txt"))
    # A prompt that has no name of its own is named by what it asks, as those with fields of their own are.
    return [
        {
            "name": "" if prompt.name == f"prompt {number}" else prompt.name,
            "system": prompt.system,
            "text": prompt.text,
            "expected": prompt.expected,
        }
        for number, prompt in enumerate(read, start=1)
    ]


def _parameters(fields: Mapping[str, str]) -> str:
    """Every field is looked at by itself, so that a refusal stands beside the one that is wrong."""
    parts: list[str] = []
    for name in _SAMPLING:
        if value := fields.get(name, "").replace("，", ",").strip(" ,"):
            parts.append(f"{name}={value}")
            _read(name, lambda part=parts[-1]: variants_of(part))
    if more := fields.get("more", "").strip():
        parts.append(more)
        _read("more", lambda: variants_of(";".join(parts)))
    return ";".join(parts)


def _read(field: str, read: Callable[[], _Value]) -> _Value:
    try:
        return read()
    except BridgeError as failure:
        raise InvalidParameter(field, failure.message, hint=failure.hint) from None
