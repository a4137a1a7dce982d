"""The replica's two endpoints, as the classic assignment words them."""

import pytest
from flask.testing import FlaskClient
from replica import create_app


@pytest.fixture
def client() -> FlaskClient:
    return create_app("Server7").test_client()


def test_home_greets_with_its_id(client: FlaskClient) -> None:
    """/home answers 200 and the assignment's two fields, the id as it was given."""
    response = client.get("/home")
    assert (200, "application/json") == (response.status_code, response.content_type)
    assert {"message": "Hello from Server: Server7", "status": "successful"} == response.json


def test_heartbeat_is_empty(client: FlaskClient) -> None:
    """/heartbeat answers 200 with an empty body."""
    response = client.get("/heartbeat")
    assert (200, b"") == (response.status_code, response.data)


@pytest.mark.parametrize(("wanted", "status"), [("Server7", 200), ("Server8", 421)])
def test_heartbeat_is_for_one_replica(client: FlaskClient, wanted: str, status: int) -> None:
    """Who looks for another one learns that it is not here."""
    response = client.get("/heartbeat", headers={"X-Replica": wanted})
    assert (status, b"") == (response.status_code, response.data)


@pytest.mark.parametrize("path", ["/", "/other", "/home/", "/Home", "/static/x"])
def test_other_paths_are_unknown(client: FlaskClient, path: str) -> None:
    """Any other path is a 404: the load balancer knows by it that the path does not exist."""
    assert 404 == client.get(path).status_code
