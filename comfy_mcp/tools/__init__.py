"""The tools that a chat sees. Used by the server alone."""

from comfy_mcp.tools.jobs import JOB_TOOLS
from comfy_mcp.tools.registry import Caller, Tool, Toolbox
from comfy_mcp.tools.templates import RUN_TEMPLATE, template_tool
from comfy_mcp.workbench import Workbench

__all__ = ["Caller", "Tool", "Toolbox", "toolbox"]


def toolbox(workbench: Workbench) -> Toolbox:
    """All tools over one workbench."""
    return Toolbox(workbench, {tool.name: tool for tool in (*JOB_TOOLS, RUN_TEMPLATE)}, template_tool)
