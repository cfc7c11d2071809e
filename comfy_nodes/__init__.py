"""ComfyUI custom nodes that call local language models, thin over ``llm_bridge``.

The pack has no nodes yet. It must import without ComfyUI, torch and numpy, and never imports ``comfy_mcp``.
"""

NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}
