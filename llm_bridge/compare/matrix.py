"""What is compared with what: models × prompts × variants × repeats, each a cell with a key of its own.

Owns the meaning of a cell and its key. Neither runs it (`run`) nor keeps it (`folder`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from itertools import product
from typing import Any

from llm_bridge.chat import ChatRequest, Sampling
from llm_bridge.compare.keys import key_of
from llm_bridge.errors import BadInput
from llm_bridge.messages import Image, Message

__all__ = ["MOST_CELLS", "Cell", "Comparison", "Prompt", "Variant"]

MOST_CELLS = 10_000


@dataclass(frozen=True, slots=True)
class Prompt:
    """One thing to ask. ``name`` is its label, unique in a comparison; ``expected`` is what the judge is told.

    ``digests`` are the SHA-256 of the images: reckoned once here, as every cell needs them for its key.
    """

    name: str
    text: str
    system: str = ""
    images: tuple[Image, ...] = ()
    expected: str = ""
    digests: tuple[str, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        digests = tuple(hashlib.sha256(image.data).hexdigest() for image in self.images)
        object.__setattr__(self, "digests", digests)


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to ask: sampling and the like. ``system`` replaces that of the prompt when it is not empty."""

    name: str = ""
    sampling: Sampling = field(default_factory=Sampling)
    system: str = ""
    think: bool | None = None
    schema: Mapping[str, Any] | None = None
    extra: Mapping[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True, slots=True)
class Cell:
    """One model asked one prompt in one way, for the ``repeat``-th time (from 0)."""

    model: str
    prompt: Prompt
    variant: Variant
    repeat: int = 0

    @property
    def request(self) -> ChatRequest:
        """What the server is asked. Repeats with a seed get one seed after the other, so that they can differ."""
        system = self.variant.system or self.prompt.system
        messages = (Message.user(self.prompt.text, self.prompt.images),)
        sampling = self.variant.sampling
        if sampling.seed is not None:
            sampling = replace(sampling, seed=sampling.seed + self.repeat)
        return ChatRequest(
            self.model,
            (Message.system(system), *messages) if system else messages,
            sampling,
            schema=self.variant.schema,
            think=self.variant.think,
            extra=self.variant.extra,
        )

    @property
    def key(self) -> str:
        """What stands for everything that may change the answer, and for the repeat."""
        prompt, variant = self.prompt, self.variant
        asked = {
            "model": self.model,
            "text": prompt.text,
            "system": variant.system or prompt.system,
            "images": prompt.digests,
            "sampling": asdict(variant.sampling),
            "think": variant.think,
            "schema": variant.schema,
            "extra": dict(variant.extra),
            "repeat": self.repeat,
        }
        return key_of(asked)

    @property
    def place(self) -> tuple[str, str, int, str]:
        """Where it stands in the matrix."""
        return self.prompt.name, self.variant.name, self.repeat, self.model

    @property
    def label(self) -> str:
        """Which cell this is, for people."""
        parts = (self.model, self.prompt.name, self.variant.name, f"#{self.repeat + 1}" if self.repeat else "")
        return " · ".join(part for part in parts if part)


@dataclass(frozen=True, slots=True)
class Comparison:
    """The whole matrix. ``models`` are names as the router takes them: `model`, or `server/model`."""

    models: tuple[str, ...]
    prompts: tuple[Prompt, ...]
    variants: tuple[Variant, ...] = (Variant(),)
    repeats: int = 1

    def __post_init__(self) -> None:
        for what, names in (
            ("model", self.models),
            ("prompt", [prompt.name for prompt in self.prompts]),
            ("variant", [variant.name for variant in self.variants]),
        ):
            if not names:
                raise BadInput(f"There is no {what} to compare.", hint=f"Give at least one {what}.")
            if len({*names}) < len(names):
                raise BadInput(f"Two of the {what}s have the same name.", hint="Give each a name of its own.")
        if not 1 <= self.repeats <= 100:
            raise BadInput("The number of repeats is out of range.", hint="Give 1 to 100.")
        if len(self) > MOST_CELLS:
            raise BadInput(f"That is {len(self)} cells.", hint=f"Compare at most {MOST_CELLS} at once.")

    def __len__(self) -> int:
        return len(self.models) * len(self.prompts) * len(self.variants) * self.repeats

    @property
    def cells(self) -> tuple[Cell, ...]:
        """Prompt by prompt, each by variant, repeat and model: as they are read, side by side."""
        rows = product(self.prompts, self.variants, range(self.repeats))
        return tuple(Cell(model, prompt, variant, repeat) for prompt, variant, repeat in rows for model in self.models)

    @property
    def keyed(self) -> Mapping[str, tuple[Cell, ...]]:
        """The cells by key, in the order they are best asked: model by model. Cells that ask the same share a key."""
        keyed: dict[str, tuple[Cell, ...]] = {}
        for model in self.models:
            for prompt, variant, repeat in product(self.prompts, self.variants, range(self.repeats)):
                cell = Cell(model, prompt, variant, repeat)
                key = cell.key
                keyed[key] = (*keyed.get(key, ()), cell)
        return keyed
