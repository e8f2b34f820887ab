"""Clients of a real cluster, which write down what they asked, when, and what they were told.

    keys            a few at a time, for some seconds, then others: histories stay short, and each item has many clients
    answered        the call and the return are known, by one clock: that of this process
    refused         it surely was not done: an answer of status 400
    unknown         everything else that was sent (a 500, a connection that ended, patience that did): it may be done
                    at any time after the call, or never

A read whose outcome is unknown says nothing, and is not kept. Nothing is sent twice: the retries of an SDK would hide
what the cluster does.
"""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter, defaultdict
from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.crash.server_process import HEADERS
from tests.models.linearizability import Operation

PLAIN: Final = ("plain-0", "plain-1", "plain-2")
INDEXED: Final = "indexed"
ACCOUNTS: Final = ("accounts-a", "accounts-b")
JOURNAL: Final = "journal"
TABLES: Final = (*PLAIN, INDEXED, *ACCOUNTS, JOURNAL)
INDEX: Final = "by-colour"
COLOURS: Final = 8
ACCOUNTS_EACH: Final = 8
OPENED_WITH: Final = 1000

GENERATION_SECONDS: Final = 12.0    # how long keys are written
_KEYS_EACH: Final = 8               # per table and generation
_PATIENCE_SECONDS: Final = 15.0     # longer than any node is frozen: what it says afterwards counts
_PAUSE_AWAY_SECONDS: Final = 0.1    # before a node that is not there is tried again

_PAUSE_READER_SECONDS: Final = 0.04

_HEAD: Final = "".join(f"{name}: {value}\r\n" for name, value in HEADERS.items())

Key = tuple[str, str]    # table, key
Address = tuple[str, int]    # of a node: host, port


class Refused(Exception):
    def __init__(self, answer: dict[str, Any]) -> None:
        super().__init__(str(answer)[:300])
        self.code = str(answer.get("__type", "")).rpartition("#")[2]
        self.answer = answer


class Unknown(Exception):
    """It was sent, and nobody knows more."""


class Away(Exception):
    """It was not sent."""


