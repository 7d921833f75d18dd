"""The table of planted faults goes with the source: who moves a line moves its fault."""

from pathlib import Path

import pytest

from planted_faults import FAULTS, Fault

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_fault_stands_once_where_the_table_says(fault: Fault) -> None:
    assert (ROOT / fault.file).read_text(encoding="utf-8").count(fault.old) == 1
    assert fault.new != fault.old
    assert all((ROOT / "tests" / name).is_file() for name in fault.first)
