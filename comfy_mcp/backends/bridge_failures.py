"""What a failure of the bridge means to the queue: the one table from its errors to ours."""

from __future__ import annotations

from comfy_mcp.errors import (
    BackendError,
    BackendUnavailable,
    BadRequest,
    ExecutionFailed,
    MissingModel,
    OutOfMemory,
    OutputUnreadable,
    SettingsError,
    TimedOut,
    TooLarge,
    WorkbenchError,
    WorkflowRejected,
)
from llm_bridge import errors as bridge

__all__ = ["FAILURES", "translated"]

FAILURES: dict[type[bridge.BridgeError], type[WorkbenchError]] = {
    bridge.BridgeError: BackendError,
    bridge.BadInput: BadRequest,
    bridge.UnknownModel: MissingModel,
    bridge.ContextExceeded: TooLarge,
    bridge.NotSupported: BadRequest,
    bridge.NotInstalled: SettingsError,
    bridge.ServerError: ExecutionFailed,
    bridge.ServerUnavailable: BackendUnavailable,
    bridge.ServerBusy: BackendUnavailable,
    bridge.ServerLost: BackendUnavailable,
    bridge.KeyRefused: BackendError,
    bridge.RequestRefused: WorkflowRejected,
    bridge.LoadFailed: OutOfMemory,
    bridge.TimedOut: TimedOut,
    bridge.BadAnswer: OutputUnreadable,
    bridge.SchemaMismatch: OutputUnreadable,
}
"""By class; the nearest one counts."""


def translated(failure: bridge.BridgeError) -> WorkbenchError:
    """The same failure in our words. One that was lost midway may have been answered in part: ``reached`` is True."""
    reached = isinstance(failure, bridge.ServerLost)
    if isinstance(failure, bridge.TimedOut) and failure.details.get("stage") in ("connect", "answer"):
        return BackendUnavailable(failure.message, hint=failure.hint, reached=False)
    ours = next(FAILURES[kind] for kind in type(failure).__mro__ if kind in FAILURES)
    if ours is BackendUnavailable:
        return BackendUnavailable(failure.message, hint=failure.hint, reached=reached)
    return ours(failure.message, hint=failure.hint, llm=failure.code)
