"""What the wheel carries that is not in the repository: htmx, as the package django-htmx has it.

Owns where it comes from and where it goes. In a checkout `comfy_mcp.proxy.page.static` reads it from that package.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SCRIPTS = {"htmx-2.min.js": "htmx.js", "ext/hx-sse-2.min.js": "htmx-sse.js"}
TARGET = "comfy_mcp/proxy/page/static"


class CustomBuildHook(BuildHookInterface[Any]):
    """Called by hatchling."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        spec = find_spec("django_htmx")
        assert spec is not None and spec.origin is not None, "django-htmx is named in build-system.requires"
        folder = Path(spec.origin).parent / "static/django_htmx"
        for name, ours in SCRIPTS.items():
            build_data["force_include"][str(folder / name)] = f"{TARGET}/{ours}"
