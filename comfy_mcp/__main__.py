"""`python -m comfy_mcp` is `comfy-workbench`."""

from comfy_mcp.cli import main

main()
