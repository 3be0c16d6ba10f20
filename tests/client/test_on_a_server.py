"""The client with a real server, where the fake one proves too little."""

import asyncio
from collections.abc import Iterator

import pytest

from tabpy.tabpy_tools.async_client import AsyncClient
from tabpy.tabpy_tools.client import Client
from tests.running import PASSWORD, USER, Server

NAME = "Doubled By Client"


async def doubled(values: list[int], by: int = 2) -> list[int]:
    """A function that waits for something."""
    await asyncio.sleep(0)
    print(len(values), "values")
    return [value * by for value in values]


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with server.client() as client:
        yield client
        client.remove(NAME)


def test_a_function_from_deployment_to_its_author(
    client: Client, capsys: pytest.CaptureFixture[str]
) -> None:
    deployed = client.deploy(NAME, doubled, None)
    assert deployed.version == 1
    assert deployed.calculation.startswith(f'MODEL_EXTENSION_INT("{NAME}", "values", SUM(')
    assert client.query(NAME, [1, 2], debug=True)["response"] == [2, 4]
    assert capsys.readouterr().out == "2 values\n"
    info = client.get_endpoints()[NAME]
    assert info.description == "A function that waits for something."
    assert info.schema["input"]["required"] == ["values"]
    versions = client.versions(NAME)
    assert [each["author"] for each in versions["versions"]] == [USER]
    assert f"<td>{USER}</td>" in versions._repr_html_()


def test_what_to_paste_as_a_script_is_right(client: Client) -> None:
    deployed = client.deploy(NAME, doubled)
    script = deployed.script.partition('"')[2].partition('"')[0]
    assert client.evaluate(script, [1, 2]) == [2, 4]


def test_many_calls_at_a_time(client: Client) -> None:
    client.deploy(NAME, doubled)

    async def call() -> list[int]:
        async with AsyncClient(client.url, at_once=5) as several:
            several.set_credentials(USER, PASSWORD)
            answers = await asyncio.gather(*(several.query(NAME, [each]) for each in range(20)))
        return [answer["response"][0] for answer in answers]

    assert asyncio.run(call()) == [2 * each for each in range(20)]
