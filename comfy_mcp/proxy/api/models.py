"""The shapes of `/api/v1`, with examples; the page of the API is made from them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, cast

from pydantic import BaseModel, ConfigDict, Field

from comfy_mcp.backends import Circuit, Member
from comfy_mcp.errors import ErrorRecord
from comfy_mcp.jobs import Asset, Job, JobState, Output
from comfy_mcp.store import Mode

__all__ = [
    "AssetOut",
    "BackendOut",
    "BackendsOut",
    "FailureOut",
    "JobIn",
    "JobOut",
    "JobsOut",
    "TemplateOut",
    "TemplatesOut",
    "described_body",
]

_MOST_LISTED = 500
"""Letters of a text in a list."""

_JOB = "3f0c1c6e8f4b4d0b9a52f2f4f3a0d9c1"


def described_body(model: type[BaseModel]) -> dict[str, Any]:
    """The body of a request for the page of the API, where the handler reads it itself, and more strictly."""
    schema = model.model_json_schema()
    parts: dict[str, Any] = schema.pop("$defs", {})
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _whole(schema, parts)}}}}


def _whole(schema: Any, parts: Mapping[str, Any]) -> Any:
    """With every part in its place: a reference would be looked for in the whole document."""
    match schema:
        case {"$ref": str() as name, **more}:
            return {**_whole(parts[name.rpartition("/")[2]], parts), **_whole(more, parts)}
        case dict():
            return {name: _whole(value, parts) for name, value in cast("dict[str, Any]", schema).items()}
        case list():
            return [_whole(value, parts) for value in cast("list[Any]", schema)]
        case _:
            return schema


class JobIn(BaseModel):
    """What to make."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"template": "txt2img", "values": {"prompt": "a lighthouse at dusk", "steps": 20}, "style": "cinematic"}
            ]
        },
    )
    template: Annotated[str, Field(max_length=64, description="Id of a template.")]
    values: Annotated[
        dict[str, Any], Field(default_factory=dict, description="Parameters; what is left out is default.")
    ]
    style: Annotated[str | None, Field(max_length=64, description="Id of a style preset.")] = None
    priority: Annotated[int, Field(ge=-10, le=10, description="-10 waits for all others, 10 goes first.")] = 0
    tags: Annotated[
        list[Annotated[str, Field(max_length=64)]],
        Field(default_factory=list[str], max_length=8, description="Only a backend with all of them runs it."),
    ]
    expires_in: Annotated[
        float | None, Field(gt=0, le=10**9, description="Seconds until it is given up when nothing could start it.")
    ] = None


class ProgressOut(BaseModel):
    """``fraction`` is 0..1 over the whole workflow; ``value`` of ``maximum`` are the steps of the node at work.

    Of a chat, ``node`` is loading, prompt, reasoning or text, ``value`` counts the pieces of the answer (of the
    prompt that is read, its tokens), ``text`` is what there is yet, in lists its last 500 characters.
    """

    fraction: float
    value: int
    maximum: int
    node: str
    text: str


class AssetOut(BaseModel):
    """A file that came out. ``bytes`` is its size; ``width`` and ``height`` are pixels, null for sound."""

    id: str
    url: str
    name: str
    mime: str
    width: int | None
    height: int | None
    bytes: int

    @classmethod
    def of(cls, asset: Asset, url: str) -> AssetOut:
        return cls(
            id=asset.id,
            url=url,
            name=asset.name,
            mime=asset.mime,
            width=asset.width,
            height=asset.height,
            bytes=asset.size,
        )


class OutputOut(BaseModel):
    """Text or data that a node reported. In lists a text is ``cut`` after 500 characters, and longer data is null."""

    node: str
    kind: str
    value: Any
    cut: bool = False

    @classmethod
    def of(cls, output: Output) -> OutputOut:
        return cls(node=output.node, kind=output.kind, value=output.value)

    @classmethod
    def short(cls, output: Output) -> OutputOut:
        """As it stands in a list."""
        told = output.value if isinstance(output.value, str) else json.dumps(output.value)
        if len(told) <= _MOST_LISTED:
            return cls.of(output)
        start = told[:_MOST_LISTED] if isinstance(output.value, str) else None
        return cls(node=output.node, kind=output.kind, value=start, cut=True)


