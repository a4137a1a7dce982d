"""The parts of the helper that talk: load, admin calls, and the way back to N = 3."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import lab
import pytest
from paper_lab import PaperLab

LOST_ID = 13
REFUSED_ID = 14


class Script(BaseHTTPRequestHandler):
    """Answers as a load balancer does, but cuts the connection of one id and refuses another."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        request_id = int(self.headers.get("X-Request-ID", "0"))
        self.server.asked.append(request_id)  # type: ignore[attr-defined]
        if request_id == LOST_ID:
            self.close_connection = True
            return
        if request_id == REFUSED_ID or self.path == "/rep":
            body = b'{"message": "<Error> n must be an integer >= 1", "status": "failure"}'
            self.send_response(503 if self.path == "/home" else 400)
        else:
            body = b"{}"
            self.send_response(200)
            self.send_header("X-Replica", f"Server{request_id % 3 + 1}")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Script) as server:
        server.asked = []  # type: ignore[attr-defined]
        threading.Thread(target=server.serve_forever).start()
        yield server
        server.shutdown()


@pytest.fixture
def scripted(server: ThreadingHTTPServer) -> lab.Lab:
    return lab.Lab(f"http://127.0.0.1:{server.server_port}")


# Load


def test_ids_are_the_contracts() -> None:
    """The first of random.Random(42).randint(100000, 999999)."""
    assert [770487, 216739, 126225] == lab.ids()[:3]
    assert lab.ids(5, seed=1) == lab.ids(9, seed=1)[:5]


def test_a_row_per_request_in_the_order_of_ids(scripted: lab.Lab) -> None:
    """Whatever order they were answered in."""
    answers = scripted.send(range(20, 60), concurrency=7)
    assert list(range(20, 60)) == answers["id"].to_list()
    assert [f"Server{key % 3 + 1}" for key in range(20, 60)] == answers["replica"].to_list()
    assert {200} == set(answers["status"])
    assert answers["latency_s"].between(0, 10).all()
    assert abs(time.time() - answers.attrs["started_at"]) < 10


def test_a_cut_connection_is_a_loss(scripted: lab.Lab, server: ThreadingHTTPServer) -> None:
    """aiohttp would ask a second time on its own, and a loss would look like a success."""
    answers = scripted.send(range(10, 16), concurrency=1).set_index("id")
    assert 0 == answers.loc[LOST_ID, "status"]
    assert answers["replica"].isna()[LOST_ID]
    assert 1 == server.asked.count(LOST_ID)  # type: ignore[attr-defined]


def test_an_error_is_a_row_with_its_status(scripted: lab.Lab) -> None:
    """It is no answer of a replica."""
    answers = scripted.send([REFUSED_ID]).iloc[0]
    assert 503 == answers["status"]


def test_a_stream_keeps_its_rate(scripted: lab.Lab) -> None:
    """Request k is sent k / rate after the first, while the block does something else."""
    with scripted.stream(range(20, 40), rate_hz=100) as stream:
        time.sleep(0.05)
    sent = stream.answers["since_start_s"]
    assert 20 == len(sent)
    assert sent.iloc[-1] - sent.iloc[0] >= 0.18


def test_an_interrupt_stops_a_stream(scripted: lab.Lab, server: ThreadingHTTPServer) -> None:
    """At once, with most of its requests not sent."""
    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), scripted.stream(range(20, 1020), rate_hz=10):
        raise KeyboardInterrupt
    assert time.monotonic() - began < 5
    assert len(server.asked) < 60  # type: ignore[attr-defined]


# Admin calls


def test_a_refusal_has_the_labs_words(scripted: lab.Lab) -> None:
    """Without the marks of the contract's error shape."""
    with pytest.raises(lab.LabError, match=r"^n must be an integer >= 1$"):
        scripted.replicas()


def test_asking_returns_a_refusal_as_it_is(scripted: lab.Lab) -> None:
    """Status and body are there to be looked at."""
    answer = scripted.ask("GET", "/rep")
    assert (400, "failure") == (answer.status_code, answer.json()["status"])


def test_asking_sends_the_request_id(scripted: lab.Lab) -> None:
    """With an id the answer is that of its replica."""
    assert "Server2" == scripted.ask("GET", "/home", request_id=22).headers["X-Replica"]


def test_a_lab_that_is_down_says_how_to_start_it() -> None:
    """One paragraph with the command, in a notebook without a traceback."""
    with pytest.raises(lab.LabDown, match="make up") as caught:
        lab.Lab("http://127.0.0.1:9").replicas()
    assert 1 == len(caught.value._render_traceback_())
    assert "\n" not in str(caught.value)


# There and back


def disarray(paper_lab: PaperLab) -> None:
    """What a killed notebook may leave: another ring, strangers, and ids in other hands."""
    paper_lab.set_replicas([])
    paper_lab.add("Stranger", "Server3", "Server1")
    paper_lab.set_ring(slots=4096, virtual_nodes=7)


def test_restore_finds_home_from_anywhere(paper_lab: PaperLab) -> None:
    """Names, ids and slots: the ring is the one that is predicted."""
    disarray(paper_lab)
    assert not paper_lab.is_home()
    paper_lab.restore()
    assert paper_lab.is_home()
    assert lab.build_ring(3).snapshot() == paper_lab.placed.snapshot()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_temporarily_goes_back(paper_lab: PaperLab, error: type[BaseException]) -> None:
    """On failure and on interrupt."""
    with pytest.raises(error), paper_lab.temporarily(5, "seed-deployed"):
        raise error
    assert paper_lab.is_home()


def test_temporarily_builds_the_predicted_ring(paper_lab: PaperLab) -> None:
    """Whatever history the ring had before."""
    disarray(paper_lab)
    with paper_lab.temporarily(5, "seed-deployed"):
        assert lab.build_ring(5, "seed-deployed").snapshot() == paper_lab.placed.snapshot()


def test_temporarily_goes_back_when_it_cannot_begin(paper_lab: PaperLab) -> None:
    """Seven do not fit, and by then there are seven."""
    with pytest.raises(Exception, match="no free slot"):  # noqa: SIM117
        with paper_lab.temporarily(7, "seed-deployed"):
            pytest.fail("this must not be reached")
    assert paper_lab.is_home()


def test_a_failed_cell_has_the_lab_restored(
    paper_lab: PaperLab, capsys: pytest.CaptureFixture[str]
) -> None:
    """A good one leaves it alone: what a cell sets up, the next may use."""
    after_cell = lab._guard(paper_lab)
    paper_lab.add("Server4")
    after_cell(SimpleNamespace(success=True))
    assert 4 == len(paper_lab.replicas())
    after_cell(SimpleNamespace(success=False))
    assert paper_lab.is_home()
    assert "back at N = 3" in capsys.readouterr().out
