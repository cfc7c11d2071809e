"""From a file to a template folder: read, convert, infer, check, write at once.

Owns the order of it and the folder's name. Nothing is written before all of it is known to load.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from comfy_mcp.errors import ConversionError, TemplateError
from comfy_mcp.jobs import Graph
from comfy_mcp.workflows.graph import is_link
from comfy_mcp.workflows.importer.carriers import Carried, read_carrier
from comfy_mcp.workflows.importer.convert import convert, lacking
from comfy_mcp.workflows.importer.infer import infer
from comfy_mcp.workflows.importer.naming import identifier, titled
from comfy_mcp.workflows.manifest import Manifest, write_manifest
from comfy_mcp.workflows.object_info import ObjectInfo
from comfy_mcp.workflows.template import load_template, read_graph

__all__ = ["Imported", "import_workflow", "write_template"]

_FILES = ("workflow.json", "manifest.toml")


@dataclass(frozen=True)
class Imported:
    """A template that is not written yet. ``warnings`` say what is not as it was in ComfyUI."""

    id: str
    manifest: Manifest
    graph: Graph
    warnings: tuple[str, ...]


def import_workflow(data: bytes, *, name: str, object_info: ObjectInfo, may_lack: bool = False) -> Imported:
    """Make a template of an exported workflow, or of a picture that carries one. One in the API format ``may_lack``
    node classes: it is whole without knowing them, but nothing of theirs becomes a parameter.

    Raises:
        ConversionError: what cannot be converted is named.
        TemplateError: the graph is broken: a link to nowhere, or a cycle.
        TooLarge: more than 64 MiB.
    """
    carried = read_carrier(data)
    graph, warnings = _graph(carried, object_info, may_lack)
    graph = _named(read_graph(json.dumps(graph).encode()), object_info, warnings)
    graph = _pruned(graph, object_info, warnings)
    parameters = infer(graph, object_info)
    if not parameters:
        warnings.append("No parameter was found: add some to manifest.toml.")
    title = titled(name, graph)
    manifest = Manifest(title=title, description=f"Run the workflow {title}.", parameters=parameters)
    return Imported(identifier(name or title), manifest, graph, tuple(warnings))


def _graph(carried: Carried, object_info: ObjectInfo, may_lack: bool) -> tuple[Graph, list[str]]:
    """The exact prompt where there is one; else the canvas, converted."""
    if carried.prompt is not None:
        classes = {str(node["class_type"]) for node in carried.prompt.values()}
        unknown = sorted(name for name in classes if not object_info.has(name))
        if unknown and not may_lack:
            raise lacking(unknown)
        for node in carried.prompt.values():
            # Written by ComfyUI for its own cache; sent back, it would be believed instead of looked up.
            node.pop("is_changed", None)
        return carried.prompt, []
    assert carried.workflow is not None
    try:
        return convert(carried.workflow, object_info)
    except (AttributeError, TypeError, KeyError, IndexError, ValueError, RecursionError):
        raise ConversionError("The workflow file is damaged.", hint="Open it in ComfyUI and save it again.") from None


def _named(graph: Graph, object_info: ObjectInfo, warnings: list[str]) -> Graph:
    """Without inputs that a node surely does not take: ComfyUI passes over such a value, and fails at such a link."""
    found: Graph = {}
    lost = 0
    for node, content in graph.items():
        if not object_info.has(content["class_type"]):
            found[node] = content
            continue
        info, inputs = object_info.node(content["class_type"]), content["inputs"]
        taken = {name: value for name, value in inputs.items() if info.is_open or info.takes(name)}
        lost += sum(is_link(value) for name, value in inputs.items() if name not in taken)
        found[node] = {**content, "inputs": taken}
    if lost:
        warnings.append(f"{lost} links lead to inputs that their nodes do not have and are left out.")
    return found


def _pruned(graph: Graph, object_info: ObjectInfo, warnings: list[str]) -> Graph:
    """Without the nodes that no output needs: ComfyUI would not run them, and they may be half connected."""
    stack = [node for node in graph if _is_output(node, graph, object_info)]
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


def _is_output(node: str, graph: Graph, object_info: ObjectInfo) -> bool:
    """Whether ComfyUI runs it for its own sake; of an unknown class, whether nobody else asks for it."""
    kind = graph[node]["class_type"]
    if object_info.has(kind):
        return object_info.node(kind).output_node
    values = (value for content in graph.values() for value in content["inputs"].values())
    return not any(is_link(value) and value[0] == node for value in values)


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
