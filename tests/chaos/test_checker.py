"""The checker finds each kind of broken promise: what it does not find, the chaos run would not find either."""

from __future__ import annotations

import hashlib
import io
import json
import sqlite3
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.chaos.checker import Report, check


@dataclass
class Scene:
    """One job, mark 5, made as it should be; each test breaks one thing."""

    folder: Path
    journal: list[str] = field(default_factory=lambda: ["sent key-5 5", "acked key-5 job-5"])
    ledger: list[tuple[int, float]] = field(default_factory=lambda: [(5, 10.0)])
    kills: list[float] = field(default_factory=list[float])
    state: str = "succeeded"
    key: str = "key-5"
    twins: int = 1
    picture: bytes | None = None
    stored: bool = True
    colour: tuple[int, int, int] = (0, 0, 5)

    def check(self) -> Report:
        data = self.folder / "data"
        (data / "assets").mkdir(parents=True)
        picture = io.BytesIO()
        Image.new("RGB", (4, 4), self.colour).save(picture, "PNG")
        made = picture.getvalue()
        if self.stored:
            (data / "assets" / "a.png").write_bytes(self.picture or made)
        record = {"key": "a.png", "sha256": hashlib.sha256(made).hexdigest(), "size": len(made)}
        self._database(data / "workbench.sqlite3", record)
        journal, ledger = self.folder / "journal", self.folder / "ledger"
        journal.write_text("\n".join(self.journal))
        ledger.write_text("\n".join(json.dumps(self._entry(mark, at)) for mark, at in self.ledger))
        return check([journal], data, ledger, self.kills)

    def _database(self, path: Path, record: dict[str, Any]) -> None:
        connection = sqlite3.connect(path)
        for step in (1, 2):
            connection.executescript(resources.files("comfy_mcp.store").joinpath(f"migrations/{step}.sql").read_text())
        bound = json.dumps({"values": {"color": 5}})
        for number in range(self.twins):
            connection.execute(
                "INSERT INTO job (id, owner, template, bound, state, created, idempotency_key)"
                " VALUES (?, ?, 'plain_colour', ?, ?, 0, ?)",
                ("job-5" if number == 0 else f"twin-{number}", f"owner-{number}", bound, self.state, self.key),
            )
            connection.execute(
                "INSERT INTO asset (id, owner, job, record) VALUES (?, 'local', ?, ?)",
                (f"a{number}", number + 1, json.dumps(record)),
            )
        connection.commit()
        connection.close()

    @staticmethod
    def _entry(mark: int, at: float) -> dict[str, Any]:
        return {"event": "start", "at": at, "graph": {"1": {"inputs": {"color": mark}}}}


def broken(scene: Scene) -> str:
    (sentence,) = scene.check().violations
    return sentence


def test_a_job_made_as_it_should_be_breaks_nothing(tmp_path: Path) -> None:
    report = Scene(tmp_path).check()
    assert report.violations == []
    assert (report.acknowledged, report.jobs, report.succeeded, report.executions) == (1, 1, 1, 1)


def test_a_lost_job_is_found(tmp_path: Path) -> None:
    scene = Scene(tmp_path, journal=["sent key-5 5", "acked key-5 job-5", "sent key-6 6", "acked key-6 job-6"])
    assert "lost: key-6" in broken(scene)


def test_one_key_with_two_answers_is_found(tmp_path: Path) -> None:
    scene = Scene(tmp_path, twins=2)
    scene.journal.append("again key-5 twin-1")
    assert any("acknowledged as 2 jobs" in sentence for sentence in scene.check().violations)


def test_a_job_that_nobody_sent_is_found(tmp_path: Path) -> None:
    sentences = Scene(tmp_path, key="key-9").check().violations
    assert any("nobody sent" in sentence for sentence in sentences)


@pytest.mark.parametrize("state", ["queued", "running"])
def test_a_job_that_never_ended_is_found(tmp_path: Path, state: str) -> None:
    assert "never ended" in broken(Scene(tmp_path, state=state))


@pytest.mark.parametrize("state", ["failed", "expired"])
def test_a_job_that_failed_is_found(tmp_path: Path, state: str) -> None:
    assert state in broken(Scene(tmp_path, state=state))


def test_a_cancel_that_nobody_asked_for_is_found(tmp_path: Path) -> None:
    assert "nobody asked" in broken(Scene(tmp_path, state="cancelled"))


def test_a_cancel_that_somebody_asked_for_is_none(tmp_path: Path) -> None:
    scene = Scene(tmp_path, state="cancelled", ledger=[])
    scene.journal.append("cancel job-5")
    assert scene.check().violations == []


def test_a_picture_that_is_not_there_is_found(tmp_path: Path) -> None:
    assert "not on the disk" in broken(Scene(tmp_path, stored=False))


def test_a_picture_that_is_cut_is_found(tmp_path: Path) -> None:
    assert "not what was stored" in broken(Scene(tmp_path, picture=b"\x89PNG"))


def test_the_picture_of_another_job_is_found(tmp_path: Path) -> None:
    assert "another job" in broken(Scene(tmp_path, colour=(0, 0, 6)))


def test_a_success_that_was_never_executed_is_found(tmp_path: Path) -> None:
    assert "never executed" in broken(Scene(tmp_path, ledger=[]))


def test_an_execution_too_many_is_found_unless_an_engine_died_in_between(tmp_path: Path) -> None:
    twice = [(5, 10.0), (5, 20.0)]
    assert "executed twice" in Scene(tmp_path / "a", ledger=twice, kills=[5.0, 25.0]).check().violations[0]
    assert Scene(tmp_path / "b", ledger=twice, kills=[15.0]).check().violations == []


def test_more_executions_than_kills_are_found(tmp_path: Path) -> None:
    report = Scene(tmp_path, ledger=[(5, 10.0), (5, 20.0)]).check()
    assert "1 extra executions for 0 kills" in report.violations[-1]


def test_an_execution_that_nobody_asked_for_is_found(tmp_path: Path) -> None:
    assert "nobody asked for it" in broken(Scene(tmp_path, ledger=[(5, 10.0), (7, 11.0)]))


def test_a_good_request_that_was_refused_is_found(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.journal.append("refused key-5 500 oops")
    assert "refused" in broken(scene)
