"""What is said of a node by what it has; no cluster is needed for that."""

from tabpy.tabpy_server.workers.ray.probe import Found, differences, have, problem

OURS = Found("3.11.7", "3.0.0", {"numpy": "2.4.6", "pandas": "3.1.1", "tabpy": "3.0.0"})


def node(**changes: object) -> Found:
    return OURS._replace(**changes)  # type: ignore[arg-type]


def test_this_machine_has_what_it_has() -> None:
    found = have()
    assert "numpy" in found.packages
    assert problem(found, found.server) == ""
    assert differences(found, found) == []


def test_a_node_needs_this_server_in_this_version() -> None:
    assert problem(OURS, "3.0.0") == ""
    assert problem(node(server=""), "3.0.0") == (
        "tabpy isn't installed: install tabpy 3.0.0 with the extra 'ray' there"
    )
    assert problem(node(server="2.9.0"), "3.0.0") == (
        "it has tabpy 2.9.0, and this server is 3.0.0: install tabpy 3.0.0 with the extra 'ray' "
        "there"
    )


def test_what_differs_is_said_a_line_each() -> None:
    theirs = node(python="3.11.9", packages={"numpy": "2.4.5", "tabpy": "3.0.0", "more": "1"})
    assert differences(OURS, theirs) == [
        "Python 3.11.9, and this machine has 3.11.7",
        "it lacks pandas, which this machine has",
        "other versions: numpy 2.4.5 (here 2.4.6)",
    ]


def test_of_many_packages_some_are_named() -> None:
    many = node(packages={f"package{number:02}": "1" for number in range(20)})
    [line] = differences(many, node(packages={}))
    assert line.startswith("it lacks package00, package01, ")
    assert line.endswith("package07 and 12 more, which this machine has")
