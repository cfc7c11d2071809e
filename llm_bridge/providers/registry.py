"""All dialects, in the order in which a server is asked what it is."""

from __future__ import annotations

import asyncio

from llm_bridge.errors import BadAnswer, BadInput, BridgeError, KeyRefused, ServerBusy, ServerUnavailable, TimedOut
from llm_bridge.providers.interface import Dialect
from llm_bridge.providers.jan import Jan
from llm_bridge.providers.koboldcpp import KoboldCpp
from llm_bridge.providers.llama_cpp import LlamaCpp
from llm_bridge.providers.llama_swap import LlamaSwap
from llm_bridge.providers.lm_studio import LMStudio
from llm_bridge.providers.ollama import Ollama
from llm_bridge.providers.openai import OpenAICompatible
from llm_bridge.providers.textgen import TextGen
from llm_bridge.providers.vllm import VLLM
from llm_bridge.providers.workbench import Workbench
from llm_bridge.transport import Transport

__all__ = ["DIALECTS", "detect", "dialect_named"]

# What stands in front of other servers comes before those, and what many imitate comes last.
DIALECTS: tuple[type[Dialect], ...] = (
    LlamaSwap,
    Workbench,
    Jan,
    LMStudio,
    KoboldCpp,
    TextGen,
    Ollama,
    LlamaCpp,
    VLLM,
    OpenAICompatible,
)


def dialect_named(kind: str) -> type[Dialect]:
    """The dialect of this kind. Raises BadInput."""
    for dialect in DIALECTS:
        if dialect.kind == kind:
            return dialect
    known = ", ".join(dialect.kind for dialect in DIALECTS)
    raise BadInput(f"There is no kind of server called {kind[:64]!r}.", hint=f"Known: {known}.")


async def detect(transport: Transport) -> type[Dialect]:
    """The kind of what answers there, by what each kind alone has, within `Timeouts.answer`.

    Raises:
        ServerUnavailable, TimedOut: nothing answers.
        KeyRefused: it wants a key first.
        ServerBusy: it is still starting.
        BadAnswer: it is none of these.
    """
    try:
        async with asyncio.timeout(transport.timeouts.answer):
            return await _detected(transport)
    except TimeoutError:
        name = transport.name
        raise TimedOut(f"{name} did not say in time what it is.", hint="Look at its log.", stage="answer") from None


async def _detected(transport: Transport) -> type[Dialect]:
    hidden: BridgeError | None = None
    for dialect in DIALECTS:
        try:
            if await dialect.recognises(transport):
                return dialect
        except (ServerUnavailable, TimedOut):
            raise
        except (KeyRefused, ServerBusy) as failure:
            hidden = failure
        except BridgeError:
            continue
    raise hidden or BadAnswer(
        f"What answers for {transport.name} is no LLM server that is known.", hint="Name its kind in the settings."
    )
