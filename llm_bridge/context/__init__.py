"""A request made to fit into the window of its model: what to leave out, or to say in short, when a chat grows long.

Owns the strategies (`context.fitting`), what must stay together (`context.turns`) and summaries (`context.summaries`).
Counts by a function that it is given (`tokens`) and asks by another (the client's `ask`).
"""

from __future__ import annotations

from llm_bridge.context.fitting import STRATEGIES, Fitted, Fitting, Strategy, fit, refit
from llm_bridge.context.summaries import Ask, Count, Summaries

__all__ = ["STRATEGIES", "Ask", "Count", "Fitted", "Fitting", "Strategy", "Summaries", "fit", "refit"]
