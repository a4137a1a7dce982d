"""The load balancer's settings: one frozen object, read once from the command line and the
environment (`LOAD_BALANCER_<NAME>`; the command line wins), then passed as an argument."""

from __future__ import annotations

import argparse
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from load_balancer import rings
from ring import PRESETS, Placement, RingError

Address = tuple[str, int]
RING_FIELDS = (
    "algorithm",
    "preset",
    "hash",
    "load_factor",
    "slots",
    "virtual_nodes",
    "key_hash",
    "virtual_node_hash",
    "probing",
)
CHOICE = tuple(name for name in rings.NAMES if name != "table")  # which is data, for PUT /ring
HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?")  # RFC 1123 §2.1


def parse_place(text: str) -> Address | Path:
    """The path of a Unix socket, which has a slash, or host and port. ValueError names the text."""
    try:
        return Path(text) if "/" in text else parse_address(text)
    except ValueError:
        raise ValueError(
            f"expected HOST:PORT with a port from 0 to 65535, or a path with a /, got {text!r}"
        ) from None


def parse_address(text: str) -> Address:
    """`"127.0.0.1:6060"` or `"[::1]:6060"` as host and port. ValueError names the text."""
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"expected HOST:PORT with a port from 0 to 65535, got {text!r}")
    return host.strip("[]"), int(port)


