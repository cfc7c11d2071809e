"""What batches by model save and what they cost: switches and waits against first come, first served.

300 jobs over 3 models in simulated time, on one server: as one burst in random order, and as Poisson arrivals at load
0.8, with changes of the model that cost 0, 0.5, 2 and 10 times a job.

    python benchmarks/affinity.py [--jobs 300] [--models 3] [--seconds 10] [--seeds 30]

Prints one JSON object: for each case the mean and the highest ratio over the seeds, of the switches (target on the
burst: at most 0.10) and of the 99th percentile of the waits (target: at most 2.0).
"""

from __future__ import annotations

import argparse
import json
import statistics

from queue_simulation import affinity, burst, first_come, p99, poisson

SWITCH_COSTS = (0.0, 0.5, 2.0, 10.0)


def mean_and_max(ratios: list[float]) -> dict[str, float]:
    return {"mean": round(statistics.mean(ratios), 4), "max": round(max(ratios), 4)}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--jobs", type=int, default=300)
    parser.add_argument("--models", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="how long one job takes")
    parser.add_argument("--seeds", type=int, default=30)
    args = parser.parse_args()
    cases: dict[str, dict[str, dict[str, float]]] = {}
    for name, arrivals in (("burst", burst), ("poisson", poisson)):
        for cost in SWITCH_COSTS:
            switches: list[float] = []
            waits: list[float] = []
            for seed in range(args.seeds):
                jobs = arrivals(args.jobs, args.models, args.seconds, seed)
                ours, reference = affinity(jobs, cost * args.seconds), first_come(jobs, cost * args.seconds)
                switches.append(ours.switches / reference.switches)
                waits.append(p99(ours) / p99(reference))
            cases[f"{name}, switch {cost:g}"] = {
                "switches": mean_and_max(switches),
                "wait_p99": mean_and_max(waits),
            }
    print(json.dumps({"jobs": args.jobs, "job_seconds": args.seconds, "seeds": args.seeds, "ratios": cases}, indent=2))


if __name__ == "__main__":
    main()
