"""Any exported workflow becomes a template. Used by the command line through the facade of `workflows`."""

from comfy_mcp.workflows.importer.write import Imported, import_workflow, write_template

__all__ = ["Imported", "import_workflow", "write_template"]
