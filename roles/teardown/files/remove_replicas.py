"""Remove the replicas whose records lie in a directory, with the provisioner's own hands.

    python remove_replicas.py .ringlab/ringlab/replicas

Works without a provisioner that runs. Prints the number of replicas removed.
"""

import sys
from pathlib import Path

from provisioner.runtimes.base import Hostname
from provisioner.runtimes.process import ProcessRuntime

GRACE_S = 2


def main(directory: str) -> None:
    runtime = ProcessRuntime(Path(directory))
    replicas = runtime.list()
    for replica in replicas:
        runtime.remove(Hostname(replica.hostname), grace_s=GRACE_S)
    print(len(replicas))


if __name__ == "__main__":
    main(sys.argv[1])
