"""What parts of the settings are made of: described fields, no others, and secrets that may lie in files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, get_args

from pydantic import BaseModel, ConfigDict, PlainSerializer, SecretStr, SerializationInfo, model_validator

FROM_FILE = "_file"
"""Ending of the name of a file that holds a secret."""
REVEALED = {"secrets": True}
"""Context of a serialisation that shows secrets."""


def _hidden(secret: SecretStr, info: SerializationInfo) -> str:
    return secret.get_secret_value() if info.context == REVEALED else str(secret)


Secret = Annotated[SecretStr, PlainSerializer(_hidden)]
"""A setting that is never shown; `NAME_file` names a file that holds it."""


class Section(BaseModel):
    """Settings that belong together; each has a description, and there are no others."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _secrets_from_files(cls, given: object) -> object:
        if not isinstance(given, dict):
            return given
        found = dict(given)
        for secret in cls.secrets():
            file = secret + FROM_FILE
            if secret in given and file in given:
                raise ValueError(f"{secret} and {file}: only one of them")
            if file in given:
                found[secret] = _content(file, found.pop(file))
        return found

    @classmethod
    def secrets(cls) -> list[str]:
        """Names of those settings that may be read from files."""
        return [name for name, field in cls.model_fields.items() if SecretStr in parts(field.annotation)]


def parts(annotation: object) -> list[object]:
    """The types that an annotation is made of."""
    inner = get_args(annotation)
    return [annotation] if not inner else [part for one in inner for part in parts(one)]


def _content(name: str, path: object) -> str:
    try:
        return Path(str(path)).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}: {path}: {getattr(error, 'strerror', None) or 'not UTF-8'}") from None
