"""What scripts may read and write, as it follows from the settings and from what lies there."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from tabpy.tabpy_server import package_files
from tabpy.tabpy_server.errors import StartError
from tabpy.tabpy_server.package_files import DEFAULT_CONFIG
from tabpy.tabpy_server.script_rules import InForce, ScriptRules, rules_of
from tabpy.tabpy_server.settings import Settings

CLOSED = ("users.txt", "tabpypwd.txt", "local-users.txt")  # users.txt: as a test names it


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that the server is started in; what it imports and starts lies elsewhere."""
    folder = tmp_path / "app"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setattr(package_files, "checkout", lambda: None)
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    return folder


def files(folder: Path, *names: str) -> None:
    for name in names:
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def readable(*read: Path, **rules: tuple[Path, ...]) -> set[str]:
    others = {name: tuple(map(str, paths)) for name, paths in rules.items()}
    paths = ScriptRules(confine=True, read=tuple(map(str, read)), **others).readable()  # type: ignore[arg-type] # only paths
    assert len(paths) == len(set(paths))
    return set(paths)


def of(app: Path, config: Path = DEFAULT_CONFIG, **settings: object) -> ScriptRules:
    given = {"state_path": app.parent / "state", "pwd_file": None, "models_path": None, **settings}
    return rules_of(replace(Settings(), **given), config)  # type: ignore[arg-type] # by name


def names(folder: Path, *inside: str) -> set[str]:
    return {str(folder / name) for name in inside}


# --- readable ---


def test_a_folder_with_nothing_closed_is_one_path(tmp_path: Path) -> None:
    files(tmp_path, "a", ".b", "c/d")
    assert readable(tmp_path) == {str(tmp_path)}
    assert readable(tmp_path, closed=(tmp_path.parent / "elsewhere",)) == {str(tmp_path)}


def test_a_closed_file_leaves_what_lies_beside_it_and_above(tmp_path: Path) -> None:
    files(tmp_path, "a", ".b", "c/d", "c/secret", "c/e/f")
    found = readable(tmp_path, closed=(tmp_path / "c/secret",))
    assert found == names(tmp_path, "a", ".b", "c/d", "c/e")


def test_what_is_in_a_closed_folder_is_closed(tmp_path: Path) -> None:
    files(tmp_path, "state/a/b", "other")
    assert readable(tmp_path / "state/a", closed=(tmp_path / "state",)) == set()
    assert readable(tmp_path / "state", closed=(tmp_path / "state",)) == set()
    assert readable(tmp_path, closed=(tmp_path / "state",)) == names(tmp_path, "other")


def test_a_name_that_only_begins_alike_is_another_one(tmp_path: Path) -> None:
    files(tmp_path, "state/a", "statement")
    assert readable(tmp_path, closed=(tmp_path / "state",)) == names(tmp_path, "statement")


def test_deployed_functions_lie_in_a_closed_folder(tmp_path: Path) -> None:
    files(tmp_path, "state/archives/a", "state/passwords")
    archives = tmp_path / "state/archives"
    assert readable(tmp_path, closed=(tmp_path / "state",), models=(archives,)) == {str(archives)}


def test_names_with_a_dot_are_closed_in_tidy_folders_and_only_in_those(tmp_path: Path) -> None:
    files(tmp_path, ".env", ".git/config", "a", "b/.kept")
    assert readable(tmp_path, tidy=(tmp_path,)) == names(tmp_path, "a", "b")
    assert readable(tmp_path / "b", tidy=(tmp_path,)) == names(tmp_path, "b")


def test_a_tidy_folder_is_tidy_within_a_larger_one(tmp_path: Path) -> None:
    files(tmp_path, ".profile", "app/.env", "app/a")
    assert readable(tmp_path, tidy=(tmp_path / "app",)) == names(tmp_path, ".profile", "app/a")


def test_a_hidden_folder_may_be_named_for_itself(tmp_path: Path) -> None:
    files(tmp_path, ".venv/bin/python", "a")
    found = readable(tmp_path, tmp_path / ".venv", tidy=(tmp_path,))
    assert found == names(tmp_path, ".venv", "a")


def test_a_link_opens_what_it_points_to(tmp_path: Path) -> None:
    files(tmp_path, "app/a", "outside/b", "alone")
    (tmp_path / "app/link").symlink_to(tmp_path / "outside")
    (tmp_path / "app/file").symlink_to("../alone")
    app = tmp_path / "app"
    assert readable(app, tidy=(app,)) == names(tmp_path, "app/a", "outside", "alone")


def test_a_link_opens_nothing_that_is_closed_or_split(tmp_path: Path) -> None:
    files(tmp_path, "app/a", "home/secret", "home/b")
    app = tmp_path / "app"
    (app / "to-secret").symlink_to(tmp_path / "home/secret")
    (app / "to-split").symlink_to(tmp_path / "home")
    (app / "to-above").symlink_to(tmp_path)
    (app / "to-itself").symlink_to(app)
    found = readable(app, tidy=(app,), closed=(tmp_path / "home/secret",))
    assert found == names(app, "a")


