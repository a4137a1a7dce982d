"""Random histories of faults on a lab under load, and whether it kept its promises.

chaos.py --seeds 20 --seconds 60          on a lab of its own, in containers and then in processes
chaos.py --seed 7 --runtime docker        one history again, which the seed decides
chaos.py --seed 7 --runtime process --lab ringlab --port 5050        on a lab that is up
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests/support"))

from chaos import census
from chaos.checker import BOUNDS, LOAD_BALANCER_DIES, violations
from chaos.history import history
from chaos.records import Record
from chaos.trial import record_of
from labs import ROOT, Lab, free_port, play

SHOWN = 20  # violations of one history
NAME = "ringlab-chaos"


def main() -> int:
    options = _options()
    runtimes = options.runtime or _runtimes()
    verdicts = [_stands(runtime, options) for runtime in runtimes]
    return 0 if all(verdicts) else 1


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="chaos.py", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="only this history")
    parser.add_argument("--seeds", type=int, default=20, help="how many, from 1 on (default 20)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each (default 60)")
    parser.add_argument(
        "--runtime", choices=list(BOUNDS), action="append", help="default: all that can be had"
    )
    parser.add_argument(
        "--engine", action="store_true", help="restart the Docker engine in each, if it is ours"
    )
    parser.add_argument("--lab", default=NAME, help=f"name of the lab (default {NAME}-<runtime>)")
    parser.add_argument("--port", type=int, help="of a lab that is up, which then stays")
    return parser.parse_args()


def _runtimes() -> list[str]:
    command = [str(ROOT / "scripts/runtimes")]
    return subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def _stands(runtime: str, options: argparse.Namespace) -> bool:
    """Whether a lab of that runtime bears all the histories, and leaves nothing behind."""
    seeds = range(1, options.seeds + 1) if options.seed is None else [options.seed]
    with _lab(runtime, options) as lab:
        engine = options.engine and runtime == "docker"
        verdicts = [_is_clean(lab, seed, options.seconds, engine=engine) for seed in seeds]
    left = [] if options.port else census.leftovers(lab)
    for what in left:
        print(f"left over after destroy: {what}")
    clean = sum(verdicts)
    print(f"{runtime}: {clean} of {len(verdicts)} histories of {options.seconds:g} s are clean")
    return all(verdicts) and not left


@contextmanager
def _lab(runtime: str, options: argparse.Namespace) -> Iterator[Lab]:
    """The lab that is up; else one that lives as long as the block."""
    if options.port:
        yield Lab(options.lab, runtime, options.port)
        return
    lab = Lab(f"{options.lab}-{runtime}", runtime, free_port())
    where = {"lab_name": lab.name, "lab_port": lab.port}
    play("playbooks/destroy.yml", **where)  # what a broken run left
    try:
        print(f"{runtime}: standing {lab.name} up at {lab.url}", flush=True)
        play("site.yml", **where, lab_runtime=runtime, lab_jupyter=False)
        yield lab
    finally:
        play("playbooks/destroy.yml", **where)


def _is_clean(lab: Lab, seed: int, seconds: float, *, engine: bool) -> bool:
    """Runs one history and tells what came of it."""
    record = record_of(lab, history(seed, seconds, engine=engine), BOUNDS[lab.runtime])
    found = violations(record, BOUNDS[lab.runtime])
    print(f"seed {seed}: {len(found)} violations; {summary(record)}", flush=True)
    if not found:
        return True
    for sentence in found[:SHOWN]:
        print(f"  {sentence}")
    if len(found) > SHOWN:
        print(f"  and {len(found) - SHOWN} more")
    path = ROOT / ".ringlab/chaos" / f"{lab.runtime}-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=1))
    print(f"  what was seen is in {path.relative_to(ROOT)}; to see it again:")
    again = f"make chaos SEED={seed} SECONDS={seconds:g} RUNTIME={lab.runtime}"
    print(f"  {again}{' ENGINE=restart' if engine else ''}", flush=True)
    return False


def summary(record: Record) -> str:
    """One line: how much was asked, what was done, how long the load balancer was away."""
    verbs = Counter(deed.verb for deed in record.deeds)
    unanswered = sum(not answer.is_good for answer in record.answers)
    outages = [
        f"{deed.served_at - deed.began_at:.1f}"
        for deed in record.deeds
        if deed.verb in LOAD_BALANCER_DIES and deed.served_at is not None
    ]
    longest_s = max((a.answered_at - a.sent_at for a in record.answers if a.is_good), default=0.0)
    return (
        f"{len(record.answers)} requests, {unanswered} without an answer in outages of"
        f" {' '.join(outages) or '0'} s, slowest {longest_s:.1f} s;"
        f" {', '.join(f'{count} {verb}' for verb, count in sorted(verbs.items()))}"
    )


if __name__ == "__main__":
    sys.exit(main())
