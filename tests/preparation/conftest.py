"""What several tests of `preparation` begin with."""

import pytest
from served import serving


@pytest.fixture
def commons(monkeypatch):
    """A server on loopback that answers as the Genomic Data Commons does."""
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with serving() as state:
        yield state
