"""Several hosts on one machine: namespaces joined by a switch, each with an sshd of its own.

A host has its own network, mounts, host name and processes, and directories of its own where an
engine keeps its things (/run, /etc/docker, /var/lib/docker, /var/log) and for what is temporary;
the rest of the file system, packages included, is this machine's. So an engine that is started
there by its usual command listens on that host's /var/run/docker.sock, and what is run over SSH
finds it there. All of a host ends with its first process.

The switch is a bridge in a namespace of its own, where no engine's packet filter reaches: this
machine's rules stay as they are. Needs root and Debian's openssh-server.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from labs import eventually

# RFC 2544 keeps these addresses for measurements; no engine hands them out by itself.
NETWORK = "198.18.77"
OWN_NUMBER = 254  # of this machine, on the switch
SWITCH = "rlh-switch"
OWN_LINK = "rlh-own"
FOLDER = Path("/var/lib/ringlab-hosts")
OWN_DIRECTORIES = (
    "/etc/docker",
    "/var/lib/docker",
    "/var/log",
    "/var/lib/apt/periodic",
    "/var/tmp",
    "/tmp",
)
# Its time is when the list of packages was fetched; a host has no way to the network to do so.
APT_STAMP = "var/lib/apt/periodic/update-success-stamp"
CGROUPS = Path("/sys/fs/cgroup")
ENGINE_S = 60.0

# The first process of a host; $1 is its name, $2 its folder, the rest its own directories.
FIRST = """
set -eu
name=$1 folder=$2
shift 2
hostname "$name"
for directory; do
    mkdir -p "$directory" "$folder$directory"
    mount --bind "$folder$directory" "$directory"
done
chmod 1777 /tmp /var/tmp
mount -t tmpfs tmpfs /run
mkdir /run/sshd /run/lock
exec /usr/sbin/sshd -D -f "$folder/sshd_config" -E /var/log/sshd.log
"""
# It is the only one that holds this key, and lets in nobody else.
SSHD_CONFIG = """
HostKey {folder}/host_key
AuthorizedKeysFile {key}.pub
PermitRootLogin prohibit-password
PasswordAuthentication no
StrictModes no
UsePAM no
PidFile none
Subsystem sftp internal-sftp
"""
ENGINE_CONFIG = '{{"cgroup-parent": "/{name}"}}'


class Host:
    """One of them: root's shell over SSH, and the link that joins it to the others."""

    def __init__(self, number: int, folder: Path, key: Path) -> None:
        self.name = f"rlh{number}"
        self.address = f"{NETWORK}.{number}"
        self.folder = folder / self.name
        self.key = key
        self._first: subprocess.Popen[bytes] | None = None

    @property
    def ssh_options(self) -> list[str]:
        """What ssh and scp need to be told to reach it."""
        known = f"UserKnownHostsFile={self.folder}/known_hosts"
        return ["-i", str(self.key), "-o", known, "-o", "BatchMode=yes", "-o", "ConnectTimeout=5"]

    def boot(self) -> None:
        """Returns when it lets us in."""
        self._plug_in()
        self._write_files()
        enter = ["nsenter", f"--net=/run/netns/{self.name}", "unshare", "--mount", "--uts", "--ipc"]
        apart = ["--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]
        first = ["sh", "-c", FIRST, "first", self.name, str(self.folder), *OWN_DIRECTORIES]
        self._first = subprocess.Popen([*enter, *apart, *first], stdin=subprocess.DEVNULL)
        eventually(lambda: self._try_run("true").returncode == 0, within_s=20, every_s=0.1)

    def run(self, *command: str, timeout_s: float = 60.0) -> str:
        """What a command prints there; AssertionError if it fails."""
        done = self._try_run(*command, timeout_s=timeout_s)
        assert 0 == done.returncode, f"{self.name}: {command}: {done.stdout}{done.stderr}"
        return done.stdout

    def start_engine(self) -> None:
        """A Docker engine with its usual paths, which are this host's own."""
        self.run("sh -c 'setsid dockerd < /dev/null > /var/log/docker.log 2>&1 &'")
        answers = ["docker", "version"]
        eventually(lambda: self._try_run(*answers).returncode == 0, within_s=ENGINE_S, every_s=0.2)

    def cut_off(self) -> None:
        """Pulls the plug: what is on its way is lost, and nobody is told."""
        _ip("-n", SWITCH, "link", "set", self.name, "down")

    def join_again(self) -> None:
        """The plug back in."""
        _ip("-n", SWITCH, "link", "set", self.name, "up")

    def bury(self) -> None:
        """Once all of it has ended."""
        if self._first is not None:
            self._first.wait(timeout=20)

    def _plug_in(self) -> None:
        _ip("netns", "add", self.name)
        peer = ["peer", "name", "eth0", "netns", self.name]
        _ip("-n", SWITCH, "link", "add", self.name, "type", "veth", *peer)
        _ip("-n", SWITCH, "link", "set", self.name, "master", "bridge", "up")
        _ip("-n", self.name, "address", "add", f"{self.address}/24", "dev", "eth0")
        _ip("-n", self.name, "link", "set", "lo", "up")
        _ip("-n", self.name, "link", "set", "eth0", "up")

    def _write_files(self) -> None:
        self.folder.mkdir()
        _make_key(self.folder / "host_key")
        public = (self.folder / "host_key.pub").read_text()
        (self.folder / "known_hosts").write_text(f"{self.address} {public}")
        config = SSHD_CONFIG.format(folder=self.folder, key=self.key)
        (self.folder / "sshd_config").write_text(config)
        files = {"etc/docker/daemon.json": ENGINE_CONFIG.format(name=self.name), APT_STAMP: ""}
        for path, text in files.items():
            (self.folder / path).parent.mkdir(parents=True)
            (self.folder / path).write_text(text)

    def _try_run(self, *command: str, timeout_s: float = 60.0) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["ssh", *self.ssh_options, f"root@{self.address}", *command],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )


