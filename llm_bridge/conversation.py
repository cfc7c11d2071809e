"""The history of a chat as a tree: entries point at what they answer, and a branch is the way from a leaf to its root.

Owns that tree and who speaks in it. Stores nothing and counts no tokens (`context`); front doors with a history of
their own and `agents` call it. Everything here takes time in proportion to the entries.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from llm_bridge.errors import BadInput
from llm_bridge.messages import Message

__all__ = ["Entry", "chain", "children", "labelled", "leaves", "summarised"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A message in its place. ``parent`` is the id of the entry it answers, ``label`` the name of who speaks.

    A ``summary`` stands for everything before it but the instructions. Of entries with one id the last counts.
    """

    id: str
    parent: str | None
    message: Message
    label: str | None = None
    summary: bool = False


def chain(entries: Iterable[Entry], leaf: str) -> tuple[Message, ...]:
    """The messages from the root to ``leaf``, named by their labels: its ancestors and nothing of other branches.

    A parent that is missing, and one that was visited before (a cycle), end the chain there. Of what came before the
    newest summary only messages of the role system are handed over; the summary itself becomes one.

    Raises: BadInput, if there is no entry ``leaf``.
    """
    by_id = {entry.id: entry for entry in entries}
    if leaf not in by_id:
        raise BadInput("There is no message with the id that the branch should end with.")
    found: list[Message] = []
    replaced = False
    for entry in _ancestors(by_id, leaf):
        if entry.summary and not replaced:
            found.append(summarised(entry.message.text))
            replaced = True
        elif not replaced or (entry.message.role == "system" and not entry.summary):
            found.append(replace(entry.message, name=entry.label or entry.message.name))
    return tuple(reversed(found))


def _ancestors(by_id: Mapping[str, Entry], leaf: str) -> Iterator[Entry]:
    """From the leaf upwards, itself first."""
    seen: set[str] = set()
    id: str | None = leaf
    while id is not None and id in by_id and id not in seen:
        seen.add(id)
        yield by_id[id]
        id = by_id[id].parent


def summarised(text: str) -> Message:
    """A summary as the model is told it."""
    return Message.system(f"Summary of the conversation so far:\n{text}")


def children(entries: Iterable[Entry]) -> dict[str | None, tuple[str, ...]]:
    """The ids that answer each entry, oldest first; more than one are branches. Roots are under None."""
    by_id = {entry.id: entry for entry in entries}
    found: dict[str | None, list[str]] = {}
    for entry in by_id.values():
        parent = entry.parent if entry.parent in by_id else None
        found.setdefault(parent, []).append(entry.id)
    return {parent: tuple(ids) for parent, ids in found.items()}


def leaves(entries: Iterable[Entry]) -> tuple[str, ...]:
    """The ids that nothing answers, oldest first: the ends of the branches."""
    entries = tuple(entries)
    answered = {entry.parent for entry in entries}
    return tuple(id for id in dict.fromkeys(entry.id for entry in entries) if id not in answered)


def labelled(messages: Iterable[Message], own: str | None = None) -> tuple[Message, ...]:
    """The messages as the agent ``own`` should see them, so that it can tell who says what.

    Where several speak in one role, each of their messages begins with "Name: ", since most chat templates never show
    the field ``name``, which is then empty. Turns of other agents become turns of users, without the tools they called
    and what they thought; user turns that then are neighbours become one, as many templates want turns to alternate.
    An assistant's message without a name is ``own``'s. Where nobody needs a label, nothing changes.
    """
    messages = tuple(messages)
    others = own is not None and any(_is_other(message, own) for message in messages)
    ours = tuple(_seen_by(own, messages)) if own is not None else messages
    for role in ("user", "assistant"):
        if len({message.name for message in ours if message.role == role}) > 1:
            ours = tuple(_prefixed(message) if message.role == role else message for message in ours)
    return tuple(_merged(ours)) if others else ours


def _is_other(message: Message, own: str) -> bool:
    return message.role == "assistant" and message.name not in (None, own)


def _seen_by(own: str, messages: Sequence[Message]) -> Iterator[Message]:
    theirs: set[str] = set()
    for message in messages:
        called = {call.id for call in message.tool_calls}
        if _is_other(message, own):
            theirs |= called
            if any(message.parts):
                yield Message("user", message.parts, name=message.name)
        elif message.role != "tool" or message.answers not in theirs:
            theirs -= called
            yield replace(message, name=None) if message.role == "assistant" else message


def _prefixed(message: Message) -> Message:
    if not any(message.parts):
        return replace(message, name=None)
    # One line, so that a name cannot look like another speaker.
    speaker = " ".join((message.name or message.role.capitalize()).split())
    return replace(message, parts=(f"{speaker}: ", *message.parts), name=None)


def _merged(messages: Sequence[Message]) -> Iterator[Message]:
    for (role, _), group in groupby(messages, key=lambda message: (message.role, message.name)):
        if role != "user":
            yield from group
            continue
        members = list(group)
        first, *others = [message for message in members if message.parts] or members[:1]
        joined = (part for message in others for part in ("\n\n", *message.parts))
        yield replace(first, parts=(*first.parts, *joined))
