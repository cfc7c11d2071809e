"""What holds for every queue: drawn states for one decision, and simulated time for what comes of many."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.queue_simulation import Job, Queue, affinity, burst, first_come, p99, poisson
from llm_bridge.scheduling import Batch, Lane, Policy, Run, Server, decide

POLICY = Policy()
MODELS = st.sampled_from(["", "a", "b", "c"])
OWNERS = st.sampled_from(["me", "you", "they"])
FEATURES = st.frozensets(st.sampled_from(["x", "y"]))
SECONDS = st.floats(0.0, 20000.0)


@st.composite
def lanes(draw: st.DrawFn) -> list[Lane]:
    seqs = draw(st.lists(st.integers(0, 50), unique=True, max_size=8))
    return [
        Lane(seq, draw(OWNERS), draw(st.integers(-10, 10)), draw(MODELS), draw(FEATURES), seq, draw(SECONDS))
        for seq in seqs
    ]


@st.composite
def servers(draw: st.DrawFn) -> list[Server]:
    return [
        Server(
            f"server {number}",
            draw(st.sampled_from(["card 1", "card 2"])),
            draw(FEATURES),
            draw(st.integers(1, 3)),
            draw(st.integers(0, 3)),
            draw(st.booleans()),
        )
        for number in range(draw(st.integers(0, 4)))
    ]


BATCHES = st.dictionaries(
    st.sampled_from(["card 1", "card 2"]),
    st.builds(Batch, st.sampled_from([f"server {number}" for number in range(5)]), MODELS, st.integers(0, 50), SECONDS),
)
TURNS = st.dictionaries(OWNERS, st.integers(0, 20))


@given(lanes(), servers(), BATCHES, TURNS, st.randoms(use_true_random=False))
def test_a_decision_can_be_carried_out_and_depends_on_no_order(
    waiting: list[Lane], fleet: list[Server], batches: dict[str, Batch], turns: dict[str, int], chance: random.Random
) -> None:
    run = decide(waiting, fleet, batches, turns, POLICY)
    mixed_lanes, mixed_servers = chance.sample(waiting, len(waiting)), chance.sample(fleet, len(fleet))
    assert decide(mixed_lanes, mixed_servers, dict(reversed(batches.items())), turns, POLICY) == run
    idle = {server.card for server in fleet} - {server.card for server in fleet if server.running}
    if run is None:
        # An idle card with an open server takes whatever it can.
        takers = [server for server in fleet if server.open and server.card in idle]
        assert not any(lane.needs <= server.offers for lane in waiting for server in takers)
        return
    lane = next(lane for lane in waiting if lane.id == run.lane)
    server = next(server for server in fleet if server.name == run.server)
    assert server.open and server.running < server.slots and lane.needs <= server.offers
    assert set(run.unload) <= {other.name for other in fleet if other.card == server.card} - {server.name}
    batch = batches.get(server.card)
    if batch is None or batch.server != server.name or lane.model not in ("", batch.model):
        assert run.begins and server.card in idle


@given(lanes(), st.lists(MODELS, min_size=1, max_size=1), TURNS)
def test_nobody_goes_before_a_job_of_higher_priority_that_waited_as_long(
    waiting: list[Lane], loaded: list[str], turns: dict[str, int]
) -> None:
    server = Server("server", "card", frozenset({"x", "y"}))
    run = decide(waiting, [server], {"card": Batch("server", loaded[0], 25)}, turns, POLICY)
    if run is not None:
        first = next(lane for lane in waiting if lane.id == run.lane)
        ahead = [lane for lane in waiting if lane.priority > first.priority and lane.waited >= first.waited]
        top = max(lane.priority for lane in waiting)
        assert not ahead or first.priority + int(first.waited / POLICY.ageing) >= top


@st.composite
def job_lists(draw: st.DrawFn) -> list[Job]:
    jobs: list[Job] = []
    now = 0.0
    for seq in range(draw(st.integers(0, 40))):
        now += draw(st.floats(0.0, 30.0))
        seconds, priority = draw(st.floats(0.1, 400.0)), draw(st.integers(-10, 10))
        jobs.append(Job(seq, now, seconds, draw(MODELS), draw(OWNERS), priority, draw(FEATURES)))
    return jobs


FLEET = (
    Server("pictures", "shared", frozenset({"x"}), 2),
    Server("texts", "shared", frozenset({"y"}), 3),
    Server("both", "own", frozenset({"x", "y"}), 2),
    Server("closed", "own", frozenset({"x", "y"}), 9, open=False),
)


@given(job_lists(), st.floats(0.0, 60.0))
@settings(max_examples=50, deadline=None)
def test_everything_runs_in_the_end_and_a_card_holds_one_model_at_a_time(jobs: list[Job], switch: float) -> None:
    models: dict[str, set[tuple[str, str]]] = {"shared": set(), "own": set()}

    def watch(queue: Queue, job: Job, run: Run) -> None:
        card = queue.servers[run.server].card
        if not any(queue.running[server.name] for server in FLEET if server.card == card):
            models[card].clear()
        # A job that needs no model counts by its server alone.
        models[card].add((run.server, job.model))
        assert len({server for server, _ in models[card]}) == 1
        assert len({model for _, model in models[card]} - {""}) <= 1
        assert queue.running[run.server] < queue.servers[run.server].slots

    outcome = affinity(jobs, switch, FLEET, watch=watch)
    assert sorted(outcome.order) == [job.seq for job in jobs]
    alike: dict[tuple[str, int, str, frozenset[str]], int] = {}
    by_seq = {job.seq: job for job in jobs}
    for seq in outcome.order:
        job = by_seq[seq]
        kind = (job.owner, job.priority, job.model, job.needs)
        assert alike.get(kind, -1) < seq
        alike[kind] = seq


@pytest.mark.parametrize("model", ["a", "b"])
@pytest.mark.parametrize("second", [0.0, 1500.0])
def test_a_single_job_waits_only_for_the_running_batch(model: str, second: float) -> None:
    thousand = [Job(seq, 0.0, 10.0, "a" if seq % 2 else "c", "many") for seq in range(1000)]
    late = Job(1000, second, 10.0, model, "one")
    outcome = affinity([*thousand, late], 20.0)
    # The batch, the job that runs when its time is over, and the change of model.
    assert outcome.waits[1000] <= POLICY.batch + 10.0 + 20.0


def test_a_steady_stream_of_important_jobs_starves_nobody() -> None:
    stream = [Job(seq, 5.0 * (seq - 1), 10.0, "a", "many", 2) for seq in range(1, 1000)]
    outcome = affinity([Job(0, 0.0, 10.0, "b", "many"), *stream], 5.0)
    # Two steps, then the gate: the jobs that waited when it was seen.
    assert 2 * POLICY.ageing <= outcome.waits[0] <= 6 * POLICY.ageing


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("seconds", [1.0, 10.0, 60.0])
@pytest.mark.parametrize("cost", [0.0, 0.5, 2.0, 10.0])
def test_waits_and_switches_keep_their_bounds(cost: float, seconds: float, seed: int) -> None:
    for jobs in (burst(300, 3, seconds, seed), poisson(300, 3, seconds, seed)):
        ours, reference = affinity(jobs, cost * seconds), first_come(jobs, cost * seconds)
        assert p99(ours) <= 2.0 * p99(reference)
        if jobs[-1].arrival == 0.0:
            assert ours.switches <= 0.1 * reference.switches


def test_owners_who_share_the_models_keep_the_bound_of_switches() -> None:
    chance = random.Random(1)
    jobs = [replace(job, owner=f"owner {chance.randrange(5)}") for job in burst(300, 3, 10.0, 1)]
    assert affinity(jobs, 20.0).switches <= 0.1 * first_come(jobs, 20.0).switches
