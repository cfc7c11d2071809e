"""`/v1/chat/completions`: the queue in front of local language models, and workflows as chat agents beside them."""

from comfy_mcp.proxy.openai.chat.completions import add_completions

__all__ = ["add_completions"]
