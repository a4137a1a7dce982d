"""The lookup `tree_hash`: what names an image after its content."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

DOCUMENTATION = """
name: tree_hash
author: the ringlab authors
short_description: One hash over the files of several trees
description:
  - Twelve hexadecimal digits of SHA-256 over the relative path and the content of every file,
    in the order of their paths. Python's bytecode is left out.
options:
  _terms:
    description: Files and directories, relative to O(root).
    required: true
  root:
    description: Directory that the terms and the hashed paths are relative to.
    type: path
    required: true
"""

EXAMPLES = """
- name: Show the hash of what the load balancer's image is made of
  ansible.builtin.debug:
    msg: "{{ lookup('tree_hash', 'ring', 'services/load_balancer', root=lab_root) }}"
"""

RETURN = """
_list:
  description: The hash, alone in a list.
  type: list
  elements: str
"""


def files_of(tree: Path) -> Iterator[Path]:
    """The file itself, or all files below the directory, bytecode excepted."""
    if tree.is_file():
        yield tree
    for path in tree.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            yield path


class LookupModule(LookupBase):
    def run(self, terms: list[str], variables: Any = None, **kwargs: Any) -> list[str]:
        self.set_options(var_options=variables, direct=kwargs)
        root = Path(self.get_option("root"))
        digest = hashlib.sha256()
        for term in terms:
            if not (root / term).exists():
                raise AnsibleLookupError(f"tree_hash: there is no {root / term}")
            for path in sorted(files_of(root / term)):
                content = hashlib.sha256(path.read_bytes()).hexdigest()
                digest.update(f"{path.relative_to(root)} {content}\n".encode())
        return [digest.hexdigest()[:12]]
