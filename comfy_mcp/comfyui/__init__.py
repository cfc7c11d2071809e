"""The ComfyUI client. Used by backends; knows neither templates nor the store."""

from comfy_mcp.comfyui.client import ComfyUI, FileRef, HistoryEntry, QueueSnapshot, Timeouts
from comfy_mcp.comfyui.execute import execute, resume

__all__ = [
    "ComfyUI",
    "FileRef",
    "HistoryEntry",
    "QueueSnapshot",
    "Timeouts",
    "execute",
    "resume",
]
