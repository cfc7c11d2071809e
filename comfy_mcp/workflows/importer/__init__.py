"""Any exported workflow becomes a template. Used by workbench and command line through the facade of `workflows`."""

from comfy_mcp.workflows.importer.infer import parameter_at
from comfy_mcp.workflows.importer.write import Imported, import_workflow, write_template

__all__ = ["Imported", "import_workflow", "parameter_at", "write_template"]
