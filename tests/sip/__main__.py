"""`python -m tests.sip` (make test-sip): all scenarios, then the page that says how they went."""

import sys
from pathlib import Path

import pytest

from tests.sip import table

if __name__ == "__main__":
    # Its arguments are pytest's.
    passed = pytest.main([str(Path(__file__).parent), *sys.argv[1:]])
    table.main()
    sys.exit(passed)
