"""Fitted models that another Python archived answer as they did there."""

import subprocess
from pathlib import Path

import pytest
import sklearn

from tests.portable.pythons import OURS, VERSIONS, find, run_with_packages


@pytest.fixture(params=[version for version in VERSIONS if version != OURS])
def other(request: pytest.FixtureRequest) -> Path:
    python = find(request.param)
    if python is None:
        pytest.skip(f"no Python {request.param} on the path, of pyenv or of uv")
    asked = [str(python), "-c", "import sklearn, pandas, cloudpickle; print(sklearn.__version__)"]
    there = subprocess.run(asked, capture_output=True, check=False, text=True).stdout.strip()
    if there != sklearn.__version__:
        here = f"and {sklearn.__version__} here"
        pytest.skip(f"scikit-learn with pandas and cloudpickle is {there or 'not'} there, {here}")
    return python


def test_models_answer_as_they_did_where_they_were_made(other: Path, tmp_path: Path) -> None:
    ours = find(OURS)
    assert ours is not None
    compiled = run_with_packages(other, "dump", str(tmp_path), "models")
    assert [name for name, functions in compiled.items() if functions] == []
    outcomes = run_with_packages(ours, "load", str(tmp_path), "", "models")
    assert outcomes == dict.fromkeys(compiled, "right")
