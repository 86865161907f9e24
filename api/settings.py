"""What the service is told when it starts. `api.configured` reads it from a file, the environment and the command."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator

from api.channels import AnyChannel
from api.database.engine import checked_url
from api.database.tenancy import DEFAULT, NAME
from api.roles import ROLES, Role
from api.section import REVEALED, Secret, Section
from api.store.jobs import Repeatable
from planner.errors import InputError

LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})


class ScheduledJob(Section):
    """A job that is queued by the clock."""

    name: str = Field(description="of the schedule")
    cron: str = Field(description="when, in UTC: minute hour day month weekday, or with seconds before")
    kind: Repeatable = Field(description="what it does")
    request: dict[str, Any] = Field({}, description="what it is asked, as the body of POST /v1/schedules has it")


class Probe(Section):
    """How the service looks for itself whether a cluster is there."""

    cluster: str = Field(min_length=1, description="name of the cluster in plans")
    url: str = Field(
        max_length=500,
        description="http:// or https:// address that answers below status 400 while the cluster is "
        "there, or tcp://host:port that takes a connection",
    )
    every_s: float = Field(5.0, ge=0.1, le=3600, description="from one look to the next")
    timeout_s: float = Field(2.0, gt=0, le=60, description="how long a look may take")
    down_after: int = Field(3, ge=1, le=100, description="looks in a row that fail before the cluster is lost")
    up_after: int = Field(2, ge=1, le=100, description="looks in a row that succeed before it is there again")

    @field_validator("url")
    @classmethod
    def _is_address(cls, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as error:
            raise ValueError(f"{url}: {error}") from None
        if parts.scheme not in ("http", "https", "tcp") or not parts.hostname:
            raise ValueError(f"{url}: http://HOST..., https://HOST... or tcp://HOST:PORT")
        if parts.scheme == "tcp" and port is None:
            raise ValueError(f"{url}: no port; tcp://{parts.hostname}:443 has one")
        return url


class Watching(Section):
    """What the diagnosis of the service's telemetry goes by."""

    step_minutes: int = Field(60, ge=1, le=1440, description="length of a step; it divides a day")
    scenario: Path | None = Field(None, description="providers and regions of clusters, objectives and runbooks")
    alarms: Path | None = Field(None, description="alarm policy (.yaml): maintenance, inhibition, users, remedies")
    rules: Path | None = Field(None, description="what experts call normal and not normal (.yaml)")
    jobs: Path | None = Field(None, description="runs of jobs (.csv, .parquet), for those that are stuck")
    detector: str | None = Field(None, description="who reads everything; left out: each series by what fits it")
    false_alarms_per_day: float = Field(0.01, gt=0, le=10, description="allowed a cluster while all is calm")

    @field_validator("scenario", "alarms", "rules", "jobs")
    @classmethod
    def _is_there(cls, path: Path | None) -> Path | None:
        if path is not None and not path.exists():
            raise ValueError(f"{path}: no such file")
        return path


class Retraining(Section):
    """How models of hosted diagnostics are trained again."""

    every_minutes: float = Field(60.0, gt=0, description="how often it is looked whether data have drifted")
    days: int = Field(56, ge=12, le=400, description="how many days of rows a model is trained on")
    step_minutes: int = Field(60, ge=1, le=1440, description="length of a step of models; it divides a day")
    search_s: float = Field(540.0, gt=0, le=21_600, description="wall seconds for the search of a model")
    canary_rows: int = Field(24, ge=1, description="rows that a new version scores on one cluster before it serves all")
    canary_hours: float = Field(72.0, gt=0, description="within which these have to come")
    canary_more_alarms: float = Field(0.02, ge=0, le=1, description="share of rows in alarm that a new version may "
                                      "have beyond that of the one that serves, on the same rows")
    name_key: Secret | None = Field(None, description="secret (16 bytes or more) that names of clusters and hosts are "
                                    "hashed with before rows are pooled; nothing is trained without")


class Retention(Section):
    """How long what is heard of clusters is kept. With one of these said, a nightly job removes what is older."""

    telemetry_days: float | None = Field(None, gt=0, description="rows of telemetry, by their own time, once they have "
                                         "their verdict; drift compares 56 days. Left out: for ever")
    verdicts_days: float | None = Field(None, gt=0, description="verdicts and comparisons of months. Left out: for "
                                        "ever")
    training_days: float | None = Field(None, gt=0, description="files of rows that models were trained on, without "
                                        "which a version cannot be made again. Left out: for ever")

    @property
    def any(self) -> bool:
        """Whether anything is removed."""
        return any(value is not None for value in vars(self).values())


Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]
"""Signatures with a private key only: with a shared secret, whoever can check a token can make one."""


