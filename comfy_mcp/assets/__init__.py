"""Keeps the bytes of pictures and other files: in a folder, in memory, or in an S3-compatible bucket.

Owns keys, names and the promise that nobody ever reads half a file. The records (id, owner, job) are the store's. Used
by workbench and dispatch.
"""

from comfy_mcp.assets.collection import Assets
from comfy_mcp.assets.folder import FolderSink
from comfy_mcp.assets.locations import sink_from_url
from comfy_mcp.assets.memory import MemorySink
from comfy_mcp.assets.s3 import S3Sink
from comfy_mcp.assets.sink import Sink

__all__ = ["Assets", "FolderSink", "MemorySink", "S3Sink", "Sink", "sink_from_url"]
