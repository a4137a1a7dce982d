"""Random histories on a lab of their own, under load, and a verdict of each.

python -m chaos --seeds 20 --seconds 60 --runtime process
python -m chaos --seed 7 --runtime docker     that history again
python -m chaos --seed 7 --lab ringlab --port 5050 --runtime process     on a lab that is up
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict

from chaos import census
from chaos.checker import BOUNDS, violations
from chaos.history import history
from chaos.records import Record
from chaos.trial import record_of
from labs import ROOT, Lab, free_port, play

SHOWN = 20  # violations of one history
NAME = "ringlab-chaos"


def main() -> int:
    options = _options()
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    if options.seed is not None:
        seeds = range(options.seed, options.seed + 1)
    with _lab(options) as lab:
        failed = [seed for seed in seeds if not _is_clean(lab, seed, options.seconds)]
    left = [] if options.port else census.leftovers(lab)
    for what in left:
        print(f"left over after destroy: {what}")
    clean = len(seeds) - len(failed)
    print(f"{clean} of {len(seeds)} histories of {options.seconds:g} s on {lab.runtime} are clean")
    return 1 if failed or left else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="chaos", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seed", type=int, help="only this history")
    parser.add_argument("--seeds", type=int, default=1, help="how many histories (default 1)")
    parser.add_argument("--first-seed", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--seconds", type=float, default=60.0, help="of each (default 60)")
    parser.add_argument("--runtime", choices=list(BOUNDS), default="process")
    parser.add_argument("--lab", default=NAME, help=f"name of the lab (default {NAME})")
    parser.add_argument("--port", type=int, help="of a lab that is up, which then stays")
    return parser.parse_args()


@contextmanager
def _lab(options: argparse.Namespace) -> Iterator[Lab]:
    """The lab that is up; else one that lives as long as the block."""
    if options.port:
        yield Lab(options.lab, options.runtime, options.port)
        return
    lab = Lab(f"{options.lab}-{options.runtime}", options.runtime, free_port())
    where = {"lab_name": lab.name, "lab_port": lab.port}
    play("playbooks/destroy.yml", **where)  # what a broken run left
    try:
        print(f"standing {lab.name} up at {lab.url}", flush=True)
        play("site.yml", **where, lab_runtime=lab.runtime, lab_jupyter=False)
        yield lab
    finally:
        play("playbooks/destroy.yml", **where)


def _is_clean(lab: Lab, seed: int, seconds: float) -> bool:
    """Runs one history and tells what came of it."""
    lab.reset()
    record = record_of(lab, history(seed, seconds), BOUNDS[lab.runtime])
    found = violations(record, BOUNDS[lab.runtime])
    print(f"seed {seed}: {summary(record)}; {len(found)} violations", flush=True)
    if not found:
        return True
    for sentence in found[:SHOWN]:
        print(f"  {sentence}")
    if len(found) > SHOWN:
        print(f"  and {len(found) - SHOWN} more")
    path = ROOT / ".ringlab" / "chaos" / f"{lab.runtime}-{seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(asdict(record), indent=1))
    print(f"  the record is in {path.relative_to(ROOT)}; to see it again:")
    print(f"  make chaos SEED={seed} SECONDS={seconds:g} RUNTIME={lab.runtime}", flush=True)
    return False


def summary(record: Record) -> str:
    """One line: how much was asked, what was done, how long the load balancer was away."""
    verbs = Counter(deed.verb for deed in record.deeds)
    unanswered = sum(not answer.is_good for answer in record.answers)
    outages = [
        f"{deed.served_at - deed.began_at:.1f}"
        for deed in record.deeds
        if deed.verb == "kill load-balancer" and deed.served_at is not None
    ]
    longest_s = max((a.answered_at - a.sent_at for a in record.answers if a.is_good), default=0.0)
    return (
        f"{len(record.answers)} requests, {unanswered} without an answer in outages of"
        f" {' '.join(outages) or '0'} s, slowest {longest_s:.1f} s;"
        f" {', '.join(f'{count} {verb}' for verb, count in sorted(verbs.items()))}"
    )


if __name__ == "__main__":
    sys.exit(main())
