"""What an imported workflow is called: as its file, or, without a name, by what it makes.

Owns titles and ids, which `write` asks for, and which names of files say nothing.
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.choices import MODEL_FILES
from comfy_mcp.workflows.template import RESERVED_IDS

__all__ = ["identifier", "says_nothing", "titled"]

_SAYS_NOTHING = re.compile(r"(unsaved )?(workflow|untitled|image|prompt)( api)?[ \d()]*|comfyui( temp \w+)?( \d+)?")
_BASES = ("ckpt_name", "unet_name")
_MOST = 80


def titled(name: str, graph: Graph) -> str:
    """A title from a name; without one, what the graph makes and with which model."""
    return _spaced(name)[:_MOST] or _made(graph)[:_MOST]


def says_nothing(name: str) -> bool:
    """Whether a file is called as ComfyUI or the page calls any."""
    return _SAYS_NOTHING.fullmatch(_spaced(name).lower()) is not None


def identifier(name: str) -> str:
    """An id that a template can have, like this name."""
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").replace("_mcp_", "_")[:32].strip("_")
    if not found or not found[0].isalpha():
        found = f"workflow_{found}"[:32].strip("_")
    return f"my_{found}"[:32] if found in RESERVED_IDS else found


def _made(graph: Graph) -> str:
    classes = " ".join(content["class_type"] for content in graph.values())
    kinds = {"Save(Video|WEBM|Animated)|VideoCombine": "Video", "SaveAudio": "Sound", "(Save|Preview)Image": "Picture"}
    made = next((kind for pattern, kind in kinds.items() if re.search(pattern, classes)), "Workflow")
    values = (content["inputs"].get(base) for base in _BASES for content in graph.values())
    base = next((each for each in values if isinstance(each, str) and each.lower().endswith(MODEL_FILES)), None)
    printable = "" if base is None else "".join(filter(str.isprintable, base.replace("\\", "/")))
    model = PurePosixPath(printable).stem
    return f"{made} with {_spaced(model)}" if model else made


def _spaced(name: str) -> str:
    return name.replace("_", " ").replace("-", " ").strip()
