"""How the commands here are told things: by flags alone, read into frozen settings.

A variable that somebody exported last week must not decide a number. Knows no command.
"""

import difflib
from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError
from pydantic_settings import (
    BaseSettings,
    CliSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from fathom.errors import Code, FathomError


class FlagSettings(BaseSettings):
    """What all commands share: how flags are spelled, and that there is nothing else."""

    model_config = SettingsConfigDict(
        frozen=True,
        extra="forbid",
        cli_prog_name="python -m training",
        cli_kebab_case=True,
        cli_implicit_flags=True,
        cli_hide_none_type=True,
        cli_avoid_json=True,
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],  # noqa: ARG003  # pydantic's signature
        init_settings: PydanticBaseSettingsSource,
        *_unused: PydanticBaseSettingsSource,
        **_unused_too: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """No environment, no file."""
        return (init_settings,)


Settings = TypeVar("Settings", bound=FlagSettings)


def parse(kind: type[Settings], argv: Sequence[str]) -> Settings:
    """Read flags.

    raises  BAD_SETTING for an unknown flag (naming the nearest known one) or a bad value;
            SystemExit for --help
    """
    known: list[str] = [f"--{name.replace('_', '-')}" for name in kind.model_fields]
    switches = [name for name, field in kind.model_fields.items() if field.annotation is bool]
    off: list[str] = [f"--no-{name.replace('_', '-')}" for name in switches]
    for flag in (word.split("=")[0] for word in argv if word.startswith("--")):
        if flag not in (*known, *off, "--help"):
            near = difflib.get_close_matches(flag, known, 1, 0.5)
            raise FathomError(
                Code.BAD_SETTING,
                expected="a known flag",
                got=flag,
                repair=f"did you mean {near[0]}?" if near else "see --help",
            )
    try:
        flags = CliSettingsSource[Settings](kind, cli_parse_args=list(argv))
        return kind(_cli_settings_source=flags)  # type: ignore[call-arg]  # pydantic's own keyword
    except ValidationError as error:
        first = error.errors()[0]
        given = first.get("input")
        raise FathomError(
            Code.BAD_SETTING,
            expected=f"{'.'.join(map(str, first['loc']))}: {first['msg']}",
            got="nothing" if first["type"] == "missing" else repr(given),
            repair="see --help",
        ) from error
