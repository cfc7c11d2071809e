"""`/v1`: pictures and chat completions as OpenAI's clients ask for them, over the same workbench."""

from comfy_mcp.proxy.openai.routes import router
from comfy_mcp.proxy.openai.wording import openai_failure

__all__ = ["openai_failure", "router"]
