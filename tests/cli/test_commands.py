"""The command line as a process of its own: what it prints, what it writes, how it ends."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

SMALL = ("--set", "prompt=a red house", "--set", "width=64", "--set", "height=64", "--set", "steps=2")


def workbench(
    *arguments: str, data: Path, comfyui: str = "http://127.0.0.1:9", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "WORKBENCH_DATA": str(data), "WORKBENCH_COMFYUI_URL": comfyui}
    command = [sys.executable, "-m", "comfy_mcp", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, env=env, cwd=cwd)


def test_run_saves_the_picture_and_prints_the_job(tmp_path: Path, embedded_url: str) -> None:
    out = tmp_path / "house.png"

    done = workbench(
        "run",
        "txt2img",
        *SMALL,
        "--set",
        "seed=7",
        "--style",
        "anime",
        "--out",
        str(out),
        "--json",
        data=tmp_path / "data",
        comfyui=embedded_url,
    )

    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert (told["state"], told["style"], told["values"]["seed"]) == ("succeeded", "anime", 7)
    assert told["assets"][0]["file"] == str(out)
    with Image.open(out) as picture:
        assert picture.size == (64, 64)


def test_run_takes_a_picture_from_a_file(tmp_path: Path, embedded_url: str, picture: bytes) -> None:
    (tmp_path / "in.png").write_bytes(picture)

    done = workbench(
        "run",
        "img2img",
        "--set",
        "prompt=snow",
        "--set",
        f"image={tmp_path / 'in.png'}",
        "--set",
        "steps=2",
        data=tmp_path / "data",
        comfyui=embedded_url,
        cwd=tmp_path,
    )

    assert done.returncode == 0, done.stderr
    assert (tmp_path / done.stdout.strip()).exists()


@pytest.mark.parametrize(
    ("assignment", "told"),
    [
        ("steps=100000", "steps"),
        ("steps=many", "steps"),
        ("scheduler=karas", "karras"),
        ("chekpoint=x", "checkpoint"),
        ("seed=-5", "seed"),
        ("cfg=nan", "cfg"),
    ],
)
def test_a_refused_value_ends_with_2_and_is_named(
    tmp_path: Path, embedded_url: str, assignment: str, told: str
) -> None:
    done = workbench("run", "txt2img", *SMALL, "--set", assignment, data=tmp_path, comfyui=embedded_url)

    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_template_ends_with_2(tmp_path: Path, embedded_url: str) -> None:
    done = workbench("run", "txt2image", *SMALL, data=tmp_path, comfyui=embedded_url)
    assert (done.returncode, "txt2img" in done.stderr) == (2, True)


def test_without_comfyui_it_says_what_to_do(tmp_path: Path) -> None:
    done = workbench("run", "txt2img", *SMALL, data=tmp_path)
    assert done.returncode == 1
    assert "ComfyUI" in done.stderr
    assert "Traceback" not in done.stderr


def test_templates_lists_what_can_be_made(tmp_path: Path) -> None:
    told = json.loads(workbench("templates", "--json", data=tmp_path).stdout)
    assert {template["id"] for template in told["templates"]} >= {
        "txt2img",
        "img2img",
        "inpaint",
        "upscale",
        "txt2img_lora",
        "txt2img_dit",
    }
    assert len(told["styles"]) >= 12
    assert told["problems"] == []
    assert "txt2img" in workbench("templates", data=tmp_path).stdout


def test_a_broken_template_is_a_problem_and_no_crash(tmp_path: Path) -> None:
    broken = tmp_path / "templates" / "mine"
    broken.mkdir(parents=True)
    (broken / "manifest.toml").write_text("title =")
    done = workbench("templates", data=tmp_path)
    assert done.returncode == 0
    assert "mine" in done.stderr
    assert "txt2img" in done.stdout


def test_doctor_says_what_works(tmp_path: Path, embedded_url: str) -> None:
    done = workbench("doctor", data=tmp_path, comfyui=embedded_url)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "procedural" in done.stdout
    assert "txt2img: Ready" in done.stdout


def test_doctor_says_what_is_broken(tmp_path: Path) -> None:
    done = workbench("doctor", data=tmp_path)
    assert done.returncode == 1
    assert "comfyui" in done.stdout


def test_serve_refuses_the_network_without_a_token(tmp_path: Path) -> None:
    done = workbench("serve", "--host", "0.0.0.0", "--port", "0", data=tmp_path)
    assert done.returncode == 1
    assert "WORKBENCH_TOKEN" in done.stderr


def test_import_makes_a_template_that_runs(tmp_path: Path, embedded_url: str) -> None:
    data = tmp_path / "data"
    first = workbench("run", "txt2img", *SMALL, "--out", str(tmp_path / "a.png"), data=data, comfyui=embedded_url)
    assert first.returncode == 0, first.stderr

    imported = workbench("import", str(tmp_path / "a.png"), "--id", "again", data=data, comfyui=embedded_url)
    assert imported.returncode == 0, imported.stderr
    again = workbench("run", "again", "--set", "prompt=a blue house", "--json", data=data, comfyui=embedded_url)

    assert again.returncode == 0, again.stderr
    assert json.loads(again.stdout)["assets"][0]["width"] == 64


def test_demo_saves_a_picture_and_says_what_to_paste(tmp_path: Path) -> None:
    done = workbench("demo", "--out", str(tmp_path / "out"), data=tmp_path / "data", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "procedural preview, not a diffusion model" in done.stdout
    assert "librechat.yaml" in done.stdout
    (picture,) = (tmp_path / "out").iterdir()
    with Image.open(picture) as opened:
        assert opened.size == (768, 512)


def test_a_bad_setting_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORKBENCH_WAIT", "soon")
    done = workbench("serve", data=tmp_path)
    assert done.returncode == 1
    assert "wait" in done.stderr and "Traceback" not in done.stderr


def test_jobs_are_a_table(tmp_path: Path, embedded_url: str) -> None:
    data = tmp_path / "data"
    assert "The queue is empty." in workbench("jobs", data=data, comfyui=embedded_url).stdout
    out = str(tmp_path / "out.png")
    assert workbench("run", "txt2img", *SMALL, "--out", out, data=data, comfyui=embedded_url).returncode == 0
    done = workbench("jobs", "--once", data=data, comfyui=embedded_url)
    assert done.returncode == 0, done.stderr
    (row,) = [line for line in done.stdout.splitlines() if "txt2img" in line]
    assert "succeeded" in row and "procedural-sd15" in row and "comfyui" in row


def test_the_table_of_jobs_keeps_up_on_a_terminal(tmp_path: Path, embedded_url: str) -> None:
    """On a pseudo-terminal, as a person sees it: it shows a job that was queued after it was started."""
    data = tmp_path / "data"
    env = {**os.environ, "WORKBENCH_DATA": str(data), "WORKBENCH_COMFYUI_URL": embedded_url, "TERM": "xterm"}
    screen, terminal = pty.openpty()
    table = subprocess.Popen([sys.executable, "-m", "comfy_mcp", "jobs"], stdout=terminal, stderr=terminal, env=env)
    os.close(terminal)
    try:
        seen = os.read(screen, 10_000)
        out = str(tmp_path / "out.png")
        assert workbench("run", "txt2img", *SMALL, "--out", out, data=data, comfyui=embedded_url).returncode == 0
        deadline = time.monotonic() + 20
        while b"succeeded" not in seen:
            assert time.monotonic() < deadline, seen
            seen += os.read(screen, 10_000)
        table.send_signal(signal.SIGINT)
        assert table.wait(10) == 0
    finally:
        table.kill()
        os.close(screen)
    assert b"The queue is empty." in seen


def test_backends_are_listed_and_paused(tmp_path: Path, embedded_url: str) -> None:
    listed = workbench("backends", data=tmp_path, comfyui=f"{embedded_url},http://127.0.0.1:9")
    assert listed.returncode == 0, listed.stderr
    up, down = [line for line in listed.stdout.splitlines() if "comfyui" in line and "card" in line][:2]
    assert "active" in up and "yes" in up and "does not answer" in down
    paused = workbench("backends", "pause", "comfyui", data=tmp_path, comfyui=embedded_url)
    assert "paused" in paused.stdout
    assert "It is paused" in workbench("doctor", data=tmp_path, comfyui=embedded_url).stdout
    assert "active" in workbench("backends", "resume", "comfyui", data=tmp_path, comfyui=embedded_url).stdout
    unknown = workbench("backends", "pause", "nothing", data=tmp_path, comfyui=embedded_url)
    assert unknown.returncode == 2 and "There are: comfyui" in unknown.stderr
    assert workbench("backends", "pause", data=tmp_path, comfyui=embedded_url).returncode == 2


def test_serve_never_stops_to_search_what_it_loaded_for_garbage(tmp_path: Path) -> None:
    """A search of everything stops every call for a tenth of a second, several times a minute."""
    code = """
import gc, os, signal, threading, time
from comfy_mcp.cli import main

def stop():
    ends = time.monotonic() + 20
    while not gc.get_freeze_count() and time.monotonic() < ends:
        time.sleep(0.05)
    frozen.append(gc.get_freeze_count())
    time.sleep(0.5)
    os.kill(os.getpid(), signal.SIGTERM)

frozen = []
threading.Thread(target=stop).start()
main(["serve", "--port", "0"], standalone_mode=False)
print("frozen", frozen[0], len(gc.get_objects()))
"""
    env = {**os.environ, "WORKBENCH_DATA": str(tmp_path), "WORKBENCH_COMFYUI_URL": "http://127.0.0.1:9"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, env=env
    )

    assert done.returncode == 0, done.stderr
    frozen, searched = map(int, done.stdout.splitlines()[-1].split()[1:])
    assert frozen > 10 * searched
