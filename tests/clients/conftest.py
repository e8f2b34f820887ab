"""The environment in which other people's clients find the server under test.

Programs are told where the server is as any program may be: by the environment variables that every AWS SDK reads.
Nothing in them is written for Varley, so they run against the service itself as well, and `--endpoint` does that.

What they need is installed once by `make test`: the JavaScript packages from package-lock.json into node_modules, the
Python packages with the extra `test`. Where Node.js is missing the programs in JavaScript are skipped, loudly; where CI
says that it is CI they fail instead, since nobody reads the skips of a green run.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

from tests.conftest import endpoint_kind as kind_of_endpoint

HERE = Path(__file__).parent
NODE_MAJOR_MIN = 18     # the oldest on which these versions of the packages were seen to work
REGION = "us-east-1"

Run = Callable[..., str]
Eventually = Callable[..., Any]


@pytest.fixture(scope="session")
def endpoint_kind(request: pytest.FixtureRequest) -> str:
    """Who answers: "varley", "dynamodb-local" or "aws"."""
    return kind_of_endpoint(request.config.getoption("--endpoint"))


@pytest.fixture(scope="session")
def environment(endpoint: str, endpoint_kind: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """That of a program which is to speak to the server under test. The caller's profile plays no part in it."""
    named = {"AWS_ENDPOINT_URL_DYNAMODB": endpoint, "AWS_ENDPOINT_URL_DYNAMODB_STREAMS": streams_endpoint(endpoint)}
    if endpoint_kind == "aws":
        return {**os.environ, **named}
    home = tmp_path_factory.mktemp("home")
    return without_aws(os.environ) | named | {
        "HOME": str(home),
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_EC2_METADATA_DISABLED": "true",
    }


@pytest.fixture(scope="module")
def in_environment(environment: dict[str, str]) -> Iterator[None]:
    """Clients that are made in this process find the server under test as programs of their own do."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        for name in [name for name in environment if name.startswith("AWS_")]:
            patch.setenv(name, environment[name])
        yield


@pytest.fixture(scope="session")
def eventually() -> Eventually:
    """For answers that DynamoDB may give late: reads of global indexes, a table's status.

    eventually(ask, is_right, seconds_max=30) asks until an answer is right, and returns it. The request itself is the
    pause between two looks.
    """

    def ask_until_right(ask: Callable[[], Any], is_right: Callable[[Any], bool], seconds_max: float = 30) -> Any:
        deadline = time.monotonic() + seconds_max
        while not is_right(answer := ask()):
            assert time.monotonic() < deadline, f"still not after {seconds_max} s: {answer!r}"
        return answer

    return ask_until_right


def streams_endpoint(endpoint: str) -> str:
    """The service has an endpoint of its own for streams; everybody else answers for both at one."""
    return re.sub(r"//dynamodb\.(.*\.amazonaws\.com)", r"//streams.dynamodb.\1", endpoint)


def without_aws(environment: os._Environ[str] | dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in environment.items() if not name.startswith("AWS_")}


@pytest.fixture(scope="session")
def node() -> Run:
    """Runs Node.js in this folder, where the packages are. Returns what it prints; fails the test if it fails.

    run(*arguments, environment=…, program=None): `program` is the text of a module, for want of a file.
    """
    if (why_not := why_no_node()) is not None:
        not_tested(why_not)

    def run(*arguments: str, environment: dict[str, str], program: str | None = None) -> str:
        done = subprocess.run(
            ["node", "--no-warnings", *arguments],
            cwd=HERE,
            env=environment,
            input=program,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"node {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    return run


def why_no_node() -> str | None:
    """What is missing for programs in JavaScript and how to get it, or None."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "Node.js is missing. Install node and npm (Debian, Ubuntu: apt install nodejs npm)"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if int(version.removeprefix("v").partition(".")[0]) < NODE_MAJOR_MIN:
        return f"Node.js {version} is too old. Install {NODE_MAJOR_MIN} or newer"
    if not (HERE / "node_modules" / "electrodb").is_dir():
        return "the packages are not installed. Run `npm ci` in tests/clients, as `make test` does"
    return None


def not_tested(why: str) -> NoReturn:
    text = f"{why}: NO CLIENT IN JAVASCRIPT IS TESTED."
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)