class Oidc(Section):
    """Who signs tokens of callers, and how they are read. A claim within others is named with dots."""

    issuer: str = Field(min_length=1, description="of the tokens, letter by letter")
    audience: str = Field(min_length=1, description="that tokens for this service name")
    jwks: str = Field(min_length=1, description="public keys of the provider: a file or an https address")
    algorithms: tuple[Algorithm, ...] = Field(("RS256", "ES256"), min_length=1, description="that may sign tokens")
    leeway_s: float = Field(30.0, ge=0, le=120, description="how far clocks may be apart")
    name_claim: str = Field("sub", description="claim that says who asks")
    tenant_claim: str | None = Field(None, description="claim that says the tenant")
    tenants: dict[str, str] = Field({}, description="tenants by values of the claim; others stand for themselves")
    tenant: str | None = Field(None, pattern=f"^{NAME.pattern}$", description="of everybody, instead of a claim")
    roles_claim: str = Field("roles", description="claim that lists roles or groups")
    roles: dict[str, Role] = Field({role: role for role in ROLES}, description="the role that each of them gives")

    @field_validator("jwks")
    @classmethod
    def _cannot_be_changed_on_its_way(cls, jwks: str) -> str:
        address = urlsplit(jwks)
        here = address.scheme == "http" and is_loopback(address.hostname or "")
        if "://" in jwks and address.scheme != "https" and not here:
            raise ValueError(f"{jwks}: a file or an https address: whoever can change keys can make tokens")
        if "://" not in jwks and not Path(jwks).is_file():
            raise ValueError(f"{jwks}: no such file; an address begins with https://")
        return jwks

    @model_validator(mode="after")
    def _one_tenant(self) -> Self:
        if (self.tenant_claim is None) == (self.tenant is None):
            raise ValueError("tenant_claim, tenant: give the claim that says it, or the tenant of everybody")
        return self


class Limits(Section):
    """What one caller may ask of one service: `100/second`, or several by semicolons, `100/second; 3000/minute`."""

    reads: str = Field("5000/second", description="requests of a caller that change nothing, directing among them")
    writes: str = Field("200/second", description="other requests of a caller")
    refused: str = Field("50/second", description="requests of an address with keys or tokens that are not known")
    scenario_bytes: int = Field(
        2 * 2**30, ge=1, description="bytes of all versions of scenarios that were sent and are kept, for each tenant"
    )
    body_s: float = Field(30.0, gt=0, le=3600, description="seconds in which the body of a request must arrive")

    @field_validator("reads", "writes", "refused")
    @classmethod
    def _is_rate(cls, rate: str) -> str:
        from limits import parse_many  # a tenth of a second to load

        try:
            parse_many(rate)
        except ValueError:
            raise ValueError(f"{rate}: not a rate; 100/second is one, or 3000/minute") from None
        return rate


class Holdings(Section):
    """What the service holds for a tenant, beside what lies in the store."""

    scenarios: Path | None = Field(None, description="folder whose sub-folders are scenarios that requests may name")
    histories: Path | None = Field(
        None, description="folder of histories (.csv, .parquet) that schedules may forecast by name"
    )
    tables: Path | None = Field(None, description="folder of tables and of rules for them that jobs may check by name")
    library: Path | None = Field(None, description="file of past tasks (.csv, .parquet), as `planner learn` writes it, "
                                 "that profiles are predicted from; read again once it has changed")
    telemetry: Path | None = Field(None, description="file (.csv, .parquet) that diagnoses are made from")
    watch: Watching = Field(Watching(), description="what diagnoses go by")
    models: Path | None = Field(
        None, description="folder of versions of diagnostics models; left out: one in the data folder"
    )
    models_database: Secret | None = Field(
        None, description="postgresql://USER@HOST/NAME of that; left out: SQLite there"
    )
    model_stores: dict[str, Path] = Field({}, description="folders of copies of model files, by the names of "
                                          "`model_stores` in scenarios: hosts read from the nearest, and fill it")
    feature_sets: Path | None = Field(
        None, description="file of feature sets that models are trained with (.yaml); left out: the built-in ones"
    )

    @field_validator("scenarios", "histories", "tables")
    @classmethod
    def _is_folder(cls, path: Path | None, info: ValidationInfo) -> Path | None:
        if path is not None and not path.is_dir():
            raise ValueError(f"{path}: not a folder; name one that holds {info.field_name}")
        return path

    @field_validator("telemetry", "feature_sets", "library")
    @classmethod
    def _is_file(cls, path: Path | None) -> Path | None:
        if path is not None and not path.is_file():
            raise ValueError(f"{path}: no such file")
        return path


