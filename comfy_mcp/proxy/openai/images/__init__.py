"""`/v1/images`: pictures as OpenAI's clients ask for them."""

from comfy_mcp.proxy.openai.images.routes import add_images

__all__ = ["add_images"]
