"""comfyui-workbench: a person's own ComfyUI workflows, callable from any chat."""

__version__ = "0.1.0"
