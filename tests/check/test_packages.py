"""The comparison of a server's packages with a requirements.txt."""

from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tabpy.check.packages import Difference, differing, read


def test_reads_what_pip_reads(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text(
        "\ufeff# science\n\nnumpy>=2 # fast\nscipy==1.15 \\\n  --hash=sha256:00\n"
        "-r other.txt\n./local\nhttps://example.com/a.whl\npandas[excel] ; python_version<'4'\n"
        "own @ https://example.com/own#egg.whl\n",
        "utf-8",
    )
    wanted = read(path)

    assert [r.name for r in wanted.requirements] == ["numpy", "scipy", "pandas", "own"]
    assert str(wanted.requirements[1].specifier) == "==1.15"
    assert wanted.unread == ("-r other.txt", "./local", "https://example.com/a.whl")


def test_names_the_line_that_is_no_requirement(tmp_path: Path) -> None:
    path = tmp_path / "requirements.txt"
    path.write_text("numpy\nnum py\n")

    with pytest.raises(ValueError, match=r"line 2: 'num py' is no requirement"):
        read(path)


@pytest.mark.parametrize(
    ("requirement", "difference"),
    [
        ("numpy", Difference()),
        ("NumPy>=2,<3", Difference()),
        ("numpy<2", Difference(other=("numpy<2 (has 2.4.6)",))),
        ("scikit_learn", Difference()),
        ("pandas", Difference(missing=("pandas",))),
        ("rc>=1", Difference()),
        ("odd>1", Difference(other=("odd>1 (has unknown)",))),
        ("pandas; python_version < '3.12'", Difference()),
        ("pandas; python_version >= '3.12'", Difference(missing=("pandas",))),
        ("pandas; extra == 'test'", Difference()),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_finds_what_is_missing_or_of_another_version(
    requirement: str, difference: Difference
) -> None:
    there = {"numpy": "2.4.6", "scikit-learn": "1.6", "rc": "2.0rc1", "odd": "unknown"}

    assert differing([Requirement(requirement)], there, "3.13.1") == difference
