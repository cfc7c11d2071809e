"""All tools over one workbench."""

from comfy_mcp.tools.catalogue import CATALOGUE_TOOLS
from comfy_mcp.tools.comparing import COMPARE
from comfy_mcp.tools.jobs import JOB_TOOLS
from comfy_mcp.tools.pictures import UPLOAD_IMAGE
from comfy_mcp.tools.presets import SAVE_PRESET
from comfy_mcp.tools.registry import Toolbox
from comfy_mcp.tools.sweeps import SWEEP
from comfy_mcp.tools.templates import RUN_TEMPLATE, template_tool
from comfy_mcp.workbench import Workbench

__all__ = ["toolbox"]

_GENERAL = (*JOB_TOOLS, *CATALOGUE_TOOLS, RUN_TEMPLATE, SWEEP, COMPARE, UPLOAD_IMAGE, SAVE_PRESET)


def toolbox(workbench: Workbench) -> Toolbox:
    """The general tools, and one per template."""
    return Toolbox(workbench, {tool.name: tool for tool in _GENERAL}, template_tool)
