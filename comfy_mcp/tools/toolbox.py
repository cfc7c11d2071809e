"""All tools over one workbench."""

from comfy_mcp.tools.jobs import JOB_TOOLS
from comfy_mcp.tools.registry import Toolbox
from comfy_mcp.tools.templates import RUN_TEMPLATE, template_tool
from comfy_mcp.workbench import Workbench

__all__ = ["toolbox"]


def toolbox(workbench: Workbench) -> Toolbox:
    """The general tools, and one per template."""
    return Toolbox(workbench, {tool.name: tool for tool in (*JOB_TOOLS, RUN_TEMPLATE)}, template_tool)
