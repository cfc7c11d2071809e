"""A person who wants pictures, as a process: asks until each job is acknowledged, and writes down what was promised.

The journal is written before and after each request, a line at once, so that it tells the truth however this ends.
Ends when its standard input does; then every job it asked for is acknowledged.
"""

from __future__ import annotations

import asyncio
import os
import random
import sys
from dataclasses import dataclass, field

import httpx

_AT_ONCE = 6
_CANCELS = 0.05
_AGAIN = 0.05
_SAMPLED = 0.15
_PATIENCE = httpx.Timeout(3.0, connect=1.0)


@dataclass
class Producer:
    """``first`` and ``most`` give the marks of its jobs: numbers that no other job has."""

    url: str
    journal: int
    first: int
    most: int
    rng: random.Random
    made: int = 0
    over: asyncio.Event = field(default_factory=asyncio.Event)

    def note(self, *words: object) -> None:
        os.write(self.journal, (" ".join(map(str, words)) + "\n").encode())

    async def run(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=_PATIENCE) as http:
            await asyncio.gather(*(self._ask(http) for _ in range(_AT_ONCE)))

    async def _ask(self, http: httpx.AsyncClient) -> None:
        while self.made < self.most and not self.over.is_set():
            mark = self.first + self.made
            self.made += 1
            body = self._body(mark)
            key = f"key-{mark}"
            self.note("sent", key, mark)
            job = await self._acknowledged(http, body, key)
            self.note("acked", key, job)
            if self.rng.random() < _AGAIN:
                self.note("again", key, await self._acknowledged(http, body, key))
            if self.rng.random() < _CANCELS:
                self.note("cancel", job)
                await self._cancel(http, job)

    def _body(self, mark: int) -> dict[str, object]:
        if self.rng.random() < _SAMPLED:
            values = {"prompt": "a red house", "seed": mark, "steps": 3, "width": 64, "height": 64}
            return {"template": "txt2img", "values": values}
        return {"template": "plain_colour", "values": {"color": mark}}

    async def _acknowledged(self, http: httpx.AsyncClient, body: dict[str, object], key: str) -> str:
        while True:
            patience = 0.3
            try:
                answer = await http.post("/api/v1/jobs", json=body, headers={"Idempotency-Key": key})
                if answer.status_code == 202:
                    return str(answer.json()["id"])
                if answer.status_code == 429:
                    # The queue is full for seconds; asking all the time would only keep it from working.
                    patience = 3.0
                elif answer.status_code not in (503, 507):
                    self.note("refused", key, answer.status_code, answer.text.replace(" ", "_")[:200])
            except (httpx.HTTPError, ValueError, KeyError):
                pass
            await asyncio.sleep(self.rng.uniform(0.02, patience))

    async def _cancel(self, http: httpx.AsyncClient, job: str) -> None:
        try:
            await http.delete(f"/api/v1/jobs/{job}")
        except httpx.HTTPError:
            return


async def main() -> None:
    url, journal, first, most, seed = sys.argv[1:]
    file = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    producer = Producer(url, file, int(first), int(most), random.Random(seed))

    def told_to_end() -> None:
        if not os.read(0, 100):
            producer.over.set()
            asyncio.get_running_loop().remove_reader(0)

    asyncio.get_running_loop().add_reader(0, told_to_end)
    await producer.run()


if __name__ == "__main__":
    asyncio.run(main())
