"""The dialects of LLM servers: each kind lists, loads, is asked and answers in its own way.

A module for each, over the same interface. Used by the client; knows neither queue nor history.
"""

from llm_bridge.providers.interface import Call, Decoder, Dialect, Model, State, named

__all__ = ["Call", "Decoder", "Dialect", "Model", "State", "named"]
