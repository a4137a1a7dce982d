"""The checker finds what it looks for: records made by hand, with one fault each."""

from __future__ import annotations

from dataclasses import replace

import pytest
from chaos.checker import Bounds, violations
from chaos.records import Answer, Deed, Event, Look, Record

BOUNDS = Bounds(recovery_s=3.0, outage_s=4.0)
PLACEMENT = "placement of two"


def well() -> Record:
    """Ten seconds of two replicas and two keys; a look four times and a request for each key ten
    times a second; nothing happens."""
    return Record(
        began_at=0.0,
        replicas=("Server1", "Server2"),
        answers=[good(tenth / 10, key, f"Server{key}") for tenth in range(100) for key in (1, 2)],
        looks=[look(quarter / 4) for quarter in range(40)],
        left=[("Server1", "running"), ("Server2", "running")],
    )


def good(at: float, key: int, replica: str) -> Answer:
    return Answer(at, at + 0.01, key, 200, replica)


def lost(begin: float, end: float, status: int = 502) -> Answer:
    return Answer(begin, end, 3, status, "", "gone")


def look(at: float, listed: tuple[str, ...] = ("Server1", "Server2"), version: int = 1) -> Look:
    return Look(at, at + 0.01, version, listed, PLACEMENT)


def fault(verb: str, name: str, begin: float, end: float) -> Deed:
    return Deed(verb, (name,), begin, end, 200)


def kill(service: str, at: float, served_at: float | None) -> Deed:
    return Deed(f"kill {service}", (), at, at + 0.01, 200, served_at=served_at)


def test_a_record_without_a_fault_is_clean() -> None:
    """Nothing is found where nothing is."""
    assert [] == violations(well(), BOUNDS)


# (a) No safe request fails while a replica is alive


@pytest.mark.parametrize("status", [0, 502, 503, 504])
def test_a_failed_request_is_found(status: int) -> None:
    """Whatever it failed with."""
    record = well()
    record.answers.append(lost(5.0, 5.1, status))
    (found,) = violations(record, BOUNDS)
    assert f"request 3, sent at 5.000 s, failed after 0.100 s: {status} from nobody" in found


def test_a_crash_of_one_replica_excuses_nothing() -> None:
    """The other is alive."""
    record = well()
    record.deeds.append(fault("crash", "Server1", 4.9, 4.95))
    record.answers.append(lost(5.0, 5.1))
    (found,) = violations(record, BOUNDS)
    assert "request 3" in found


@pytest.mark.parametrize("verb", ["crash", "pause"])
def test_nobody_alive_is_an_excuse(verb: str) -> None:
    """Until one is said to be alive again."""
    record = well()
    record.deeds += [fault(verb, name, 4.9, 4.95) for name in record.replicas]
    record.answers.append(lost(5.0, 5.1))
    assert [] == violations(record, BOUNDS)
    record.events += [Event(5.2, "dead", "Server1"), Event(5.5, "alive", "Server1")]
    assert [] == violations(record, BOUNDS)
    record.answers.append(lost(5.6, 5.7))
    (found,) = violations(record, BOUNDS)
    assert "sent at 5.600 s" in found


def test_a_resumed_replica_is_alive() -> None:
    """From the end of the call on."""
    record = well()
    record.deeds += [fault("pause", name, 4.9, 4.95) for name in record.replicas]
    record.deeds.append(fault("resume", "Server2", 5.2, 5.3))
    record.answers.append(lost(5.1, 5.4))
    assert [] == violations(record, BOUNDS)
    record.answers.append(lost(5.4, 5.5))
    (found,) = violations(record, BOUNDS)
    assert "sent at 5.400 s" in found


def test_an_opinion_is_no_excuse() -> None:
    """A load balancer that gives up replicas which nobody has struck is not excused by that."""
    record = well()
    record.events += [Event(4.9, "dead", name) for name in record.replicas]
    record.answers.append(lost(5.0, 5.1, 503))
    (found,) = violations(record, BOUNDS)
    assert "request 3" in found


