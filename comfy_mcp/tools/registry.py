"""What a tool is, and the list of them that a chat sees now.

Owns names, schemas and the byte budget of the list. Knows nothing of transports; the server hands it a `Caller`.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import mcp_types as types

from comfy_mcp.content import Budget
from comfy_mcp.jobs import Job

if TYPE_CHECKING:
    from comfy_mcp.workbench import Workbench

__all__ = ["Caller", "Tool", "Toolbox", "wire_size"]


async def _nobody_listens(job: Job) -> None:
    return


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls: ``wait`` seconds of patience, the budget of the answer, and who wants to hear of progress."""

    owner: str
    wait: float
    budget: Budget
    on_change: Callable[[Job], Awaitable[None]] = _nobody_listens


Run = Callable[["Workbench", Caller, Mapping[str, Any]], Awaitable[types.CallToolResult]]


@dataclass(frozen=True, slots=True)
class Tool:
    """``schema`` is the JSON Schema of the arguments; ``run`` checks them itself and raises WorkbenchError."""

    name: str
    description: str
    schema: dict[str, Any]
    run: Run
    read_only: bool = False
    title: str | None = None

    @property
    def listed(self) -> types.Tool:
        hints = types.ToolAnnotations(read_only_hint=True) if self.read_only else None
        return types.Tool(
            name=self.name, title=self.title, description=self.description, input_schema=self.schema, annotations=hints
        )


def wire_size(tool: Tool) -> int:
    """Bytes of the tool in a tools/list answer, with the comma that separates it from the next."""
    listed = tool.listed.model_dump(by_alias=True, exclude_none=True, mode="json")
    return len(json.dumps(listed, separators=(",", ":"), ensure_ascii=False).encode()) + 1


@dataclass(slots=True)
class Toolbox:
    """The general tools, always listed, and one tool per template as far as the byte budget goes."""

    workbench: Workbench
    general: Mapping[str, Tool]
    from_template: Callable[[Workbench, str], Tool]
    _seen: tuple[int, int] = (0, 0)
    _listed: list[Tool] = field(default_factory=list[Tool])

    def find(self, name: str) -> Tool | None:
        """The tool of this name. Every template can be called, also one that the list has no room for."""
        if name in self.general:
            return self.general[name]
        if name in self.workbench.catalogue.templates:
            return self.from_template(self.workbench, name)
        return None

    def listed(self) -> list[Tool]:
        """The general tools, the pinned templates, then the others, until `tools_bytes` is used up."""
        # Both are replaced as a whole when they change, so identity is enough to know that nothing did.
        seen = (id(self.workbench.catalogue), id(self.workbench.known_info))
        if seen != self._seen:
            self._seen, self._listed = seen, self._choose()
        return self._listed

    def _choose(self) -> list[Tool]:
        chosen = list(self.general.values())
        room = self.workbench.settings.tools_bytes - sum(map(wire_size, chosen)) - len('{"tools":[]}')
        for name in self._preferred():
            tool = self.from_template(self.workbench, name)
            size = wire_size(tool)
            if size <= room:
                chosen.append(tool)
                room -= size
        return chosen

    def _preferred(self) -> list[str]:
        """Pinned first, then the person's own, then the shipped ones that nobody pinned are left to `run_template`."""
        catalogue, pinned = self.workbench.catalogue, self.workbench.settings.tools
        own = [name for name, template in catalogue.templates.items() if not template.shipped]
        return list(dict.fromkeys([name for name in pinned if name in catalogue.templates] + sorted(own)))
