"""The password file and its hashes."""

import base64
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tabpy.tabpy_server.access import password_file, password_hashes
from tabpy.tabpy_server.access.password_file import PasswordFileError, User
from tabpy.tabpy_server.access.password_hashes import CHEAPEST, Profile
from tabpy.tabpy_server.rights import ALL, DEPLOY, EVALUATE, QUERY, Rights

ROOT = Path(__file__).parents[2]

# TabPy's own: user paolo, password P@ssw0rd.
PAOLO_PBKDF2 = (
    "0862ce7721ef341b5b53eb969ede03578d19c311011ee2a310a65c2d607c2fcd"
    "5ca8bc6a0f25c3d6d7afb3438034cfa05107c8edf1c0e77c450ae87ad868d9b5"
)
ARGON2ID = password_hashes.hash_password("ann", "fake", CHEAPEST)
OTHER = password_hashes.hash_password("ann", "another fake", CHEAPEST)


# --- hashes ---


@pytest.mark.parametrize("password", ["x", "fake:with:colons", "päss ✓ 🔑", " ", "-p", "a\0b\n"])
def test_any_text_is_a_password(password: str) -> None:
    encoded = password_hashes.hash_password("ann", password, CHEAPEST)
    assert password_hashes.verify(encoded, "ann", password)
    assert not password_hashes.verify(encoded, "ann", password + "x")


def test_a_hash_is_argon2id_with_the_parameters_that_owasp_recommends_and_its_own_salt() -> None:
    one, two = (password_hashes.hash_password("ann", "fake") for _ in range(2))
    assert one.startswith("$argon2id$v=19$m=19456,t=2,p=1$")
    assert one != two
    assert password_hashes.verify(one, "ann", "fake")
    assert not password_hashes.is_outdated(one)


@pytest.mark.parametrize("name", ["paolo", "Paolo", "PAOLO"])
def test_hashes_of_tabpy_are_verified_and_known_as_outdated(name: str) -> None:
    assert password_hashes.verify(PAOLO_PBKDF2, name, "P@ssw0rd")
    assert not password_hashes.verify(PAOLO_PBKDF2, name, "P@ssw0rd ")
    assert not password_hashes.verify(PAOLO_PBKDF2, "ann", "P@ssw0rd")
    assert password_hashes.is_outdated(PAOLO_PBKDF2)


@pytest.mark.parametrize("encoded", [PAOLO_PBKDF2, ARGON2ID], ids=["PBKDF2", "argon2id"])
def test_a_password_that_no_client_can_send_is_wrong_and_no_error(encoded: str) -> None:
    assert not password_hashes.verify(encoded, "paolo", "\udcff")
    assert not password_hashes.verify(encoded, "\udcff", "fake password")


