"""The plain types that every layer speaks: a request, the bound graph, the job, its progress and what came out.

Owns no behaviour beyond reading itself. Imports only ``errors`` and the bridge's forecast; everyone may import it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from comfy_mcp.errors import ErrorRecord
from llm_bridge.forecast import Place

__all__ = [
    "FILE",
    "GRAPH",
    "Asset",
    "BoundWorkflow",
    "File",
    "Graph",
    "Job",
    "JobRequest",
    "JobState",
    "Output",
    "Picture",
    "Preset",
    "Progress",
    "Result",
    "Run",
    "Upload",
]

Graph = dict[str, dict[str, Any]]
"""A ComfyUI API-format graph: node id → ``{"class_type": str, "inputs": {name: literal or [node id, slot]}}``."""


GRAPH = "graph"
"""What stands in the place of a template's id in a job of a graph that somebody sent."""

FILE = "file"
"""The kind of an output of such a job: the asset that a node made."""


class JobState(StrEnum):
    """Each state has one meaning; the store alone moves a job from one to the next."""

    QUEUED = "queued"
    """On disk, nobody works on it."""
    RUNNING = "running"
    """One attempt holds it; that attempt's id is the ComfyUI prompt_id."""
    SUCCEEDED = "succeeded"
    """Terminal: every listed asset is stored, complete and hashed."""
    FAILED = "failed"
    """Terminal: ``error`` says why and what to do."""
    CANCELLED = "cancelled"
    """Terminal: the person stopped it."""
    EXPIRED = "expired"
    """Terminal: its time ran out before anybody could start it."""

    @property
    def terminal(self) -> bool:
        return self not in (JobState.QUEUED, JobState.RUNNING)


@dataclass(frozen=True, slots=True)
class JobRequest:
    """What a front door asks for. ``values`` are as the person gave them: not yet validated.

    ``priority`` is -10 to 10. Only a backend with all ``tags`` runs it. ``expires_in`` is seconds until it is given up
    when nobody could start it, None for the setting's. ``standing`` is what the person sends with every call, as text
    by parameter. ``preset`` names one of the owner's; ``default_preset`` takes the one that stands for none. What is
    ``free`` is left to the call by all but the administrator: a sweep goes over it. ``drawn`` is the seed where one is
    to be drawn. ``asked`` are the values as they came, where pictures in them were stored since.
    """

    template: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    style: str | None = None
    owner: str = "local"
    priority: int = 0
    tags: tuple[str, ...] = ()
    expires_in: float | None = None
    standing: Mapping[str, str] = field(default_factory=dict[str, str])
    preset: str | None = None
    default_preset: bool = False
    free: frozenset[str] = frozenset()
    drawn: int | None = None
    asked: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Preset:
    """A person's settings for one template. ``prefix``, ``suffix`` and ``negative`` go around every prompt."""

    template: str
    name: str
    values: Mapping[str, Any] = field(default_factory=dict[str, Any])
    style: str | None = None
    prefix: str = ""
    suffix: str = ""
    negative: str = ""
    default: bool = False


@dataclass(frozen=True, slots=True)
class Upload:
    """A picture that must be in ComfyUI before the graph runs.

    ``asset`` is an asset id; ``inputs`` are the ``(node id, input)`` places that receive the name ComfyUI gave it.
    """

    asset: str
    inputs: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class BoundWorkflow:
    """A graph with every value in its place, ready for ComfyUI but for its uploads.

    ``values`` are the validated parameters, defaults and drawn seed included. ``parameters`` maps
    ``"<node id>.<input>"`` to the parameter bound there, so that a failure names what the person can change.
    ``keep_in_comfyui`` leaves the saving nodes as they are, so that the files also land in ComfyUI's output folder.
    ``timeout`` is seconds for one run, None for the setting's. ``chat`` is what a language model is asked (`texts`);
    there is no graph then.
    """

    graph: Graph
    values: dict[str, Any]
    uploads: tuple[Upload, ...] = ()
    parameters: dict[str, str] = field(default_factory=dict[str, str])
    keep_in_comfyui: bool = False
    capture: str = "preview"
    timeout: float | None = None
    warnings: tuple[str, ...] = ()
    chat: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Progress:
    """How far the running attempt is.

    ``fraction`` is 0..1 over the whole graph, cached nodes included; ``value`` of ``maximum`` are the steps of the
    node at work. ``text`` is what a language model has written so far. ``preview`` is a small encoded picture and is
    never stored.
    """

    fraction: float = 0.0
    value: int = 0
    maximum: int = 0
    node: str = ""
    text: str = ""
    preview: bytes | None = None


@dataclass(frozen=True, slots=True)
class Asset:
    """Something that came out of a job, or that a person uploaded. The id is opaque; the bytes are content-addressed.

    ``key`` is its address in the sink and never leaves the process; ``name`` is what a download is called. ``width``
    and ``height`` are pixels, None for sound and for video that we do not decode; ``size`` is bytes.
    """

    id: str
    key: str
    sha256: str
    mime: str
    size: int
    name: str
    width: int | None = None
    height: int | None = None


@dataclass(frozen=True, slots=True)
class Output:
    """Text or data that a node reported (`ui` outputs that are not files)."""

    node: str
    kind: str
    value: Any


@dataclass(frozen=True, slots=True)
class Picture:
    """An input picture: a file name for its suffix, and its bytes."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Run:
    """One attempt as a backend gets it. ``prompt_id`` is ours; ``images`` are by asset id; ``timeout`` is seconds."""

    prompt_id: str
    bound: BoundWorkflow
    images: Mapping[str, Picture] = field(default_factory=dict[str, Picture])
    timeout: float = 1800.0


@dataclass(frozen=True, slots=True)
class File:
    """A file that came out. ``kind`` is image, video, audio, model or other; ``data`` are its bytes."""

    node: str
    kind: str
    filename: str
    mime: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Result:
    """What an attempt made: all files, fetched, and everything that is no file."""

    files: tuple[File, ...]
    outputs: tuple[Output, ...]


@dataclass(frozen=True, slots=True)
class Job:
    """One job as the store has it. Times are wall-clock UTC and for display only; deadlines are monotonic.

    ``attempt`` is the ComfyUI prompt_id of the latest run and ``attempts`` how many were begun; ``token`` is the
    fencing token under which its results count; ``takeovers`` is how many dispatchers ended while it ran. ``place`` is
    where it stands in the queue, as far as that was looked up.
    """

    id: str
    owner: str
    template: str
    style: str | None
    bound: BoundWorkflow
    state: JobState
    created: datetime
    attempt: str | None = None
    attempts: int = 0
    started: datetime | None = None
    finished: datetime | None = None
    progress: Progress = Progress()
    assets: tuple[Asset, ...] = ()
    outputs: tuple[Output, ...] = ()
    error: ErrorRecord | None = None
    warnings: tuple[str, ...] = ()
    priority: int = 0
    model: str = ""
    backend: str | None = None
    token: int = 0
    takeovers: int = 0
    place: Place | None = None

    @property
    def values(self) -> dict[str, Any]:
        return self.bound.values

    def at(self, progress: Progress) -> Job:
        """The same job while it runs, this far."""
        return replace(self, state=JobState.RUNNING, progress=progress)
