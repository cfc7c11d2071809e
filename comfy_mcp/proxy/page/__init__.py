"""The workbench's page: tools, queue, gallery, comparisons, templates and settings, for people.

Every section is a package of its own with its routes, its templates below ``markup`` and its files below
``static``; none knows another. `rendering` turns templates to answers, and `static` serves the files.
"""

from comfy_mcp.proxy.page.failing import shown_failure
from comfy_mcp.proxy.page.routes import router
from comfy_mcp.proxy.page.signing_in import Entrance

__all__ = ["Entrance", "router", "shown_failure"]
