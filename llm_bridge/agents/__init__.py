"""Named agents from a JSON file, each a model with its instructions and habits, and their replies in a thread.

Owns the form of the file (`agents.file`) and how an agent asks (`agents.agent`). Opens no connection and reads no key:
the opener that `Agents` is given does.
"""

from __future__ import annotations

from llm_bridge.agents.agent import Agent, AgentClient, Agents, Opener
from llm_bridge.agents.file import load, parse

__all__ = ["Agent", "AgentClient", "Agents", "Opener", "load", "parse"]
