"""What a person types after `--` in a message to a workflow: `a red house --steps 30 --style anime`.

Owns this little language; what a value may be the template says. A text goes on to the next option or the end of its
line, anything else is one word; quotes hold together what has to be. What stands before, between and after is the
prompt.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from comfy_mcp.errors import InvalidParameter, TooLarge, nearest
from comfy_mcp.workflows import Template

__all__ = ["Options", "options_in", "wants_new", "without_options"]

# Some keyboards make a dash of two hyphens.
_OPTION = re.compile(r"(?<!\S)(?:--|[—–])([A-Za-z][\w-]*)", re.ASCII)
# Strangers write the messages: nothing here may try the same letters again and again.
_GAP = r"[ \t]*+(?:=[ \t]*+)?"
_QUOTED = re.compile(_GAP + r"(?:\"([^\"]{0,2000})\"|“([^”]{0,2000})”|'([^'\n]{0,2000})'(?!\S))")
_WORD = re.compile(_GAP + r"(?!(?:--|[—–])[A-Za-z])(\S+)")
_REST = re.compile(_GAP + r"((?:(?!\s(?:--|[—–])[A-Za-z]).)*)")
_FLAG = re.compile(_GAP + r"(true|false|on|off|yes|no)(?!\S)", re.IGNORECASE)
_NEW = re.compile(r"(?<!\S)(?:--|[—–])new(?!\S)", re.IGNORECASE)
_OURS = ("help", "new", "preset", "style")
_MOST_LETTERS = 100_000


@dataclass(slots=True)
class Options:
    """``prompt`` is the message without its options; ``values`` are by parameter, as they were typed."""

    prompt: str = ""
    values: dict[str, Any] = field(default_factory=dict[str, Any])
    style: str | None = None
    preset: str | None = None
    help: bool = False


def wants_new(text: str) -> bool:
    """Whether the message asks for another picture instead of a change of the last one."""
    return _NEW.search(text) is not None


def without_options(text: str) -> str:
    """The words of a message before its options."""
    found = _OPTION.search(text)
    return (text if found is None else text[: found.start()]).strip()


def options_in(text: str, template: Template) -> Options:
    """The message read for a template.

    Raises:
        InvalidParameter: an option that the template does not have, or one without its value.
        TooLarge: more than 100 000 characters.
    """
    if len(text) > _MOST_LETTERS:
        raise TooLarge(f"The message has {len(text)} characters.", hint=f"Write at most {_MOST_LETTERS}.")
    options, prompt, at = Options(), list[str](), 0
    while found := _OPTION.search(text, at):
        prompt.append(text[at : found.start()].strip())
        at = _taken(options, found[1].lower(), text, found.end(), template)
    prompt.append(text[at:].strip())
    options.prompt = " ".join(part for part in prompt if part)
    return options


def _taken(options: Options, typed: str, text: str, at: int, template: Template) -> int:
    """Takes one option with its value, and says where that ends."""
    name = typed.replace("-", "_")
    if name in ("help", "new"):
        options.help = options.help or name == "help"
        return at
    parameter = template.parameters.get(name)
    if parameter is not None and parameter.type == "bool":
        flag = _FLAG.match(text, at)
        options.values[name] = flag[1] if flag else True
        return flag.end() if flag else at
    off = template.parameters.get(name.removeprefix("no_"))
    if parameter is None and off is not None and off.type == "bool" and name.startswith("no_"):
        options.values[name.removeprefix("no_")] = False
        return at
    style = name == "style" and template.takes_style
    if parameter is None and not style and name != "preset":
        raise _unknown(typed, name, template)
    found = _QUOTED.match(text, at) or (_REST if parameter and parameter.type == "text" else _WORD).match(text, at)
    value = next((group for group in found.groups() if group is not None), "") if found else ""
    if found is None or not value.strip():
        raise InvalidParameter(name, f"`--{typed}` has no value.", hint=f"Write it after a space: `--{typed} …`.")
    if name in ("style", "preset"):
        setattr(options, name, value)
    else:
        options.values[name] = value.strip()
    return found.end()


def _unknown(typed: str, name: str, template: Template) -> InvalidParameter:
    known = [*template.parameters, *(each for each in _OURS if each != "style" or template.takes_style)]
    near = ", ".join(f"`--{each}`" for each in nearest(name[:64], known))
    hint = f"Near it: {near}." if near else "`--help` lists what there is."
    return InvalidParameter(name[:64], f"`{template.id}` has no `--{typed[:64]}`.", hint=hint)
