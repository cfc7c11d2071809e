"""All scripted servers by kind; what stands after a space tells servers of one kind apart."""

from __future__ import annotations

from collections.abc import Callable

from tests.bridge.providers.scripted import SERVERS
from tests.bridge.providers.scripted_koboldcpp import KoboldCppServer, koboldcpp_alone
from tests.bridge.providers.scripted_lm_studio import LMStudioServer, lm_studio_older
from tests.bridge.providers.scripted_ollama import OllamaServer
from tests.bridge.providers.scripted_textgen import TextGenServer
from tests.bridge.servers import Script

__all__ = ["KINDS"]

KINDS: dict[str, Callable[[Script], None]] = SERVERS | {
    "lm-studio": LMStudioServer(),
    "lm-studio older": lm_studio_older,
    "ollama": OllamaServer(),
    "ollama newer": OllamaServer("tags_with_capabilities"),
    "koboldcpp": KoboldCppServer(),
    "koboldcpp alone": koboldcpp_alone,
    "textgen": TextGenServer(),
}
