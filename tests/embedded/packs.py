"""A small pack of custom nodes, as somebody would write it for ComfyUI, and folders with it for the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

__all__ = ["BROKEN", "node", "written"]

BROKEN = "raise RuntimeError('this pack does not load')\n"

INIT = """
from .nodes import NODE_CLASS_MAPPINGS, NODE_DISPLAY_NAME_MAPPINGS
from . import pages

WEB_DIRECTORY = "./web"
__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS", "WEB_DIRECTORY"]
"""

PAGES = """
from aiohttp import web
from server import PromptServer

from .nodes import NOTES

routes = PromptServer.instance.routes

@routes.get("/pack/notes")
async def notes(request):
    return web.json_response({"notes": NOTES, "of": request.query.get("of", "")}, headers={"X-Pack": "yes"})

@routes.post("/pack/echo/{name}")
async def echo(request):
    return web.Response(text=f"{request.match_info['name']}: {(await request.json())['text']}", status=201)

@routes.get("/pack/missing")
async def missing(request):
    raise web.HTTPNotFound(text="nothing here")
"""

NODES = '''
import asyncio
import time

import comfy.model_management
import comfy.utils
from server import PromptServer

NOTES = []


class AnyType(str):
    def __ne__(self, other):
        return False


ANY = AnyType("*")


class Words:
    CATEGORY, RETURN_TYPES, OUTPUT_IS_LIST, FUNCTION = "test", ("STRING", "INT"), (True, False), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {"default": ""})}}

    def run(self, text):
        return text.split(","), len(text)


class Later:
    """Waits, and tells when it began and when it ended."""
    CATEGORY, RETURN_TYPES, FUNCTION = "test", ("STRING",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {}), "seconds": ("FLOAT", {"default": 0.2})},
                "optional": {"after": (ANY,)}}

    async def run(self, text, seconds, after=None):
        began = time.monotonic()
        try:
            await asyncio.sleep(seconds)
        except asyncio.CancelledError:
            NOTES.append(f"{text} was cancelled")
            raise
        if text == "bad":
            raise ValueError("that is bad")
        return {"ui": {"spans": [[began, time.monotonic()]]}, "result": (text.upper(),)}


class Now:
    """Works at once; fails for `bad`."""
    CATEGORY, RETURN_TYPES, FUNCTION = "test", ("STRING",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}, "optional": {"thing": (ANY,), "suffix": ("STRING", {})}}

    def run(self, text, thing=None, suffix=""):
        if text == "bad":
            raise ValueError("that is bad")
        return {"ui": {"at": [time.monotonic()]}, "result": (text + suffix,)}


class Thing:
    CATEGORY, RETURN_TYPES, FUNCTION = "test", (ANY,), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    def run(self, text):
        return ({text},)


class Join:
    CATEGORY, RETURN_TYPES, FUNCTION, INPUT_IS_LIST = "test", ("STRING",), "run", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"texts": ("STRING", {"forceInput": True}), "by": ("STRING", {})}}

    def run(self, texts, by):
        return (by[0].join(texts),)


class Show:
    CATEGORY, RETURN_TYPES, FUNCTION, OUTPUT_NODE = "test", (), "run", True

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"anything": (ANY,)}, "hidden": {"node": "UNIQUE_ID", "graph": "PROMPT"}}

    def run(self, anything, node, graph):
        return {"ui": {"text": [str(anything)], "node": [node], "class": [graph[node]["class_type"]]}}


class Polls:
    CATEGORY, RETURN_TYPES, FUNCTION = "test", ("STRING",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    async def run(self, text):
        NOTES.append("polling")
        while not comfy.model_management.processing_interrupted():
            await asyncio.sleep(0.02)
        raise comfy.model_management.InterruptProcessingException()


class Tells:
    CATEGORY, RETURN_TYPES, FUNCTION = "test", ("STRING",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}, "hidden": {"node": "UNIQUE_ID"}}

    async def run(self, text, node):
        await asyncio.to_thread(self.tell, text, node, PromptServer.instance.client_id)
        return (text,)

    def tell(self, text, node, client):
        PromptServer.instance.send_progress_text(text, node, client)
        PromptServer.instance.send_sync("pack.told", {"text": text}, client)
        comfy.utils.ProgressBar(4).update(3)
        comfy.utils.ProgressBar(5, node_id=node).update_absolute(9)


class Checked:
    CATEGORY, RETURN_TYPES, FUNCTION = "test", ("STRING",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"model": (["known"],), "count": ("INT", {"min": 1})},
                "optional": {"linked": ("STRING", {"forceInput": True})}}

    @classmethod
    async def VALIDATE_INPUTS(cls, model, linked=None):
        await asyncio.sleep(0)
        return True if model != "no" else f"there is no {model}, and the link is {linked}"

    @classmethod
    async def IS_CHANGED(cls, model, count, linked="absent"):
        NOTES.append(f"{model} {count} {linked}")
        return float("nan") if model == "fresh" else model

    def run(self, model, count, linked=""):
        return (f"{model}{count}{linked}",)


class Leaves:
    """Ends in the ways that are no exception of the ordinary kind."""
    CATEGORY, RETURN_TYPES, FUNCTION = "test", ("STRING",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"how": ("STRING", {})}}

    async def run(self, how):
        if how == "cancel":
            asyncio.current_task().cancel()
        if how != "exit":
            await asyncio.sleep(0.01)
        raise SystemExit(how)


class Asks:
    """Which prompt it is called for, as ComfyUI knows it there and in another thread."""
    CATEGORY, RETURN_TYPES, FUNCTION = "test", ("STRING",), "run"

    @classmethod
    def INPUT_TYPES(cls):
        return {"required": {"text": ("STRING", {})}}

    async def run(self, text):
        from comfy_execution.utils import get_executing_context

        await asyncio.sleep(0.01)
        here, there = get_executing_context(), await asyncio.to_thread(get_executing_context)
        last = PromptServer.instance.last_prompt_id
        return {"ui": {"asked": [[*here], [*there], last]}, "result": (text,)}


_ALL = (Words, Later, Now, Thing, Join, Show, Polls, Tells, Checked, Leaves, Asks)
NODE_CLASS_MAPPINGS = {f"Test{cls.__name__}": cls for cls in _ALL}
NODE_DISPLAY_NAME_MAPPINGS = {"TestWords": "Words of a Text"}
'''


def node(cls: str, **inputs: Any) -> dict[str, Any]:
    """A node of the pack in a graph."""
    return {"class_type": f"Test{cls}", "inputs": inputs}


def written(folder: Path) -> Path:
    """The pack, laid out in a new folder."""
    (folder / "web").mkdir(parents=True)
    (folder / "web/pack.js").write_text("export {}\n")
    for name, text in (("__init__", INIT), ("nodes", NODES), ("pages", PAGES)):
        (folder / f"{name}.py").write_text(text)
    return folder
