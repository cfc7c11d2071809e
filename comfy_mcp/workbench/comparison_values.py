"""A comparison as front doors are asked for one: names, texts and numbers, checked and made into a matrix.

Owns the names and ranges of these values, for REST, chats and the command line.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from comfy_mcp.errors import InvalidParameter
from comfy_mcp.workbench.chat_values import said
from comfy_mcp.workbench.refusals import refused
from llm_bridge.compare import Comparison, Judge, Prompt, variants_of
from llm_bridge.compare.judge import CRITERIA
from llm_bridge.errors import BridgeError
from llm_bridge.messages import Image

__all__ = ["ComparisonValues", "JudgeValues", "PromptValues", "comparison_values"]

_Name = Annotated[str, Field(min_length=1, max_length=256)]
_Text = Annotated[str, Field(min_length=1, max_length=1_000_000), AfterValidator(said)]
_Strict = ConfigDict(extra="forbid")


class PromptValues(BaseModel):
    """One thing to ask. ``images`` are ids of pictures; ``expected`` is what the judge is told of a good answer."""

    model_config = _Strict
    text: _Text
    name: Annotated[str, Field(max_length=256)] = ""
    system: Annotated[str, Field(max_length=1_000_000)] = ""
    images: Annotated[list[Annotated[str, Field(max_length=64)]], Field(default_factory=list[str], max_length=16)]
    expected: Annotated[str, Field(max_length=1_000_000)] = ""


def _as_prompt(told: Any) -> Any:
    """A text alone is a prompt."""
    if type(told) not in (str, dict, PromptValues):
        raise ValueError('is neither a text nor an object with a "text"')
    return {"text": told} if isinstance(told, str) else told


class JudgeValues(BaseModel):
    """Which model judges, and by what."""

    model_config = _Strict
    model: _Name
    criteria: Annotated[str, Field(max_length=10_000)] = CRITERIA
    most_pairs: Annotated[int, Field(ge=1, le=10_000)] = 1000


class ComparisonValues(BaseModel):
    """``models`` are names or patterns such as `*` or `lm-studio/*`. ``system`` holds for prompts that have none.

    ``parameters`` are such as `temperature=0,1;seed=1`: every combination is asked. ``checks`` are rules such as
    `contains:lighthouse` or `max-words:50`. ``fresh`` asks again what was asked before.
    """

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "models": ["lm-studio/qwen3-8b", "ollama/gemma3:4b"],
                    "prompts": ["Describe a lighthouse at dusk for a painter, in two sentences."],
                    "parameters": "temperature=0,0.8;max_tokens=200",
                    "checks": ["max-words:60"],
                    "judge": {"model": "lm-studio/qwen3-32b"},
                }
            ]
        },
    )
    models: Annotated[list[_Name], Field(min_length=1, max_length=100)]
    prompts: Annotated[
        list[Annotated[PromptValues, BeforeValidator(_as_prompt, json_schema_input_type=_Text | PromptValues)]],
        Field(min_length=1, max_length=1000),
    ]
    system: Annotated[str, Field(max_length=1_000_000)] = ""
    parameters: Annotated[str, Field(max_length=10_000)] = ""
    repeats: Annotated[int, Field(ge=1, le=100)] = 1
    checks: Annotated[list[Annotated[str, Field(max_length=20_000)]], Field(default_factory=list[str], max_length=50)]
    judge: JudgeValues | None = None
    fresh: bool = False

    async def comparison(self, picture: Callable[[str], Awaitable[Image]]) -> Comparison:
        """The matrix, its models as they were named. ``picture`` reads one by its id. Raises InvalidParameter."""
        prompts = [await self._prompt(number, told, picture) for number, told in enumerate(self.prompts, start=1)]
        try:
            variants = variants_of(self.parameters)
        except BridgeError as failure:
            raise InvalidParameter("parameters", failure.message, hint=failure.hint) from None
        try:
            return Comparison(tuple(self.models), tuple(prompts), variants, self.repeats)
        except BridgeError as failure:
            raise InvalidParameter("prompts", failure.message, hint=failure.hint) from None

    async def _prompt(self, number: int, told: PromptValues, picture: Callable[[str], Awaitable[Image]]) -> Prompt:
        images = tuple([await picture(name) for name in told.images])
        name = told.name or f"{number}. {_heading(told.text)}"
        return Prompt(name, told.text, told.system or self.system, images, told.expected)

    @property
    def judge_asked(self) -> Judge | None:
        """The judge as the bridge has it."""
        told = self.judge
        return None if told is None else Judge(told.model, told.criteria, told.most_pairs)


def comparison_values(values: Mapping[str, Any]) -> ComparisonValues:
    """The values, checked. Raises InvalidParameter, which names the one that was refused."""
    try:
        return ComparisonValues.model_validate(dict(values))
    except ValidationError as failure:
        raise refused(failure, "comparison", list(ComparisonValues.model_fields)) from None


def _heading(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 40 else line[:39] + "…"
