"""What a tool is, and the list of them that a chat sees now.

Owns names, schemas and the byte budget of the list. Knows nothing of transports; the server hands it a `Caller`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import mcp_types as types

from comfy_mcp.apps import PAGE_URI
from comfy_mcp.content import Budget
from comfy_mcp.jobs import Job

if TYPE_CHECKING:
    from comfy_mcp.workbench import Workbench

__all__ = ["Caller", "Tool", "Toolbox", "wire_size"]


async def _nobody_listens(job: Job) -> None:
    return


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: ``wait`` seconds of patience, the budget of the answer, and who wants to hear of progress.

    ``standing`` is what the person sends with every call, by parameter.
    """

    owner: str
    wait: float
    budget: Budget
    on_change: Callable[[Job], Awaitable[None]] = _nobody_listens
    standing: Mapping[str, str] = field(default_factory=dict[str, str])


Run = Callable[["Workbench", Caller, Mapping[str, Any]], Awaitable[types.CallToolResult]]


@dataclass(frozen=True, slots=True)
class Tool:
    """``schema`` is the JSON Schema of the arguments; ``run`` checks them itself and raises WorkbenchError.

    ``shown`` tools answer with something that the app draws; those that are ``for_apps`` are of no use without it, and
    those ``for_texts`` without an LLM server.
    """

    name: str
    description: str
    schema: dict[str, Any]
    run: Run
    read_only: bool = False
    destructive: bool = False
    title: str | None = None
    shown: bool = False
    for_apps: bool = False
    for_texts: bool = False

    def listed(self, *, apps: bool = False) -> types.Tool:
        """As the chat sees it. ``apps``: it shows pages of ours."""
        told: dict[str, Any] = {"ui": {"resourceUri": PAGE_URI}}
        return types.Tool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.schema,
            annotations=self._hints,
            _meta=told if apps and self.shown else None,
        )

    @property
    def _hints(self) -> types.ToolAnnotations | None:
        """Only what differs from what chats assume: that a tool may change things, and for the worse."""
        if self.read_only:
            return types.ToolAnnotations(read_only_hint=True)
        return None if self.destructive else types.ToolAnnotations(destructive_hint=False)


def wire_size(tool: Tool) -> int:
    """Bytes of the tool in a tools/list answer, with the comma that separates it from the next.

    Where its page is does not count: that is for the chat's program, and no model is shown it.
    """
    return len(_wire(tool)) + 1


def _wire(tool: Tool) -> bytes:
    listed = tool.listed().model_dump(by_alias=True, exclude_none=True, mode="json")
    return json.dumps(listed, separators=(",", ":"), ensure_ascii=False).encode()


class FromTemplate(Protocol):
    """Makes the tool of a template; a ``terse`` one takes fewer bytes."""

    def __call__(self, workbench: Workbench, template: str, *, terse: bool = False) -> Tool: ...


@dataclass(slots=True)
class Toolbox:
    """The general tools, always listed, and one tool per template as far as the byte budget goes."""

    workbench: Workbench
    general: Mapping[str, Tool]
    from_template: FromTemplate
    _seen: tuple[object, ...] = ()
    _listed: dict[bool, list[Tool]] = field(default_factory=dict[bool, list[Tool]])
    _fingerprint: bytes = b""

    def find(self, name: str) -> Tool | None:
        """The tool of this name. Every template can be called, also one that the list has no room for."""
        if name in self.general:
            return self.general[name]
        if name in self.workbench.catalogue.templates:
            return self.from_template(self.workbench, name)
        return None

    def listed(self, *, apps: bool = False) -> list[Tool]:
        """The general tools, the pinned templates, then the others, until `tools_bytes` is used up."""
        self._look()
        return self._listed[apps]

    def fingerprint(self) -> bytes:
        """Changes when the list does."""
        self._look()
        return self._fingerprint

    def _look(self) -> None:
        # Each is replaced as a whole when it changes, so identity is enough to know that nothing did.
        seen = (self.workbench.catalogue, self.workbench.known_info, self.workbench.settings)
        if len(self._seen) != len(seen) or any(now is not then for now, then in zip(seen, self._seen, strict=True)):
            listed = {apps: self._choose(apps=apps) for apps in (False, True)}
            self._seen, self._listed = seen, listed
            self._fingerprint = hashlib.sha256(b"".join(map(_wire, listed[True]))).digest()

    def _choose(self, *, apps: bool) -> list[Tool]:
        settings = self.workbench.settings
        texts = bool(settings.all_llm_servers)
        chosen = [
            tool for tool in self.general.values() if (apps or not tool.for_apps) and (texts or not tool.for_texts)
        ]
        room = settings.tools_bytes - sum(map(wire_size, chosen)) - len('{"tools":[]}')
        tools = [self.from_template(self.workbench, name) for name in self._preferred()]
        if sum(map(wire_size, tools)) > room:
            # More tools are worth more than the names of models in each of them.
            tools = [self.from_template(self.workbench, tool.name, terse=True) for tool in tools]
        for tool in tools:
            size = wire_size(tool)
            if size <= room:
                chosen.append(tool)
                room -= size
        return chosen

    def _preferred(self) -> list[str]:
        """Pinned first, then the person's own; the shipped ones that nobody pinned are left to `run_template`."""
        catalogue, pinned = self.workbench.catalogue, self.workbench.settings.tools
        own = [name for name, template in catalogue.templates.items() if not template.shipped]
        return list(dict.fromkeys([name for name in pinned if name in catalogue.templates] + sorted(own)))
