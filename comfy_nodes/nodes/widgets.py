"""The inputs that several nodes have: one form, one tooltip and one bound for each, and what their values mean.

For the modules of the nodes beside it.
"""

from __future__ import annotations

from typing import Any

from comfy_nodes.values import MOST_SEED
from llm_bridge.chat import Sampling
from llm_bridge.errors import BadInput

__all__ = [
    "FREE_FIRST",
    "PROVIDER",
    "Widget",
    "images",
    "max_tokens",
    "model",
    "sampling_of",
    "seed",
    "temperature",
    "text",
    "unload_after",
]

Widget = tuple[str, dict[str, Any]]

PROVIDER: Widget = ("LLM_PROVIDER", {"tooltip": "Without one, any server that has the model."})

FREE_FIRST: Widget = (
    "BOOLEAN",
    {"default": False, "tooltip": "Unload ComfyUI's own models first, for a card that both use."},
)


def model(default: str = "auto") -> Widget:
    return "STRING", {"default": default, "tooltip": f"A name as the server has it, server/model, or {default}."}


def text(tip: str = "", default: str = "") -> Widget:
    """Several lines, sent as they are: braces are no dynamic prompts."""
    told = {"tooltip": tip} if tip else {}
    return "STRING", {"default": default, "multiline": True, "dynamicPrompts": False, **told}


def images(tip: str) -> Widget:
    return "IMAGE", {"tooltip": tip}


def seed(tip: str = "The same seed and inputs are not asked again; another seed is.") -> Widget:
    bounds = {"default": 0, "min": 0, "max": MOST_SEED}
    return "INT", {**bounds, "control_after_generate": True, "tooltip": tip}


def temperature(default: float) -> Widget:
    bounds = {"default": default, "min": -1.0, "max": 2.0, "step": 0.05}
    return "FLOAT", {**bounds, "tooltip": "-1 leaves it to the server."}


def max_tokens(default: int, tip: str = "0 leaves it to the server.") -> Widget:
    return "INT", {"default": default, "min": 0, "max": 1_000_000, "tooltip": tip}


def unload_after(tip: str) -> Widget:
    return "BOOLEAN", {"default": False, "tooltip": tip}


def sampling_of(*, seed: int, temperature: float, max_tokens: int) -> Sampling:
    """What the three widgets say; a temperature below 0 and no tokens leave it to the server.

    Raises: BadInput for what is no number: a link may bring what the widget would not take.
    """
    for name, value in (("seed", seed), ("temperature", temperature), ("max_tokens", max_tokens)):
        # No comparison holds for NaN.
        if not isinstance(value, int | float) or not -(2**63) <= value < 2**64:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise BadInput(f"The {name} cannot be {str(value)[:64]}.", hint="Give a number.")
    tokens = int(max_tokens)
    return Sampling(
        temperature=None if temperature < 0 else temperature,
        seed=int(seed),
        max_tokens=tokens if tokens > 0 else None,
    )