def test_a_link_opens_nothing_that_is_hidden(tmp_path: Path) -> None:
    files(tmp_path, ".git/config", "a")
    (tmp_path / "link").symlink_to(".git")
    (tmp_path / "deeper").symlink_to(".git/config")
    assert readable(tmp_path, tidy=(tmp_path,)) == names(tmp_path, "a")


def test_links_to_what_is_closed_and_read_are_followed(tmp_path: Path) -> None:
    files(tmp_path, "real/secret", "real/a")
    (tmp_path / "read").symlink_to("real")
    (tmp_path / "closed").symlink_to("real/secret")
    found = readable(tmp_path / "read", closed=(tmp_path / "closed",))
    assert found == names(tmp_path, "real/a")


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert readable(gone, tidy=(gone,), closed=(gone / "state",)) == set()
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    assert readable(tmp_path, tidy=(tmp_path,)) <= names(tmp_path, "nowhere", "loop")


def test_new_files_are_seen_by_the_next_worker(tmp_path: Path) -> None:
    files(tmp_path, "a", "secret")
    rules = ScriptRules(True, read=(str(tmp_path),), closed=(str(tmp_path / "secret"),))
    assert set(rules.readable()) == names(tmp_path, "a")
    files(tmp_path, "b")
    assert set(rules.readable()) == names(tmp_path, "a", "b")


def test_no_link_that_a_script_can_have_made_is_followed(tmp_path: Path) -> None:
    """Else a script would choose what the next worker may read."""
    files(tmp_path, "private/key", "app/a")
    app = tmp_path / "app"
    (app / "link").symlink_to(tmp_path / "private")
    assert readable(app, app / "link", tidy=(app,), write=(app,)) == set()
    assert readable(app, app / "link", tidy=(app,), write=(tmp_path,)) == set()
    assert readable(tmp_path, tidy=(app,), write=(app,)) == names(tmp_path, "private")
    files(tmp_path, "out/tidy/.env", "out/a")
    (tmp_path / "out/link").symlink_to("/srv")
    out = tmp_path / "out"
    assert readable(tmp_path / "out", tmp_path, tidy=(out / "tidy",), write=(out,)) == names(
        tmp_path, "private", "app"
    )
    assert str(tmp_path / "private") in readable(app, tidy=(app,))  # its owner may


# --- rules_of ---


def test_off_confines_nothing(app: Path) -> None:
    assert of(app, script_confinement="off") == ScriptRules(confine=False)


def test_scripts_read_the_system_python_and_the_folder_they_start_in(app: Path) -> None:
    rules = of(app, script_read=("/data",))
    assert rules.confine
    assert rules.network
    assert {"/usr", "/etc", "/usr/bin", sys.prefix, str(app), "/data"} <= set(rules.read)
    assert rules.tidy == (str(app),)
    assert rules.write == ()


