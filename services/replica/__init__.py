"""A replica: the server that the load balancer spreads its requests over.

Two endpoints, the classic assignment's contract to the letter; any other path is Flask's 404,
which the load balancer turns into the contract's 400.
"""

from flask import Flask, request


def create_app(server_id: str) -> Flask:
    """Flask app of the replica that calls itself server_id in its greeting."""
    app = Flask(__name__, static_folder=None)

    @app.get("/home")
    def home() -> dict[str, str]:
        return {"message": f"Hello from Server: {server_id}", "status": "successful"}

    @app.get("/heartbeat")
    def heartbeat() -> tuple[str, int]:
        """200 with an empty body: whoever can answer at all is alive. 421 to who says that it looks
        for another, which may have had this address before: RFC 9110 §15.5.20."""
        wanted = request.headers.get("X-Replica", server_id)
        return "", 200 if wanted == server_id else 421

    return app
