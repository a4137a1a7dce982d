"""The short form of `make chaos`: one history, of a seed that has everything in it."""

from __future__ import annotations

import pytest
from chaos.checker import BOUNDS, violations
from chaos.history import WEIGHTS, history
from chaos.trial import begin_anew, record_of

pytestmark = [pytest.mark.lab, pytest.mark.timeout(300)]

SEED, SECONDS = 21, 15.0


def test_a_history_of_faults_is_clean(lab) -> None:
    """Clients, commands and the runtime itself bear out what is promised."""
    operations = history(SEED, SECONDS)
    assert set(WEIGHTS) <= {operation.verb for operation in operations}
    record = record_of(lab, operations, BOUNDS[lab.runtime])
    begin_anew(lab)
    assert [] == violations(record, BOUNDS[lab.runtime])
    assert set(WEIGHTS) <= {deed.verb for deed in record.deeds}
    assert len(record.answers) > 500