class Settings(BaseSettings):
    """Every field has its unit in its name and its default here; `--help` prints this table."""

    model_config = SettingsConfigDict(env_prefix="LOAD_BALANCER_", frozen=True)

    bind: str = Field("127.0.0.1:5050", description="HOST:PORT of the traffic and the admin API")
    reuse_port: bool = Field(
        False, description="let the process that takes over listen beside this one (SO_REUSEPORT)"
    )
    workers: int = Field(
        1, ge=1, le=256, description="processes that share the port, one data plane each"
    )
    followers: str = Field(
        "", description="HOST:PORT, or path of a socket, where data planes elsewhere may follow"
    )
    follow: str = Field(
        "", description="such a HOST:PORT or path: be a data plane that follows, and nothing else"
    )
    followers_token: str = Field(
        "", description="secret that both need when that is beyond loopback"
    )
    replica: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="NAME=HOST:PORT of a server that we do not manage; repeatable"
    )
    provisioner_socket: Path | None = Field(
        None, description="Unix socket of the provisioner that starts and stops our replicas"
    )
    provisioner: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="NAME=HOST:PORT of a node's provisioner, where several make our replicas"
    )
    drained: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="names of nodes whose replicas go elsewhere; comma-separated"
    )
    provisioner_token: str = Field("", description="that those provisioners demand")
    state_file: Path | None = Field(
        None, description="where replicas, their slots and the ring survive a restart"
    )

    algorithm: str = Field("slots", description="of the ring to begin with: " + ", ".join(CHOICE))
    preset: str | None = Field(
        None, description=f"of algorithm slots, {', '.join(PRESETS)} (default default)"
    )
    hash: str | None = Field(None, description="of a request id, instead of the algorithm's")
    load_factor: float | None = Field(
        None, description="no replica gets more than that many times the mean of requests in flight"
    )
    slots: int | None = Field(None, description="slots of the ring, instead of the preset's")
    virtual_nodes: int | None = Field(None, description="virtual nodes per replica, likewise")
    key_hash: str | None = Field(None, description="hash of a request id, likewise")
    virtual_node_hash: str | None = Field(None, description="hash of a virtual node, likewise")
    probing: Literal["linear", "quadratic", "double"] | None = Field(
        None, description="linear, quadratic or double, likewise"
    )

    heartbeat_path: str = Field("/heartbeat", description="what a heartbeat asks for")
    heartbeat_interval_s: float = Field(0.25, gt=0, description="between two heartbeats")
    heartbeat_timeout_s: float = Field(1.0, gt=0, description="until one counts as not answered")
    heartbeat_fall: int = Field(2, ge=1, description="heartbeats missed in a row: dead")
    heartbeat_rise: int = Field(2, ge=1, description="answered in a row: a dead one is alive again")
    heartbeat_connect_timeout_s: float = Field(
        0.3, gt=0, description="until one that finds no connection counts as missed"
    )

    outlier_failures: int = Field(
        5, ge=0, description="5xx or silences in a row: the replica gets no traffic; 0: never"
    )
    ejection_s: float = Field(
        30.0, gt=0, description="for that long, and n times as long the n-th time, at most 300 s"
    )
    slow_start_s: float = Field(
        0.0, ge=0, description="until a newcomer in a running lab gets all its keys; 0: at once"
    )

    # Longer than a heartbeat's: when nobody is there, heartbeats find out, and end the waiting.
    connect_timeout_s: float = Field(2.0, gt=0, description="to open a connection to a replica")
    response_timeout_s: float = Field(30.0, gt=0, description="of silence from a replica: 504")
    queue_timeout_s: float = Field(30.0, gt=0, description="for a place among them: then 503")
    head_timeout_s: float = Field(10.0, gt=0, description="for a client to send a head: then 408")
    body_timeout_s: float = Field(10.0, gt=0, description="for the next piece of a body: then 408")
    min_body_rate: int = Field(
        500, ge=0, description="bytes/s of a body, over that time; fewer get 408; 0: no minimum"
    )
    idle_timeout_s: float = Field(75.0, gt=0, description="a client's idle connection is kept")
    pool_idle_s: float = Field(4.0, gt=0, description="a replica's idle connection is kept")
    # What waits in a replica delays its heartbeats: with 256 by less than their timeout.
    pool_size: int = Field(256, ge=1, description="connections to one replica; more must wait")
    pool_uploads: int = Field(
        640, ge=0, description="and besides, while request bodies are still coming on as many"
    )
    max_queue: int = Field(
        16_384, ge=0, description="requests that wait for a connection to one replica: then 503"
    )
    max_connections: int = Field(16_384, ge=1, description="clients at once; more get 503")
    max_connections_per_client: int = Field(
        0, ge=0, description="from one address; more get 429; 0: no limit"
    )
    max_pipelined_bytes: int = Field(
        64 * 1024, ge=1, description="read of a client behind the request that is answered"
    )
    max_head_bytes: int = Field(
        32 * 1024, ge=1024, description="of a request or an answer; more get 431, or 502"
    )
    max_fields: int = Field(100, ge=1, description="lines in a head, likewise")
    max_target_bytes: int = Field(8 * 1024, ge=1, description="path and query; more get 414")
    max_body_bytes: int = Field(0, ge=0, description="of a request; more get 413; 0: no limit")
    access_log: str = Field(
        "", description="file that gets a line of JSON for each answer; -: standard output"
    )
    tunnel_timeout_s: float = Field(3600.0, gt=0, description="of silence in a WebSocket")
    retry_share: float = Field(
        0.2, ge=0, le=1, description="of requests in 10 s that may be sent twice, besides 256"
    )
    # As many as there may be: replicas that freeze one after the other can spend any smaller number
    # while others are alive. None is tried twice.
    max_attempts: int = Field(64, ge=1, description="replicas that one request may try")

    start_timeout_s: float = Field(30.0, gt=0, description="for a new replica's first heartbeat")
    drain_timeout_s: float = Field(30.0, gt=0, description="for requests of a leaving replica")
    replacement_name: Literal["same", "random"] = Field(
        "same", description="of a dead replica's replacement: its own, so that its keys return"
    )
    max_replicas: int = Field(64, ge=1, description="that /add and PUT /rep will go up to")

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="names accepted in Host on admin calls besides localhost; comma-separated"
    )
    admin_token: str = Field("", description="bearer token that admin calls must then carry")
    open_admin: bool = Field(
        False, description="no token though bound beyond loopback: the port is not published"
    )

    @field_validator("replica", "provisioner", "drained", "allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return tuple(filter(None, value.split(","))) if isinstance(value, str) else value

    @field_validator("bind")
    @classmethod
    def _is_address(cls, value: str) -> str:
        parse_address(value)
        return value

    @field_validator("followers", "follow")
    @classmethod
    def _is_place(cls, value: str) -> str:
        if value:
            parse_place(value)
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        try:
            _ = self.ring()
        except RingError as error:
            raise ValueError(str(error)) from error
        makers = {
            "--replica": self.unmanaged_replicas,
            "--provisioner-socket": self.provisioner_socket,
            "--provisioner": self.provisioners,
        }
        if len(given := [name for name, value in makers.items() if value]) > 1:
            raise ValueError(f"{' and '.join(given)} exclude each other")
        if unknown := set(self.drained) - self.provisioners.keys():
            raise ValueError(f"--drained {', '.join(sorted(unknown))} is no --provisioner's name")
        self._check_planes()
        if self.follow or self.admin_token or self.open_admin:
            return self  # who follows has no admin API
        if not is_loopback(self.bind_address[0]):
            raise ValueError(
                f"bound to {self.bind}, beyond loopback, the admin API needs an --admin-token"
            )
        return self

    def _check_planes(self) -> None:
        """Whether the data planes that there are to be can be."""
        of_control = (
            *("workers", "followers", "replica", "provisioner_socket", "provisioner", "drained"),
            "state_file",
        )
        defaults = type(self).model_fields
        surplus = [name for name in of_control if getattr(self, name) != defaults[name].default]
        if self.follow and surplus:
            options = ", ".join(f"--{name.replace('_', '-')}" for name in surplus)
            raise ValueError(f"--follow leaves {options} to the control plane that it follows")
        if self.workers > 1 and not self.bind_address[1]:
            raise ValueError(f"--workers {self.workers} share one port, got --bind {self.bind}")
        place = parse_place(self.followers) if self.followers else Path()
        if isinstance(place, tuple) and not (self.followers_token or is_loopback(place[0])):
            raise ValueError(
                f"at {self.followers}, beyond loopback, followers need a --followers-token"
            )

    @property
    def bind_address(self) -> Address:
        return parse_address(self.bind)

    @property
    def unmanaged_replicas(self) -> dict[str, Address]:
        """Hostname → address of the servers that we route to without managing them."""
        return _named_addresses("--replica", self.replica)

    @property
    def provisioners(self) -> dict[str, Address]:
        """Node → address of its provisioner, where several make our replicas."""
        return _named_addresses("--provisioner", self.provisioner)

    @property
    def manages_replicas(self) -> bool:
        return not self.replica

    def ring(self) -> Placement:
        """The ring to begin with, empty. RingError."""
        given = {name: value for name in RING_FIELDS if (value := getattr(self, name)) is not None}
        return rings.choose(given)


def _named_addresses(option: str, texts: Sequence[str]) -> dict[str, Address]:
    """Of texts NAME=HOST:PORT, given to an option. ValueError names the text that is wrong."""
    addresses: dict[str, Address] = {}
    for text in texts:
        name, equals, address = text.partition("=")
        if not equals or not HOSTNAME.fullmatch(name):
            raise ValueError(f"{option} wants NAME=HOST:PORT with a hostname, got {text!r}")
        if name in addresses:
            raise ValueError(f"{option} {name} is given twice")
        addresses[name] = parse_address(address)
    return addresses


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def from_command_line(arguments: Sequence[str] | None = None) -> Settings:
    """Settings of this process; exits with status 2 and one line per fault if they are wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m load_balancer",
        description="Consistent-hashing load balancer: traffic and its admin API on one port.",
        epilog="Each option may come from the environment: --pool-size as LOAD_BALANCER_POOL_SIZE.",
        formatter_class=lambda prog: argparse.HelpFormatter(prog, max_help_position=34),
    )
    for name, field in Settings.model_fields.items():
        option: dict[str, Any] = {"default": argparse.SUPPRESS, "metavar": name.upper()}
        if field.annotation is bool:
            option = {"default": argparse.SUPPRESS, "action": "store_true"}
        elif name in ("replica", "provisioner"):
            option |= {"action": "append", "metavar": "NAME=HOST:PORT"}
        default = "" if field.default in (None, (), "", False) else f" (default {field.default})"
        parser.add_argument(
            f"--{name.replace('_', '-')}", help=f"{field.description}{default}", **option
        )
    given = vars(parser.parse_args(arguments))
    try:
        return Settings(**given)
    except ValidationError as error:
        faults = map(_told, error.errors())
        parser.exit(2, "".join(f"{parser.prog}: error: {fault}\n" for fault in faults))


def _told(fault: ErrorDetails) -> str:
    """A fault with the value that was wrong; our own messages name it already."""
    name = ".".join(map(str, fault["loc"])) or "settings"
    if fault["type"] == "value_error":
        return f"{name}: {fault['msg'].removeprefix('Value error, ')}"
    return f"{name}: {fault['msg']}, got {fault['input']!r}"