@pytest.mark.parametrize(
    ("name", "password", "message"),
    [
        ("ann", "", "empty"),
        ("ann", "fake\udcff", "UTF-8"),
        ("", "fake", "printable ASCII"),
        ("two words", "fake", "printable ASCII"),
        ("a:b", "fake", "printable ASCII"),
        ("#ann", "fake", "printable ASCII"),
        ("zoë", "fake", "printable ASCII"),
        ("ann\n", "fake", "printable ASCII"),
        ("ann\x7f", "fake", "printable ASCII"),
    ],
)
def test_what_cant_be_a_user_is_refused(name: str, password: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        password_hashes.hash_password(name, password, CHEAPEST)
    assert "\n" not in str(caught.value)
    assert "\udcff" not in str(caught.value)


def test_names_may_hold_any_other_printable_ascii() -> None:
    password_hashes.check_name("a#b-c_d.e@f!~;9$%&'()*+,/<=>?[]^`{|}\"\\")


@pytest.mark.parametrize(
    ("name", "password", "known"),
    [
        ("ann", "fake", True),
        ("ANN", "fake", True),
        ("paolo", "P@ssw0rd", True),
        ("ann", "P@ssw0rd", False),
        ("paolo", "fake", False),
        ("nobody", "fake", False),
        ("", "", False),
    ],
)
def test_a_user_is_known_by_name_and_password(name: str, password: str, known: bool) -> None:
    users = {"ann": ARGON2ID, "paolo": PAOLO_PBKDF2}
    assert password_hashes.verify_any(users, name, password) is known


def test_without_users_nobody_is_known() -> None:
    assert not password_hashes.verify_any({}, "ann", "")


def test_only_ascii_letters_lose_their_case() -> None:
    users = {"k": password_hashes.hash_password("k", "fake", CHEAPEST)}
    assert password_hashes.verify_any(users, "K", "fake")
    assert not password_hashes.verify_any(users, "\N{KELVIN SIGN}", "fake")


@pytest.mark.parametrize("name", ["ann", "bob", "costly", "paolo", "nobody"])
def test_each_name_costs_one_verification_for_each_scheme_in_the_file(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    costly = password_hashes.hash_password(
        "costly", "fake", Profile(memory_kib=16, passes=1, lanes=1)
    )
    users = {"ann": ARGON2ID, "bob": OTHER, "costly": costly, "paolo": PAOLO_PBKDF2}
    real = password_hashes.verify
    costs = []

    def verify(encoded: str, name: str, password: str) -> bool:
        costs.append(encoded[: encoded.rfind("p=")] if "p=" in encoded else "pbkdf2")
        return real(encoded, name, password)

    monkeypatch.setattr(password_hashes, "verify", verify)
    password_hashes.verify_any(users, name, "fake")
    assert sorted(costs) == ["$argon2id$v=19$m=16,t=1,", "$argon2id$v=19$m=8,t=1,", "pbkdf2"]


@pytest.mark.parametrize(
    ("part", "changed"),
    [
        ("m=8,", "m=+8,"),
        ("m=8,", "m= 8,"),
        ("m=8,", "m=008,"),
        ("m=8,", "m=1_6,"),
        ("m=8,t=1,", "t=1,m=8,"),
        ("p=1$", "p=1,k=2$"),
        ("p=1$", "p=2$"),  # too many lanes for 8 KiB
        ("v=19", "v=16"),
        ("v=19$", ""),
        ("$argon2id", "argon2id"),
    ],
)
def test_a_hash_in_any_other_form_is_none(part: str, changed: str) -> None:
    assert part in ARGON2ID
    with pytest.raises(ValueError, match="neither argon2id"):
        password_hashes.scheme_of(ARGON2ID.replace(part, changed))


@pytest.mark.parametrize("end", ["B", "!", "=", "AA", "AA=="])
def test_a_tag_that_argon2_would_not_decode_is_none(end: str) -> None:
    whole = ARGON2ID[:-1]
    with pytest.raises(ValueError, match="neither argon2id"):
        password_hashes.scheme_of(whole + end)
    password_hashes.scheme_of(whole + "A")


@pytest.mark.parametrize(("length", "is_enough"), [(8, True), (7, False), (64, True)])
def test_a_salt_has_at_least_8_bytes(length: int, is_enough: bool) -> None:
    salt = base64.b64encode(bytes(length)).decode().rstrip("=")
    head, _, tag = ARGON2ID.rpartition("$")
    encoded = f"{head.rpartition('$')[0]}${salt}${tag}"
    if is_enough:
        assert password_hashes.scheme_of(encoded) == "$argon2id$v=19$m=8,t=1,p=1"
    else:
        with pytest.raises(ValueError, match="neither argon2id"):
            password_hashes.scheme_of(encoded)


# --- reading ---


def test_the_committed_file_is_valid() -> None:
    password_file.read(ROOT / "tabpypwd.txt")


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("bom", ["", "\ufeff"])
def test_a_file_has_users_comments_and_blank_lines(bom: str, end: str) -> None:
    lines = [f"Ann {ARGON2ID}", "# paolo left", "", "  ", f"#bob {OTHER}", f"paolo {PAOLO_PBKDF2}"]
    assert password_file.parse(bom + end.join(lines)) == {
        "ann": User(ARGON2ID),
        "paolo": User(PAOLO_PBKDF2),
    }


@pytest.mark.parametrize(
    ("word", "rights"),
    [
        ("", ALL),
        (" query,evaluate,deploy", ALL),
        (" query,evaluate", (QUERY, EVALUATE)),
        (" deploy,query", (QUERY, DEPLOY)),
        ("\tevaluate ", (EVALUATE,)),
    ],
)
def test_a_third_word_lists_rights(word: str, rights: Rights) -> None:
    assert password_file.parse(f"ann {ARGON2ID}{word}\n") == {"ann": User(ARGON2ID, rights)}


def test_a_comment_may_be_in_any_encoding(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_bytes(b"# f\xfcr Z\xfcrich\n" + f"ann {ARGON2ID}\n".encode())
    assert password_file.read(file) == {"ann": User(ARGON2ID)}


@pytest.mark.parametrize("text", ["", "\ufeff", "# nobody yet\n", "\n\n"])
def test_a_file_may_have_no_users(text: str) -> None:
    assert password_file.parse(text) == {}


SECRET = "Hunter2-in-plain-text"
BROKEN = {
    "no hash": ("ann", "two or three words, not 1"),
    "a word too many": (f"ann {SECRET} {ARGON2ID}", "argon2id"),
    "a password in plain text": (f"ann {SECRET}", "argon2id"),
    "the words in the wrong order": (f"{SECRET}: ann", "name"),
    "a hash before the name": (f"{ARGON2ID} ann", "argon2id"),
    "a TabPy hash cut off": (f"ann {PAOLO_PBKDF2[:-1]}", "whole"),
    "an argon2id hash cut off": (f"ann {ARGON2ID[:-1]}", "whole"),
    "an argon2id hash cut off to whole bytes": (f"ann {ARGON2ID[:-2]}A", "whole"),
    "an argon2id hash without its tag": (f"ann {ARGON2ID.rpartition('$')[0]}", "whole"),
    "another argon2": ("ann " + ARGON2ID.replace("argon2id", "argon2i"), "argon2id"),
    "less memory than argon2 can do with": ("ann " + ARGON2ID.replace("m=8", "m=7"), "argon2id"),
    "a colon in the name": (f"a:b {ARGON2ID}", "printable ASCII"),
    "a name that isn't ASCII": (f"zoë {ARGON2ID}", "printable ASCII"),
    "blanks between rights": (
        f"ann {ARGON2ID} query, deploy",
        "no spaces: two or three words, not 4",
    ),
    "a right that is none": (
        f"ann {ARGON2ID} query,evalute",
        "right 2 of 2, 'evalute', is none; eval",
    ),
    "a password in place of rights": (f"ann {ARGON2ID} {SECRET}", "right 1 of 1 is none: write"),
    "a right twice": (
        f"ann {ARGON2ID} query,deploy,query",
        "right 3 of 3, 'query', is there already",
    ),
    "no right between commas": (
        f"ann {ARGON2ID} query,",
        "right 2 of 2 is empty: write one or more",
    ),
    "no right at all": (f"ann {ARGON2ID} ,", "right 1 of 2 is empty"),
    "rights in capitals": (f"ann {ARGON2ID} Query", "'Query', is none; query is"),
    "a name twice": (f"PETER {ARGON2ID}", "peter is on line 2"),
}


@pytest.mark.parametrize(("line", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_line_is_named_without_its_secrets(line: str, message: str) -> None:
    with pytest.raises(PasswordFileError, match=message) as caught:
        password_file.parse(f"# head\npeter {OTHER}\n{line}\n", "users.txt")
    text = str(caught.value)
    assert text.startswith("users.txt, line 3: ")
    assert "\n" not in text
    for secret in (SECRET, ARGON2ID.rpartition("$")[2][:-1], PAOLO_PBKDF2[:-1]):
        assert secret not in text


def test_a_file_in_utf_16_is_refused_by_that_name(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text(f"ann {ARGON2ID}\n", encoding="utf-16")
    with pytest.raises(PasswordFileError, match="save it as UTF-8"):
        password_file.read(file)


def test_a_missing_file_is_an_oserror(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        password_file.read(tmp_path / "none.txt")


# --- editing ---

HEAD = b"\xef\xbb\xbf# our users\xfc\r\n\r\n"
ANN = f"Ann  {ARGON2ID} \r\n".encode()
PAOLO = f"paolo {PAOLO_PBKDF2}".encode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with all that an editor might leave in it, and no end of the last line."""
    path = tmp_path / "users.txt"
    path.write_bytes(HEAD + ANN + PAOLO)
    return path


def names_beside(file: Path) -> list[str]:
    return [path.name for path in file.parent.iterdir() if path != file]


def test_add_appends_a_line(file: Path) -> None:
    password_file.add(file, "Bob", OTHER)
    assert file.read_bytes() == HEAD + ANN + PAOLO + f"\r\nbob {OTHER}\r\n".encode()
    password_file.add(file, "carl", OTHER)
    assert list(password_file.read(file)) == ["ann", "paolo", "bob", "carl"]
    assert not names_beside(file)


def test_add_makes_a_file_that_only_its_owner_can_read(tmp_path: Path) -> None:
    file = tmp_path / "new.txt"
    password_file.add(file, "ann", ARGON2ID)
    assert file.read_text() == f"ann {ARGON2ID}\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_update_changes_the_hash_alone(file: Path) -> None:
    password_file.update(file, "ANN", OTHER)
    assert file.read_bytes() == HEAD + ANN.replace(ARGON2ID.encode(), OTHER.encode()) + PAOLO


RESTRICTED = f"zoe\t{OTHER}  query\t\r\n".encode()


@pytest.mark.parametrize(
    ("rights", "after"),
    [
        (ALL, f"zoe\t{OTHER}\t\r\n"),
        ((QUERY, DEPLOY), f"zoe\t{OTHER} query,deploy\t\r\n"),
    ],
    ids=["all", "two"],
)
def test_update_changes_the_rights_alone(file: Path, rights: Rights, after: str) -> None:
    file.write_bytes(HEAD + RESTRICTED + ANN + PAOLO)
    password_file.update(file, "zoe", may=rights)
    assert file.read_bytes() == HEAD + after.encode() + ANN + PAOLO
    assert password_file.read(file)["zoe"].rights == rights


def test_another_hash_leaves_the_rights_and_both_can_be_changed(file: Path) -> None:
    file.write_bytes(HEAD + RESTRICTED + PAOLO)
    password_file.update(file, "zoe", ARGON2ID)
    assert password_file.read(file)["zoe"] == User(ARGON2ID, (QUERY,))
    password_file.update(file, "zoe", OTHER, (EVALUATE,))
    assert password_file.read(file)["zoe"] == User(OTHER, (EVALUATE,))
    password_file.update(file, "paolo", may=(QUERY,))  # the last line, without an end
    assert file.read_bytes().endswith(PAOLO + b" query")


def test_add_writes_rights_unless_they_are_all(file: Path) -> None:
    file.write_bytes(b"")
    password_file.add(file, "bob", OTHER, (QUERY, EVALUATE))
    password_file.add(file, "carl", OTHER, ALL)
    assert file.read_text() == f"bob {OTHER} query,evaluate\ncarl {OTHER}\n"


@pytest.mark.parametrize(("name", "rest"), [("ann", HEAD + PAOLO), ("PAOLO", HEAD + ANN)])
def test_delete_takes_one_line_out(file: Path, name: str, rest: bytes) -> None:
    password_file.delete(file, name)
    assert file.read_bytes() == rest


def test_a_user_on_the_first_line_behind_a_byte_order_mark_can_be_edited(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    file.write_text(f"ann {ARGON2ID}\nbob {OTHER}\n", encoding="utf-8-sig")
    password_file.update(file, "ann", OTHER)
    assert password_file.read(file) == {"ann": User(OTHER), "bob": User(OTHER)}
    password_file.delete(file, "ann")
    assert password_file.read(file) == {"bob": User(OTHER)}


Edit = Callable[[Path], None]
ADD: Edit = lambda file: password_file.add(file, "bob", OTHER)  # noqa: E731
UPDATE: Edit = lambda file: password_file.update(file, "ann", OTHER)  # noqa: E731
DELETE: Edit = lambda file: password_file.delete(file, "ann")  # noqa: E731
EVERY_EDIT = pytest.mark.parametrize("edit", [ADD, UPDATE, DELETE], ids=["add", "update", "delete"])


@EVERY_EDIT
@pytest.mark.parametrize("line", [line for line, _ in BROKEN.values()], ids=BROKEN.keys())
def test_a_file_with_a_broken_line_is_left_as_it_is(file: Path, edit: Edit, line: str) -> None:
    before = f"peter {OTHER}\nann {ARGON2ID}\n{line}\ncarl {OTHER}\n".encode()
    file.write_bytes(before)
    with pytest.raises(PasswordFileError, match=r"users\.txt, line [23]"):
        edit(file)
    assert file.read_bytes() == before
    assert not names_beside(file)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda file: password_file.add(file, "ANN", OTHER), "use update"),
        (lambda file: password_file.update(file, "bob", OTHER), "no user bob"),
        (lambda file: password_file.delete(file, "bob"), "no user bob"),
        (lambda file: password_file.add(file, "a b", OTHER), "printable ASCII"),
        (lambda file: password_file.add(file, "bob", "plain"), "neither argon2id"),
        (lambda file: password_file.update(file, "ann", "plain"), "neither argon2id"),
    ],
)
def test_an_edit_that_makes_no_sense_changes_nothing(file: Path, edit: Edit, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        edit(file)
    assert file.read_bytes() == HEAD + ANN + PAOLO
    assert not names_beside(file)


@pytest.mark.parametrize("edit", [UPDATE, DELETE])
def test_only_add_makes_a_file(tmp_path: Path, edit: Edit) -> None:
    with pytest.raises(FileNotFoundError):
        edit(tmp_path / "none.txt")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["ann", "bob"])
@pytest.mark.parametrize("exists", [True, False])
def test_what_an_edit_would_refuse_can_be_asked_first(file: Path, name: str, exists: bool) -> None:
    if (name == "ann") is exists:
        password_file.check_user(file, name, exists=exists)
    else:
        with pytest.raises(PasswordFileError, match=f"user {name}"):
            password_file.check_user(file, name, exists=exists)


@EVERY_EDIT
def test_an_edit_keeps_the_mode_and_the_link(file: Path, edit: Edit) -> None:
    file.chmod(0o640)
    folder = file.parent / "links"
    folder.mkdir()
    link = folder / "users.txt"
    link.symlink_to("../users.txt")
    edit(link)
    assert link.is_symlink()
    assert stat.S_IMODE(file.stat().st_mode) == 0o640
    assert file.read_bytes() != HEAD + ANN + PAOLO
    assert list(folder.iterdir()) == [link]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@EVERY_EDIT
def test_an_edit_by_root_keeps_the_owner(file: Path, edit: Edit) -> None:
    os.chown(file, 4321, 1234)
    file.chmod(0o600)
    edit(file)
    after = file.stat()
    assert (after.st_uid, after.st_gid, stat.S_IMODE(after.st_mode)) == (4321, 1234, 0o600)


@EVERY_EDIT
@pytest.mark.parametrize("failure", [OSError("disk full"), KeyboardInterrupt()])
def test_an_edit_that_fails_on_the_way_leaves_no_trace(
    file: Path, edit: Edit, failure: BaseException, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_descriptor: int) -> None:
        raise failure

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(type(failure)):
        edit(file)
    assert file.read_bytes() == HEAD + ANN + PAOLO
    assert not names_beside(file)


def test_edits_at_the_same_time_lose_nobody(tmp_path: Path) -> None:
    file = tmp_path / "users.txt"
    names = [f"user{number}" for number in range(40)]
    with ThreadPoolExecutor(max_workers=4) as pool:
        list(pool.map(lambda name: password_file.add(file, name, ARGON2ID), names))
    assert sorted(password_file.read(file)) == sorted(names)
    assert not names_beside(file)
