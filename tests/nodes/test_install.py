"""`comfy-workbench install-nodes`: into a ComfyUI, over an earlier one, and never over what is somebody else's."""

from __future__ import annotations

import resource
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SMALL = 1000  # bytes that a file may have where the disk is as good as full


@pytest.fixture
def comfyui(tmp_path: Path) -> Path:
    folder = tmp_path / "ComfyUI"
    (folder / "comfy").mkdir(parents=True)
    (folder / "main.py").touch()
    return folder


def install(
    *arguments: str | Path,
    cwd: Path = ROOT,
    env: Mapping[str, str] | None = None,
    first: Callable[[], None] | None = None,
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "comfy_mcp", "install-nodes", *map(str, arguments)]
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=60, check=False, preexec_fn=first
    )


def there(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def pack(comfyui: Path) -> Path:
    done = install(comfyui)
    assert done.returncode == 0, done.stderr
    return comfyui / "custom_nodes" / "comfyui-workbench"


def test_it_says_where_the_nodes_are_and_what_is_next(comfyui: Path) -> None:
    done = install(comfyui)

    pack = comfyui / "custom_nodes" / "comfyui-workbench"
    assert done.returncode == 0, done.stderr
    assert f"Installed {pack}" in done.stdout
    assert f'python -m pip install -r "{pack}/requirements.txt"' in done.stdout
    assert "Restart ComfyUI" in done.stdout
    assert (pack / "__init__.py").is_file()
    assert [path.name for path in pack.parent.iterdir()] == [pack.name]


def test_a_base_directory_is_as_good(tmp_path: Path) -> None:
    (tmp_path / "custom_nodes").mkdir()

    assert install(tmp_path).returncode == 0
    assert (tmp_path / "custom_nodes" / "comfyui-workbench" / "__init__.py").is_file()


@pytest.mark.parametrize("given", ["custom_nodes", ".."])
def test_a_folder_beside_the_right_one_is_told_of_it(comfyui: Path, given: str) -> None:
    (comfyui / "custom_nodes").mkdir()

    done = install(comfyui / given)

    assert done.returncode == 2
    assert f"Give {comfyui}." in done.stderr


def test_a_folder_that_is_no_comfyui_is_refused(tmp_path: Path) -> None:
    done = install(tmp_path)

    assert done.returncode == 2
    assert "is no ComfyUI" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_second_time_changes_nothing_but_says_so(pack: Path, comfyui: Path) -> None:
    before = there(pack)
    (pack / "comfy_nodes" / "__pycache__").mkdir()
    (pack / "comfy_nodes" / "__pycache__" / "host.cpython-311.pyc").write_bytes(b"as ComfyUI leaves them")

    done = install(comfyui)

    assert done.returncode == 0, done.stderr
    assert f"Updated {pack}" in done.stdout
    assert there(pack) == before


def test_what_was_damaged_is_mended_and_what_is_no_longer_part_of_it_goes(pack: Path, comfyui: Path) -> None:
    before = there(pack)
    (pack / "llm_bridge" / "client.py").unlink()
    (pack / "comfy_nodes" / "__init__.py").write_text("cut off")
    (pack / "llm_bridge" / "older.py").write_text("from a version before")
    with (pack / ".installed-files").open("a") as listed:
        listed.write("llm_bridge/older.py\n")

    assert install(comfyui).returncode == 0
    assert there(pack) == before


def test_a_file_that_a_person_added_is_kept(pack: Path, comfyui: Path) -> None:
    (pack / "example_workflows").mkdir(exist_ok=True)
    (pack / "example_workflows" / "mine.json").write_text("{}")
    before = there(pack)

    done = install(comfyui)

    assert done.returncode == 2
    assert "example_workflows/mine.json" in done.stderr
    assert there(pack) == before


def test_what_something_else_installed_is_left_alone(comfyui: Path) -> None:
    other = comfyui / "custom_nodes" / "comfyui-workbench"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text("from a clone")

    done = install(comfyui)

    assert done.returncode == 2
    assert "was not made by this command" in done.stderr
    assert there(other) == {"__init__.py": b"from a clone"}


def test_a_link_to_another_folder_is_left_alone(pack: Path, comfyui: Path, tmp_path: Path) -> None:
    elsewhere = pack.rename(tmp_path / "checkout")
    pack.symlink_to(elsewhere)
    before = there(elsewhere)

    assert install(comfyui).returncode == 2
    assert pack.is_symlink()
    assert there(elsewhere) == before


def test_with_a_full_disk_the_earlier_one_stays(pack: Path, comfyui: Path) -> None:
    before = there(pack)

    done = install(comfyui, first=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL, SMALL)))

    assert done.returncode == 1
    assert "cannot be read or written: File too large" in done.stderr
    assert there(pack) == before
    assert [path.name for path in pack.parent.iterdir()] == [pack.name]


def test_where_nobody_may_write_it_says_so() -> None:
    done = install("--pack", "/sys/pack")  # not even root may

    assert done.returncode == 1
    assert "/sys/pack cannot be read or written" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_pack_to_publish_is_laid_out_anywhere(pack: Path, tmp_path: Path) -> None:
    done = install("--pack", tmp_path / "build" / "pack")

    assert done.returncode == 0, done.stderr
    assert "comfy node publish" in done.stdout
    assert there(tmp_path / "build" / "pack") == there(pack)


def test_from_the_wheel_it_is_the_same(pack: Path, tmp_path: Path) -> None:
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    # The interpreter of the tests without its `site`, which would add this checkout: the wheel, and what it needs.
    (needed,) = {path for path in sys.path if path.endswith("site-packages") and (Path(path) / "click").is_dir()}
    env = {"PYTHONPATH": f"{tmp_path / 'site'}:{needed}", "PYTHONDONTWRITEBYTECODE": "1"}
    where = [sys.executable, "-S", "-c", "import comfy_mcp; print(comfy_mcp.__file__)"]
    found = subprocess.run(where, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.startswith(str(tmp_path / "site"))

    command = [sys.executable, "-S", "-m", "comfy_mcp", "install-nodes", "--pack", str(tmp_path / "pack")]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    assert there(tmp_path / "pack") == there(pack)