def test_an_outage_excuses_those_without_an_answer() -> None:
    """From the kill until it serves again, and what was in flight; not an answer of its own."""
    record = well()
    record.deeds.append(kill("load-balancer", 5.0, 6.0))
    record.answers += [lost(4.9, 5.005, 0), lost(5.5, 5.5, 0), lost(5.99, 6.1, 0)]
    assert [] == violations(record, BOUNDS)
    record.answers += [lost(5.5, 5.6, 502), lost(6.1, 6.2, 0)]
    assert 2 == len(violations(record, BOUNDS))


def test_a_killed_provisioner_excuses_nothing() -> None:
    """It is on no request's way."""
    record = well()
    record.deeds.append(kill("provisioner", 4.9, 6.0))
    record.answers.append(lost(5.0, 5.1, 0))
    (found,) = violations(record, BOUNDS)
    assert "request 3" in found


def test_a_restarted_engine_takes_everything_with_it() -> None:
    """Until the load balancer serves; a replica is alive when it is said to be."""
    record = well()
    record.deeds.append(Deed("restart engine", (), 5.0, 6.0, 200, served_at=8.0))
    record.deeds.append(Deed("resume", ("Server1",), 4.9, 5.2, 200))  # and gone again
    record.events.append(Event(7.5, "alive", "Server2"))
    record.answers += [lost(5.5, 5.6, 0), lost(7.1, 7.2, 503)]
    assert [] == violations(record, BOUNDS)
    record.answers.append(lost(8.5, 8.6, 503))
    (found,) = violations(record, BOUNDS)
    assert "sent at 8.500 s" in found


# (b) Each answer comes from a member


def with_removal() -> Record:
    """Server2 leaves: the command begins at 5, takes it out of the table at 5.1, ends at 6."""
    record = well()
    record.answers = [answer for answer in record.answers if answer.key == 1]
    record.looks = [look(each.asked_at, ("Server1",), 2) for each in record.looks[24:]]
    record.left = [("Server1", "running")]
    record.deeds.append(Deed("rm", ("Server2",), 5.0, 6.0, 200))
    record.events.append(Event(5.1, "draining", "Server2"))
    return record


def test_an_answer_of_a_stranger_is_found() -> None:
    """Of a replica that nobody has ever ordered."""
    record = well()
    record.answers.append(good(5.0, 3, "Server9"))
    (found,) = violations(record, BOUNDS)
    assert "request 3, sent at 5.000 s, was answered by Server9" in found


def test_an_answer_of_a_removed_replica_is_found() -> None:
    """Sent before it left the table it is well; after that it is not, though it still drains."""
    record = with_removal()
    record.answers.append(Answer(5.05, 5.9, 2, 200, "Server2"))
    assert [] == violations(record, BOUNDS)
    record.answers.append(good(5.2, 2, "Server2"))
    (found,) = violations(record, BOUNDS)
    assert "request 2, sent at 5.200 s, was answered by Server2" in found


def test_an_answer_of_a_replica_to_come_is_found() -> None:
    """It may answer as soon as the command has begun that adds it."""
    record = well()
    record.deeds.append(Deed("add", ("Server3",), 9.8, 9.9, 200))
    record.left.append(("Server3", "running"))
    record.answers.append(good(9.85, 3, "Server3"))
    assert [] == violations(record, BOUNDS)
    record.answers.append(good(9.0, 3, "Server3"))
    assert 1 == sum("was answered by Server3" in each for each in violations(record, BOUNDS))


# (c) N holds


def test_one_too_many_is_found() -> None:
    """/rep lists who was not ordered."""
    record = well()
    record.looks[20] = look(5.0, ("Server1", "Server2", "Server3"))
    assert ["/rep listed Server3 at 5.000 s, which nobody had ordered"] == violations(
        record, BOUNDS
    )


def test_one_that_should_have_gone_is_found() -> None:
    """/rep lists who was removed."""
    record = with_removal()
    record.looks[4] = look(7.0, version=2)
    (found,) = violations(record, BOUNDS)
    assert "/rep listed Server2 at 7.000 s" in found


def missing(begin: float, end: float) -> Record:
    """Server2 is not listed from `begin` to `end`."""
    record = well()
    record.answers = [answer for answer in record.answers if answer.key == 1]
    record.looks = [
        look(each.asked_at, ("Server1",), 2) if begin <= each.asked_at <= end else each
        for each in record.looks
    ]
    return record


