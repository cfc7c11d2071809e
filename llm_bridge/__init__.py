"""One streaming client and one queue for every local LLM server, usable without ComfyUI, FastAPI and MCP.

Nothing is public yet. It imports neither ``comfy_mcp`` nor ``comfy_nodes``.
"""

__all__: list[str] = []
