"""Replicas as containers on a swarm's overlay network, made by the engine of their own node.

The swarm gives membership, the network and its names, and nothing else. A service's task would be
healed by the swarm, which is what the lab is there to do; and no engine can kill or pause what runs
on another node. So each node has a provisioner, which makes plain containers on its own engine as
the docker runtime does; only the network is another: an attachable overlay, on which every node
reaches their addresses.
"""

from typing import ClassVar

from provisioner.runtimes.docker import DockerRuntime


class SwarmRuntime(DockerRuntime):
    """The replicas of one lab on one node of a swarm."""

    name: ClassVar[str] = "swarm"
