"""What goes along the links between nodes: names and plain values, never an address or a key.

When a node fails, ComfyUI shows its inputs as text in the browser; so each says in a few words what it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from llm_bridge.compare import Prompt, Results, Variant

__all__ = ["ANY", "MOST_SEED", "Compared", "Models", "Parameters", "Prompts", "Provider"]


class _AnyType(str):
    """The type of a socket that everything can be linked to: ComfyUI asks whether two types differ."""

    def __ne__(self, other: object) -> bool:
        return False

    __hash__ = str.__hash__


ANY = _AnyType("*")

MOST_SEED = 2_000_000_000
"""Of the first answer: others count on from it, and some servers take a signed number of 32 bits."""


@dataclass(frozen=True, slots=True)
class Provider:
    """The server that is to answer, by its name; "" is any that has the model."""

    name: str = ""

    def __str__(self) -> str:
        return self.name or "any server"


@dataclass(frozen=True, slots=True)
class Models:
    """Models by name, as `server/model`."""

    names: tuple[str, ...]

    def __str__(self) -> str:
        return ", ".join(self.names)


@dataclass(frozen=True, slots=True, repr=False)
class Prompts:
    """What is asked. The names are unique."""

    prompts: tuple[Prompt, ...]

    def __str__(self) -> str:
        return f"{len(self.prompts)} prompts"

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Parameters:
    """The ways to ask. The names are unique."""

    variants: tuple[Variant, ...]

    def __str__(self) -> str:
        return ", ".join(variant.name or "as the server likes" for variant in self.variants)

    __repr__ = __str__


@dataclass(frozen=True, slots=True, repr=False)
class Compared:
    """The results of a comparison, and the id of the run folder that has them (`runs`)."""

    results: Results
    run: str

    def __str__(self) -> str:
        return f"{len(self.results.cells)} of {len(self.results.comparison)} cells"

    __repr__ = __str__