def test_programs_may_lie_in_a_hidden_folder_of_a_buildpack(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nix/bin:relative:/:")
    monkeypatch.setenv("LD_LIBRARY_PATH", "/nix/lib")
    read = of(app).read
    assert {"/nix/bin", "/nix/lib", str(app / ".heroku"), str(app / ".apt")} <= set(read)
    assert not {"relative", "/", ""} & set(read)


def test_the_root_folder_is_not_readable_as_a_whole(
    app: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir("/")
    monkeypatch.setattr(sys, "path", ["", "/", "/lib/python"])
    rules = of(app)
    assert "/" not in rules.read
    assert rules.tidy == ()


def test_the_checkout_is_read_and_tidy(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(package_files, "checkout", lambda: app.parent / "checkout")
    rules = of(app, pwd_file=Path("users.txt"))
    assert rules.tidy == (str(app), str(app.parent / "checkout"))
    assert names(app.parent / "checkout", *CLOSED) <= set(rules.closed)


@pytest.mark.parametrize("written", ["users.txt", "../users.txt", "/etc/tabpy/users.txt"])
def test_the_password_file_is_closed_wherever_it_may_lie(app: Path, written: str) -> None:
    closed = of(app, pwd_file=Path(written)).closed
    assert {str(Path(written).absolute()), *names(app, "users.txt", "tabpypwd.txt")} <= set(closed)


def test_the_default_password_file_is_closed(app: Path) -> None:
    assert str(app / "tabpypwd.txt") in of(app, pwd_file=Settings().pwd_file).closed


@pytest.mark.parametrize("setting", ["key_file", "key_password_file"])
def test_the_private_key_is_closed_with_http_as_well(app: Path, setting: str) -> None:
    files(app, "key.pem", "data.csv")
    rules = of(app, **{setting: Path("key.pem")})
    assert not names(app, "key.pem") & set(rules.readable())
    assert names(app, "data.csv") <= set(rules.readable())


def test_where_links_lead_to_the_key_its_whole_folder_is_closed(app: Path) -> None:
    files(app, "archive/key1.pem", "archive/key2.pem", "live/note")
    (app / "live" / "key.pem").symlink_to("../archive/key2.pem")
    rules = of(app, key_file=Path("live/key.pem"))
    assert str(app / "archive") in rules.closed
    files(app, "archive/key3.pem")  # at a renewal
    (app / "live" / "key.pem").unlink()
    (app / "live" / "key.pem").symlink_to("../archive/key3.pem")
    found = rules.readable()
    assert str(app) not in found
    assert not [each for each in found if Path(each).is_relative_to(app / "archive")]
    assert str(app / "live") in found  # the link is of no use


def test_the_folder_that_scripts_start_in_is_not_closed_for_a_key_in_it(app: Path) -> None:
    files(app, "key1.pem", "data.csv", "certificates/note")
    (app / "certificates" / "key.pem").symlink_to("../key1.pem")
    found = set(of(app, key_file=Path("certificates/key.pem")).readable())
    assert names(app, "data.csv", "certificates") <= found
    assert not names(app, "key1.pem") & found


def test_the_state_is_closed_but_for_what_functions_are_loaded_from(app: Path) -> None:
    rules = of(app, state_path=Path("state"))
    assert str(app / "state") in rules.closed
    assert set(rules.models) == names(app / "state", "archives", "incoming", "uploads")


def test_a_config_file_is_closed_unless_it_is_the_packaged_one(app: Path) -> None:
    assert str(app / "my.conf") in of(app, Path("my.conf")).closed
    assert str(DEFAULT_CONFIG) not in of(app).closed


def test_the_folder_of_functions_is_read(app: Path) -> None:
    assert str(app / "models") in of(app, models_path=Path("models")).read


def test_secrets_in_the_starting_folder_are_not_readable(app: Path) -> None:
    files(app, "users.txt", "my.conf", "state/state.json", ".env", "data.csv")
    rules = of(app, Path("my.conf"), pwd_file=Path("users.txt"), state_path=Path("state"))
    ours = {each for each in rules.readable() if each.startswith(str(app)) and Path(each).exists()}
    assert ours == names(app, "data.csv")


# --- folders to change ---


def test_folders_to_change_are_named_by_where_they_are(app: Path) -> None:
    (app / "out").mkdir()
    (app / "link").symlink_to("out")
    assert of(app, script_write=("link", "out")).write == (str(app / "out"),)


def test_a_folder_in_another_one_goes_without_saying(app: Path) -> None:
    """A script that may change the outer one could put a link in the place of the inner one."""
    assert of(app, script_write=("out/inner", "out", "outer")).write == (
        str(app / "out"),
        str(app / "outer"),
    )


@pytest.mark.parametrize(
    ("written", "settings", "held"),
    [
        (".", {"pwd_file": Path("users.txt")}, "users.txt"),
        (".", {"state_path": Path("data/state")}, "data/state"),
        ("data", {"state_path": Path("data/state")}, "data/state"),
        ("state", {"state_path": Path("state")}, "state"),
    ],
)
def test_what_holds_secrets_cannot_be_changed(
    app: Path, written: str, settings: dict[str, Path], held: str
) -> None:
    with pytest.raises(StartError) as raised:
        of(app, script_write=(written,), **settings)
    assert str(raised.value) == (
        f"TABPY_SCRIPT_WRITE names '{os.path.realpath(written)}', which holds '{app / held}': "
        "scripts could change who may sign in, or the server itself. Name a folder of its own."
    )


def test_nor_a_folder_with_a_link_to_a_secret(app: Path) -> None:
    files(app.parent, "secrets/users.txt")
    (app / "users.txt").symlink_to(app.parent / "secrets/users.txt")
    with pytest.raises(StartError, match=r"which holds '.*/app/users\.txt'"):
        of(app, script_write=(".",), pwd_file=Path("users.txt"))


@pytest.mark.parametrize("ours", [str(package_files.PACKAGE), sys.prefix])
def test_nor_what_the_server_is_made_of(app: Path, ours: str) -> None:
    inside = os.path.realpath(Path(ours, "inside"))
    with pytest.raises(StartError) as raised:
        of(app, script_write=(inside,))
    assert str(raised.value) == (
        f"TABPY_SCRIPT_WRITE names '{inside}', which is in '{ours}': scripts could change the "
        "server itself. Name a folder of its own."
    )
    with pytest.raises(StartError, match="which holds"):
        of(app, script_write=(str(Path(ours).parent),))


# --- what is in force ---


@pytest.mark.parametrize(
    ("parts", "words", "complete"),
    [
        (InForce(), "nothing", False),
        (InForce(landlock=1), "files", False),
        (InForce(landlock=6), "files, signals", False),
        (InForce(landlock=5, seccomp=True), "files, system calls", False),
        (InForce(landlock=6, seccomp=True), "files, signals, system calls", True),
        (InForce(landlock=6, seccomp=True, missing=("x",)), "files, signals, system calls", False),
    ],
)
def test_what_is_in_force_in_words(parts: InForce, words: str, complete: bool) -> None:
    assert (parts.words, parts.complete) == (words, complete)
