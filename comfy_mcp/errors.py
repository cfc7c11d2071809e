"""Every error the workbench raises on purpose; nothing else may leave the process.

Owns the tree, the stable codes and the HTTP status of each. Knows no other module; everyone may raise from it.

    WorkbenchError
    ├── BadRequest               the caller can mend it; sending it again unchanged cannot help
    │   ├── InvalidParameter     a value outside its type or range, or an unknown parameter
    │   ├── InvalidImage         bytes that are no picture we accept
    │   ├── TooLarge             a body, a text or a picture over a limit
    │   ├── UnsupportedType      a body that is not sent as what is read there
    │   ├── NotFound             no such template, style, job or asset
    │   ├── NotAllowed           the token, or the settings, do not let the caller do it
    │   └── Conflict             an idempotency key used for another request
    ├── TemplateError            a template folder that cannot be used
    │   └── ConversionError      a workflow file that cannot become a template
    ├── BackendError             ComfyUI could not make it
    │   ├── BackendUnavailable   it does not answer (retried until the job's deadline)
    │   ├── BackendLost          it restarted and forgot the job (run again, a bounded number of times)
    │   ├── WorkflowRejected     it refused the graph
    │   │   ├── MissingNode      a node class it does not have
    │   │   └── MissingModel     a model file or choice it does not have
    │   ├── ExecutionFailed      a node raised
    │   │   └── OutOfMemory      a node ran out of memory
    │   ├── Interrupted          somebody else stopped the job
    │   ├── TimedOut             it took longer than the job may
    │   └── OutputUnreadable     it finished, but what it made cannot be read
    ├── StorageUnavailable       our own disk, database or bucket refuses
    │   └── DatabaseUnavailable  the job database does
    ├── Overloaded               our own queue is full; the detail ``retry_after`` is seconds
    ├── PoisonJob                the workbench ended each time it worked on the job
    ├── SettingsError            a setting that cannot be used
    └── InternalError            a defect of ours; details are in the log only
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self

__all__ = [
    "BackendError",
    "BackendLost",
    "BackendUnavailable",
    "BadRequest",
    "Conflict",
    "ConversionError",
    "DatabaseUnavailable",
    "ErrorRecord",
    "ExecutionFailed",
    "InternalError",
    "Interrupted",
    "InvalidImage",
    "InvalidParameter",
    "MissingModel",
    "MissingNode",
    "NotAllowed",
    "NotFound",
    "OutOfMemory",
    "OutputUnreadable",
    "Overloaded",
    "PoisonJob",
    "SettingsError",
    "StorageUnavailable",
    "TemplateError",
    "TimedOut",
    "TooLarge",
    "UnsupportedType",
    "WorkbenchError",
    "WorkflowRejected",
    "failure_of",
    "nearest",
]


_OUR_NODES = "Workbench"
"""What the class names of our own node pack begin with."""
_INSTALL = "comfy-workbench install-nodes COMFYUI_FOLDER"


@dataclass(frozen=True, slots=True)
class ErrorRecord:
    """An error as stored with a job and shown by every front door.

    ``code`` is stable, ``message`` says what happened, ``hint`` what to do next. ``details`` holds JSON values
    only, such as ``{"parameter": "steps", "node": "3"}``.
    """

    code: str
    message: str
    hint: str = ""
    details: dict[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()


class WorkbenchError(Exception):
    """Base of the tree. ``details`` are shown to the caller: never put a path or a secret into them."""

    code: ClassVar[str] = "workbench_error"
    status: ClassVar[int] = 500

    def __init__(self, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.details = {name: value for name, value in details.items() if value is not None}

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    @property
    def record(self) -> ErrorRecord:
        return ErrorRecord(self.code, self.message, self.hint, self.details)


class BadRequest(WorkbenchError):
    code = "bad_request"
    status = 400


class InvalidParameter(BadRequest):
    """``parameter`` in the details names the one that was refused."""

    code = "invalid_parameter"
    status = 422

    def __init__(self, parameter: str, message: str, *, hint: str = "", **details: Any) -> None:
        super().__init__(message, hint=hint, parameter=parameter, **details)
        self.parameter = parameter


class InvalidImage(BadRequest):
    code = "invalid_image"
    status = 422


class TooLarge(BadRequest):
    code = "too_large"
    status = 413


class UnsupportedType(BadRequest):
    code = "unsupported_type"
    status = 415


class NotFound(BadRequest):
    code = "not_found"
    status = 404


class NotAllowed(BadRequest):
    code = "not_allowed"
    status = 403


class Conflict(BadRequest):
    code = "idempotency_conflict"
    status = 409


class TemplateError(WorkbenchError):
    code = "template_error"
    status = 422


class ConversionError(TemplateError):
    code = "conversion_error"


class BackendError(WorkbenchError):
    code = "backend_error"
    status = 502


class BackendUnavailable(BackendError):
    code = "backend_unavailable"
    status = 503


class BackendLost(BackendError):
    code = "backend_lost"


class WorkflowRejected(BackendError):
    """``details``: node (id), node_class, input and, where one is bound there, parameter."""

    code = "workflow_rejected"
    status = 422


class MissingNode(WorkflowRejected):
    """``details`` are of the first class that is missing, and nearest: names that may have been meant."""

    code = "missing_node"

    @classmethod
    def of(cls, names: Sequence[str], known: Iterable[str] = (), **details: Any) -> Self:
        """For these classes; says how to get them, and which of the ``known`` ones are near a single one."""
        ours = [name for name in names if name.startswith(_OUR_NODES)]
        alike = nearest(names[0], known) if len(names) == 1 and not ours else []
        steps = [f"Nearest: {', '.join(alike)}."] if alike else []
        if ours:
            steps.append(f"Install our nodes with: {_INSTALL}. Then restart ComfyUI.")
        if len(ours) < len(names):
            which = "it" if len(names) == 1 else "the others" if ours else "them"
            steps.append(f"Install the node pack that brings {which}, then restart ComfyUI.")
        told = "has no node" if len(names) == 1 else "lacks the nodes"
        message = f"ComfyUI {told} {', '.join(map(repr, names))}."
        return cls(message, hint=" ".join(steps), node_class=names[0], nearest=alike, **details)


class MissingModel(WorkflowRejected):
    code = "missing_model"


class ExecutionFailed(BackendError):
    """``details``: node (id), node_class and the exception type ComfyUI reported."""

    code = "execution_failed"


class OutOfMemory(ExecutionFailed):
    code = "out_of_memory"


class Interrupted(BackendError):
    code = "interrupted"


class TimedOut(BackendError):
    code = "timed_out"
    status = 504


class OutputUnreadable(BackendError):
    code = "output_unreadable"


class StorageUnavailable(WorkbenchError):
    code = "storage_unavailable"
    status = 507


class DatabaseUnavailable(StorageUnavailable):
    code = "database_unavailable"


class Overloaded(WorkbenchError):
    code = "overloaded"
    status = 429


class PoisonJob(WorkbenchError):
    code = "poison_job"


class SettingsError(WorkbenchError):
    code = "settings_error"


class InternalError(WorkbenchError):
    code = "internal_error"

    def __init__(self) -> None:
        super().__init__("The workbench hit a defect of its own.", hint="The log of the workbench has the details.")


def failure_of(record: ErrorRecord) -> WorkbenchError:
    """The error that a record was made of, to raise it anew."""
    kinds = [WorkbenchError]
    for kind in kinds:
        kinds += kind.__subclasses__()
    found = next((kind for kind in kinds if kind.code == record.code), WorkbenchError)
    failure = found.__new__(found)
    WorkbenchError.__init__(failure, record.message, hint=record.hint, **record.details)
    if isinstance(failure, InvalidParameter):
        failure.parameter = str(record.details.get("parameter", ""))
    return failure


def nearest(name: str, known: Iterable[str], *, limit: int = 5) -> list[str]:
    """The known names most like ``name``, best first; prefixes and parts count as alike."""
    choices = list(known)
    folded = name.casefold()
    alike = difflib.get_close_matches(folded, [choice.casefold() for choice in choices], n=limit, cutoff=0.5)
    by_fold = {choice.casefold(): choice for choice in choices}
    ranked = [by_fold[fold] for fold in alike]
    if len(folded) >= 3:
        ranked += [choice for choice in choices if folded in choice.casefold() and choice not in ranked]
    return ranked[:limit]