class Settings(Holdings):
    """One service, and what it holds for the tenant `default`."""

    host: str = Field("127.0.0.1", description="address to listen on")
    port: int = Field(8080, ge=0, le=65535, description="port to listen on; 0 takes a free one")
    proxies: tuple[str, ...] = Field(
        (), description="addresses and networks (10.0.0.0/8) of proxies before it, which are believed for whom they "
        "ask (X-Forwarded-For, X-Forwarded-Proto); nobody else is"
    )
    data: Path = Field(
        description="folder of what the service keeps: its store, unless `database` names one, and its "
        "name among services that share a database. Left out: `planner` in the user's data "
        "folder ($XDG_DATA_HOME or ~/.local/share)"
    )
    database: Secret | None = Field(
        None,
        description="postgresql://USER@HOST/NAME, which several services may share; "
        "left out: a SQLite file in the data folder",
    )
    retraining: Retraining = Field(Retraining(), description="of the models of hosted diagnostics")
    retention: Retention = Field(Retention(), description="of telemetry, verdicts and rows to train on")
    encryption_keys: Secret | None = Field(
        None, description="keys that telemetry, sent scenarios, model files and rows to train on are encrypted with at "
        "rest, one a line: the first encrypts, all decrypt"
    )
    workers: int = Field(1, ge=1, le=64, description="jobs carried out at a time; others wait")
    max_attempts: int = Field(3, ge=1, description="how often a job is begun whose worker died with it")
    max_body_bytes: int = Field(32 * 2**20, ge=1, description="the longest body of a request")
    niceness: int = Field(10, ge=0, le=19, description="how much nicer jobs are than requests; 0: as urgent")
    channels: tuple[AnyChannel, ...] = Field((), description="where people are told of alarms, plans and failed jobs")
    limits: Limits = Field(default_factory=Limits, description="what one caller may ask")
    tenants: dict[str, Holdings] = Field(
        {}, description="what the service holds for other tenants, by their names: `[tenants.NAME]` takes "
        + ", ".join(f"`{one}`" for one in Holdings.model_fields)
    )
    oidc: Oidc | None = Field(None, description="who signs tokens of callers")
    schedules: tuple[ScheduledJob, ...] = Field((), description="jobs that are queued by the clock")
    probes: tuple[Probe, ...] = Field((), description="what is looked at to see which clusters are there")

    @field_validator("database")
    @classmethod
    def _is_address(cls, address: SecretStr | None) -> SecretStr | None:
        if address is None:
            return None
        try:
            return SecretStr(checked_url(address.get_secret_value()))
        except InputError as error:
            raise ValueError(str(error)) from None

    @field_validator("proxies")
    @classmethod
    def _are_networks(cls, proxies: tuple[str, ...]) -> tuple[str, ...]:
        for proxy in proxies:
            try:
                network = ipaddress.ip_network(proxy)
            except ValueError:
                raise ValueError(f"{proxy}: no address or network; 10.0.0.5 is one, and 10.0.0.0/8") from None
            if network.prefixlen == 0:
                raise ValueError(f"{proxy}: everybody could say to be anybody: name the proxies")
        return proxies

    @field_validator("tenants")
    @classmethod
    def _are_names(cls, tenants: dict[str, Holdings]) -> dict[str, Holdings]:
        for name in tenants:
            if name == DEFAULT or not NAME.fullmatch(name):
                allowed = "small letters, digits and hyphens within, 63 at most; what `default` has stands above"
                raise ValueError(f"{name}: {allowed}")
        return tenants

    @property
    def is_local(self) -> bool:
        """Whether only this machine can ask: the service listens there, and through no proxy."""
        return is_loopback(self.host) and not self.proxies

    @property
    def model_folder(self) -> Path:
        """The folder of the models."""
        return self.models or self.data / "models"

    @property
    def model_database(self) -> str | None:
        """The address of the database of models; None for SQLite in their folder."""
        return None if self.models_database is None else self.models_database.get_secret_value()

    @property
    def has_models(self) -> bool:
        """Whether the store of models is there; nothing is made for it."""
        return self.models_database is not None or (self.model_folder / "models.db").is_file()

    @property
    def store(self) -> str:
        """The address of the store, as SQLAlchemy reads it."""
        if self.database is not None:
            return self.database.get_secret_value()
        return f"sqlite:///{self.data.absolute() / 'planner.sqlite'}"

    def of(self, tenant: str) -> Self:
        """As a tenant sees them, again and again the same: with its own holdings, and nothing that is scheduled or
        probed for the tenant `default`.
        """
        if tenant == DEFAULT:
            return self
        held = self.tenants.get(tenant, Holdings())
        own = {name: getattr(held, name) for name in Holdings.model_fields}
        folder = held.models or self.data / "tenants" / tenant / "models"
        return self.model_copy(update=own | {"models": folder, "schedules": (), "probes": ()})

    def to_dict(self) -> dict[str, Any]:
        """As JSON has it, secrets among it: for the service's own processes."""
        return self.model_dump(mode="json", context=REVEALED)

    @classmethod
    def from_dict(cls, given: dict[str, Any]) -> Self:
        """What `to_dict` gave."""
        return cls.model_validate(given)


def is_loopback(host: str) -> bool:
    """Whether a host name or address can only be reached from this machine."""
    if host.lower() in LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
