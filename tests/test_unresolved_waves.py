"""Random guides on coarse and fine cells: no wave is lost in silence, none is invented."""

import importlib.util
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "unresolved_waves.py"


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("unresolved_waves", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.slow
def test_no_wave_of_random_guides_is_lost_in_silence(benchmark: ModuleType) -> None:
    """Twelve of the benchmark's 200 guides, half of them lossy, against its transfer matrices."""
    total = benchmark.main(guides=12, first=0, cells=(2.0, 0.5))
    for cell, said in total.items():
        assert said["within"] > 5, cell
        assert said["lost"] == said["none"] == said["too many"] == 0, cell
    assert total[2.0]["unresolved"] > total[0.5]["unresolved"]
