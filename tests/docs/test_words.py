"""Every tool, header, setting and variable that the pages name exists, and the pages find each other."""

from __future__ import annotations

import inspect
import re
import tomllib
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import pytest
import yaml

from comfy_mcp import callers
from comfy_mcp.profiles import PROFILES
from comfy_mcp.server import callers as chats
from comfy_mcp.server import prompts
from comfy_mcp.settings import Settings
from comfy_mcp.tools.catalogue import CATALOGUE_TOOLS
from comfy_mcp.tools.jobs import JOB_TOOLS
from comfy_mcp.tools.pictures import UPLOAD_IMAGE
from comfy_mcp.tools.presets import SAVE_PRESET
from comfy_mcp.tools.sweeps import SWEEP
from comfy_mcp.tools.templates import RUN_TEMPLATE
from comfy_mcp.workflows import shipped_folder
from tests.docs.pages import CLIENT_PAGES, CLIENTS, ROOT, blocks, servers

SKILL = ROOT / "skills" / "comfyui-workbench" / "SKILL.md"
AGENTS = [*sorted((ROOT / "docs" / "agents").glob("*.md")), SKILL]
PAGES = [CLIENTS / "README.md", *CLIENT_PAGES, *AGENTS]
GENERAL = (*JOB_TOOLS, *CATALOGUE_TOOLS, UPLOAD_IMAGE, SAVE_PRESET, SWEEP, RUN_TEMPLATE)
AROUND = {"prefix", "suffix", "negative", "style", "preset"}
FOREIGN = {
    "resource_link",
    "wrong_host",
    "wrong_origin",
    "token_missing",
    "token_unknown",
    "not_allowed",
    "too_many",
    "ephemeral_mcp",
    "auto",
}
"""Words of the protocol, of our HTTP answers, of LM Studio, and a value of a header."""
SHELL = {"key", "url", "headers", "command", "env", "args", "servers", "timeout", "serve", "stdio", "rmcp", "mcp"}
"""Plain words of configurations and commands."""
_TICKED = re.compile(r"(?<!`)`([^`\n]+)`(?!`)")


@cache
def parameters() -> frozenset[str]:
    manifests = [tomllib.loads(path.read_text()) for path in shipped_folder().glob("*/manifest.toml")]
    return frozenset(name for manifest in manifests for name in manifest["parameters"])


@cache
def tools() -> frozenset[str]:
    return frozenset(tool.name for tool in GENERAL) | {path.parent.name for path in shipped_folder().glob("*/*.toml")}


@cache
def known() -> frozenset[str]:
    arguments = {name for tool in GENERAL for name in tool.schema["properties"]}
    clients = {name for profile in PROFILES for name in (profile.name, *profile.known_as)}
    ours = {*Settings.model_fields, *re.findall(r'^    "(\w+)": _Prompt', inspect.getsource(prompts), re.MULTILINE)}
    return frozenset(tools() | parameters() | arguments | AROUND | clients | ours | {"unknown", "assets"})


def ticked(page: Path) -> list[str]:
    return _TICKED.findall(page.read_text())


def ids(pages: Iterable[Path]) -> list[str]:
    return [str(page.relative_to(ROOT)) for page in pages]


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=ids([*PAGES, ROOT / "README.md"]))
def test_every_variable_and_header_is_read_by_somebody(page: Path) -> None:
    text = page.read_text()
    settings = {name.upper() for name in Settings.model_fields} | {"SETTINGS"}
    assert {name for name in re.findall(r"\bWORKBENCH_([A-Z_]+)", text) if name not in settings} == set()
    personal = re.findall(r"\b(?:X-Comfy-([A-Z][A-Za-z-]+)|COMFY_([A-Z_]+))\b", text)
    named = {(header or variable).lower().replace("-", "_") for header, variable in personal}
    assert named - parameters() - AROUND == set()
    others = {name for name in re.findall(r"\bX-[A-Z][A-Za-z-]+\b", text) if not name.startswith("X-Comfy-")}
    read = inspect.getsource(callers) + inspect.getsource(chats)
    assert {name for name in others if name.lower() not in read and f"{name.lower()}-" not in read} == set()


@pytest.mark.parametrize("page", PAGES, ids=ids(PAGES))
def test_every_name_in_backticks_is_one_of_ours(page: Path) -> None:
    names = [word.partition(" = ")[0] for word in ticked(page)]
    plain = {name for name in names if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)*", name)}
    assert plain - known() - FOREIGN - SHELL == set()


@pytest.mark.parametrize("page", AGENTS, ids=ids(AGENTS))
def test_models_are_told_of_tools_by_their_names_alone(page: Path) -> None:
    plain = {name for name in ticked(page) if re.fullmatch(r"[a-z][a-z0-9_]*", name)}
    assert plain <= known()


@pytest.mark.parametrize("page", [*PAGES, ROOT / "README.md"], ids=ids([*PAGES, ROOT / "README.md"]))
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)(?:#[\w-]+)?\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_every_client_has_a_page_that_is_linked() -> None:
    overview = (CLIENTS / "README.md").read_text()
    assert all(f"]({page.name})" in overview for page in CLIENT_PAGES)
    assert len(CLIENT_PAGES) == len(PROFILES)
    for readme in (ROOT / "README.md", ROOT / "README.zh-CN.md"):
        assert "(docs/clients/README.md)" in readme.read_text()


def test_both_readmes_show_the_same_configurations() -> None:
    assert servers(ROOT / "README.md") == servers(ROOT / "README.zh-CN.md") != []


def test_the_overview_names_settings_and_commands_that_exist() -> None:
    rows = [word for word in ticked(CLIENTS / "README.md") if word.startswith("[locked")]
    assert rows == ['[locked."*"]', "[locked.txt2img]"]
    for row in rows:
        assert tomllib.loads(row) in ({"locked": {"*": {}}}, {"locked": {"txt2img": {}}})


def test_the_system_prompt_is_short_and_the_skill_well_formed() -> None:
    (prompt,) = (text for language, text in blocks(ROOT / "docs" / "agents" / "system-prompt.md") if language == "text")
    assert len(prompt.splitlines()) <= 60
    text = SKILL.read_text()
    assert len(text.splitlines()) <= 120
    _, front, _ = text.split("---\n", 2)
    told = yaml.safe_load(front)
    assert {*told} == {"name", "description"}
    assert told["name"] == SKILL.parent.name
    assert len(told["description"]) <= 1024
