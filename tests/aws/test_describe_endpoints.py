# Why: SDKs with endpoint discovery turned on (AWS_ENABLE_ENDPOINT_DISCOVERY, old Go and Java clients) ask for the
# endpoint first and send everything else to whatever address this answers.

from typing import Any
from urllib.parse import urlsplit

from botocore.config import Config


def test_the_answer_names_an_address_and_how_long_it_holds(dynamodb: Any) -> None:
    endpoints = dynamodb.describe_endpoints()["Endpoints"]
    assert len(endpoints) == 1
    assert set(endpoints[0]) == {"Address", "CachePeriodInMinutes"}
    assert endpoints[0]["Address"]
    assert endpoints[0]["CachePeriodInMinutes"] >= 1


def test_the_address_is_the_one_that_was_asked(dynamodb: Any, endpoint: str, endpoint_kind: str) -> None:
    address = dynamodb.describe_endpoints()["Endpoints"][0]["Address"]
    if endpoint_kind != "aws":
        assert address == urlsplit(endpoint).netloc


def test_a_client_that_discovers_its_endpoint_works(session: Any, endpoint: str, table: Any) -> None:
    client = session.client("dynamodb", endpoint_url=endpoint, config=Config(endpoint_discovery_enabled=True))
    assert client.describe_table(TableName=table.name)["Table"]["TableName"] == table.name
