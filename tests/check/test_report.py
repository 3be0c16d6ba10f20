"""How the findings of tabpy-check read."""

from tabpy.check.report import Result, dialogue, document, fail, lines, ok
from tabpy.check.target import Target

TARGET = Target("tabpy.example.com", 443, ssl=True)


def test_a_line_for_what_was_found_and_an_indented_one_for_what_to_do() -> None:
    first, second = lines(Result("TCP", fail("closed", "open it"), 0.1), colour=False).split("\n")

    assert first.split() == ["FAIL", "TCP", "closed"]
    assert second.strip() == "-> open it"
    assert first.index("closed") == second.index("->")


def test_the_columns_line_up_with_and_without_colour() -> None:
    plain = lines(Result("TCP", ok("open"), 0.1), colour=False)
    coloured = lines(Result("TCP", ok("open"), 0.1), colour=True)

    assert coloured.replace("\x1b[32m", "").replace("\x1b[0m", "") == plain
    assert coloured != plain


def test_control_characters_from_a_server_stay_off_the_terminal() -> None:
    text = lines(Result("probe", fail("x\x1b[2Jy\nz", "\x07"), 0.1), colour=False)

    assert "\x1b" not in text
    assert "\x07" not in text
    assert text.count("\n") == 1


def test_json_holds_the_verdict_the_steps_and_the_values_for_tableau() -> None:
    results = [Result("TCP", ok("open"), 0.12345), Result("TLS", fail("no", "yes"), 1)]

    assert document(TARGET, "paolo", results) == {
        "url": "https://tabpy.example.com:443",
        "ok": False,
        "steps": [
            {"step": "TCP", "status": "ok", "said": "open", "todo": "", "seconds": 0.123},
            {"step": "TLS", "status": "fail", "said": "no", "todo": "yes", "seconds": 1},
        ],
        "tableau": {
            "host_name": "tabpy.example.com",
            "port": 443,
            "require_ssl": True,
            "user": "paolo",
        },
    }


def test_the_dialogue_has_tableaus_four_fields() -> None:
    assert dialogue(TARGET, None) == {
        "Host name": "tabpy.example.com",
        "Port": "443",
        "Require SSL": "yes",
        "User name": "(none)",
    }
