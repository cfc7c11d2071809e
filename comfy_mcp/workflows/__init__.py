"""Templates bound to parameters: their format, their loading, binding, checking and describing.

Knows ComfyUI only by its `/object_info`. Used by backends, workbench, tools, proxy and the command line.
"""

from comfy_mcp.workflows.allowed import USUAL_NODES, pictures_in, refuse_paths, refuse_unusual
from comfy_mcp.workflows.binding import bind, offered, random_seed
from comfy_mcp.workflows.catalogue import Catalogue, Diagnostic, shipped_folder
from comfy_mcp.workflows.checks import check
from comfy_mcp.workflows.drawing import Told, drawn, sketched, told_nodes
from comfy_mcp.workflows.graph import MOST_GRAPH_BYTES, graph_in
from comfy_mcp.workflows.importer import Imported, import_workflow, parameter_at, write_template
from comfy_mcp.workflows.lacks import Asked, Lack, asks_for, lacks
from comfy_mcp.workflows.manifest import Bind, Manifest, Parameter, read_manifest, write_manifest
from comfy_mcp.workflows.needs import Needs, needs_of, offers
from comfy_mcp.workflows.object_info import InputInfo, NodeInfo, ObjectInfo
from comfy_mcp.workflows.schema import MOST_CHOICES, describe, json_schema
from comfy_mcp.workflows.styles import Around, Style
from comfy_mcp.workflows.template import Template, check_id, template_of
from comfy_mcp.workflows.values import checked

__all__ = [
    "MOST_CHOICES",
    "MOST_GRAPH_BYTES",
    "USUAL_NODES",
    "Around",
    "Asked",
    "Bind",
    "Catalogue",
    "Diagnostic",
    "Imported",
    "InputInfo",
    "Lack",
    "Manifest",
    "Needs",
    "NodeInfo",
    "ObjectInfo",
    "Parameter",
    "Style",
    "Template",
    "Told",
    "asks_for",
    "bind",
    "check",
    "check_id",
    "checked",
    "describe",
    "drawn",
    "graph_in",
    "import_workflow",
    "json_schema",
    "lacks",
    "needs_of",
    "offered",
    "offers",
    "parameter_at",
    "pictures_in",
    "random_seed",
    "read_manifest",
    "refuse_paths",
    "refuse_unusual",
    "shipped_folder",
    "sketched",
    "template_of",
    "told_nodes",
    "write_manifest",
    "write_template",
]
