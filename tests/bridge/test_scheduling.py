"""Every rule of the scheduler by example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from llm_bridge.scheduling import Batch, Lane, Policy, Run, Server, decide

POLICY = Policy(ageing=600.0, patience=10.0, batch=300.0)
ONE = Server("one", "card", frozenset({"flux"}))
TWO = Server("two", "card", frozenset({"llama"}))


def lane(
    seq: int,
    model: str = "a",
    *,
    owner: str = "me",
    priority: int = 0,
    needs: Sequence[str] = (),
    waited: float = 0.0,
) -> Lane:
    """Its id is its seq."""
    return Lane(seq, owner, priority, model, frozenset(needs), seq, waited)


def server(name: str = "one", card: str = "card", *, slots: int = 1, running: int = 0, open: bool = True) -> Server:
    return Server(name, card, frozenset(), slots, running, open)


def chosen(
    lanes: Sequence[Lane],
    servers: Sequence[Server] = (server(),),
    batch: Batch | Mapping[str, Batch] | None = None,
    turns: Mapping[str, int] | None = None,
) -> Run | None:
    batches = {"card": batch} if isinstance(batch, Batch) else batch or {}
    return decide(lanes, servers, batches, turns or {}, POLICY)


def started(
    lanes: Sequence[Lane],
    servers: Sequence[Server] = (server(),),
    batch: Batch | Mapping[str, Batch] | None = None,
    turns: Mapping[str, int] | None = None,
) -> int | None:
    run = chosen(lanes, servers, batch, turns)
    return None if run is None else run.lane


class TestCapability:
    def test_without_jobs_or_servers_nothing_starts(self) -> None:
        assert chosen([]) is None
        assert chosen([lane(1)], []) is None

    def test_a_job_goes_where_everything_it_needs_is_offered(self) -> None:
        assert chosen([lane(1, needs=["llama"])], [ONE, Server("far", "other", frozenset({"llama", "x"}))]) == Run(
            1, "far", begins=True
        )

    def test_a_job_that_nobody_can_take_keeps_nobody_waiting(self) -> None:
        assert started([lane(1, needs=["gone"], priority=10), lane(2)]) == 2

    def test_a_closed_server_gets_nothing(self) -> None:
        assert chosen([lane(1)], [server(open=False)]) is None

    def test_a_batch_whose_server_was_closed_goes_on_elsewhere_on_the_card_once_it_is_idle(self) -> None:
        batch = Batch("one", "a", 9)
        assert chosen([lane(1)], [server("one", open=False, running=1), server("two")], batch) is None
        moved = chosen([lane(1)], [server("one", open=False), server("two")], batch)
        assert moved == Run(1, "two", unload=("one",), begins=True)

    def test_the_batch_of_a_server_that_is_gone_unloads_nobody(self) -> None:
        assert chosen([lane(1)], [server("two")], Batch("gone", "a", 9)) == Run(1, "two", begins=True)

    @pytest.mark.parametrize(("running", "expected"), [(0, 1), (1, 1), (2, None), (3, None)])
    def test_never_more_jobs_than_slots(self, running: int, expected: int | None) -> None:
        assert started([lane(1)], [server(slots=2, running=running)], Batch("one", "a", 9)) == expected


class TestPriority:
    def test_priority_goes_before_age_and_before_the_batch(self) -> None:
        assert started([lane(1), lane(2, priority=1)]) == 2
        assert started([lane(1), lane(2, "b", priority=1)], batch=Batch("one", "a", 9)) == 2

    @pytest.mark.parametrize(("waited", "expected"), [(1199.0, 2), (1200.0, 1)])
    def test_a_job_rises_by_a_step_for_every_ageing_seconds(self, waited: float, expected: int) -> None:
        assert started([lane(1, priority=-2, waited=waited), lane(2)]) == expected

    def test_a_job_rises_no_higher_than_the_highest_that_waits(self) -> None:
        """Or an owner's old jobs would keep another's new one out, and age would break up the batches."""
        assert started([lane(1, waited=9999.0), lane(2, owner="you")], turns={"me": 4}) == 2
        assert started([lane(1, "b", waited=700.0), lane(2, waited=500.0)], batch=Batch("one", "a", 9)) == 2


class TestBatch:
    def test_the_loaded_model_goes_first(self) -> None:
        assert chosen([lane(1, "b"), lane(2)], batch=Batch("one", "a", 2)) == Run(2, "one")

    def test_a_job_that_needs_no_model_joins_any_batch(self) -> None:
        assert chosen([lane(1, "b"), lane(2, "")], batch=Batch("one", "a", 2)) == Run(2, "one")

    @pytest.mark.parametrize(("waited", "expected"), [(10.0, 2), (10.1, 1)])
    def test_a_newcomer_joins_until_somebody_else_is_impatient(self, waited: float, expected: int) -> None:
        assert started([lane(1, "b", waited=waited), lane(2)], batch=Batch("one", "a", 0)) == expected

    def test_who_waited_when_the_batch_began_is_served_before_the_impatient(self) -> None:
        assert started([lane(1, "b", waited=99.0), lane(2)], batch=Batch("one", "a", 2)) == 2

    def test_a_newcomer_moves_the_gate_only_while_nobody_waits_for_another_model(self) -> None:
        batch = Batch("one", "a", 1)
        assert chosen([lane(2)], batch=batch) == Run(2, "one", begins=True)
        assert chosen([lane(1)], batch=batch) == Run(1, "one")
        assert chosen([lane(2), lane(3, "b")], batch=batch) == Run(2, "one")

    def test_no_other_model_starts_while_the_last_jobs_of_the_batch_run(self) -> None:
        batch = Batch("one", "a", 9)
        assert chosen([lane(1, "b")], [server(slots=2, running=1)], batch) is None
        assert chosen([lane(1, "b")], [server("one", running=1), server("two")], batch) is None
        assert chosen([lane(1, "b")], [server(slots=2)], batch) == Run(1, "one", begins=True)

    def test_a_card_of_which_nothing_is_known_begins_when_it_is_idle(self) -> None:
        assert chosen([lane(1)], [server(slots=2, running=1)]) is None
        assert chosen([lane(1)]) == Run(1, "one", begins=True)


class TestSharedCard:
    def test_the_server_that_held_the_card_lets_go_first(self) -> None:
        text = lane(1, "l", needs=["llama"])
        assert chosen([text], [ONE, TWO], Batch("one", "a", 0)) == Run(1, "two", unload=("one",), begins=True)
        assert chosen([text], [ONE, TWO], Batch("two", "x", 0)) == Run(1, "two", begins=True)

    def test_of_an_unknown_card_every_other_server_lets_go(self) -> None:
        run = chosen([lane(1, needs=["llama"])], [server("three"), TWO, ONE, server("far", "other")])
        assert run == Run(1, "two", unload=("one", "three"), begins=True)

    def test_a_change_of_model_stays_on_the_server_that_has_the_card(self) -> None:
        assert chosen([lane(1, "b")], [server("one"), server("two")], Batch("two", "a", 0)) == Run(
            1, "two", begins=True
        )

    def test_a_batch_waits_for_a_server_that_still_holds_the_card(self) -> None:
        leaving = server("leaving", running=1, open=False)
        assert chosen([lane(1)], [server("one"), leaving], Batch("one", "a", 9)) is None
        assert chosen([lane(1)], [server("one"), server("two")], Batch("one", "a", 9)) == Run(1, "one")

    def test_servers_take_turns_in_batches(self) -> None:
        pictures, texts = lane(1, "a", needs=["flux"]), lane(2, "l", needs=["llama"], waited=50.0)
        assert started([pictures, texts], [ONE, TWO], Batch("one", "a", 2)) == 1
        assert chosen([lane(3, "a", needs=["flux"]), texts], [ONE, TWO], Batch("one", "a", 2)) == Run(
            2, "two", unload=("one",), begins=True
        )


class TestOwners:
    def test_inside_a_batch_owners_take_turns(self) -> None:
        jobs = [lane(1, owner="me"), lane(2, owner="you")]
        assert started(jobs, batch=Batch("one", "a", 9), turns={"me": 7, "you": 6}) == 2
        assert started(jobs, batch=Batch("one", "a", 9), turns={"me": 7, "you": 8}) == 1
        assert started(jobs, batch=Batch("one", "a", 9)) == 1

    @pytest.mark.parametrize(("age", "expected"), [(300.0, 1), (300.1, 2)])
    def test_a_batch_that_keeps_another_owner_waiting_ends(self, age: float, expected: int) -> None:
        jobs = [lane(1), lane(2, "b", owner="you")]
        assert started(jobs, batch=Batch("one", "a", 9, age), turns={"me": 7}) == expected

    def test_it_ends_only_for_an_owner_whose_turn_it_is(self) -> None:
        batch = Batch("one", "a", 9, 999.0)
        assert started([lane(2), lane(1, "b")], batch=batch, turns={"me": 7}) == 2
        assert started([lane(2), lane(1, "b", owner="you")], batch=batch, turns={"me": 7, "you": 8}) == 2
        # Each of many owners with one job is served in the batch.
        assert started([lane(2), lane(1, "b", owner="you")], batch=batch) == 2

    def test_an_owner_with_nothing_else_in_the_batch_joins_it_late(self) -> None:
        """Or another owner's many jobs would keep him out, of a model that is loaded."""
        jobs = [lane(1), lane(2, "b", waited=99.0), lane(5, owner="you")]
        batch = Batch("one", "a", 3)
        assert chosen(jobs, batch=batch, turns={"me": 7}) == Run(5, "one")
        assert started(jobs, batch=batch, turns={"me": 7, "you": 8}) == 1
        # That does not make the batch longer than its gate.
        assert started(jobs[1:], batch=batch, turns={"me": 7}) == 2

    def test_the_next_batch_is_for_the_owner_served_longest_ago(self) -> None:
        jobs = [lane(1, "b"), lane(2, "c", owner="you")]
        assert started(jobs, batch=Batch("one", "a", 9), turns={"me": 7, "you": 6}) == 2


class TestCards:
    def test_a_card_that_holds_the_model_goes_before_one_that_must_change(self) -> None:
        servers = [server("one", "first"), server("two", "second")]
        batches = {"first": Batch("one", "b", 0), "second": Batch("two", "a", 0)}
        assert chosen([lane(1)], servers, batches) == Run(1, "two", begins=True)

    def test_the_less_loaded_card_goes_first(self) -> None:
        servers = [server("one", "first", slots=4, running=2), server("two", "second", slots=4, running=1)]
        batches = {"first": Batch("one", "a", 9), "second": Batch("two", "a", 9)}
        assert chosen([lane(1)], servers, batches) == Run(1, "two")

    def test_a_busy_card_leaves_the_job_to_another(self) -> None:
        servers = [server("one", "first", running=1), server("two", "second")]
        assert chosen([lane(1)], servers, {"first": Batch("one", "a", 9)}) == Run(1, "two", begins=True)
