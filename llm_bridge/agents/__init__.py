"""Named agents from a JSON file, each a model with its instructions and habits, and their replies in a thread.

Owns the form of the file (`agents.file`) and how agents ask (`agents.agents`): through the queue that `Agents.open`
opens, or whatever the opener that `Agents` is given has opened.
"""

from __future__ import annotations

from llm_bridge.agents.agent import Agent
from llm_bridge.agents.agents import AgentClient, Agents, Opener
from llm_bridge.agents.file import load, parse

__all__ = ["Agent", "AgentClient", "Agents", "Opener", "load", "parse"]
