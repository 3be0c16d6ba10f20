"""The URL that tabpy-check takes."""

import pytest

from tabpy.check.target import Target, TargetError


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("https://tabpy.example.com", Target("tabpy.example.com", 443, ssl=True)),
        ("http://tabpy.example.com/", Target("tabpy.example.com", 80, ssl=False)),
        ("tabpy.example.com", Target("tabpy.example.com", 443, ssl=True)),
        (" localhost:9004\n", Target("localhost", 9004, ssl=True)),
        ("HTTP://Localhost:9004", Target("localhost", 9004, ssl=False)),
        ("http://[::1]:9004", Target("::1", 9004, ssl=False)),
        ("bücher.example", Target("bücher.example", 443, ssl=True)),
    ],
)
def test_scheme_port_and_slash_may_be_missing(text: str, target: Target) -> None:
    assert Target.parse(text) == target


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("https://host/tabpy", "no field for a path.*'/tabpy'"),
        ("host/?a=b", "no field for a path"),
        ("https://u:p@host", "give the user with -u"),
        ("ftp://host", "not ftp"),
        ("host:99999", "out of range"),
        ("host:0", "names no host and port"),
        ("host:port", "no URL"),
        ("", "names no host"),
        ("https://", "names no host"),
        ("ho st", "names no host"),
        ("a..b", "names no host"),
        ("http://[::1", "no URL"),
    ],
)
def test_refuses_what_cannot_be_typed_into_tableau(text: str, words: str) -> None:
    with pytest.raises(TargetError, match=words) as caught:
        Target.parse(text)
    assert ":p@" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://host:443", "http://[::1]:9004"])
def test_gives_its_url_back(url: str) -> None:
    assert Target.parse(url).url == url
