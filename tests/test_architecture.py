"""Who may know whom: the house's one drawing that a program can check."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {
    "ring": ROOT / "ring",
    "load_balancer": ROOT / "services/load_balancer",
    "provisioner": ROOT / "services/provisioner",
    "replica": ROOT / "services/replica",
    "benchmarks": ROOT / "benchmarks",
}
# package → those of ours that it may import
MAY_IMPORT = {
    "ring": set(),
    "load_balancer": {"ring"},
    "provisioner": set(),
    "replica": set(),
    "benchmarks": {"ring", "load_balancer"},  # which runs otherwise in uncounted.py
}


def imports(folder: Path) -> set[str]:
    """Top-level names that the Python files below `folder` import."""
    names = set()
    for path in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                names.add(node.module.partition(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_only_those_it_may(package: str) -> None:
    """An arrow that the design does not draw fails here."""
    ours = imports(PACKAGES[package]) & set(PACKAGES) - {package}
    assert MAY_IMPORT[package] >= ours


def test_only_the_provisioner_knows_docker() -> None:
    """The engine's SDK, and with it the power over the machine, stays in one place."""
    assert [name for name, folder in PACKAGES.items() if "docker" in imports(folder)] == [
        "provisioner"
    ]


def test_the_ring_is_pure() -> None:
    """numpy, hash functions, and what of the standard library has no I/O, clock or randomness."""
    impure = {"os", "io", "socket", "asyncio", "threading", "time", "datetime", "random", "secrets"}
    assert set() == imports(PACKAGES["ring"]) & impure


def test_only_settings_read_the_environment() -> None:
    """pydantic-settings reads it for two services; the replica, one screen long, by itself; and
    benchmarks keep it from what they start."""
    readers = {
        path.relative_to(ROOT).as_posix()
        for folder in PACKAGES.values()
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in ("environ", "getenv")
    }
    assert {"services/replica/__main__.py", "benchmarks/data_plane/processes.py"} == readers
