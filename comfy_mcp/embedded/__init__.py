"""ComfyUI's protocol without torch: for trying things, for the demo, and as the other side of the contract tests.

Known to the command line alone; it imports nothing of the workbench but its errors.
"""

from comfy_mcp.embedded.engine import EngineConfig
from comfy_mcp.embedded.serve import create_engine_app, serve_engine

__all__ = ["EngineConfig", "create_engine_app", "serve_engine"]
