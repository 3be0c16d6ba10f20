"""The documents on the page: all of them, with their links, and nothing of theirs is lost."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tabpy.tabpy_server.web.page import documentation, markdown, navigation
from tests.test_dependencies import ROOT
from tests.web.harness import Web

DOCUMENTS = {file.stem: file for file in sorted((ROOT / "docs").glob("*.md"))}


def html(text: str) -> str:
    return markdown.html(text, lambda target: None if target.startswith("..") else target)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("# A `b` c", '<h1 id="a-b-c">A <code>b</code> c</h1>'),
        ("One.\nTwo <b>.", "<p>One. Two &lt;b&gt;.</p>"),
        ("**a** and *b*: `**c** <d>`", "<strong>a</strong> and <em>b</em>: <code>**c** &lt;d&gt;"),
        ("[`a`, b](x#y)", '<a href="x#y"><code>a</code>, b</a>'),
        ("[a](../README.md) b", "<p>a b</p>"),
        ("- a\n- b\n  c\n", "<ul><li>a</li><li>b c</li></ul>"),
        ("1. a\n\n       code\n\n2. b", '<ol><li>a<pre tabindex="0" role="region"'),
        ("- a\n  - b\n- c", "<ul><li>a<ul><li>b</li></ul></li><li>c</li></ul>"),
        ("    a < b\n\n    c", ">a &lt; b\n\nc</pre>"),
        ("```text\na\n```\nb", ">a</pre>\n<p>b</p>"),
        ("| a | b |\n|---|---|\n| c \\| d | `e` |", "<td>c | d</td><td><code>e</code></td>"),
        ("> a\n> b", "<blockquote><p>a b</p></blockquote>"),
        ("![a](b.png)\n\nc", "<p>c</p>"),
        ("2 * 3 * 4 = 24", "<p>2 * 3 * 4 = 24</p>"),
    ],
)
def test_what_the_documents_are_written_in_becomes_html(text: str, expected: str) -> None:
    assert expected in html(text)


@pytest.mark.parametrize("text", ["`", "[a](", "- ", "|", "|\n|", ">", "```", "**", "# ", "1."])
def test_nothing_that_is_unfinished_fails(text: str) -> None:
    html(text)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_document_is_shown_whole(web: Web, name: str) -> None:
    page = web.request("GET", f"/page/docs/{name}").body.decode()
    shown = re.search(r'<article class="document">(.*)</article>', page, re.DOTALL)
    assert shown is not None
    text = re.sub("<[^>]+>", "", shown[1])
    for word in re.findall(r"\b[A-Z]{3,}_[A-Z_]+\b", DOCUMENTS[name].read_text()):
        assert word in text
    assert "](" not in re.sub("<(pre|code)[^>]*>.*?</\\1>", "", shown[1], flags=re.DOTALL)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_link_of_a_document_leads_somewhere(web: Web, name: str) -> None:
    page = web.request("GET", f"/page/docs/{name}").body.decode()
    [shown] = re.findall(r'<article class="document">(.*)</article>', page, re.DOTALL)
    for target in re.findall(r'href="([^"]+)"', shown):
        if not target.startswith("https://"):
            file, _, heading = target.partition("#")
            assert_leads_to(web, file or name, heading)


def assert_leads_to(web: Web, name: str, heading: str) -> None:
    reply = web.request("GET", f"/page/docs/{name}")
    assert reply.status == 200, name
    assert not heading or f'id="{heading}"' in reply.body.decode(), (name, heading)


@pytest.mark.parametrize("entry", navigation.ENTRIES, ids=lambda each: each.label)
def test_every_view_leads_to_the_documentation(web: Web, entry: navigation.Entry) -> None:
    page = web.request("GET", f"/{entry.path}").body.decode()
    assert f'{"../" if entry.path else "./"}page/docs"' in page
    if entry.more:
        assert f'page/docs/{entry.more}"' in page
        name, _, heading = entry.more.partition("#")
        assert_leads_to(web, name, heading)


def test_all_are_listed(web: Web) -> None:
    page = web.request("GET", "/page/docs").body.decode()
    for name in DOCUMENTS:
        assert f'page/docs/{name}"' in page


def test_each_is_listed_with_the_sentence_below_its_title() -> None:
    """It has to say what the document is for: nothing else may come first."""
    for name, title, beginning in documentation.titles():
        heading, blank, first, *_ = DOCUMENTS[name].read_text().splitlines()
        assert (heading, blank) == (f"# {title}", "")
        assert re.fullmatch(r"[A-Z][^|*\[]{25,}\.", first), (name, first)
        assert beginning == first


@pytest.mark.parametrize("name", ["nosuch", "..%2FREADME", "..%2f..%2fetc%2fpasswd", "decisions"])
def test_nothing_else_is_a_document(web: Web, name: str) -> None:
    assert web.request("GET", f"/page/docs/{name}").status == 404


def test_where_none_is_installed_the_view_says_so(
    web: Web, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    uncached: Callable[[], dict[str, str]] = documentation.texts.__wrapped__
    monkeypatch.setattr(documentation, "documents", lambda: None)
    monkeypatch.setattr(documentation, "texts", uncached)
    assert b"wasn&#x27;t installed" in web.request("GET", "/page/docs").body or (
        b"wasn't installed" in web.request("GET", "/page/docs").body
    )
