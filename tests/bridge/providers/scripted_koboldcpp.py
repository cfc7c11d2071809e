"""A scripted KoboldCpp: told to restart it answers once more as before, then breaks off once, then is another."""

from __future__ import annotations

import time

from tests.bridge.providers.scripted import CHAT, recorded, told
from tests.bridge.servers import Answer, End, Received, Script, json_answer

__all__ = ["KoboldCppServer", "koboldcpp_alone"]


class KoboldCppServer:
    """With ``--admin``. ``makes`` says which name a file gives to the model, where it is not that of the file."""

    def __init__(self, options: list[str] | None = None) -> None:
        self.options: list[str] = recorded("koboldcpp", "options") if options is None else options
        self.name = "koboldcpp/gemma-3-27b"
        self.makes: dict[str, str] = {"unload_model": "inactive", "tiny (1).gguf": "koboldcpp/tiny1"}
        self._began = time.monotonic() - 100
        self._coming: list[str | End | None] = []

    def __call__(self, script: Script) -> None:
        script.on("GET /api/extra/version", json_answer(recorded("koboldcpp", "version")))
        script.on("GET /api/v1/model", lambda received: json_answer({"result": self.name}))
        script.on("GET /api/extra/true_max_context_length", json_answer({"value": 8192}))
        script.on("GET /api/extra/perf", self._perf)
        script.on("GET /api/admin/list_options", json_answer(self.options))
        script.on("POST /api/admin/reload_config", self._reload)
        script.on("POST /api/extra/tokencount", json_answer(recorded("koboldcpp", "counted")))
        for path, name in (("/v1/models", "models"), ("/api/v1/models", "models"), ("/api/tags", "tags")):
            script.on(f"GET {path}", json_answer(recorded("koboldcpp", name)))
        script.on("GET /props", json_answer(recorded("koboldcpp", "props")))
        script.on(CHAT, told("koboldcpp", "text"))

    def _perf(self, received: Received) -> Answer:
        if self._coming:
            step = self._coming.pop(0)
            if step is End.RESET:
                return Answer(early=(End.RESET,))
            if step is not None:
                self._began, self.name = time.monotonic(), step
        return json_answer(recorded("koboldcpp", "perf") | {"uptime": time.monotonic() - self._began})

    def _reload(self, received: Received) -> Answer:
        file = received.json["filename"]
        if file not in self.options:
            return json_answer({"success": False})
        after = self.makes.get(file, "koboldcpp/" + file.removesuffix(".gguf"))
        self._coming = [None, End.RESET, after]
        return json_answer({"success": True})


def koboldcpp_alone(script: Script) -> None:
    """Without ``--admin``: it has what it was started with."""
    KoboldCppServer(options=[])(script)
    script.on("GET /api/extra/version", json_answer(recorded("koboldcpp", "version") | {"admin": 0, "vision": False}))
