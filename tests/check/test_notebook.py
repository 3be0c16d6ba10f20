"""What of a notebook's environment is there for Jupyter, pip and the client alone."""

from importlib import metadata

import pytest

from tabpy.check.notebook import only_for_tools

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
    "crawler": ["jinja2", "this is no requirement"],
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
    ("listed", "own"),
    [
        ("numpy scikit-learn joblib", ""),
        ("pip setuptools wheel", "pip setuptools wheel"),
        ("ipykernel tornado psutil numpy", "ipykernel tornado psutil"),
        (
            "jupyterlab jupyter-server jinja2 httpx h2 idna",
            "jupyterlab jupyter-server jinja2 httpx h2 idna",
        ),
        ("tabpy requests urllib3 idna numpy", "tabpy requests urllib3 idna"),
        ("jupyterlab socksio tomli", "jupyterlab"),
        ("jupyterlab jinja2 crawler", "jupyterlab"),
        ("tabpy requests urllib3 jupyterlab idna", "tabpy requests urllib3 jupyterlab idna"),
        ("jupyterlab-ring ring", "jupyterlab-ring ring"),
        ("tornado psutil", ""),
        ("", ""),
    ],
    ids=[
        "nothing of a notebook's",
        "pip's tools",
        "what only the kernel needs",
        "an extra is followed",
        "what only the client needs",
        "not what no extra asks for",
        "not what a package of the author's needs too",
        "needed by two tools",
        "needs in a circle",
        "a list without the tools was written by hand",
        "an empty list",
    ],
)
def test_tells_what_is_there_for_the_tools_only(listed: str, own: str) -> None:
    assert only_for_tools(listed.split()) == set(own.split())
