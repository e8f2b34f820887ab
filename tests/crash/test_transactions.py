"""Transactions under load, and kill -9 in the middle of them: all or nothing, and in an order.

Money moves between accounts in several partitions of two tables, and whoever reads all accounts together finds the same
sum, before and after each kill. Beside that, clients append to lists and read them, in transactions and outside of
them; what they have seen must be possible if one had come after the other (tests/models/serializability.py). A request
without an answer is sent again with its token once the server is back: then it is done, once.
"""

from __future__ import annotations

import os
import random
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.crash.check_command import findings
from tests.crash.server_process import SMALL, Client, Refused, ServerProcess
from tests.crash.workers import Worker, run_until_killed
from tests.models.serializability import Transaction, check

ROUNDS = int(os.environ.get("TRANSACTION_ROUNDS", "12"))
SEED = int(os.environ.get("TEST_SEED", "0")) or random.randrange(2**32)
TABLES = ("accounts", "savings")
ACCOUNTS = [(table, f"account-{number}") for table in TABLES for number in range(6)]
EACH = 1000
LISTS = 4
CONFLICTS = {"TransactionCanceledException", "TransactionConflictException"}


class Sender(Worker):
    """Sends requests that may be in each other's way."""

    def __init__(self, port: int, seed: int) -> None:
        super().__init__(port, seed)
        self.done = 0
        self.conflicts = 0

    def call(self, operation: str, request: dict[str, Any]) -> dict[str, Any] | None:
        """None: somebody else was at it."""
        try:
            answer = self.client.call(operation, request)
        except Refused as refusal:
            code = refusal.answer["__type"].partition("#")[2]
            reasons = {reason["Code"] for reason in refusal.answer.get("CancellationReasons", ())}
            if code not in CONFLICTS or not reasons <= {"TransactionConflict", "None"}:
                raise
            self.conflicts += 1
            return None
        self.done += 1
        return answer


class Payer(Sender):
    def step(self) -> None:
        payers = self.random.sample(ACCOUNTS, self.random.choice((2, 2, 3)))
        amounts = [self.random.randrange(1, 50) for _ in payers[1:]]
        amounts.append(-sum(amounts))
        self.call("TransactWriteItems", transfer(dict(zip(payers, amounts, strict=True))))


class Auditor(Sender):
    def step(self) -> None:
        answer = self.call("TransactGetItems", {"TransactItems": [{"Get": get(*account)} for account in ACCOUNTS]})
        if answer is not None:
            assert total(answer) == EACH * len(ACCOUNTS), answer


class Appender(Sender):
    """Appends to lists and reads them; keeps a history of it. A value is the appender's number and a running one."""

    def __init__(self, port: int, seed: int, names: list[str], values: Any) -> None:
        super().__init__(port, seed)
        self.names = names
        self.values = values
        self.history: list[Transaction] = []
        self.open: tuple[dict[str, Any], Transaction] | None = None    # asked for, and not answered

    def step(self) -> None:
        choice = self.random.random()
        if choice < 0.5:
            self._append(self.random.sample(self.names, self.random.choice((1, 2, 3))), in_transaction=True)
        elif choice < 0.6:
            self._append([self.random.choice(self.names)], in_transaction=False)
        elif choice < 0.9:
            self._read(self.random.sample(self.names, self.random.choice((2, 3))), in_transaction=True)
        else:
            self._read([self.random.choice(self.names)], in_transaction=False)

    def _append(self, names: list[str], *, in_transaction: bool) -> None:
        value = next(self.values)
        asked = Transaction(f"append {value}", dict.fromkeys(names, value), began=time.monotonic())
        updates = [append(name, value) for name in names]
        if in_transaction:
            request = {"TransactItems": [{"Update": each} for each in updates], "ClientRequestToken": str(uuid.uuid4())}
            self.open = (request, asked)
            answer = self.call("TransactWriteItems", request)
        else:
            self.history.append(asked)    # may be done whatever becomes of the connection
            answer = self.call("UpdateItem", updates[0])
            self.history.pop()
        self.open = None
        self.history.append(
            Transaction(asked.name, asked.appends, {}, asked.began, time.monotonic(), is_done=answer is not None)
        )

    def _read(self, names: list[str], *, in_transaction: bool) -> None:
        began = time.monotonic()
        if in_transaction:
            answer = self.call("TransactGetItems", {"TransactItems": [{"Get": get("lists", name)} for name in names]})
            found = [] if answer is None else answer["Responses"]
        else:
            answer = self.call("GetItem", {**get("lists", names[0]), "ConsistentRead": True})
            found = [answer]
        if answer is not None:
            reads = {name: numbers(each) for name, each in zip(names, found, strict=True)}
            self.history.append(Transaction(f"read {uuid.uuid4()}", {}, reads, began, time.monotonic()))


