"""The provisioner's settings: the only place that reads the environment."""

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from provisioner.tcp_socket import parse_bind

MIN_TOKEN_CHARACTERS = 16  # as of the load balancer's admin token


class Settings(BaseSettings):
    """Read once, from PROVISIONER_<FIELD>, and passed as an argument from then on."""

    model_config = SettingsConfigDict(env_prefix="PROVISIONER_", frozen=True)

    socket: Path = Field(
        default=Path("/run/ringlab/provisioner.sock"),
        description="Path of the Unix socket to serve on; at most 107 bytes.",
    )
    bind: str = Field(
        default="",
        description="HOST:PORT to serve other nodes on as well; empty: none of them.",
    )
    token: str = Field(
        default="",
        repr=False,
        description="What other nodes must bear; at least 16 characters where there is a bind.",
    )
    lab: str = Field(
        default="ringlab",
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$",
        description="Name of the lab: label and name prefix of all it makes.",
    )
    runtime: Literal["docker", "swarm", "process"] = Field(
        default="docker",
        description="What a replica is: a container, one on a swarm's overlay, or a process.",
    )

    image: str = Field(default="", description="docker, swarm: reference of the replicas' image.")
    network: str = Field(
        default="", description="docker, swarm: name of the network the replicas are on."
    )
    memory: str = Field(
        default="128m",
        pattern=r"^[1-9][0-9]*[bkmgBKMG]?$",
        description="docker, swarm: memory limit of a replica, bytes or with suffix k, m, g.",
    )
    pids: int = Field(
        default=64, ge=8, description="docker, swarm: limit of processes and threads per replica."
    )
    docker_host: str = Field(
        default="unix:///var/run/docker.sock",
        validation_alias="DOCKER_HOST",
        description="docker, swarm: URL of the engine; all Docker clients read that name.",
    )

    directory: Path = Field(
        default=Path("/var/lib/ringlab/replicas"),
        description="process: directory of the replicas' records and logs; made if missing.",
    )

    @model_validator(mode="after")
    def _other_nodes_need_a_token(self) -> Self:
        if self.bind:
            parse_bind(self.bind)
            if len(self.token) < MIN_TOKEN_CHARACTERS:
                raise ValueError(
                    f"PROVISIONER_BIND needs a PROVISIONER_TOKEN of at least"
                    f" {MIN_TOKEN_CHARACTERS} characters, got {len(self.token)}"
                )
        return self

    @model_validator(mode="after")
    def _containers_need_image_and_network(self) -> Self:
        if self.runtime != "process" and not (self.image and self.network):
            raise ValueError(
                f"runtime {self.runtime} needs PROVISIONER_IMAGE and PROVISIONER_NETWORK"
            )
        return self
