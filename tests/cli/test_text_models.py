"""`comfy-workbench llm` and `compare` as processes of their own, against a real llama-server."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.llama.servers import LlamaServer

PROMPTS = "the sea\nthe moon\n"


def run(*arguments: str, data: Path, llm: str = "", given: str | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "WORKBENCH_DATA": str(data), "WORKBENCH_LLM_URL": llm}
    env["WORKBENCH_COMFYUI_URL"] = "http://127.0.0.1:9"
    command = [sys.executable, "-m", "comfy_mcp", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=env, input=given)


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    file = tmp_path / "prompts.txt"
    file.write_text(PROMPTS)
    return file


def test_scan_finds_the_server_and_says_how_to_use_it(tmp_path: Path, llama_router: LlamaServer) -> None:
    port = llama_router.url.rpartition(":")[2]
    found = json.loads(run("llm", "scan", "--port", port, "--json", data=tmp_path).stdout)
    assert [(server["kind"], server["url"]) for server in found] == [("llama-cpp", llama_router.url)]
    assert {"tiny-a", "tiny-b", "tiny-think"} <= {model["id"] for model in found[0]["models"]}
    shown = run("llm", "scan", "--port", port, data=tmp_path).stdout
    assert f"WORKBENCH_LLM_URL={llama_router.url}" in shown
    nothing = run("llm", "scan", "--port", "9", data=tmp_path)
    assert (nothing.returncode, "No LLM server answers" in nothing.stdout) == (0, True)


def test_models_are_listed_with_their_state(tmp_path: Path, llama_router: LlamaServer) -> None:
    told = json.loads(run("llm", "models", "--json", data=tmp_path, llm=llama_router.url).stdout)
    assert {model["id"] for model in told["llm"]} >= {"tiny-a", "tiny-b"}
    assert {model["state"] for model in told["llm"]} <= {"loaded", "unloaded", "loading"}
    down = run("llm", "models", data=tmp_path, llm="http://127.0.0.1:9")
    assert (down.returncode, "does not answer" in down.stderr, "Traceback" in down.stderr) == (1, True, False)


def test_doctor_tells_of_the_server(tmp_path: Path, llama_router: LlamaServer) -> None:
    assert "llama.cpp answers: 3 models" in run("doctor", data=tmp_path, llm=llama_router.url).stdout
    assert "llm: llm does not answer" in run("doctor", data=tmp_path, llm="http://127.0.0.1:9").stdout


def test_chat_writes_the_answer_to_stdout_and_its_speed_to_stderr(tmp_path: Path, llama_router: LlamaServer) -> None:
    options = ("--max-tokens", "12", "--seed", "1")
    done = run("llm", "chat", "tiny-a", "a cat", *options, data=tmp_path, llm=llama_router.url)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.strip()) > 5
    assert "first token after" in done.stderr and "tokens/s" in done.stderr and "12 tokens" in done.stderr
    again = run("llm", "chat", "llm/tiny-a", *options, data=tmp_path, llm=llama_router.url, given="a cat")
    assert again.stdout == done.stdout
    thought = run("llm", "chat", "tiny-think", "a cat", *options, data=tmp_path, llm=llama_router.url)
    assert thought.stdout.strip() == "" and len(thought.stderr) > 20


def test_auto_chooses_a_model(tmp_path: Path, llama_router: LlamaServer) -> None:
    done = run("llm", "chat", "auto", "a cat", "--max-tokens", "5", data=tmp_path, llm=llama_router.url)
    assert done.returncode == 0, done.stderr
    assert "Chose llm/tiny-" in done.stderr and " because " in done.stderr


def test_a_schema_is_held(tmp_path: Path, llama_router: LlamaServer) -> None:
    schema = tmp_path / "schema.json"
    schema.write_text('{"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}')
    done = run("llm", "chat", "tiny-a", "yes?", "--schema", str(schema), data=tmp_path, llm=llama_router.url)
    assert done.returncode == 0, done.stderr
    assert isinstance(json.loads(done.stdout)["ok"], bool)


def test_an_unknown_model_is_named_and_the_known_ones_too(tmp_path: Path, llama_router: LlamaServer) -> None:
    done = run("llm", "chat", "tiny-q", "a cat", data=tmp_path, llm=llama_router.url)
    assert done.returncode != 0
    assert "tiny-q" in done.stderr and "tiny-a" in done.stderr and "Traceback" not in done.stderr


def test_bench_measures_each_model(tmp_path: Path, llama_router: LlamaServer) -> None:
    options = ("--runs", "2", "--max-tokens", "20", "--json")
    told = json.loads(run("llm", "bench", "tiny-a", "tiny-b", *options, data=tmp_path, llm=llama_router.url).stdout)
    assert [each["model"] for each in told] == ["tiny-a", "tiny-b"]
    for each in told:
        assert each["ttft"] > 0 and each["tokens_per_second"] > 1 and each["tokens"] == 20 and not each["failure"]
    assert told[1]["load"] > 0
    wrong = run("llm", "bench", "tiny-q", *options, data=tmp_path, llm=llama_router.url)
    assert wrong.returncode == 1 and "tiny-q" in json.loads(wrong.stdout)[0]["failure"]


def test_compare_writes_every_report_and_goes_on_where_it_was(
    tmp_path: Path, llama_router: LlamaServer, prompts: Path
) -> None:
    out = tmp_path / "out"
    options = ("--models", "tiny-a,tiny-b", "--prompts", str(prompts), "--out", str(out))
    asked = (*options, "--parameters", "max_tokens=16;seed=1", "--check", "min-chars:1")
    done = run("compare", *asked, data=tmp_path, llm=llama_router.url)
    assert done.returncode == 0, done.stderr
    assert "llm/tiny-a" in done.stdout and "2 of 2" in done.stdout
    assert {path.name for path in out.glob("report.*")} == {
        f"report.{kind}" for kind in ("md", "csv", "json", "html", "png")
    }
    before = (out / "results.jsonl").read_text()
    assert len(before.splitlines()) == 4
    again = run("compare", *asked, data=tmp_path, llm=llama_router.url)
    assert again.returncode == 0 and (out / "results.jsonl").read_text() == before
    other = run("compare", *options, "--repeats", "2", data=tmp_path, llm=llama_router.url)
    assert other.returncode == 2 and "another comparison" in other.stderr


def test_a_comparison_that_is_interrupted_stops_its_jobs_and_can_go_on(
    tmp_path: Path, llama_router: LlamaServer, prompts: Path
) -> None:
    out = tmp_path / "out"
    options = ["compare", "--models", "tiny-a,tiny-b", "--prompts", str(prompts), "--out", str(out), "--format", "csv"]
    options += ["--parameters", "max_tokens=1500;seed=1", "--repeats", "20"]
    env = {**os.environ, "WORKBENCH_DATA": str(tmp_path / "data"), "WORKBENCH_LLM_URL": llama_router.url}
    process = subprocess.Popen(
        [sys.executable, "-m", "comfy_mcp", *options], env=env, stderr=subprocess.PIPE, text=True
    )
    results = out / "results.jsonl"
    limit = time.monotonic() + 60
    while not (results.exists() and results.read_text().count("\n") >= 2) and time.monotonic() < limit:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=30)
    assert process.returncode == 130 and "Call it again to go on" in told
    left = run("jobs", "--once", data=tmp_path / "data", llm=llama_router.url).stdout
    assert "queued" not in left and "% done" not in left
    assert 2 <= results.read_text().count("\n") < 80


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--models", "tiny-q"), "tiny-q"),
        (("--models", ","), "model"),
        (("--models", "tiny-a", "--parameters", "heat=1"), "heat"),
        (("--models", "tiny-a", "--check", "nonsense"), "nonsense"),
    ],
)
def test_what_cannot_be_compared_ends_with_2(
    tmp_path: Path, llama_router: LlamaServer, prompts: Path, options: tuple[str, ...], told: str
) -> None:
    done = run(
        "compare",
        "--prompts",
        str(prompts),
        "--out",
        str(tmp_path / "out"),
        *options,
        data=tmp_path,
        llm=llama_router.url,
    )
    assert done.returncode == 2, done.stderr
    assert told in done.stderr and "Traceback" not in done.stderr
