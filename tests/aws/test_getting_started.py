# Why: the AWS developer guide's "Getting started" is the first thing that anybody tries. Its commands must work as
# they are printed there, with nothing changed but the endpoint that the environment names; and the Movies exercise
# of the guide's Python part must do what the guide says at each step.

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from boto3.dynamodb.conditions import Attr, Key
from botocore.exceptions import ClientError

from .conftest import wait_until_active

pytestmark = pytest.mark.slow  # each command is a Python process of its own

Run = Callable[[str], str]


@pytest.fixture(scope="module")
def shell(endpoint: str, endpoint_kind: str, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Runs a command line in a shell whose environment names the endpoint; returns what it prints."""
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "AWS_ENDPOINT_URL_DYNAMODB": endpoint,
        "AWS_PAGER": "",
    }
    if endpoint_kind != "aws":
        home = tmp_path_factory.mktemp("home")
        environment |= {
            "HOME": str(home),
            "AWS_CONFIG_FILE": str(home / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(home / "credentials"),
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-west-2",
            "AWS_MAX_ATTEMPTS": "1",
        }

    def run(command: str) -> str:
        done = subprocess.run(
            ["/bin/sh", "-c", command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


@pytest.fixture(scope="module")
def nobodys_tables(dynamodb: Any) -> Iterator[None]:
    """The guide's own names must be free, and are free again afterwards. A table of somebody's is left alone."""
    there = {"Music", "Movies"} & set(dynamodb.list_tables(ExclusiveStartTableName="Mov")["TableNames"])
    if there:
        pytest.skip(f"the endpoint has a table called {there.pop()}; these tests do not touch it")
    yield
    for name in ("Music", "Movies"):
        try:
            dynamodb.delete_table(TableName=name)
        except dynamodb.exceptions.ResourceNotFoundException:
            pass


@pytest.mark.usefixtures("nobodys_tables")
def test_the_music_table_with_the_aws_command_line(shell: Run, dynamodb: Any) -> None:
    # Step 1: create a table
    made = json.loads(
        shell("""aws dynamodb create-table \\
    --table-name Music \\
    --attribute-definitions \\
        AttributeName=Artist,AttributeType=S \\
        AttributeName=SongTitle,AttributeType=S \\
    --key-schema \\
        AttributeName=Artist,KeyType=HASH \\
        AttributeName=SongTitle,KeyType=RANGE \\
    --provisioned-throughput \\
        ReadCapacityUnits=5,WriteCapacityUnits=5 \\
    --table-class STANDARD""")
    )["TableDescription"]
    assert made["TableName"] == "Music"
    assert made["ItemCount"] == 0
    assert made["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert made["KeySchema"] == [
        {"AttributeName": "Artist", "KeyType": "HASH"},
        {"AttributeName": "SongTitle", "KeyType": "RANGE"},
    ]
    wait_until_active(dynamodb, "Music")
    assert "ACTIVE" in shell("aws dynamodb describe-table --table-name Music | grep TableStatus")

    # Step 2: write data
    for item in (
        '{"Artist": {"S": "No One You Know"}, "SongTitle": {"S": "Call Me Today"}, '
        '"AlbumTitle": {"S": "Somewhat Famous"}, "Awards": {"N": "1"}}',
        '{"Artist": {"S": "No One You Know"}, "SongTitle": {"S": "Howdy"}, '
        '"AlbumTitle": {"S": "Somewhat Famous"}, "Awards": {"N": "2"}}',
        '{"Artist": {"S": "Acme Band"}, "SongTitle": {"S": "Happy Day"}, '
        '"AlbumTitle": {"S": "Songs About Life"}, "Awards": {"N": "10"}}',
        '{"Artist": {"S": "Acme Band"}, "SongTitle": {"S": "PartiQL Rocks"}, '
        '"AlbumTitle": {"S": "Another Album Title"}, "Awards": {"N": "8"}}',
    ):
        assert shell(f"aws dynamodb put-item --table-name Music --item '{item}'") == ""

    # Step 3: read data
    happy_day = """--key '{ "Artist": {"S": "Acme Band"}, "SongTitle": {"S": "Happy Day"}}'"""
    read = json.loads(shell(f"aws dynamodb get-item --consistent-read --table-name Music {happy_day}"))
    assert read["Item"] == {
        "Artist": {"S": "Acme Band"},
        "SongTitle": {"S": "Happy Day"},
        "AlbumTitle": {"S": "Songs About Life"},
        "Awards": {"N": "10"},
    }

    # Step 4: update data
    updated = json.loads(
        shell(f"""aws dynamodb update-item \\
    --table-name Music \\
    {happy_day} \\
    --update-expression "SET AlbumTitle = :newval" \\
    --expression-attribute-values '{{":newval":{{"S":"Updated Album Title"}}}}' \\
    --return-values ALL_NEW""")
    )
    assert updated["Attributes"] == {
        "Artist": {"S": "Acme Band"},
        "SongTitle": {"S": "Happy Day"},
        "AlbumTitle": {"S": "Updated Album Title"},
        "Awards": {"N": "10"},
    }

    # Step 5: query data
    found = json.loads(
        shell("""aws dynamodb query \\
    --table-name Music \\
    --key-condition-expression "Artist = :name" \\
    --expression-attribute-values  '{":name":{"S":"Acme Band"}}'""")
    )
    assert [item["SongTitle"]["S"] for item in found["Items"]] == ["Happy Day", "PartiQL Rocks"]
    assert found["Count"] == found["ScannedCount"] == 2

    # Step 8: clean up (steps 6 and 7 are about an index)
    gone = json.loads(shell("aws dynamodb delete-table --table-name Music"))
    assert gone["TableDescription"]["TableName"] == "Music"
    dynamodb.get_waiter("table_not_exists").wait(TableName="Music", WaiterConfig={"Delay": 1})


def test_the_command_line_shows_an_error_as_it_shows_awss(shell: Run) -> None:
    shown = shell(
        "aws dynamodb get-item --table-name nobody-at-all "
        """--key '{"Artist": {"S": "a"}}' 2>&1; test $? -ne 0"""
    )
    assert "(ResourceNotFoundException) when calling the GetItem operation" in shown


def test_the_command_line_pages_by_itself(shell: Run, make_table: Any) -> None:
    table = make_table()
    table.fill([{"pk": {"S": f"{n:02}"}} for n in range(20)])
    counted = json.loads(
        shell(f"aws dynamodb scan --table-name {table.name} --page-size 3 --consistent-read --select COUNT")
    )
    assert counted["Count"] == 20


FILMS = 300
GENRES = ["Action", "Comedy", "Drama", "Mystery"]


def films() -> list[dict[str, Any]]:
    """A made-up set of films, always the same."""
    chance = random.Random(1985)
    return [
        {
            "year": 1980 + number % 40,
            "title": f"Film {number:03}",
            "info": {
                "rating": Decimal(chance.randint(10, 100)) / 10,
                "running_time_secs": chance.randint(3000, 9000),
                "genres": chance.sample(GENRES, 2),
                "actors": [f"Actor {chance.randint(1, 50)}" for _ in range(3)],
            },
        }
        for number in range(FILMS)
    ]


@pytest.fixture(scope="module")
def movies(resource: Any, nobodys_tables: None) -> Any:
    """The guide's Movies table: year (number), title (text)."""
    table = resource.create_table(
        TableName="Movies",
        KeySchema=[
            {"AttributeName": "year", "KeyType": "HASH"},
            {"AttributeName": "title", "KeyType": "RANGE"},
        ],
        AttributeDefinitions=[
            {"AttributeName": "year", "AttributeType": "N"},
            {"AttributeName": "title", "AttributeType": "S"},
        ],
        ProvisionedThroughput={"ReadCapacityUnits": 10, "WriteCapacityUnits": 10},
    )
    table.wait_until_exists()
    table.reload()
    assert table.table_status == "ACTIVE"
    with table.batch_writer() as batch:
        for film in films():
            batch.put_item(Item=film)
    return table


def test_one_movie_through_its_life(movies: Any) -> None:
    where = {"year": 2015, "title": "The Big New Movie"}
    movies.put_item(Item={**where, "info": {"plot": "Nothing happens at all.", "rating": Decimal(0)}})
    assert movies.get_item(Key=where)["Item"]["info"] == {"plot": "Nothing happens at all.", "rating": 0}

    movies.update_item(
        Key=where,
        UpdateExpression="set info.rating = :r, info.plot = :p, info.actors = :a",
        ExpressionAttributeValues={
            ":r": Decimal("5.5"),
            ":p": "Everything.",
            ":a": ["Larry", "Moe", "Curly"],
        },
    )
    counted = movies.update_item(
        Key=where,
        UpdateExpression="set info.rating = info.rating + :val",
        ExpressionAttributeValues={":val": Decimal(1)},
        ReturnValues="ALL_NEW",
    )
    assert counted["Attributes"]["info"] == {
        "rating": Decimal("6.5"),
        "plot": "Everything.",
        "actors": ["Larry", "Moe", "Curly"],
    }

    shrink = {
        "Key": where,
        "UpdateExpression": "remove info.actors[0]",
        "ExpressionAttributeValues": {":num": 3},
    }
    with pytest.raises(ClientError, match="The conditional request failed"):
        movies.update_item(**shrink, ConditionExpression="size(info.actors) > :num")
    movies.update_item(**shrink, ConditionExpression="size(info.actors) >= :num")
    assert movies.get_item(Key=where, ConsistentRead=True)["Item"]["info"]["actors"] == ["Moe", "Curly"]

    rated = {"Key": where, "ConditionExpression": "info.rating <= :val"}
    with pytest.raises(ClientError, match="The conditional request failed"):
        movies.delete_item(**rated, ExpressionAttributeValues={":val": Decimal(5)})
    movies.delete_item(**rated, ExpressionAttributeValues={":val": Decimal(7)})
    assert "Item" not in movies.get_item(Key=where, ConsistentRead=True)


def test_all_movies_of_a_year(movies: Any) -> None:
    answer = movies.query(KeyConditionExpression=Key("year").eq(1985), ConsistentRead=True)
    assert answer["Items"] == sorted((film for film in films() if film["year"] == 1985), key=lambda film: film["title"])


def test_movies_of_a_year_with_titles_in_a_range(movies: Any) -> None:
    answer = movies.query(
        ProjectionExpression="#yr, title, info.genres, info.actors[0]",
        ExpressionAttributeNames={"#yr": "year"},
        KeyConditionExpression=Key("year").eq(1992) & Key("title").between("Film 0", "Film 2"),
        ConsistentRead=True,
    )
    expected = [
        {
            "year": film["year"],
            "title": film["title"],
            "info": {"genres": film["info"]["genres"], "actors": film["info"]["actors"][:1]},
        }
        for film in films()
        if film["year"] == 1992 and "Film 0" <= film["title"] <= "Film 2"
    ]
    assert expected
    assert answer["Items"] == expected


def test_a_scan_with_filters(movies: Any) -> None:
    found = []
    scan: dict[str, Any] = {
        "FilterExpression": Attr("year").between(1990, 1999)
        & (Attr("info.rating").gte(Decimal("8.5")) | Attr("info.genres").contains("Mystery")),
        "ProjectionExpression": "#yr, title",
        "ExpressionAttributeNames": {"#yr": "year"},
        "ConsistentRead": True,
        "Limit": 50,
    }
    while True:
        page = movies.scan(**scan)
        found += page["Items"]
        if "LastEvaluatedKey" not in page:
            break
        scan["ExclusiveStartKey"] = page["LastEvaluatedKey"]
    expected = [
        {"year": film["year"], "title": film["title"]}
        for film in films()
        if 1990 <= film["year"] <= 1999
        and (film["info"]["rating"] >= Decimal("8.5") or "Mystery" in film["info"]["genres"])
    ]
    assert sorted(found, key=lambda film: film["title"]) == expected


def test_every_movie_of_the_load_is_there(movies: Any) -> None:
    count = sum(page["Count"] for page in movies.meta.client.get_paginator("scan").paginate(
        TableName="Movies", Select="COUNT", ConsistentRead=True
    ))  # fmt: skip
    assert count == FILMS
