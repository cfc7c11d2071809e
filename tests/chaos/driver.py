"""The chaos driver: real processes, killed, frozen, cut off and out of disk, and then the question what was lost.

    python -m tests.chaos.driver [--seed N] [--workbench-kills 45] [--engine-kills 6] [--jobs 300] [--shards 1]

Everything is drawn from one seed. Where this machine lets a small disk be mounted, the data folder is on one, and it
is filled up now and then. Prints one JSON object, and ends with status 1 when a promise was broken; then the folder
with all journals, logs and the database stays.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.chaos.checker import check
from tests.chaos.fault_proxy import Fault, FaultProxy
from tests.chaos.processes import Engine, Producers, Workbench, free_port, plain_colour

__all__ = ["Plan", "main"]

_DISK, _DISK_PER_JOB = 64 * 2**20, 16 * 2**10
"""Bytes: small enough to be filled quickly, and with room for what is made."""
_SETTLE_SECONDS = 180.0
_IMPATIENCE = 0.05


@dataclass(frozen=True)
class Plan:
    """How often what dies, and how many jobs must have been acknowledged in all; or when it is over all the same."""

    seed: int
    workbench_kills: int
    engine_kills: int
    jobs: int
    minutes: float


@dataclass
class Chaos:
    """One run in ``folder``; ``data`` is the workbench's, ``small`` when it is on a disk that can be filled."""

    plan: Plan
    folder: Path
    data: Path
    small: bool
    done: Counter[str] = field(default_factory=Counter[str])
    engine_kills: list[float] = field(default_factory=list[float])

    def __post_init__(self) -> None:
        self.rng = random.Random(self.plan.seed)
        self.engine = Engine(self.folder)
        back, front = free_port(), free_port()
        self.workbench = Workbench(self.folder, self.data, back)
        self.back, self.front = FaultProxy(back, self.engine.port), FaultProxy(front, self.workbench.port)
        self.producers = Producers(self.folder, f"http://127.0.0.1:{front}", 2, 10**6, self.plan.seed)

    async def run(self) -> dict[str, Any]:
        plain_colour(self.data)
        await self.back.start()
        await self.front.start()
        await self.engine.start()
        await self.workbench.start()
        await self.producers.start()
        started = time.monotonic()
        while (spent := (time.monotonic() - started) / 60 / self.plan.minutes) < 1.0:
            kills, jobs = self._share_of_kills(), self.producers.acknowledged() / self.plan.jobs
            if kills >= 1.0 and jobs >= 1.0:
                break
            await asyncio.sleep(self.rng.uniform(0.02, 0.8))
            # Spread over the jobs, so that those of a long run are not made in peace.
            if kills <= max(jobs, spent) or self.rng.random() < _IMPATIENCE:
                await self._harm()
        await self._settle()
        report = check(self.producers.journals, self.data, self.engine.ledger, self.engine_kills)
        return {"seed": self.plan.seed, **self.done, **vars(report)}

    def _share_of_kills(self) -> float:
        wanted = self.plan.workbench_kills + self.plan.engine_kills
        left = max(0, self.plan.workbench_kills - self.done["workbench kills"])
        left += max(0, self.plan.engine_kills - self.done["engine kills"])
        return 1.0 - left / wanted

    async def _harm(self) -> None:
        """One thing that happens, drawn by what is still wanted."""
        wanted = {
            self._kill_workbench: self.plan.workbench_kills - self.done["workbench kills"],
            self._kill_engine: self.plan.engine_kills - self.done["engine kills"],
        }
        total = sum(max(0, left) for left in wanted.values())
        others = [self._freeze_workbench, self._freeze_engine, self._reset, self._fault, self._fill_disk]
        if total == 0 or self.rng.random() < 0.25:
            await self.rng.choice(others)()
        else:
            kills = list(wanted)
            await self.rng.choices(kills, [max(0, wanted[kill]) for kill in kills])[0]()

    async def _kill_workbench(self) -> None:
        self.done["workbench kills"] += 1
        await self.workbench.end()
        if self.rng.random() < 0.2:
            # Once more while it starts.
            await self.workbench.start(wait=False)
            await asyncio.sleep(self.rng.uniform(0.2, 1.2))
            self.done["workbench kills"] += 1
            await self.workbench.end()
        if self.rng.random() < 0.1 and self.done["engine kills"] < self.plan.engine_kills:
            await self._kill_engine()
        await self.workbench.start()

    async def _kill_engine(self) -> None:
        self.done["engine kills"] += 1
        await self.engine.end()
        self.engine_kills.append(time.monotonic())
        await asyncio.sleep(self.rng.choice([0.0, self.rng.uniform(0, 2)]))
        await self.engine.start()

    async def _freeze_workbench(self) -> None:
        self.done["freezes"] += 1
        # Now and then for longer than a lease.
        await self.workbench.freeze(17.0 if self.rng.random() < 0.02 else self.rng.uniform(0.1, 1.5))

    async def _freeze_engine(self) -> None:
        self.done["freezes"] += 1
        await self.engine.freeze(self.rng.uniform(0.1, 1.5))

    async def _reset(self) -> None:
        self.done["resets"] += 1
        self.rng.choice([self.back, self.front]).reset()

    async def _fault(self) -> None:
        """For a while, on one side; a silence ends with a reset, as it does when a router comes back."""
        self.done["faults"] += 1
        proxy = self.rng.choice([self.back, self.front])
        proxy.set(self.rng.choice([Fault.BLACKHOLE, Fault.SLICE, Fault.CUT]))
        await asyncio.sleep(self.rng.uniform(0.1, 1.5))
        silent = proxy.fault is Fault.BLACKHOLE
        proxy.set(Fault.NONE)
        if silent and self.rng.random() < 0.5:
            proxy.reset()

    async def _fill_disk(self) -> None:
        if not self.small:
            return
        self.done["full disks"] += 1
        ballast = self.data / "ballast"
        try:
            with ballast.open("wb") as file:
                while True:
                    file.write(bytes(2**20))
                    file.flush()
        except OSError:
            pass
        await asyncio.sleep(self.rng.uniform(0.1, 1.0))
        ballast.unlink()

    async def _settle(self) -> None:
        """All is well again: every job must come to its end."""
        await self.producers.end(_SETTLE_SECONDS)
        deadline = time.monotonic() + _SETTLE_SECONDS
        while time.monotonic() < deadline and self._unfinished():
            await asyncio.sleep(0.2)
        await self.workbench.end(signal.SIGTERM)
        await self.engine.end(signal.SIGTERM)
        await self.front.stop()
        await self.back.stop()

    def _unfinished(self) -> int:
        connection = sqlite3.connect(f"file:{self.data / 'workbench.sqlite3'}?mode=ro", uri=True, timeout=10)
        try:
            return connection.execute("SELECT count(*) FROM job WHERE state IN ('queued', 'running')").fetchone()[0]
        finally:
            connection.close()


