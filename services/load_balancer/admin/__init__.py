"""The admin API: a Flask application, in threads of its own behind a Unix socket.

Its views never touch the control plane's state: they read what is published there, and have the
event loop run a command (`Context.run`).
"""

from load_balancer.admin.app import create_app
from load_balancer.admin.context import Context
from load_balancer.admin.server import AdminServer

__all__ = ["AdminServer", "Context", "create_app"]
