"""What shall happen to a lab, and when: a random history, wholly decided by its seed.

A model keeps account of what each operation leaves behind, on the cautious side: who was struck or
has just been ordered counts as unfit for RECOVERY_S. So nobody strikes or removes the last fit
replica, and whoever is unfit was given the time to come back. When the lab takes longer than the
model thinks, the checker finds out from the records; the history stays as it is.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace

MIN_REPLICAS, MAX_REPLICAS = 1, 6  # seed-deployed has room for six
PRESETS = ("default", "assignment", "seed-library", "seed-deployed")

RECOVERY_S = 4.0
OUTAGE_S = 3.0  # of a killed service, on top
# A command takes seconds on containers, and the next one waits for it.
COMMAND_GAP_S = 2.5
# Supervisors wait longer and longer for what dies again within ten seconds.
KILL_GAP_S = 18.0
# More deaths of one replica within a minute are healed with a delay, on purpose.
MAX_FAULTS = 5
# A frozen replica is given up after about 1.3 s: some are thawed before, some at that moment, and
# some when it is too late.
RESUME_S = (0.05, 2.5)
GAP_S = (0.05, 1.3)

RESTART_ENGINE = "restart engine"
WEIGHTS = {
    "crash": 10,
    "pause": 8,
    "add": 4,
    "rm": 2,
    "ring": 1,
    "kill load-balancer": 1,
    "kill provisioner": 1,
}


@dataclass(frozen=True, order=True)
class Operation:
    """`at_s` counts from the history's beginning. Of `hostnames` a fault has one, a command one or
    two; `preset` is a ring's."""

    at_s: float
    verb: str
    hostnames: tuple[str, ...] = ()
    preset: str = ""

    def __str__(self) -> str:
        return " ".join([self.verb, *self.hostnames, *filter(None, [self.preset])])


@dataclass
class Model:
    """What a cautious observer believes of the lab at `now_s`."""

    fit_from_s: dict[str, float]
    now_s: float = 0.0
    last_s: dict[str, float] = field(default_factory=dict)
    num_faults: Counter[str] = field(default_factory=Counter)

    def fit(self) -> list[str]:
        return [name for name, from_s in self.fit_from_s.items() if from_s <= self.now_s]

    def rested(self, what: str, gap_s: float) -> bool:
        return self.now_s - self.last_s.get(what, -gap_s) >= gap_s

    def delay_recoveries(self) -> None:
        """A service that heals is away: who is unfit stays so for longer."""
        for name in self.fit_from_s.keys() - self.fit():
            self.fit_from_s[name] = self.now_s + OUTAGE_S + RECOVERY_S


def history(seed: int, seconds: float, *, engine: bool = False) -> list[Operation]:
    """The operations of `seconds`, by time; equal for equal arguments. It begins with Server1 to
    Server3, all alive. `engine`: in the midst of the same operations the engine restarts."""
    rng = random.Random(seed)
    model = Model({"Server1": 0.0, "Server2": 0.0, "Server3": 0.0})
    operations: list[Operation] = []
    while (now_s := model.now_s + rng.uniform(*GAP_S)) < seconds:
        model.now_s = now_s
        possible = {verb: offer for verb in WEIGHTS if (offer := OFFERS[verb](model, rng))}
        if possible:
            verbs = list(possible)
            (verb,) = rng.choices(verbs, [WEIGHTS[verb] for verb in verbs])
            operations += [_rounded(each) for each in possible[verb]()]
    if engine:
        operations.append(_rounded(Operation(seconds * rng.uniform(0.3, 0.5), RESTART_ENGINE)))
    return sorted(operation for operation in operations if operation.at_s < seconds)


def _rounded(operation: Operation) -> Operation:
    return replace(operation, at_s=round(operation.at_s, 3))


# What may be done now: each returns None, or a function that does it in the model.

Doing = Callable[[], list[Operation]]


def _add(model: Model, rng: random.Random) -> Doing | None:
    room = MAX_REPLICAS - len(model.fit_from_s)
    if room < 1 or not model.rested("command", COMMAND_GAP_S):
        return None

    def do() -> list[Operation]:
        free = [
            name for number in range(1, 10) if (name := f"Server{number}") not in model.fit_from_s
        ]
        names = tuple(rng.sample(free, rng.randint(1, min(2, room))))
        for name in names:
            model.fit_from_s[name] = model.now_s + RECOVERY_S
            del model.num_faults[name]
        return _command(model, "add", names)

    return do


def _rm(model: Model, rng: random.Random) -> Doing | None:
    fit, present = model.fit(), list(model.fit_from_s)
    if len(present) <= MIN_REPLICAS or not fit or not model.rested("command", COMMAND_GAP_S):
        return None

    def do() -> list[Operation]:
        stays = rng.choice(fit)
        others = [name for name in present if name != stays]
        names = tuple(rng.sample(others, rng.randint(1, min(2, len(others)))))
        for name in names:
            del model.fit_from_s[name]
        return _command(model, "rm", names)

    return do


def _ring(model: Model, rng: random.Random) -> Doing | None:
    if not model.rested("command", COMMAND_GAP_S):
        return None
    return lambda: _command(model, "ring", (), rng.choice(PRESETS))


def _command(
    model: Model, verb: str, hostnames: tuple[str, ...], preset: str = ""
) -> list[Operation]:
    model.last_s["command"] = model.now_s
    return [Operation(model.now_s, verb, hostnames, preset)]


def _fault(verb: str) -> Callable[[Model, random.Random], Doing | None]:
    def offer(model: Model, rng: random.Random) -> Doing | None:
        fit = model.fit()
        victims = [name for name in fit if model.num_faults[name] < MAX_FAULTS]
        if len(fit) < 2 or not victims:
            return None

        def do() -> list[Operation]:
            victim = rng.choice(victims)
            operations = [Operation(model.now_s, verb, (victim,))]
            if verb == "pause" and rng.random() < 0.6:
                resumed_s = model.now_s + rng.uniform(*RESUME_S)
                operations.append(Operation(resumed_s, "resume", (victim,)))
            model.num_faults[victim] += 1
            model.fit_from_s[victim] = operations[-1].at_s + RECOVERY_S
            return operations

        return do

    return offer


def _kill(verb: str) -> Callable[[Model, random.Random], Doing | None]:
    def offer(model: Model, rng: random.Random) -> Doing | None:
        if not model.rested(verb, KILL_GAP_S):
            return None

        def do() -> list[Operation]:
            model.last_s[verb] = model.now_s
            model.delay_recoveries()
            return [Operation(model.now_s, verb)]

        return do

    return offer


OFFERS: dict[str, Callable[[Model, random.Random], Doing | None]] = {
    "crash": _fault("crash"),
    "pause": _fault("pause"),
    "add": _add,
    "rm": _rm,
    "ring": _ring,
    "kill load-balancer": _kill("kill load-balancer"),
    "kill provisioner": _kill("kill provisioner"),
}