def get(table: str, key: str) -> dict[str, Any]:
    return {"TableName": table, "Key": {"pk": {"S": key}}}


def transfer(amounts: Mapping[tuple[str, str], int]) -> dict[str, Any]:
    updates = [
        {
            **get(*account),
            "UpdateExpression": "ADD n :n",
            "ExpressionAttributeValues": {":n": {"N": str(amount)}},
        }
        for account, amount in amounts.items()
    ]
    return {"TransactItems": [{"Update": each} for each in updates], "ClientRequestToken": str(uuid.uuid4())}


def append(name: str, value: int) -> dict[str, Any]:
    return {
        **get("lists", name),
        "UpdateExpression": "SET v = list_append(if_not_exists(v, :none), :v)",
        "ExpressionAttributeValues": {":none": {"L": []}, ":v": {"L": [{"N": str(value)}]}},
    }


def total(answer: dict[str, Any]) -> int:
    return sum(int(each["Item"]["n"]["N"]) for each in answer["Responses"])


def numbers(answer: dict[str, Any] | None) -> tuple[int, ...]:
    item = (answer or {}).get("Item", {})
    return tuple(int(each["N"]) for each in item["v"]["L"]) if "v" in item else ()


def audit(client: Client) -> int:
    return total(client.call("TransactGetItems", {"TransactItems": [{"Get": get(*each)} for each in ACCOUNTS]}))


def set_up(client: Client) -> None:
    for table in (*TABLES, "lists"):
        client.call(
            "CreateTable",
            {
                "TableName": table,
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
                "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
                "BillingMode": "PAY_PER_REQUEST",
            },
        )
    for table, account in ACCOUNTS:
        client.call("PutItem", {"TableName": table, "Item": {"pk": {"S": account}, "n": {"N": str(EACH)}}})


@pytest.mark.slow
def test_transactions_survive_kill_9_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    print(f"TEST_SEED={SEED} TRANSACTION_ROUNDS={ROUNDS}")
    chance = random.Random(SEED)
    server = ServerProcess(tmp_path / "data", *SMALL, "--initial-partitions", "3")
    server.start()
    client = server.client()
    set_up(client)
    values = iter(range(1, 10**9))
    done = conflicts = retried = 0
    for number in range(ROUNDS):
        names = [f"round-{number}-list-{each}" for each in range(LISTS)]
        appenders = [Appender(server.port, chance.randrange(2**32), names, values) for _ in range(5)]
        senders: list[Sender] = [*appenders]
        senders += [Payer(server.port, chance.randrange(2**32)) for _ in range(5)]
        senders += [Auditor(server.port, chance.randrange(2**32)) for _ in range(2)]
        run_until_killed(server, senders, chance.uniform(0.05, 0.6))
        done += sum(sender.done for sender in senders)
        conflicts += sum(sender.conflicts for sender in senders)
        if number % 4 == 0:    # what the kill has left: markers, token rows, records
            assert findings(server.data_dir, capsys) == []
        server.start()
        client = server.client()
        assert audit(client) == EACH * len(ACCOUNTS), f"round {number}: money was made or lost"
        history = []
        for appender in appenders:
            history += appender.history
            if appender.open is not None:
                retried += 1
                history.append(retry(client, *appender.open))
        check(history, {name: contents(client, name) for name in names})
        assert audit(client) == EACH * len(ACCOUNTS)
    assert done > ROUNDS * 20, "next to nothing was done: this test shows nothing"
    assert conflicts > 0, "nobody was in anybody's way: this test shows little"
    client.close()
    assert server.stop() == 0
    print(f"{done} requests done, {conflicts} in conflict, {retried} sent again after a kill, over {ROUNDS} rounds")


def contents(client: Client, name: str) -> tuple[int, ...]:
    return numbers(client.call("GetItem", {**get("lists", name), "ConsistentRead": True}))


def retry(client: Client, request: dict[str, Any], asked: Transaction) -> Transaction:
    """Send it again, with its token. What the crash left was finished before the server was ready: nothing refuses."""
    client.call("TransactWriteItems", request)
    return Transaction(asked.name, asked.appends, {}, asked.began, time.monotonic())
