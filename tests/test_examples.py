"""The examples can be pasted into Tableau: the fields are there, the requests have their text."""

import csv
import json
import re
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"
OF_SUPERSTORE = sorted(path.name for path in EXAMPLES.glob("superstore-*"))
# Of Tableau's own sample data, as it comes with Desktop.
SAMPLE_FIELDS = {
    *("Row ID", "Order Date", "Region", "Category", "Sub-Category"),
    *("Sales", "Quantity", "Discount", "Profit"),
}


def rows() -> list[dict[str, str]]:
    with (EXAMPLES / "superstore.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def calculation(example: str) -> str:
    return (EXAMPLES / example / "calculation.txt").read_text(encoding="utf-8")


def request(example: str) -> dict[str, object]:
    text = (EXAMPLES / example / "request.json").read_text(encoding="utf-8")
    found: dict[str, object] = json.loads(text)
    return found


def test_the_file_has_the_fields_of_tableaus_sample_data() -> None:
    assert set(rows()[0]) == SAMPLE_FIELDS


@pytest.mark.parametrize("example", OF_SUPERSTORE)
def test_its_calculations_use_no_other_fields(example: str) -> None:
    fields = re.findall(r"\[([A-Z][\w -]*)\]", calculation(example))
    assert fields
    assert set(fields) <= SAMPLE_FIELDS


@pytest.mark.parametrize("example", OF_SUPERSTORE)
def test_the_request_has_the_calculations_script_and_a_mark_for_each_sub_category(
    example: str,
) -> None:
    sent = request(example)
    assert f'"{sent["script"]}"' in calculation(example)
    marks = len({row["Sub-Category"] for row in rows()})
    data = sent["data"]
    assert isinstance(data, dict)
    assert {len(column) for column in data.values()} == {marks}


def test_the_requests_sums_are_the_files() -> None:
    data = request("superstore-ratio")["data"]
    assert isinstance(data, dict)
    for argument, field in (("_arg1", "Profit"), ("_arg2", "Sales")):
        total = sum(float(row[field]) for row in rows())
        assert sum(data[argument]) == pytest.approx(total)
