"""A workflow as a chat agent: what a message to it means, and what it answers."""

from comfy_mcp.proxy.openai.agent.agent import Agent

__all__ = ["Agent"]
