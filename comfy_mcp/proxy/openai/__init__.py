"""`/v1`: pictures and chat completions as OpenAI's clients ask for them, over the same workbench."""

from comfy_mcp.proxy.openai.routes import router
from comfy_mcp.proxy.openai.wording import OPENAI_STATUSES, openai_failure

__all__ = ["OPENAI_STATUSES", "openai_failure", "router"]