def test_one_that_is_missing_is_found() -> None:
    """Nobody has struck it."""
    (found,) = violations(missing(5.0, 5.0), BOUNDS)
    assert "/rep did not list Server2 at 5.000 s; never struck" in found


def test_a_recovery_has_a_bound() -> None:
    """Three seconds here, after a crash."""
    in_time = missing(5.0, 7.9)
    in_time.deeds.append(fault("crash", "Server2", 4.9, 4.95))
    assert [] == violations(in_time, BOUNDS)
    late = missing(5.0, 8.0)
    late.deeds = in_time.deeds
    (found,) = violations(late, BOUNDS)
    assert "/rep did not list Server2 at 8.000 s; struck until 4.950 s" in found


def test_a_recovery_waits_for_the_provisioner() -> None:
    """Its death delays the recovery of those who are out, and takes nobody else out."""
    record = missing(5.0, 8.0)
    record.deeds.append(kill("provisioner", 4.9, 6.0))
    assert 13 == len(violations(record, BOUNDS))
    record.deeds.append(fault("crash", "Server2", 4.9, 4.95))
    assert [] == violations(record, BOUNDS)


# (d) The same key goes to the same replica whenever the table is the same


def test_a_wandering_key_is_found() -> None:
    """Another replica answers it, and the table has not changed."""
    record = well()
    record.answers.append(good(5.05, 2, "Server1"))
    (found,) = violations(record, BOUNDS)
    assert "key 2 went to Server2 at 0.100 s and to Server1 at 5.050 s" in found


def test_a_key_may_move_when_the_table_changes() -> None:
    """While it changes nothing is said; and with another placement keys go elsewhere."""
    record = well()
    record.answers = [each for each in record.answers if each.key == 1 or each.sent_at < 5.0]
    record.answers += [good(each / 10, 2, "Server1") for each in range(51, 98)]
    changed = [replace(each, version=2, placement="other") for each in record.looks[21:]]
    record.looks = [*record.looks[:20], *changed]
    assert [] == violations(record, BOUNDS)


def test_a_restart_keeps_the_ways_of_keys() -> None:
    """The same placement in another process, whatever it numbers its tables."""
    record = well()
    record.deeds.append(kill("load-balancer", 5.0, 6.0))
    away = [Look(each.asked_at, each.answered_at) for each in record.looks[20:24]]
    after = [look(each.asked_at, version=9) for each in record.looks[24:]]
    record.looks = [*record.looks[:20], *away, *after]
    assert [] == violations(record, BOUNDS)
    record.answers.append(good(8.0, 2, "Server1"))
    (found,) = violations(record, BOUNDS)
    assert "key 2 went to Server2 at 0.100 s and to Server1 at 8.000 s" in found


# (e) What a history leaves behind, and what it was told


@pytest.mark.parametrize("served_at", [10.0, None])
@pytest.mark.parametrize("service", ["load-balancer", "provisioner"])
def test_a_long_outage_is_found(service: str, served_at: float | None) -> None:
    """A service has a bound for its return."""
    record = well()
    record.deeds.append(kill(service, 5.0, served_at))
    (found,) = violations(record, BOUNDS)
    assert f"kill {service}, at 5.000 s: it served again" in found


def test_a_disobeyed_command_is_found() -> None:
    """Repeated until it was given up."""
    record = well()
    record.deeds.append(Deed("ring", (), 5.0, 65.0, 503, "<Error> no"))
    assert ["ring, at 5.000 s, was answered 503: <Error> no"] == violations(record, BOUNDS)


@pytest.mark.parametrize(
    ("left", "sentence"),
    [
        ([("Server1", "running")], "at the end Server2 should be running"),
        (
            [("Server1", "running"), ("Server2", "running"), ("Server3", "exited")],
            "at the end there is Server3, exited",
        ),
        (
            [("Server1", "running"), ("Server2", "running"), ("Server2", "running")],
            "at the end there are several of a name",
        ),
    ],
)
def test_what_is_left_is_counted(left: list[tuple[str, str]], sentence: str) -> None:
    """One too few, an orphan, and two of a name."""
    record = well()
    record.left = left
    (found,) = violations(record, BOUNDS)
    assert sentence in found
