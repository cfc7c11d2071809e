"""What a file is, whether a picture is whole and small enough, and a copy of it that fits a budget.

Owns the only contact with Pillow's decoders, always off the event loop. Knows nothing of jobs, storage or HTTP.
Used by assets, workbench and content.
"""

from comfy_mcp.images.converting import convert
from comfy_mcp.images.fitting import Fitted, fit
from comfy_mcp.images.limits import MADE, UPLOADED, Limits
from comfy_mcp.images.masks import mask_in
from comfy_mcp.images.reading import Inspection, inspect, measure, verify
from comfy_mcp.images.sheets import contact_sheet, side_of_cell
from comfy_mcp.images.sniffing import Kind, Media, sniff
from comfy_mcp.images.stripping import can_strip, stripped
from comfy_mcp.images.thumbnails import thumbnail
from comfy_mcp.images.uploading import Accepted, accept_upload

__all__ = [
    "MADE",
    "UPLOADED",
    "Accepted",
    "Fitted",
    "Inspection",
    "Kind",
    "Limits",
    "Media",
    "accept_upload",
    "can_strip",
    "contact_sheet",
    "convert",
    "fit",
    "inspect",
    "mask_in",
    "measure",
    "side_of_cell",
    "sniff",
    "stripped",
    "thumbnail",
    "verify",
]
