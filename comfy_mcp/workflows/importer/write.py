"""From a file to a template folder: read, convert, infer, check, write at once.

Owns the order of it and the folder's name. Nothing is written before all of it is known to load.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from comfy_mcp.errors import ConversionError, TemplateError
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.importer.carriers import Carried, read_carrier
from comfy_mcp.workflows.importer.convert import convert
from comfy_mcp.workflows.importer.infer import infer
from comfy_mcp.workflows.manifest import Manifest, write_manifest
from comfy_mcp.workflows.object_info import ObjectInfo
from comfy_mcp.workflows.template import RESERVED_IDS, load_template, read_graph

__all__ = ["Imported", "import_workflow", "write_template"]

_FILES = ("workflow.json", "manifest.toml")


@dataclass(frozen=True)
class Imported:
    """A template that is not written yet. ``warnings`` say what is not as it was in ComfyUI."""

    id: str
    manifest: Manifest
    graph: Graph
    warnings: tuple[str, ...]


def import_workflow(data: bytes, *, name: str, object_info: ObjectInfo) -> Imported:
    """Make a template of an exported workflow, or of a picture that carries one.

    Raises:
        ConversionError: what cannot be converted is named.
        TemplateError: the graph is broken: a link to nowhere, or a cycle.
        TooLarge: more than 64 MiB.
    """
    carried = read_carrier(data)
    graph, warnings = _graph(carried, object_info)
    graph = _pruned(read_graph(json.dumps(graph).encode()), object_info, warnings)
    parameters = infer(graph, object_info)
    if not parameters:
        warnings.append("No parameter was found: add some to manifest.toml.")
    title = name.replace("_", " ").replace("-", " ").strip()[:80] or "Workflow"
    manifest = Manifest(title=title, description=f"Run the workflow {title}.", parameters=parameters)
    return Imported(_identifier(name), manifest, graph, tuple(warnings))


def _graph(carried: Carried, object_info: ObjectInfo) -> tuple[Graph, list[str]]:
    """The exact prompt where there is one; else the canvas, converted."""
    if carried.prompt is not None:
        classes = {str(node["class_type"]) for node in carried.prompt.values()}
        unknown = sorted(name for name in classes if not object_info.has(name))
        if unknown:
            raise ConversionError(
                f"This ComfyUI lacks these nodes: {', '.join(unknown)}.",
                hint="Install the packs that bring them, then import again.",
                nodes=unknown,
            )
        for node in carried.prompt.values():
            # Written by ComfyUI for its own cache; sent back, it would be believed instead of looked up.
            node.pop("is_changed", None)
        return carried.prompt, []
    assert carried.workflow is not None
    try:
        return convert(carried.workflow, object_info)
    except (AttributeError, TypeError, KeyError, IndexError, ValueError, RecursionError):
        raise ConversionError("The workflow file is damaged.", hint="Open it in ComfyUI and save it again.") from None


def _pruned(graph: Graph, object_info: ObjectInfo, warnings: list[str]) -> Graph:
    """Without the nodes that no output needs: ComfyUI would not run them, and they may be half connected."""
    stack = [node for node, content in graph.items() if object_info.node(content["class_type"]).output_node]
    if not stack:
        raise ConversionError("The workflow has no output node.", hint="Add a Save Image node in ComfyUI.")
    needed: set[str] = set()
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack += [value[0] for value in graph[node]["inputs"].values() if isinstance(value, list)]
    if len(needed) < len(graph):
        warnings.append(f"{len(graph) - len(needed)} nodes lead to no output and are left out.")
    return {node: content for node, content in graph.items() if node in needed}


def _identifier(name: str) -> str:
    found = re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_").replace("_mcp_", "_")[:32].strip("_")
    if not found or not found[0].isalpha():
        found = f"workflow_{found}"[:32].strip("_")
    return f"my_{found}"[:32] if found in RESERVED_IDS else found


def write_template(imported: Imported, folder: Path, *, overwrite: bool = False) -> Path:
    """Write the template into a folder of templates, whole or not at all; gives its own folder.

    Raises:
        TemplateError: there is one of this id already, or the folder cannot be written.
    """
    target = folder / imported.id
    if target.exists() and not overwrite:
        raise TemplateError(
            f"There is a template {imported.id!r} already.", hint="Use --overwrite, or another name with --id."
        )
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".import-") as scratch:
            fresh = Path(scratch) / imported.id
            fresh.mkdir()
            graph, manifest = (fresh / name for name in _FILES)
            graph.write_text(json.dumps(imported.graph, indent=2, ensure_ascii=False) + "\n", "utf-8")
            manifest.write_text(write_manifest(imported.manifest), "utf-8")
            load_template(fresh)
            if target.exists():
                # What else lies there, such as a preview, stays.
                others = shutil.ignore_patterns(*_FILES)
                shutil.copytree(target, fresh, symlinks=True, dirs_exist_ok=True, ignore=others)
                target.rename(Path(scratch) / "before")
            fresh.rename(target)
    except OSError as failure:
        raise TemplateError(
            f"The template cannot be written: {failure.strerror}.", hint="Check the rights of the folder."
        ) from None
    return target
