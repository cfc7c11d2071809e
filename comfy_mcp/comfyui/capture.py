"""Getting pictures out without the output folder: saving nodes become previewing ones in the graph that is sent.

Measured on ComfyUI 0.3.64 at 512 px, PreviewImage is several times faster than SaveImageWebsocket, and unlike it can
be fetched again after a lost connection; so it is the default. Owns the table by node class.
"""

from __future__ import annotations

import copy

from comfy_mcp.jobs import BoundWorkflow, Graph

__all__ = ["SAVES_FOR_GOOD", "captured"]

_IMAGE_SAVERS = frozenset({"SaveImage", "Image Save", "SaveImageKJ", "SaveImageExtended", "Save Image w/Metadata"})
"""Nodes whose input ``images`` PreviewImage takes as well."""

SAVES_FOR_GOOD = frozenset(
    {
        "SaveAnimatedWEBP",
        "SaveAnimatedPNG",
        "SaveWEBM",
        "SaveVideo",
        "SaveAudio",
        "SaveAudioMP3",
        "SaveAudioOpus",
        "SaveGLB",
        "VHS_VideoCombine",
    }
)
"""Nodes without a temporary twin: their files stay in ComfyUI's output folder, whatever the template says."""


def captured(bound: BoundWorkflow) -> Graph:
    """A copy of the graph with its saving nodes replaced, unless the template keeps its files in ComfyUI."""
    graph = copy.deepcopy(bound.graph)
    if bound.keep_in_comfyui:
        return graph
    twin = "SaveImageWebsocket" if bound.capture == "websocket" else "PreviewImage"
    for node in graph.values():
        source = node["inputs"].get("images", node["inputs"].get("image"))
        if node["class_type"] in _IMAGE_SAVERS and isinstance(source, list):
            node["class_type"], node["inputs"] = twin, {"images": source}
        elif node["class_type"] == "PreviewImage" and twin == "SaveImageWebsocket":
            node["class_type"] = twin
    return graph