class ErrorOut(BaseModel):
    """``code`` is stable; ``hint`` says what to do next; ``details`` may name the parameter or node."""

    code: str
    message: str
    hint: str
    details: dict[str, Any]

    @classmethod
    def of(cls, error: ErrorRecord) -> ErrorOut:
        return cls(code=error.code, message=error.message, hint=error.hint, details=error.details)


class FailureOut(BaseModel):
    error: ErrorOut


class JobOut(BaseModel):
    """A job. States: queued, running, then one of succeeded, failed, cancelled, expired.

    While it waits, ``position`` is how many start before it and ``starts_in`` about how many seconds that takes, null
    when nothing like it was measured yet. ``model`` is what must be loaded for it.
    """

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"id": _JOB, "state": "succeeded", "template": "txt2img"}]}
    )
    id: str
    state: JobState
    template: str
    style: str | None
    values: dict[str, Any]
    progress: ProgressOut
    assets: list[AssetOut]
    outputs: list[OutputOut]
    warnings: list[str]
    error: ErrorOut | None
    priority: int
    model: str
    backend: str | None
    attempts: int
    position: int | None
    starts_in: float | None
    created: datetime
    started: datetime | None
    finished: datetime | None

    @classmethod
    def of(cls, job: Job, urls: list[str], *, listed: bool = False) -> JobOut:
        """``listed``: among others, without long texts."""
        at = job.progress
        return cls(
            id=job.id,
            state=job.state,
            template=job.template,
            style=job.style,
            values=job.values,
            progress=ProgressOut(
                fraction=1.0 if job.state is JobState.SUCCEEDED else at.fraction,
                value=at.value,
                maximum=at.maximum,
                node=at.node,
                text=at.text[-_MOST_LISTED:] if listed else at.text,
            ),
            assets=[AssetOut.of(asset, url) for asset, url in zip(job.assets, urls, strict=True)],
            outputs=[OutputOut.short(output) if listed else OutputOut.of(output) for output in job.outputs],
            warnings=list(job.warnings),
            error=ErrorOut.of(job.error) if job.error else None,
            priority=job.priority,
            model=job.model,
            backend=job.backend,
            attempts=job.attempts,
            position=job.place.position if job.place else None,
            starts_in=job.place.starts_in if job.place else None,
            created=job.created,
            started=job.started,
            finished=job.finished,
        )


class JobsOut(BaseModel):
    """Newest first; ask again with ``before`` = ``next`` for older ones. Long texts are cut; one job alone has all."""

    jobs: list[JobOut]
    next: str | None


class BackendOut(BaseModel):
    """``mode``: active, paused or draining. ``circuit``: closed (well), open (left alone), half-open (on trial)."""

    name: str
    mode: Mode
    circuit: Circuit
    problem: str | None
    running: int
    concurrency: int
    tags: list[str]
    card: str

    @classmethod
    def of(cls, member: Member) -> BackendOut:
        failure, config = member.breaker.failure, member.config
        return cls(
            name=member.name,
            mode=member.mode,
            circuit=member.breaker.circuit,
            problem=str(failure) if failure else None,
            running=member.running,
            concurrency=config.concurrency,
            tags=sorted(config.tags),
            card=config.place,
        )


class BackendsOut(BaseModel):
    backends: list[BackendOut]


class TemplateOut(BaseModel):
    id: str
    title: str
    description: str


class TemplatesOut(BaseModel):
    """``problems`` are template folders that cannot be used, and why."""

    templates: list[TemplateOut]
    styles: list[dict[str, str]]
    problems: list[str]
