"""The command `varley`.

    varley serve    start a server                                     serve.py
    varley check    walk a data folder and list everything broken      check.py
    varley cluster  several nodes, replicated                          cluster.py, cluster_*.py
    varley ring     the key-value store of the 2007 paper              ring.py, ring_*.py

A command is imported when it is called: lazy_commands.py. Flags are made from settings: flags.py.

Exit codes: 0 done; 1 the world is not as it should be (a locked folder, a port in use, a finding of `check`);
2 the command line or the settings are wrong.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import click

from varley import __version__
from varley.cli.lazy_commands import LazyCommands
from varley.errors import BadSettings, WorldError
from varley.settings import refuse_without_asserts

# What DynamoDB Local's flags are called here. It spells them with one dash, which click would take for a row
# of one-letter flags; so they are translated before click sees them. None: accepted, and nothing to do.
DYNAMODB_LOCAL_FLAGS: Final[dict[str, str | None]] = {
    "-port": "--port",
    "-inMemory": "--in-memory",
    "-dbPath": "--data-dir",
    "-cors": "--cors",
    "-sharedDb": None,                  # tables are always shared, whatever the key or the Region
    "-delayTransientStatuses": None,    # a status that is shown is a status that is in force
    "-disableTelemetry": None,          # nothing is sent to anybody
    "-help": "--help",
}

_COMMANDS: Final = {
    "serve": ("serve", "Start a server."),
    "check": ("check", "Walk a data folder and list everything that is broken."),
    "cluster": ("cluster", "DynamoDB on several nodes, each partition on three of them."),
    "ring": ("ring", "The always-writable key-value store of the Dynamo paper of 2007."),
}


@click.command(
    cls=LazyCommands,
    lazy=_COMMANDS,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Start here:
  varley serve                      serve http://127.0.0.1:8000 from ./varley-data
  varley serve --in-memory          the same, and forget everything at the end
  varley serve --help               all flags, and the environment variables for them
  varley cluster up                 a cluster of three nodes on this machine
  varley ring up                    a ring of five nodes on this machine
""",
)
@click.version_option(__version__, "-V", "--version", message="varley %(version)s")
def varley() -> None:
    """Varley: DynamoDB that anyone can run."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; `arguments` are sys.argv[1:] by default. Returns the exit code."""
    words = translated(sys.argv[1:] if arguments is None else arguments)
    try:
        refuse_without_asserts()
        result = varley.main(args=words, prog_name="varley", standalone_mode=False)
    except click.ClickException as error:       # an unknown flag or command: click says which is nearest
        error.show()
        return error.exit_code
    except click.Abort:                         # Ctrl-C before a server was there to be stopped
        return 130
    except WorldError as error:
        print_error(error)
        return 2 if isinstance(error, BadSettings) else 1
    return result if isinstance(result, int) else 0


def translated(words: Sequence[str]) -> list[str]:
    """The command line with DynamoDB Local's flags in our spelling: -port 8001 -> --port 8001."""
    known: list[str] = []
    for word in words:
        name, equals, value = word.partition("=")
        ours = DYNAMODB_LOCAL_FLAGS.get(name, name)
        if ours is not None:
            known.append(ours + equals + value)
    return known


def print_error(error: WorldError) -> None:
    """What failed, where, and what to do about it; to stderr, without a traceback."""
    where = " ".join(part for part in (error.operation, error.path) if part)
    problem = f"{error.problem.rstrip('.')} ({where})." if where else f"{error.problem.rstrip('.')}."
    click.echo(click.style("varley: ", fg="red", bold=True) + problem, err=True)
    if error.hint:
        click.echo(f"        {error.hint.rstrip('.')}.", err=True)
