"""Messages from and to the JSON that chat APIs speak: OpenAI's (`shapes.openai`) and Anthropic's (`shapes.anthropic`).

Owns both wire formats of a message, for the doors that take them and for the dialects that send them. Knows no server.
"""

from __future__ import annotations

from llm_bridge.shapes.anthropic import from_anthropic, to_anthropic
from llm_bridge.shapes.openai import from_openai, to_openai
from llm_bridge.shapes.pictures import ImageLimits

__all__ = ["ImageLimits", "from_anthropic", "from_openai", "to_anthropic", "to_openai"]
