"""Ready requests that a person picks in the chat: illustrate it, change a picture, compare models.

Owns their wording. Each is one message that tells the model which tools to use, and how.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import mcp_types as types
from mcp.shared.exceptions import MCPError

from comfy_mcp.server.callers import Context, owner_of
from comfy_mcp.tools.registry import Toolbox

__all__ = ["Prompts"]

_MOST = 2_000


@dataclass(frozen=True, slots=True)
class _Argument:
    name: str
    description: str
    required: bool = False


@dataclass(frozen=True, slots=True)
class _Prompt:
    """``text`` has a place for each argument; ``or_else`` stands where one is not given."""

    title: str
    description: str
    arguments: tuple[_Argument, ...]
    text: str
    or_else: dict[str, str]


_PROMPTS = {
    "illustrate_chat": _Prompt(
        "Illustrate this chat",
        "Paint what this conversation is about.",
        (_Argument("style", "A style preset."), _Argument("count", "How many pictures, 1 to 4.")),
        "Paint {count} for the conversation so far, with the tool txt2img. First decide what would help most to see. "
        "Then write each prompt as one concrete scene: subject, setting, light, mood, at most 60 words, no names of "
        "living artists. {style} Leave every other parameter out. Say in one sentence what each picture shows.",
        {"count": "one picture", "style": "Choose a fitting style preset, or none."},
    ),
    "iterate_picture": _Prompt(
        "Change a picture",
        "Go on from an earlier picture.",
        (
            _Argument("change", "What should be different.", required=True),
            _Argument("job", "Id of the job or picture; the latest when it is left out."),
        ),
        "Change a picture: {change}. {job} Use img2img with that id as `image`; describe the whole picture in the "
        "prompt, with the change in it. Take denoise 0.35 for a small change, 0.55 for a clear one, 0.75 for a new "
        "look. Show the result and ask whether it should be more or less.",
        {"job": "Take the picture of the latest job in this chat (list_jobs names it)."},
    ),
    "compare_models": _Prompt(
        "Compare models",
        "The same prompt with several checkpoints, side by side.",
        (
            _Argument("prompt", "What to paint.", required=True),
            _Argument("models", "Names of checkpoints, separated by commas."),
        ),
        "Compare checkpoints on this prompt: {prompt}. {models} Call sweep once with template txt2img, that prompt, a "
        "fixed seed, and the checkpoints as the values of `checkpoint`. Show the contact sheet, then say for each in "
        "one line what it does better or worse.",
        {"models": "Ask list_models for the checkpoints and take up to four that differ."},
    ),
}
_GIVEN = {
    "style": "Use the style preset {}.",
    "count": "{} pictures",
    "job": "Take {}.",
    "models": "Take these: {}.",
}


class Prompts:
    """The handlers of `prompts/*`, and of completions of their arguments."""

    def __init__(self, open_tools: Callable[[], Awaitable[Toolbox]]) -> None:
        self._open_tools = open_tools

    async def list(self, ctx: Context, params: types.PaginatedRequestParams | None) -> types.ListPromptsResult:
        return types.ListPromptsResult(
            prompts=[
                types.Prompt(
                    name=name,
                    title=told.title,
                    description=told.description,
                    arguments=[
                        types.PromptArgument(name=each.name, description=each.description, required=each.required)
                        for each in told.arguments
                    ],
                )
                for name, told in _PROMPTS.items()
            ]
        )

    async def get(self, ctx: Context, params: types.GetPromptRequestParams) -> types.GetPromptResult:
        """The one message. Raises MCPError for an unknown prompt, or when a required argument is missing."""
        told = _PROMPTS.get(params.name)
        if told is None:
            raise MCPError(types.INVALID_PARAMS, f"There is no prompt {params.name[:64]!r}.")
        given = {name: value[:_MOST] for name, value in (params.arguments or {}).items() if value.strip()}
        for argument in told.arguments:
            if argument.required and argument.name not in given:
                raise MCPError(types.INVALID_PARAMS, f"{argument.name} is missing.")
        words = {
            each.name: _GIVEN.get(each.name, "{}").format(given[each.name])
            if each.name in given
            else told.or_else.get(each.name, "")
            for each in told.arguments
        }
        message = types.PromptMessage(role="user", content=types.TextContent(text=told.text.format(**words)))
        return types.GetPromptResult(description=told.description, messages=[message])

    async def values(self, ctx: Context, name: str, argument: str, begun: str) -> Sequence[str]:
        """How an argument can go on: styles, jobs, and the checkpoint after the last comma."""
        workbench = (await self._open_tools()).workbench
        match argument:
            case "style":
                names = list(workbench.catalogue.styles)
            case "job":
                names = [job.id for job in await workbench.jobs(owner_of(ctx), limit=20)]
            case "models" if (info := workbench.known_info) is not None:
                before, comma, begun = begun.rpartition(",")
                checkpoints = info.choices("CheckpointLoaderSimple.ckpt_name") or ()
                names = [f"{before}{comma}{name}" for name in map(str, checkpoints)]
                begun = f"{before}{comma}{begun}"
            case "count":
                names = ["1", "2", "3", "4"]
            case _:
                names = []
        return [name for name in names if name.casefold().startswith(begun.casefold())]
