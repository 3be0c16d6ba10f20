"""What of a notebook's environment is there for Jupyter, pip and the client alone."""

from importlib import metadata

import pytest

from tabpy.check.notebook import listed

NEEDS = {
    "jupyterlab": [
        "jupyter_server>=2",
        "httpx[http2]; python_version >= '3'",
        "tomli; extra == 'x'",
    ],
    "jupyter-server": ["Jinja2", "tornado"],
    "httpx": ["idna", "h2; extra == 'http2'", "socksio; extra == 'socks'"],
    "ipykernel": ["tornado", "psutil"],
    "tabpy": ["requests", "numpy==2.4.6; extra == 'science'"],
    "requests": ["idna", "urllib3"],
    "scikit-learn": ["joblib"],
    "crawler": ["jinja2", "requests", "this is no requirement"],
    "ring": ["jupyterlab-ring"],
    "jupyterlab-ring": ["ring"],
}


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> None:
    def requires(name: str) -> list[str] | None:
        if name == "socksio":
            raise metadata.PackageNotFoundError(name)
        return NEEDS.get(name)

    monkeypatch.setattr(metadata, "requires", requires)


@pytest.mark.parametrize(
    ("names", "own", "brought"),
    [
        ("numpy scikit-learn joblib", "", ""),
        ("tornado psutil", "", ""),
        ("pip setuptools wheel", "pip setuptools wheel", ""),
        ("ipykernel tornado psutil numpy", "ipykernel tornado psutil", ""),
        ("jupyterlab jupyter-server httpx h2", "jupyterlab jupyter-server httpx h2", ""),
        ("tabpy requests urllib3 numpy", "tabpy requests urllib3", ""),
        ("jupyterlab socksio tomli", "jupyterlab", ""),
        ("jupyterlab jinja2 crawler", "jupyterlab", "jinja2"),
        ("tabpy requests idna crawler", "tabpy requests", "idna"),
        ("pip scikit-learn joblib", "pip", "joblib"),
        ("tabpy requests jupyterlab idna", "tabpy requests jupyterlab idna", ""),
        ("jupyterlab-ring ring", "jupyterlab-ring ring", ""),
        ("", "", ""),
    ],
    ids=[
        "a list without tools was written by hand",
        "also when a tool would need all of it",
        "pip's tools",
        "what only the kernel needs",
        "an extra is followed",
        "what only the client needs",
        "but no extra that nobody asks for",
        "what a chosen package needs too isn't the tools' own",
        "unless the client itself needs it",
        "what came with a chosen package",
        "needed by two tools",
        "needs in a circle",
        "an empty list",
    ],
)
def test_tells_what_is_there_for_what(names: str, own: str, brought: str) -> None:
    found = listed(names.split())
    assert (found.own, found.brought) == (set(own.split()), set(brought.split()))
