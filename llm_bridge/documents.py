"""Attachments as context: texts that are framed so that a model can tell them from the question, and cannot be misled.

Owns the frame. Reads no files: whoever calls has made text of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from xml.sax.saxutils import escape

from llm_bridge.errors import BadInput
from llm_bridge.messages import Message

__all__ = ["MOST_CHARACTERS", "MOST_DOCUMENTS", "Document", "framed", "with_documents"]

MOST_DOCUMENTS = 64
MOST_CHARACTERS = 1_000_000
_LONGEST_SOURCE = 200

# Controls but tab and newline, halves of characters, what is no character, and the invisible letters of the tags
# block, which a model reads and a person cannot see.
_HIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f]")


@dataclass(frozen=True, slots=True)
class Document:
    """``source`` says where it comes from, for the model to refer to: a file's name or a title."""

    source: str
    content: str


def framed(documents: Sequence[Document]) -> str:
    """The documents in XML, in their order, numbered from 1. Nothing in them can close the frame.

    Raises: BadInput, if they are more than `MOST_DOCUMENTS` or longer than `MOST_CHARACTERS` together.
    """
    if len(documents) > MOST_DOCUMENTS:
        raise BadInput(f"{len(documents)} documents are too many.", hint=f"Attach at most {MOST_DOCUMENTS}.")
    characters = sum(len(document.content) for document in documents)
    if characters > MOST_CHARACTERS:
        longest = max(documents, key=lambda document: len(document.content))
        raise BadInput(
            f'The documents have {characters} characters, most of them in "{_cleaned(longest.source, 80)}".',
            hint=f"Attach at most {MOST_CHARACTERS} characters.",
        )
    inner = "\n".join(_document(n, document) for n, document in enumerate(documents, 1))
    return f"<documents>\n{inner}\n</documents>"


def _document(index: int, document: Document) -> str:
    source = " ".join(_cleaned(document.source, _LONGEST_SOURCE).split())
    return (
        f'<document index="{index}">\n<source>{escape(source)}</source>\n'
        f"<content>\n{escape(_cleaned(document.content))}\n</content>\n</document>"
    )


def _cleaned(text: str, longest: int | None = None) -> str:
    return _HIDDEN.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))[:longest]


def with_documents(messages: Iterable[Message], documents: Sequence[Document]) -> tuple[Message, ...]:
    """The messages with the documents in front of the last question, where models make most of them.

    Raises: BadInput, as `framed` does, and if no user asks anything.
    """
    messages = list(messages)
    if not documents:
        return tuple(messages)
    asked = [n for n, message in enumerate(messages) if message.role == "user"]
    if not asked:
        raise BadInput("There are documents but no question.", hint="Add a message of the role user.")
    question = messages[asked[-1]]
    messages[asked[-1]] = replace(question, parts=(f"{framed(documents)}\n\n", *question.parts))
    return tuple(messages)
