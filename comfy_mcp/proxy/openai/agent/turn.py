"""What a message to a workflow means in its conversation: which template it runs, and on which picture.

Owns the rules. Pictures in the message are the template's inputs; without one, a message is about the last picture of
the conversation, unless it says `--new`. A template that only paints leaves changes to the one that the setting
`images.img2img` names, with the words of both messages: models that paint know nothing of what was there before.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from comfy_mcp.errors import InvalidParameter, NotFound
from comfy_mcp.jobs import Asset, Job, JobRequest
from comfy_mcp.proxy.asking import Asker
from comfy_mcp.proxy.links import LINK
from comfy_mcp.proxy.openai.agent.options import Options, wants_new
from comfy_mcp.proxy.openai.linked import Linked, own_picture
from comfy_mcp.proxy.pictures import Kept, Sending, not_enlarged, with_pictures
from comfy_mcp.workbench import Workbench
from comfy_mcp.workflows import Template
from llm_bridge.messages import Image, Message

__all__ = ["Turn", "turn_of"]

_KEPT = ("checkpoint", "cfg", "lora", "lora_strength", "negative", "sampler", "scheduler", "steps")
_JOB = re.compile(r"\bjob ([0-9a-f]{32})\b")


@dataclass(frozen=True, slots=True)
class _Earlier:
    """A picture of the conversation, and the job that made it as far as that is known."""

    picture: Asset
    job: Job | None = None

    def kept(self, template: Template) -> dict[str, Any]:
        """How it was painted, for what changes it."""
        told = {} if self.job is None else self.job.values
        return {name: told[name] for name in _KEPT if name in told and name in template.parameters}


@dataclass(frozen=True, slots=True)
class Turn:
    """``earlier`` is the picture that the message is about; ``edits`` when another template was named, to paint it."""

    template: Template
    message: Message
    earlier: _Earlier | None = None
    edits: bool = False

    def request(self, options: Options, asker: Asker) -> JobRequest:
        """What is asked for, but for the pictures in the message. What was typed counts more than what its person has
        set for good."""
        earlier = self.earlier
        values = earlier.kept(self.template) if earlier else {}
        said, job = _said(self.template), earlier.job if earlier else None
        words = [str(job.values.get("prompt") or "")] if self.edits and job else []
        if said and (prompt := ", ".join(part for part in (*words, options.prompt) if part)):
            values[said] = prompt
        shown = earlier is not None and len(self.message.images) < len(self.template.pictures)
        if earlier is not None and shown:
            values[self.template.pictures[0]] = earlier.picture.id
        style = options.style or (job.style if job and self.template.takes_style else None)
        asked = JobRequest(
            self.template.id,
            {**values, **options.values},
            style,
            asker.owner,
            standing=asker.standing,
            preset=options.preset,
            default_preset=True,
            free=frozenset((*options.values, *(["style"] if options.style else []))),
        )
        return not_enlarged(asked, self.template, earlier.picture) if earlier is not None and shown else asked

    def sending(self, asked: JobRequest, workbench: Workbench) -> Sending | None:
        """The pictures in the message, which are the template's inputs unless it says otherwise.

        Raises InvalidParameter for too many, and InvalidImage and TooLarge when they are taken.
        """
        takes, attached = self.template.pictures, self.message.images
        if len(attached) > len(takes):
            most = {0: "no picture", 1: "one picture"}.get(len(takes), f"{len(takes)} pictures")
            raise InvalidParameter("messages", f"`{self.template.id}` takes {most}.", hint="Send no more than that.")
        after = 1 if self.earlier is not None and len(attached) < len(takes) else 0
        places = dict(zip(takes[after:], attached, strict=False))
        sent = {name: image for name, image in places.items() if name not in asked.values}

        async def complete(kept: Kept) -> list[JobRequest]:
            found = {name: await _input(kept, image, workbench, asked.owner) for name, image in sent.items()}
            first = found.get(self.template.pictures[0])
            told = with_pictures(asked, found)
            return [not_enlarged(told, self.template, first) if first else told]

        return Sending(tuple(sent), complete) if sent else None


async def _input(kept: Kept, image: Image, workbench: Workbench, owner: str) -> Asset:
    if not isinstance(image, Linked):
        return await kept.keep(image.data)
    return await own_picture(image.address, workbench, owner) or await kept.keep(image.address)


async def turn_of(template: Template, messages: Sequence[Message], workbench: Workbench, owner: str) -> Turn:
    """What the last message of the user asks of the template that was named.

    Raises:
        InvalidParameter: there is no message of the user.
        NotFound: the template that edits is not there.
    """
    last = max((place for place, message in enumerate(messages) if message.role == "user"), default=None)
    if last is None:
        raise InvalidParameter("messages", "No message is the user's.", hint="Send one.")
    turn = Turn(template, messages[last])
    if not wants_new(turn.message.text):
        turn = replace(turn, earlier=await _last_picture(messages[:last], workbench, owner))
    images = workbench.settings.images
    if template.id != images.txt2img or template.pictures or not (turn.earlier or turn.message.images):
        return turn
    return replace(turn, template=workbench.catalogue.get(images.img2img), edits=True)


def _said(template: Template) -> str | None:
    """The parameter that the words of a message are for."""
    texts = [name for name, told in template.parameters.items() if told.type == "text" and name != "negative"]
    return "prompt" if "prompt" in texts else next(iter(texts), None)


async def _last_picture(messages: Sequence[Message], workbench: Workbench, owner: str) -> _Earlier | None:
    """The one that the last answer with a picture shows, if it is still there and the owner's."""
    for message in reversed(messages):
        text = message.text if message.role == "assistant" else ""
        try:
            if found := _JOB.search(text):
                job = await workbench.job(found[1], owner)
                picture = await workbench.picture(job.id, owner)
                return _Earlier(picture, job)
            if found := LINK.search(text):
                return _Earlier(await workbench.asset(found[1], owner))
        except NotFound:
            return None
    return None
