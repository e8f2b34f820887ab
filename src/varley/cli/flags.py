"""Flags made from settings (settings.py): no setting is without a flag, and what a flag says when its value is wrong is
what the environment variable and the file say too. Values are therefore not parsed by click: it hands on the text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field
from typing import Any, Final

import click

from varley.settings import flag_of, kind_of


class ServeCommand(click.Command):
    """A command with all flags of a server, in sections."""

    def __init__(
        self, name: str, *, settings: Mapping[str, Field[Any]], sections: Mapping[str, str], **attributes: Any
    ) -> None:
        """`sections`: the first setting of each -> its title. What is not a setting has a flag below."""
        super().__init__(
            name,
            params=[*_not_settings(), *(option_of(each, setting) for each, setting in settings.items())],
            context_settings={"max_content_width": 110},
            **attributes,
        )
        self._sections = {destination(first): title for first, title in sections.items()}

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections: list[tuple[str, list[tuple[str, str]]]] = []
        for parameter in self.get_params(ctx):
            title = self._sections.get(parameter.name or "")
            record = parameter.get_help_record(ctx)
            if title is not None:
                sections.append((title, []))
            if record is not None:
                sections[-1][1].append(record)
        for title, records in sections:
            with formatter.section(title):
                formatter.write_dl(records, col_max=34)


def _not_settings() -> list[click.Option]:
    return [
        click.Option(["--config"], metavar="FILE", help="Read settings from this TOML file."),
        click.Option(["--json", "as_json"], is_flag=True, help="Say where the server is as one line of JSON."),
        click.Option(["--stop-with-stdin"], is_flag=True, hidden=True),    # for whoever starts it as a child
    ]


def option_of(name: str, setting: Field[Any]) -> click.Option:
    flag = flag_of(name)
    default = "" if setting.default in (None, "") else f" [{_shown(setting.default)}]"
    described = setting.metadata["help"].removesuffix(".") + default
    if kind_of(setting) == "bool":
        # Both ways, so that a flag can take back what the environment or the file has set.
        negative = "--no-" + flag.removeprefix("--")
        return click.Option([f"{flag}/{negative}", destination(name)], default=None, help=described)
    return click.Option([flag, destination(name)], metavar=_metavar(name, setting), help=described)


def destination(name: str) -> str:
    """What click calls a setting's value: "cluster.replicas" -> "cluster__replicas"."""
    return name.replace(".", "__")


_METAVARS: Final = {
    "host": "ADDRESS",
    "port": "PORT",
    "dir": "FOLDER",
    "cert": "FILE",
    "key": "FILE",
    "level": "LEVEL",
    "cors": "ORIGINS",
    "reads": "MODE",
    "bytes": "BYTES",
    "seconds": "SECONDS",
}


def _metavar(name: str, setting: Field[Any]) -> str:
    """Units and nouns go last in a setting's name, so the last word says what its value is."""
    usual = {"str": "NAME", "int": "NUMBER", "float": "NUMBER"}[kind_of(setting)]
    return _METAVARS.get(name.rpartition("_")[2], usual)


def _shown(default: Any) -> str:
    if isinstance(default, bool):
        return "on" if default else "off"
    return f"{default:g}" if isinstance(default, float) else str(default)
