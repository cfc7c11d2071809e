"""What every job store promises. A second implementation passes the same contract tests."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Protocol

from comfy_mcp.errors import ErrorRecord
from comfy_mcp.jobs import Asset, BoundWorkflow, Job, JobState, Output, Progress
from comfy_mcp.store.picture_values import Pictures
from llm_bridge.forecast import Waiting
from llm_bridge.scheduling import Batch, Lane

if TYPE_CHECKING:
    from comfy_mcp.store.lineup import Lineup

__all__ = [
    "Choose",
    "Idempotency",
    "JobStore",
    "Line",
    "Mode",
    "NewJob",
    "Outcome",
    "Queue",
    "QueueLimits",
    "Record",
    "Start",
]


class Mode(StrEnum):
    """What a person wants of a backend."""

    ACTIVE = "active"
    PAUSED = "paused"
    """Its running jobs go on, and it gets no new ones."""
    DRAINING = "draining"
    """As paused; when its last job ended, it lets go of its memory."""


@dataclass(frozen=True, slots=True)
class QueueLimits:
    """``jobs`` may wait in all and ``per_owner`` of one owner; a running job without a heartbeat for ``lease`` seconds
    is anybody's."""

    jobs: int = 1000
    per_owner: int = 1000
    lease: float = 15.0


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job as it is accepted: validated and bound, so that it runs as accepted even if its template changes.

    ``priority`` is -10 to 10. ``model`` is what must be loaded for it, ``needs`` what a backend must have.
    ``expires_in`` is seconds until it is given up when nobody could start it, None for never. ``turn`` is who takes
    turns with others, "" for the owner: what somebody asks for by the hundred shall not stand before what they ask now.
    """

    owner: str
    template: str
    style: str | None
    bound: BoundWorkflow
    warnings: tuple[str, ...] = ()
    priority: int = 0
    model: str = ""
    needs: frozenset[str] = frozenset()
    expires_in: float | None = None
    turn: str = ""


@dataclass(frozen=True, slots=True)
class Idempotency:
    """The caller's key, scoped by the store to owner and template, and a fingerprint of what was asked for."""

    key: str
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: succeeded with assets and outputs, failed with an error, or cancelled."""

    state: JobState
    assets: Sequence[Asset] = ()
    outputs: Sequence[Output] = ()
    error: ErrorRecord | None = None
    warnings: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Queue:
    """What the scheduling policy decides on. ``batches`` are by card, ``turns`` by owner; ``newest`` is the last place
    in the order of arrival that a job was given."""

    lanes: Sequence[Lane]
    batches: Mapping[str, Batch]
    turns: Mapping[str, int]
    newest: int = 0


@dataclass(frozen=True, slots=True)
class Start:
    """The decision: the oldest job of ``lane`` starts on ``backend`` of ``card``; ``begins`` starts a batch there.

    ``served`` are the owners who had a turn, one after the other, with something that is not stored.
    """

    lane: int
    backend: str
    card: str
    begins: bool = False
    served: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Record:
    """What an owner keeps beside jobs: a JSON object of a ``kind`` under a ``name``."""

    owner: str
    kind: str
    name: str
    value: Mapping[str, Any]


Choose = Callable[[Queue], Start | None]


@dataclass(frozen=True, slots=True)
class Line:
    """Who waits, oldest first, and what is known of how long it takes.

    ``seconds`` is by lane and absent where nothing was measured. ``running`` are pairs of a backend and the seconds its
    job probably still needs, None where nothing was measured.
    """

    queue: Queue
    waiting: Sequence[Waiting]
    running: Sequence[tuple[str, float | None]]
    seconds: Mapping[int, float]


class JobStore(Protocol):
    """Jobs and the records of assets. Every method commits before it returns; all raise DatabaseUnavailable."""

    @property
    def pictures(self) -> Pictures:
        """The same assets, as a person looks for them."""
        ...

    @property
    def lineup(self) -> Lineup:
        """The line of those who wait."""
        ...

    async def enqueue(self, new: NewJob, idempotency: Idempotency | None = None) -> Job:
        """Put a job on disk as queued and return it, or the job an earlier call with the same key made.

        Raises:
            Conflict: the key was used for another request.
            Overloaded: too many jobs wait; the detail ``retry_after`` is seconds.
        """
        ...

    async def enqueue_all(self, new: Sequence[NewJob], record: Callable[[Sequence[str]], Record]) -> Sequence[Job]:
        """Put all of them on disk with the record that is made of their ids, or nothing. Raises Overloaded."""
        ...

    async def find(self, owner: str, template: str, idempotency: Idempotency) -> Job | None:
        """The job that an earlier call with this key made, or None. Raises Conflict as `enqueue` does."""
        ...

    async def get(self, job: str, owner: str | None = None) -> Job:
        """The job. Raises NotFound, also when it is somebody else's; ``owner`` None sees all."""
        ...

    async def list(
        self,
        owner: str | None = None,
        *,
        template: str | None = None,
        limit: int = 50,
        before: str | None = None,
        cells: bool = True,
    ) -> Sequence[Job]:
        """The newest jobs first, of one template or of all; ``before`` is the id of the last job of the page before.
        Without ``cells``, the jobs that ended and took turns apart from their owner (`NewJob.turn`) are left out."""
        ...

    async def active(self, owner: str | None = None, *, template: str | None = None, limit: int = 50) -> Sequence[Job]:
        """The running jobs, then the waiting ones, oldest first, of one template or of all."""
        ...

    async def count(self, owner: str, template: str) -> int:
        """How many jobs of this owner and template run or wait."""
        ...

    async def line(self, limit: int) -> Line:
        """Of each lane its first waiting jobs, about ``limit`` in all, and what runs, to foretell who starts when."""
        ...

    async def ahead(self, job: str) -> int:
        """How many waiting jobs came before this one; 0 when it does not wait."""
        ...

    async def cancel(self, job: str, owner: str | None = None) -> Job:
        """End a queued job as cancelled; ask for the end of a running one; leave an ended one. Raises NotFound."""
        ...

    async def cancel_all(self, owner: str, template: str, prefix: str) -> Sequence[str]:
        """As `cancel`, every job of these whose idempotency key begins so; the ids of those it concerned."""
        ...

    async def lease(self, attempt: str, choose: Choose) -> Job | None:
        """Give a queued job to a new attempt: counted before it starts, with a new token. None when there is none.

        ``choose`` is pure and may be asked more than once. ``attempt`` is the ComfyUI prompt_id.
        """
        ...

    async def queue(self) -> Queue:
        """What waits now, and what the cards are at."""
        ...

    async def begin_batch(self, start: Start, model: str) -> None:
        """A card begins a batch of ``model`` with something that is not stored."""
        ...

    async def heartbeat(self, held: Mapping[str, int]) -> frozenset[str]:
        """Renew the leases of these jobs, given with their tokens; the ids of those that are held no longer."""
        ...

    async def adopt(self, *, everything: bool = False) -> Sequence[Job]:
        """Take over the running jobs whose lease ended, each under a new token, the attempt unchanged.

        A takeover from a dispatcher that did not let go is counted.

        ``everything`` takes also those whose lease still runs: the caller knows that nobody else works.
        """
        ...

    async def expire(self) -> Sequence[str]:
        """End the queued jobs that never began and waited longer than they may; their ids."""
        ...

    async def cancel_requests(self) -> frozenset[str]:
        """Ids of running jobs that somebody asked to cancel."""
        ...

    async def record_progress(self, job: str, token: int, progress: Progress) -> None:
        """Keep how far an attempt is (without its preview), for other processes. Ignored for a stale token."""
        ...

    async def release(self, job: str, token: int, *, refund: bool = False) -> bool:
        """Put a running job back in the queue at its old place; False for a stale token.

        ``refund`` does not count the attempt: nothing was started.
        """
        ...

    async def let_go(self, held: Mapping[str, int]) -> None:
        """These jobs, given with their tokens, go on without us and are anybody's: we end in good order."""
        ...

    async def finish(self, job: str, token: int, outcome: Outcome) -> bool:
        """Record assets and the terminal state in one transaction; False, and nothing, for a stale token."""
        ...

    async def forget_card(self, card: str) -> None:
        """Nothing is known to be loaded on this card any more."""
        ...

    async def modes(self) -> Mapping[str, Mode]:
        """The backends that are paused or drained."""
        ...

    async def set_mode(self, backend: str, mode: Mode) -> None:
        """Pause, drain or resume a backend."""
        ...

    async def keep_record(self, record: Record) -> None:
        """Keep a JSON object under its name, in the place of an earlier one."""
        ...

    async def prune_records(self, owner: str, kind: str, keep: int) -> None:
        """Drop all of a kind but the ``keep`` last ones in the order of their names."""
        ...

    async def record(self, owner: str, kind: str, name: str) -> Mapping[str, Any] | None:
        """The object that is kept under this name, or None."""
        ...

    async def records(self, owner: str, kind: str) -> Mapping[str, Mapping[str, Any]]:
        """All objects of a kind, by name."""
        ...

    async def drop_record(self, owner: str, kind: str, name: str) -> bool:
        """Whether there was one."""
        ...

    async def add_asset(self, owner: str, asset: Asset) -> None:
        """Record an uploaded asset."""
        ...

    async def drop_asset(self, asset: Asset) -> None:
        """Forget an uploaded asset, whose bytes are then among those `leaving`; one that a job made stays."""
        ...

    async def asset(self, asset: str, owner: str | None = None) -> Asset:
        """The record of an asset. Raises NotFound, also when it is somebody else's."""
        ...