@contextmanager
def hosts(count: int = 3) -> Iterator[list[Host]]:
    """That many, while the block runs; what an earlier run left is removed first."""
    remove_hosts()
    made = [Host(number, FOLDER, FOLDER / "key") for number in range(1, count + 1)]
    try:
        FOLDER.mkdir(mode=0o755)
        _make_key(FOLDER / "key")
        _make_switch()
        for host in made:
            host.boot()
        yield made
    finally:
        remove_hosts()
        for host in made:
            host.bury()


def remove_hosts() -> None:
    """All hosts, whoever made them, and all that they hold."""
    for name in sorted(_namespaces()):
        _end_processes(name)
        _ip("netns", "delete", name)
    # The kernel buries a namespace later, and with it our end of the cable.
    eventually(lambda: not Path("/sys/class/net", OWN_LINK).exists(), within_s=20)
    for hierarchy in [CGROUPS, *CGROUPS.glob("*/")]:
        for own in hierarchy.glob("rlh[0-9]*"):
            _remove_cgroup(own)
    if FOLDER.exists():
        shutil.rmtree(FOLDER)


def _make_switch() -> None:
    _ip("netns", "add", SWITCH)
    _ip("-n", SWITCH, "link", "add", "bridge", "type", "bridge")
    _ip("-n", SWITCH, "link", "set", "bridge", "up")
    peer = ["peer", "name", "own", "netns", SWITCH]
    _ip("link", "add", OWN_LINK, "type", "veth", *peer)
    _ip("-n", SWITCH, "link", "set", "own", "master", "bridge", "up")
    _ip("address", "add", f"{NETWORK}.{OWN_NUMBER}/24", "dev", OWN_LINK)
    _ip("link", "set", OWN_LINK, "up")


def _make_key(path: Path) -> None:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "ringlab", "-f", str(path)]
    subprocess.run(command, check=True)


def _namespaces() -> list[str]:
    run = Path("/run/netns")
    return [path.name for path in run.glob("rlh*")] if run.exists() else []


def _end_processes(name: str) -> None:
    """SIGKILL to all in that network; a host's first process takes the others with it."""

    def remaining() -> list[int]:
        listed = subprocess.run(
            ["ip", "netns", "pids", name], capture_output=True, text=True, check=False
        )
        return [int(pid) for pid in listed.stdout.split()]

    deadline = time.monotonic() + 20
    while pids := remaining():
        assert time.monotonic() < deadline, f"processes of {name} do not end: {pids}"
        for pid in pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.05)


def _remove_cgroup(path: Path) -> None:
    """The groups below first: they are not files, and go one by one."""
    for below in path.glob("*/"):
        _remove_cgroup(below)
    eventually(lambda: _is_removed(path), within_s=10)


def _is_removed(path: Path) -> bool:
    """A group goes as soon as the kernel has buried its last process."""
    try:
        path.rmdir()
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)
