"""A lab over several hosts: its inventory, its playbooks, and what runs where."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import requests
from hosts import Host
from labs import Lab, free_port
from plays import changed

TOKEN = "a-token-of-the-tests"
PORT = 5050
# What an engine would ask of the kernel for an encrypted overlay.
ENCRYPTION_TRIAL = (
    "unshare --net ip xfrm state add src 127.0.0.1 dst 127.0.0.1 proto esp spi 0x1 mode transport"
    f" aead rfc4106(gcm(aes)) 0x{'01' * 20} 64"
)


class SwarmLab(Lab):
    """On `hosts`, of which the first is the manager."""

    def __init__(self, name: str, hosts: Sequence[Host], folder: Path) -> None:
        super().__init__(name, "swarm", PORT)
        self.url = f"http://{hosts[0].address}:{PORT}"
        self.hosts = hosts
        self._inventory = folder / "hosts.ini"
        self._jupyter_port = free_port()

    def call(self, method: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        return requests.request(method, self.url + path, headers=headers, timeout=60, **options)

    def changed(self, playbook: str, *options: str, hosts: Sequence[Host] | None = None) -> int:
        """Runs a playbook with these hosts in the inventory, all by default, and returns how many
        tasks changed something."""
        first, *others = map(_line, self.hosts if hosts is None else hosts)
        lines = ["[managers]", first, "[workers]", *others]
        self._inventory.write_text("\n".join(lines) + "\n")
        inventories = ["-i", "inventory.ini", "-i", str(self._inventory)]
        return changed(
            playbook,
            *inventories,
            *options,
            lab_name=self.name,
            lab_runtime="swarm",
            lab_bind_address=self.hosts[0].address,
            lab_port=PORT,
            lab_jupyter_port=self._jupyter_port,
            lab_admin_token=TOKEN,
            lab_encrypted=kernel_encrypts(),
        )

    def containers(self, host: Host) -> list[str]:
        """What the lab has there, exited ones included: "replica-Server1"."""
        label = f"--filter label=ringlab.lab={self.name}"
        listed = host.run(f"docker ps --all {label} --format '{{{{.Names}}}}'").split()
        return [name.removeprefix(f"{self.name}-") for name in listed]

    def replicas_on(self, host: Host) -> set[str]:
        parts = (name.partition("replica-") for name in self.containers(host))
        return {hostname for _, found, hostname in parts if found}

    def places(self, *hosts: Host) -> Counter[str]:
        """Hostname → how often it is there, on these hosts, all by default."""
        return Counter(name for host in hosts or self.hosts for name in self.replicas_on(host))


def kernel_encrypts() -> bool:
    """Whether it has the IPsec that an encrypted overlay takes."""
    return (
        subprocess.run(ENCRYPTION_TRIAL.split(), capture_output=True, check=False).returncode == 0
    )


def _line(host: Host) -> str:
    known = f"-o UserKnownHostsFile={host.folder}/known_hosts"
    return (
        f"{host.name} ansible_host={host.address} ansible_user=root"
        f" ansible_ssh_private_key_file={host.key} ansible_ssh_common_args='{known}'"
    )