class Client:
    """One keep-alive connection, made when it is needed."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def call(self, operation: str, request: dict[str, Any]) -> Any:
        body = json.dumps(request)
        if self._streams is None:
            try:
                async with asyncio.timeout(_PATIENCE_SECONDS):
                    self._streams = await asyncio.open_connection(*self._address)
            except (OSError, TimeoutError) as error:
                raise Away(str(error)) from None
        reader, writer = self._streams
        try:
            async with asyncio.timeout(_PATIENCE_SECONDS):
                writer.write((
                    f"POST / HTTP/1.1\r\nHost: varley\r\n{_HEAD}X-Amz-Target: DynamoDB_20120810.{operation}\r\n"
                    f"Content-Length: {len(body)}\r\n\r\n{body}"
                ).encode())
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").lower().split("\r\n")
                fields = dict(line.split(":", 1) for line in head[1:] if line)
                answer = await reader.readexactly(int(fields["content-length"]))
        except (OSError, TimeoutError, asyncio.IncompleteReadError) as error:
            self.close()
            raise Unknown(type(error).__name__) from None
        except BaseException:
            self.close()
            raise
        status = int(head[0].split()[1])
        if "close" in fields.get("connection", ""):
            self.close()
        if status == 200:
            return json.loads(answer)
        if status == 400:
            raise Refused(json.loads(answer))
        raise Unknown(f"{status} {answer.decode()[:200]}")

    def close(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


@dataclass
class Record:
    """What all clients have written down."""

    histories: dict[Key, list[Operation]] = field(default_factory=lambda: defaultdict(list))
    eventual: list[tuple[Key, float, Any]] = field(default_factory=list)        # item, returned, number or "absent"
    acknowledged: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))     # table -> when, writes
    transfers: set[str] = field(default_factory=set)        # acknowledged, by their key in the journal
    sums: list[tuple[float, float, int]] = field(default_factory=list)      # called, returned, of all accounts
    counts: Counter[str] = field(default_factory=Counter)
    said: Counter[str] = field(default_factory=Counter)     # what unknown outcomes and refusals said
    latencies: list[float] = field(default_factory=list)    # of what was answered; seconds


class Traffic:
    """`each` clients at every node, and for each table of items one that only reads, until `stop`.

    With `lies`, the first at each node says that it wrote what it did not.
    """

    def __init__(self, addresses: list[Address], each: int, seed: int, *, lies: bool = False) -> None:
        self.record = Record()
        self._begun = time.monotonic()
        self._number = 0
        self._newest: dict[Key, int | None] = {}        # as far as some client knows; for conditions
        self._is_over = False
        self._tasks = [
            asyncio.ensure_future(
                self._use(Client(address), random.Random(f"{seed} {address} {number}"), lies=lies and number == 0)
            )
            for address in addresses for number in range(each)
        ] + [
            asyncio.ensure_future(self._only_read(Client(address), table, random.Random(f"{seed} {address} {table}")))
            for address in addresses for table in (*PLAIN, INDEXED)
        ]

    async def stop(self) -> None:
        self._is_over = True
        await asyncio.gather(*self._tasks)

    async def _use(self, client: Client, chance: random.Random, *, lies: bool) -> None:
        while not self._is_over:
            kind = chance.random()
            if kind < 0.08:
                await self._count(self._transfer(client, chance))
            elif kind < 0.10:
                await self._count(self._add_up(client))
            else:
                await self._count(self._use_item(client, chance, lies))
        client.close()

    async def _only_read(self, client: Client, table: str, chance: random.Random) -> None:
        """A node that is cut off answers no write, and its other clients soon wait. This one hears what it says of the
        items that others change meanwhile, if it believes that it leads this table."""
        while not self._is_over:
            await self._count(self._do(client, (table, self._item(chance)[1]), ("read",)))
            await asyncio.sleep(_PAUSE_READER_SECONDS)
        client.close()

    async def _count(self, work: Awaitable[None]) -> None:
        try:
            await work
        except Away:
            self.record.counts["not sent"] += 1
            await asyncio.sleep(_PAUSE_AWAY_SECONDS)
        except Unknown as error:
            self.record.counts["unknown"] += 1
            self.record.said[str(error)] += 1
            await asyncio.sleep(_PAUSE_AWAY_SECONDS)
        except Refused as error:
            self.record.counts["refused"] += 1
            self.record.said[error.code] += 1
        else:
            self.record.counts["ok"] += 1

    # Items

    def _item(self, chance: random.Random) -> Key:
        generation = int((time.monotonic() - self._begun) / GENERATION_SECONDS)
        return chance.choice((*PLAIN, INDEXED)), f"{generation}-{chance.randrange(_KEYS_EACH)}"

    async def _use_item(self, client: Client, chance: random.Random, lies: bool) -> None:
        key = self._item(chance)
        self._number += 1
        number = self._number
        kind = chance.random()
        if kind < 0.30:
            if chance.random() < 0.1 and self._newest:
                key = chance.choice(list(self._newest))     # of any time: what was written stays
            await self._do(client, key, ("read",))
        elif kind < 0.42:
            await self._read_eventually(client, key)
        elif kind < 0.65:
            await self._do(client, key, ("put", number), lies=lies)
        elif kind < 0.80:
            await self._do(client, key, ("put if", self._newest.get(key), number))
        elif kind < 0.93:
            # Each sum shows what is in it.
            await self._do(client, key, ("add", chance.randrange(10**6, 10**12)))
        else:
            await self._do(client, key, ("delete",))

    async def _do(self, client: Client, key: Key, what: tuple[Any, ...], *, lies: bool = False) -> None:
        operation, request = _request(key, what)
        called = time.monotonic()
        try:
            answer = {} if lies else await client.call(operation, request)
        except Refused as error:
            if error.code != "ConditionalCheckFailedException":
                raise
            answer = None
        except Unknown:
            if what != ("read",):
                self.record.histories[key].append(Operation(called, None, what, None))
            raise
        returned = time.monotonic()
        self.record.latencies.append(returned - called)
        told = _told(what, answer)
        self.record.histories[key].append(Operation(called, returned, what, told))
        if what == ("read",):
            self._newest[key] = None if told == "absent" else told
            return
        if told != "refused":
            self.record.acknowledged[key[0]].append(returned)
            self._newest[key] = {"put": what[-1], "put if": what[-1], "add": told, "delete": None}[what[0]]
        else:
            self.record.counts["condition not met"] += 1
            self._newest.pop(key, None)

    async def _read_eventually(self, client: Client, key: Key) -> None:
        operation, request = _request(key, ("read",))
        answer = await client.call(operation, request | {"ConsistentRead": False})
        self.record.eventual.append((key, time.monotonic(), _told(("read",), answer)))

    # Accounts

    async def _transfer(self, client: Client, chance: random.Random) -> None:
        self._number += 1
        name, amount = f"t{self._number}", chance.randrange(1, 50)
        source, target = (f"{chance.randrange(ACCOUNTS_EACH)}" for _ in range(2))
        sides = list(ACCOUNTS)
        chance.shuffle(sides)
        changes = [(sides[0], source, -amount), (sides[1], target, amount)]
        noted = {"k": {"S": name}} | {side: {"S": f"{number} {change}"} for side, number, change in changes}
        await client.call("TransactWriteItems", {"TransactItems": [
            *({"Update": {
                "TableName": table, "Key": {"k": {"S": number}}, "UpdateExpression": "ADD n :n",
                "ExpressionAttributeValues": {":n": {"N": str(change)}},
            }} for table, number, change in changes),
            {"Put": {"TableName": JOURNAL, "Item": noted, "ConditionExpression": "attribute_not_exists(k)"}},
        ]})
        self.record.transfers.add(name)
        self.record.counts["transactions"] += 1
        for table in (*ACCOUNTS, JOURNAL):
            self.record.acknowledged[table].append(time.monotonic())

    async def _add_up(self, client: Client) -> None:
        called = time.monotonic()
        answer = await client.call("TransactGetItems", {"TransactItems": [
            {"Get": {"TableName": table, "Key": {"k": {"S": str(number)}}}}
            for table in ACCOUNTS for number in range(ACCOUNTS_EACH)
        ]})
        total = sum(int(each["Item"]["n"]["N"]) for each in answer["Responses"])
        self.record.sums.append((called, time.monotonic(), total))


def _request(key: Key, what: tuple[Any, ...]) -> tuple[str, dict[str, Any]]:
    table, name = key
    named = {"TableName": table, "Key": {"k": {"S": name}}}
    match what:
        case ("read",):
            return "GetItem", named | {"ConsistentRead": True}
        case ("delete",):
            return "DeleteItem", named
        case ("add", number):
            return "UpdateItem", named | {
                "UpdateExpression": "ADD n :n SET colour = :c", "ReturnValues": "UPDATED_NEW",
                "ExpressionAttributeValues": {":n": {"N": str(number)}, ":c": {"S": _colour(number)}},
            }
    thing = {"k": {"S": name}, "n": {"N": str(what[-1])}, "colour": {"S": _colour(what[-1])}}
    put = {"TableName": table, "Item": thing}
    if what[0] == "put":
        return "PutItem", put
    if what[1] is None:
        return "PutItem", put | {"ConditionExpression": "attribute_not_exists(k)"}
    return "PutItem", put | {"ConditionExpression": "n = :e", "ExpressionAttributeValues": {":e": {"N": str(what[1])}}}


def _colour(number: int) -> str:
    return f"c{number % COLOURS}"


def _told(what: tuple[Any, ...], answer: dict[str, Any] | None) -> Any:
    """As models.linearizability.item has it; `answer` is None if the condition was not met."""
    if answer is None:
        return "refused"
    match what:
        case ("read",):
            return int(answer["Item"]["n"]["N"]) if "Item" in answer else "absent"
        case ("add", _):
            return int(answer["Attributes"]["n"]["N"])
        case _:
            return "ok"