def _run_one(plan: Plan) -> bool:
    folder = Path(tempfile.mkdtemp(prefix="workbench-chaos-"))
    data = folder / "data"
    data.mkdir()
    small = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={_DISK + plan.jobs * _DISK_PER_JOB}", "none", str(data)],
        capture_output=True,
        check=False,
    )
    chaos = Chaos(plan, folder, data, small.returncode == 0)
    try:
        summary = asyncio.run(chaos.run())
    except BaseException:
        sys.stderr.write(f"everything is in {folder}\n")
        raise
    kept = not summary["violations"]
    if not kept:
        shutil.copytree(data, folder / "data-at-the-end")
        summary["folder"] = str(folder)
    sys.stdout.write(json.dumps(summary) + "\n")
    if small.returncode == 0:
        subprocess.run(["umount", str(data)], check=False)
    if kept:
        shutil.rmtree(folder)
    return kept


def _run_shards(plan: Plan, shards: int) -> bool:
    """The same in several processes beside each other, each with its share; the sums."""
    share = ["--workbench-kills", str(-(-plan.workbench_kills // shards))]
    share += ["--engine-kills", str(-(-plan.engine_kills // shards)), "--jobs", str(-(-plan.jobs // shards))]
    share += ["--minutes", str(plan.minutes)]
    command = [sys.executable, "-m", "tests.chaos.driver", "--in-namespace", *share]
    running = [
        subprocess.Popen([*command, "--seed", str(plan.seed + number)], stdout=subprocess.PIPE, text=True)
        for number in range(shards)
    ]
    total: Counter[str] = Counter()
    violations: list[str] = []
    for process in running:
        told = process.communicate()[0].splitlines()
        if not told:
            violations.append("a shard came to no end")
            continue
        summary = json.loads(told[-1])
        violations += summary.pop("violations")
        summary.pop("folder", None)
        summary.pop("seed")
        total.update(summary)
    sys.stdout.write(json.dumps({"seed": plan.seed, "shards": shards, **total, "violations": violations}) + "\n")
    return not violations


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.driver")
    parser.add_argument("--seed", type=int, default=int(time.time()))
    parser.add_argument("--workbench-kills", type=int, default=45)
    parser.add_argument("--engine-kills", type=int, default=6)
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--minutes", type=float, default=600.0, help="ends then, whatever was reached")
    parser.add_argument("--shards", type=int, default=1)
    parser.add_argument("--in-namespace", action="store_true", help=argparse.SUPPRESS)
    told = parser.parse_args()
    if not told.in_namespace:
        _enter_namespace()
    plan = Plan(told.seed, told.workbench_kills, told.engine_kills, told.jobs, told.minutes)
    kept = _run_one(plan) if told.shards == 1 else _run_shards(plan, told.shards)
    sys.exit(0 if kept else 1)


def _enter_namespace() -> None:
    """Start again where mounts are our own, if this machine lets us; otherwise no disk is filled."""
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--user", "--map-root-user", "--mount"]
    if (
        shutil.which("unshare")
        and subprocess.run([*namespace, "true"], capture_output=True, check=False).returncode == 0
    ):
        command = [*namespace, sys.executable, "-m", "tests.chaos.driver", "--in-namespace", *sys.argv[1:]]
        os.execvp(command[0], command)


if __name__ == "__main__":
    main()
