"""The documents keep up with the code: settings, links, and a README that stays short."""

import re
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

import pytest

from tabpy.tabpy_server.loaded_settings import CLIENTS, load
from tabpy.tabpy_server.settings import Settings

ROOT = Path(__file__).parents[1]
SETTINGS = {each.metadata["key"]: each for each in fields(Settings) if each.metadata}
DOCUMENTS = sorted(
    path
    for path in ROOT.rglob("*.md")
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
)
named = pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))


def rows() -> dict[str, str]:
    """The table of all settings: a setting's name to its default as it is written there."""
    text = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    table = text.partition("## All settings")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]*?) ?\|", table, re.MULTILINE))


def written(default: Any) -> str:
    if isinstance(default, bool):
        return str(default).lower()
    if isinstance(default, tuple):
        return ", ".join(default)
    return f"{default:g}" if isinstance(default, float) else str(default)


def test_every_setting_has_a_row_and_every_row_a_setting() -> None:
    assert set(rows()) == set(SETTINGS)


@pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)
def test_the_default_in_the_table_is_the_one_in_the_code(setting: Field[Any]) -> None:
    shown = rows()[setting.metadata["key"]]
    if not_set(setting):
        assert shown == ""
    elif depends_on_the_machine(setting):
        assert shown
        assert not is_code(shown)  # described in words
    else:
        assert shown == f"`{written(setting.default)}`"


def not_set(setting: Field[Any]) -> bool:
    return getattr(load(None, {}).settings, setting.name) in {None, "", ()}


def depends_on_the_machine(setting: Field[Any]) -> bool:
    """Made by a function, worked out by `load`, or a place in this checkout."""
    default = setting.default
    return default in {None, MISSING} or (isinstance(default, Path) and default.is_absolute())


def is_code(text: str) -> bool:
    return re.fullmatch(r"`[^`]*`", text) is not None


@named
def test_no_document_names_a_setting_that_does_not_exist(document: Path) -> None:
    keys = set(re.findall(r"\bTABPY_[A-Z_]*[A-Z]\b", document.read_text(encoding="utf-8")))
    assert keys - {*SETTINGS, *CLIENTS} == set()


def test_the_readme_is_under_150_lines() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) < 150


@named
def test_links_within_the_repository_lead_somewhere(document: Path) -> None:
    assert [link for link in links(document) if not leads_somewhere(document, link)] == []


def prose(document: Path) -> str:
    """Without code, in which brackets are no links and # is no heading."""
    return re.sub(r"^```.*?^```$", "", document.read_text(encoding="utf-8"), flags=re.M | re.S)


def links(document: Path) -> list[str]:
    text = re.sub(r"`[^`\n]*`|^    .*$", "", prose(document), flags=re.MULTILINE)
    targets = re.findall(r"\]\(([^)\s]+)\)", text)
    return [target for target in targets if not re.match(r"[a-z]+:", target)]


def leads_somewhere(document: Path, link: str) -> bool:
    path, _, anchor = link.partition("#")
    target = document.parent / path if path else document
    return target.exists() and (not anchor or anchor in anchors(target))


def anchors(document: Path) -> set[str]:
    """What GitHub makes of the headings: lower case, spaces as hyphens, no punctuation."""
    headings = re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-") for each in headings}
