"""Whose word counts for a chat, and servers that are set up wrongly or not at all."""

from __future__ import annotations

import logging
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import anyio
import pytest

from comfy_mcp.backends import Circuit
from comfy_mcp.doctor import Finding, Verdict, examine
from comfy_mcp.errors import BackendUnavailable, InvalidParameter
from comfy_mcp.jobs import Job, JobRequest, JobState
from comfy_mcp.settings import Settings
from comfy_mcp.workbench import Workbench
from tests.bridge.servers import Script, chunk, sse, stream
from tests.texts import CHAT, NOWHERE, text_server
from tests.workbenches import settings_for

KEYLESS = [{"name": "office", "url": NOWHERE, "key_env": "WORKBENCH_TEST_NO_SUCH_KEY"}]


@pytest.fixture
async def server() -> AsyncGenerator[Script]:
    async with text_server() as script:
        yield script


def settings(data: Path, server: Script, **more: Any) -> Settings:
    return settings_for(data, NOWHERE, llm_url=server.url, **more)


async def asked(workbench: Workbench, **more: Any) -> Job:
    values = {"model": "alpha", "prompt": "the sea", **more.pop("values", {})}
    job = await workbench.submit(JobRequest("chat", values, **more))
    with anyio.fail_after(30):
        return await workbench.wait(job.id, 30)


@pytest.mark.requirement("R19")
async def test_locks_win_over_what_is_sent_and_that_over_the_call(tmp_path: Path, server: Script) -> None:
    locked = {"*": {"seed": 1, "steps": 9, "prefix": "all:"}, "chat": {"temperature": 0.5, "seed": 2, "prompt": "no"}}
    standing = {"temperature": "1", "top_k": "40", "prompt": "no", "style": "anime", "preset": "mine", "steps": "4"}
    async with Workbench.open(settings(tmp_path, server, locked=locked)) as workbench:
        job = await asked(workbench, standing=standing, values={"temperature": 2, "top_k": 5, "min_p": 0.5})
    assert job.state is JobState.SUCCEEDED
    (body,) = server.bodies(CHAT)
    assert (body["temperature"], body["seed"], body["top_k"], body["min_p"]) == (0.5, 2, 40, 0.5)
    assert body["messages"] == [{"role": "user", "content": "the sea"}]
    assert any("temperature" in warning and "administrator" in warning for warning in job.warnings)


@pytest.mark.requirement("R19")
async def test_what_a_person_has_set_and_does_not_fit_is_left_out(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        job = await asked(workbench, standing={"temperature": "warm", "model": "gamma", "top_k": "40"})
        assert job.state is JobState.SUCCEEDED
        with pytest.raises(InvalidParameter, match="temperature"):
            await asked(workbench, standing={"top_k": "40"}, values={"temperature": "warm"})
    (body,) = server.bodies(CHAT)
    assert (body["model"], body["top_k"], "temperature" in body) == ("alpha", 40, False)


@pytest.mark.requirement("R19")
async def test_a_lock_that_fits_no_chat_is_not_quietly_dropped(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(
        settings(tmp_path, server, locked={"chat": {"temperature": 50}}), dispatch=False
    ) as workbench:
        with pytest.raises(InvalidParameter, match="temperature"):
            await asked(workbench)


@pytest.mark.parametrize(
    ("more", "parameter"),
    [
        ({"style": "anime"}, "style"),
        ({"preset": "mine"}, "preset"),
        ({"values": {"image": "nothing"}}, "image"),
        ({"values": {"prompt": "  \n"}}, "prompt"),
        ({"values": {"schema": {"type": "nonsense"}}}, "schema"),
        ({"values": {"schema": {"$ref": "https://example.com/schema"}}}, "schema"),
    ],
)
async def test_what_no_chat_can_have_is_refused_before_it_is_queued(
    tmp_path: Path, server: Script, more: dict[str, Any], parameter: str
) -> None:
    async with Workbench.open(settings(tmp_path, server), dispatch=False) as workbench:
        with pytest.raises(InvalidParameter) as refused:
            await asked(workbench, **more)
        assert list(await workbench.jobs()) == []
    assert refused.value.parameter == parameter and refused.value.hint


async def test_a_server_without_its_key_stays_in_sight_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING, "comfy_mcp.backends"):
        async with Workbench.open(settings_for(tmp_path, NOWHERE, llm_servers=KEYLESS), dispatch=False) as workbench:
            member = workbench.pool.find("office")
            assert member is not None and member.breaker.circuit is Circuit.OPEN
            assert "WORKBENCH_TEST_NO_SUCH_KEY" in str(member.breaker.failure)
            with pytest.raises(BackendUnavailable, match="WORKBENCH_TEST_NO_SUCH_KEY"):
                await asked(workbench)
    told = [record for record in caplog.records if "office" in record.getMessage()]
    assert [(record.exc_info, "WORKBENCH_TEST_NO_SUCH_KEY" in record.getMessage()) for record in told] == [(None, True)]


async def test_a_server_without_its_key_keeps_nobody_from_the_others(tmp_path: Path, server: Script) -> None:
    async with Workbench.open(settings(tmp_path, server, llm_servers=KEYLESS)) as workbench:
        assert (await asked(workbench)).backend == "llm"


async def found(settings: Settings) -> dict[str, Finding]:
    return {finding.what: finding async for finding in examine(settings)}


async def test_doctor_tells_of_a_missing_key(tmp_path: Path) -> None:
    told = (await found(settings_for(tmp_path, NOWHERE, llm_servers=KEYLESS)))["office"]
    assert (told.verdict, "WORKBENCH_TEST_NO_SUCH_KEY" in str(told)) == (Verdict.BAD, True)


async def test_who_has_language_models_only_is_not_warned_of_pictures(
    tmp_path: Path, server: Script, caplog: pytest.LogCaptureFixture
) -> None:
    alone = Settings.model_validate({"data": tmp_path, "port": 0, "llm_url": server.url})
    with caplog.at_level(logging.INFO, "comfy_mcp.backends"):
        told = (await found(alone))["comfyui"]
        async with Workbench.open(alone) as workbench:
            assert (await asked(workbench)).state is JobState.SUCCEEDED
    assert told.verdict is Verdict.NOTE and "WORKBENCH_COMFYUI_URL" in str(told)
    assert [record.levelname for record in caplog.records if record.levelno > logging.INFO] == []
    named = (await found(settings_for(tmp_path, NOWHERE, llm_url=server.url)))["comfyui"]
    nothing = (await found(Settings.model_validate({"data": tmp_path, "port": 0})))["comfyui"]
    assert (named.verdict, nothing.verdict) == (Verdict.BAD, Verdict.BAD)


async def test_an_answer_without_end_is_stopped(tmp_path: Path, server: Script) -> None:
    server.on(CHAT, stream(*[sse(chunk("x" * 50_000), done=False)] * 81, sse(chunk("end", "stop"))))
    async with Workbench.open(settings(tmp_path, server)) as workbench:
        job = await asked(workbench)
    assert (job.state, job.outputs) == (JobState.FAILED, ())
    assert job.error is not None and job.error.code == "output_unreadable" and "max_tokens" in job.error.hint
