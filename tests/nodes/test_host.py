"""What the nodes reach of ComfyUI: one page is told, and without ComfyUI nothing is."""

from __future__ import annotations

import contextvars
import sys
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from comfy_nodes.host import Interrupted, Running, free_memory, interruption, output_folder, prompt_server, user_folder
from tests.nodes.calling import Page, Stopped

PROMPT = contextvars.ContextVar("PROMPT", default="none")


def test_of_texts_that_come_fast_the_first_and_the_last_are_shown(page: Page) -> None:
    running = Running("7")
    for length in range(1, 200):
        running.text("a" * length)
    running.text("a" * 200, last=True)
    assert page.texts[0] == "a" and page.texts[-1] == "a" * 200
    assert len(page.texts) < 5


def test_a_text_that_came_too_soon_is_shown_when_its_time_has_come(page: Page) -> None:
    running = Running("7")
    running.text("Waiting …")
    running.text("Loading …")
    running.catch_up()
    assert page.texts == ["Waiting …"]
    time.sleep(0.11)
    running.catch_up()
    running.catch_up()
    assert page.texts == ["Waiting …", "Loading …"]
    running.text("Text", last=True)
    running.catch_up(at_once=True)
    assert page.texts == ["Waiting …", "Loading …", "Text"]


def test_of_a_text_without_end_the_end_is_shown(page: Page) -> None:
    Running("7").text("a" * 30_000 + "the end", last=True)
    assert page.texts[0].endswith("the end") and len(page.texts[0]) == 20_000


def test_who_submits_without_a_page_is_told_nothing_and_so_is_everybody_else(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(page, "client_id", None)
    running = Running("7")
    monkeypatch.setattr(page, "client_id", "somebody else, who came later")
    running.text("secret", last=True)
    running.tell("event", {})
    assert page.texts == [] and page.events == []


def test_events_go_to_the_page_that_submitted(page: Page) -> None:
    Running("7").tell("comfyui-workbench.cells", {"done": 1})
    assert page.told("comfyui-workbench.cells") == [{"done": 1}]


def test_to_ask_whether_the_graph_is_to_stop_leaves_the_wish_for_comfyui(page: Page) -> None:
    running = Running("7")
    assert not running.interrupted
    page.interrupt()
    assert running.interrupted and running.interrupted and page.interrupted


def test_a_bar_that_takes_the_wish_to_stop_away_has_told_the_node(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        def __init__(self, total: int, node_id: str) -> None:
            pass

        def update_absolute(self, value: int, total: int) -> None:
            page.interrupted = False
            raise Stopped

    monkeypatch.setattr(sys.modules["comfy.utils"], "ProgressBar", Bar)
    running, other = Running("7"), Running("8")
    running.progress(1, 2)
    assert running.interrupted and not other.interrupted


def test_the_bar_moves_in_the_context_in_which_the_node_was_called(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    class Bar:
        def __init__(self, total: int, node_id: str) -> None:
            assert node_id == "7"

        def update_absolute(self, value: int, total: int) -> None:
            page.events.append((PROMPT.get(), {"at": (value, total)}))

    monkeypatch.setattr(sys.modules["comfy.utils"], "ProgressBar", Bar)
    token = PROMPT.set("this one")
    running = Running("7")
    PROMPT.reset(token)
    running.progress(5, 3)
    assert page.events == [("this one", {"at": (3, 3)})]


def test_the_prompt_that_runs_is_the_one_in_whose_context_the_node_was_called(
    page: Page, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert Running("7").prompt is None
    monkeypatch.setattr(page, "last_prompt_id", "the last", raising=False)
    assert Running("7").prompt == "the last"
    execution = ModuleType("comfy_execution.utils")
    contexts = iter([SimpleNamespace(prompt_id="this one"), None])
    vars(execution)["get_executing_context"] = lambda: next(contexts)
    monkeypatch.setitem(sys.modules, "comfy_execution.utils", execution)
    assert Running("7").prompt == "this one"
    assert Running("7").prompt == "the last"


def test_without_a_length_there_is_no_bar(page: Page) -> None:
    Running("7").progress(1, 0)
    Running(None).progress(1, 2)
    assert page.progress == []


def test_a_stopped_graph_is_told_to_comfyui_in_its_own_words(page: Page) -> None:
    assert isinstance(interruption(), Stopped)


def test_without_comfyui_nothing_is_told_and_nobody_interrupts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    running = Running(None)
    running.text("text", last=True)
    running.tell("event", {})
    running.progress(1, 2)
    free_memory()
    assert running.prompt is None
    assert not running.interrupted and prompt_server() is None and isinstance(interruption(), Interrupted)
    assert user_folder() == tmp_path / ".cache" / "comfyui-workbench"
    assert output_folder("temp") != output_folder("output")


def test_memory_is_freed_by_unloading_and_then_emptying_the_cache(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    done: list[str] = []
    management = sys.modules["comfy.model_management"]
    monkeypatch.setattr(management, "unload_all_models", lambda: done.append("unloaded"), raising=False)
    monkeypatch.setattr(management, "soft_empty_cache", lambda: done.append("emptied"), raising=False)
    free_memory()
    assert done == ["unloaded", "emptied"]


def test_folders_are_those_of_comfyui(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = ModuleType("folder_paths")
    told = {f"get_{name}_directory": lambda name=name: f"/comfy/{name}" for name in ("user", "temp", "output")}
    vars(paths).update(told)
    monkeypatch.setitem(sys.modules, "folder_paths", paths)
    monkeypatch.setitem(sys.modules, "server", SimpleNamespace())
    assert user_folder() == Path("/comfy/user/comfyui-workbench")
    assert (output_folder("temp"), output_folder("output")) == (Path("/comfy/temp"), Path("/comfy/output"))
    assert prompt_server() is None
