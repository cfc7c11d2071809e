"""The ComfyUI client. Used by backends and dispatch; knows neither templates nor the store."""

from comfy_mcp.comfyui.client import ComfyUI, FileRef, HistoryEntry, QueueSnapshot, Timeouts
from comfy_mcp.comfyui.execute import Picture, Result, Run, execute, resume
from comfy_mcp.comfyui.outputs import File

__all__ = [
    "ComfyUI",
    "File",
    "FileRef",
    "HistoryEntry",
    "Picture",
    "QueueSnapshot",
    "Result",
    "Run",
    "Timeouts",
    "execute",
    "resume",
]
