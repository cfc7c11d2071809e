"""Every setting of the workbench: its name, its default, its range and what it is for.

Owns reading them from `WORKBENCH_*` variables and one optional TOML file; the environment wins. Anyone may import it,
but only the front doors read it: what lies below is handed plain values.
"""

from __future__ import annotations

import os
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import platformdirs
from pydantic import (
    AnyHttpUrl,
    Field,
    SecretStr,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

from comfy_mcp.errors import SettingsError
from comfy_mcp.profiles import PROFILES, profile_named
from comfy_mcp.settings.tables import Address, Authorization, BackendSettings, FrontEndSettings, LLMServerSettings

__all__ = ["Settings", "check_names", "is_loopback", "load_settings", "settings_file"]

_URL = TypeAdapter(AnyHttpUrl)
_ADDRESS = TypeAdapter[AnyHttpUrl](Address)

# Beyond these nothing could wait, count or store, and they fit every integer and clock below.
_MOST_JOBS = 1_000_000
_MOST_SECONDS = 10_000_000
_MOST_BYTES = 2**40
_TEN_YEARS = 10 * 366 * 86_400

# In a variable a list is written with commas, in the file as a list.
Names = Annotated[list[str], NoDecode]
Folders = Annotated[list[Path], NoDecode]


def settings_file() -> Path:
    """The TOML file that is read when it exists: `WORKBENCH_SETTINGS`, or settings.toml in the user's config folder."""
    named = os.environ.get("WORKBENCH_SETTINGS")
    return Path(named) if named else platformdirs.user_config_path("comfyui-workbench") / "settings.toml"


def is_loopback(host: str) -> bool:
    """Whether ``host``, a name or an address, is this machine and nothing else."""
    if host == "localhost":
        return True
    try:
        return ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class Settings(BaseSettings):
    """All settings, read and checked. Seconds and bytes unless a description says otherwise."""

    model_config = SettingsConfigDict(env_prefix="WORKBENCH_", extra="forbid", frozen=True, env_ignore_empty=True)

    comfyui_url: str = Field(
        "http://127.0.0.1:8188", description="Where ComfyUI answers. Several addresses are separated by commas."
    )
    comfyui_authorization: Authorization | None = Field(
        None, description="Sent as the Authorization header to comfyui_url, when a proxy in front of it asks for one."
    )
    llm_url: str = Field(
        "",
        description="Where LLM servers answer: LM Studio, Ollama, llama.cpp, KoboldCpp, text-generation-webui, Jan, "
        "vLLM, any of the OpenAI protocol. Several addresses are separated by commas.",
    )
    card: str = Field(
        "",
        max_length=64,
        description="The card that comfyui_url and llm_url both compute on, by any name: then they take turns. "
        "Without a name each server has a card of its own.",
    )
    data: Path = Field(
        default_factory=lambda: platformdirs.user_data_path("comfyui-workbench"),
        description="Folder of the job database, the pictures and your own templates.",
    )
    templates: Folders = Field(
        default_factory=list[Path],
        description="More folders with templates, each like the shipped one. DATA/templates is always read.",
    )
    tools: Names = Field(
        default_factory=lambda: ["txt2img", "img2img", "inpaint", "upscale"],
        description="Templates that are listed to chats as tools first; the others follow while tools_bytes allows.",
    )
    tools_bytes: int = Field(
        8192,
        ge=2048,
        le=_MOST_BYTES,
        description="Most bytes of JSON that the list of tools may take; chats pay for it in every turn.",
    )

    host: str = Field("127.0.0.1", description="Address to listen on. Any but loopback needs a token.")
    port: int = Field(8190, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    token: SecretStr | None = Field(
        None,
        min_length=16,
        description="Callers must send it as `Authorization: Bearer TOKEN`. At least 16 characters.",
    )
    public_url: str | None = Field(
        None, description="How a browser reaches this server, for links to pictures. Default: the listener's address."
    )
    allowed_hosts: Names = Field(
        default_factory=list[str],
        description="Host headers accepted besides loopback: `host.docker.internal:8190`, or `name:*` for any port.",
    )
    allowed_origins: Names = Field(
        default_factory=list[str], description="Origins of web pages that may call, such as `http://localhost:3000`."
    )
    max_body: int = Field(32 * 2**20, ge=2**16, le=_MOST_BYTES, description="Largest request body.")
    max_header: int = Field(
        16 * 2**10, ge=2**10, le=_MOST_BYTES, description="Largest sum of a request's header names and values."
    )
    fetch_urls: bool = Field(
        False,
        description="Pictures may be given as addresses on the public internet, which are then fetched from there.",
    )
    receive_timeout: float = Field(
        30.0, gt=0, le=_MOST_SECONDS, description="A request must have arrived whole within this time."
    )
    max_connections: int = Field(
        512, ge=8, le=1_000_000, description="Connections at a time; more are refused with 503."
    )
    rate: int = Field(
        6000,
        ge=0,
        le=10_000_000,
        description="Requests a minute of one token, or of all who need none; more get 429. 0 for any number.",
    )
    link_expiry: float = Field(
        7 * 86400.0, ge=60, le=_TEN_YEARS, description="A signed link to a picture works for so long."
    )
    a1111: FrontEndSettings = Field(
        FrontEndSettings(), description="What serves the routes of A1111 under /sdapi/v1, for each kind of request."
    )
    images: FrontEndSettings = Field(
        FrontEndSettings(), description="What serves OpenAI's /v1/images, for each kind of request."
    )
    comfyui_routes: bool = Field(
        False,
        description="ComfyUI's own routes under /comfyui, for front ends that send graphs of their own. Graphs may "
        "hold ComfyUI's usual nodes, and graph_nodes.",
    )
    graph_nodes: Names = Field(
        default_factory=list[str], description="More node classes that the graphs of front ends may hold."
    )

    assets: str = Field(
        "folder",
        description="Where pictures are kept: `folder`, `folder:/path`, `memory`, `memory:3600` (kept that long), or "
        "`s3://bucket/prefix?endpoint=…&region=…` with keys from the AWS_* variables.",
    )
    asset_name: str = Field(
        "{template}-{seed}",
        description="Name of a picture when it is downloaded: {template} {seed} {date} {job} {index} {width} {height}.",
    )

    retention: int = Field(
        0,
        ge=0,
        le=36_500,
        description="Pictures are deleted when they are older than so many days, but for those that somebody marked "
        "and those that a waiting job needs. 0 keeps them for ever.",
    )

    client: str | None = Field(
        None, description="What chats are taken for, such as `librechat` or `jan`. Default: what they say they are."
    )
    wait: float | None = Field(
        None,
        ge=0,
        le=3600,
        description="A chat gets the picture within this time, or else the id to ask for it later. Default: 50, or "
        "what is known of the chat.",
    )
    inline_bytes: int | None = Field(
        None,
        ge=10_000,
        le=3_900_000,
        description="Most bytes of pictures, before base64, inside one answer to a chat. Default: 150000 for one "
        "picture, 700000 for several, or what is known of the chat.",
    )
    inline_images: Literal["auto", "never"] = Field(
        "auto", description="`never` answers with links only, for chats that show base64 as text."
    )
    abandoned: Literal["cancel", "keep"] = Field(
        "cancel", description="What becomes of a job when the chat cancels its call or goes away for good."
    )
    forwarded_users: bool = Field(
        False,
        description="Whoever has the token is a chat that says which of its users asks (X-User-Id, "
        "X-OpenWebUI-User-Id); each has jobs, pictures and presets of their own.",
    )
    job_timeout: float = Field(1800.0, gt=0, le=_MOST_SECONDS, description="Longest time one job may run.")
    backend_gone: float = Field(
        120.0,
        ge=1,
        le=_MOST_SECONDS,
        description="A running job waits this long for a ComfyUI that stopped answering, and a chat over HTTP for an "
        "LLM server.",
    )
    max_attempts: int = Field(
        2,
        ge=1,
        le=10,
        description="Runs of one job, when ComfyUI dies under it. When the workbench itself ends, five times as many.",
    )
    max_queue: int = Field(1000, ge=1, le=_MOST_JOBS, description="Most jobs that may wait; more are refused.")
    max_queue_per_owner: int = Field(1000, ge=1, le=_MOST_JOBS, description="Most jobs of one person that may wait.")
    queue_expiry: float = Field(
        7 * 86400.0, gt=0, le=_TEN_YEARS, description="A job that could not be started within this time is given up."
    )
    concurrency: int = Field(1, ge=1, le=16, description="Jobs handed to one ComfyUI at a time.")
    log_level: Literal["debug", "info", "warning", "error"] = Field("warning", description="What is logged to stderr.")
    locked: dict[str, dict[str, bool | int | float | str]] = Field(
        default_factory=dict[str, dict[str, bool | int | float | str]],
        description='Parameters that nobody else can set, by template; those of "*" hold for all.',
    )
    backends: list[BackendSettings] = Field(
        default_factory=list[BackendSettings],
        description="Backends beside comfyui_url, or with more to say than an address.",
    )
    llm_servers: list[LLMServerSettings] = Field(
        default_factory=list[LLMServerSettings],
        description="LLM servers beside llm_url, or with more to say than an address.",
    )

    @field_validator("templates", "tools", "allowed_hosts", "allowed_origins", "graph_nodes", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("data")
    @classmethod
    def _folder(cls, value: Path) -> Path:
        return value.expanduser()

    @field_validator("templates")
    @classmethod
    def _folders(cls, value: list[Path]) -> list[Path]:
        return [folder.expanduser() for folder in value]

    @field_validator("comfyui_url")
    @classmethod
    def _addresses(cls, value: str) -> str:
        if not (urls := _addresses(value)):
            raise ValueError("names no address; example: http://127.0.0.1:8188")
        return ",".join(urls)

    @field_validator("llm_url")
    @classmethod
    def _llm_addresses(cls, value: str) -> str:
        return ",".join(_addresses(value))

    @field_validator("backends")
    @classmethod
    def _named_once(cls, value: list[BackendSettings]) -> list[BackendSettings]:
        if len({backend.name for backend in value}) < len(value):
            raise ValueError("two backends have the same name")
        return value

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        check_names(self)
        return self

    @field_validator("client")
    @classmethod
    def _profile(cls, value: str | None) -> str | None:
        if value is not None and profile_named(value) is None:
            raise ValueError(f"names no known chat; known: {', '.join(profile.name for profile in PROFILES)}")
        return value

    @field_validator("public_url")
    @classmethod
    def _public_url(cls, value: str | None) -> str | None:
        return None if value is None else str(_URL.validate_python(value)).rstrip("/")

    @property
    def comfyui_urls(self) -> tuple[str, ...]:
        return tuple(self.comfyui_url.split(","))

    @property
    def all_backends(self) -> tuple[BackendSettings, ...]:
        """Every backend: the addresses of comfyui_url, unless only `[[backends]]` were given, then those."""
        named = {str(backend.url).rstrip("/"): backend for backend in self.backends}
        plain = self.comfyui_urls if not named or "comfyui_url" in self.model_fields_set else ()
        numbered = [
            BackendSettings(
                name="comfyui" if number == 1 else f"comfyui-{number}",
                url=_ADDRESS.validate_python(url),
                concurrency=self.concurrency,
                card=self.card,
                authorization=self.comfyui_authorization,
            )
            for number, url in enumerate((url for url in plain if url not in named), start=1)
        ]
        return (*numbered, *self.backends)

    @property
    def all_llm_servers(self) -> tuple[LLMServerSettings, ...]:
        """Every LLM server: the addresses of llm_url, then those of `[[llm_servers]]`."""
        named = {server.address for server in self.llm_servers}
        plain = [url for url in self.llm_url.split(",") if url and url not in named]
        numbered = [
            LLMServerSettings.model_validate(
                {"name": "llm" if number == 1 else f"llm-{number}", "url": url, "card": self.card}
            )
            for number, url in enumerate(plain, start=1)
        ]
        return (*numbered, *self.llm_servers)

    @property
    def template_folders(self) -> tuple[Path, ...]:
        """The person's own template folders; the shipped one is not among them."""
        return (self.data / "templates", *self.templates)

    @property
    def database(self) -> Path:
        return self.data / "workbench.sqlite3"

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, settings_file())


def _addresses(value: str) -> list[str]:
    """Those of a list with commas. Raises ValueError, which says what is wrong and does not show it."""
    urls = [part.strip().rstrip("/") for part in value.split(",") if part.strip()]
    for url in urls:
        try:
            _ADDRESS.validate_python(url)
        except ValidationError as failure:
            raise ValueError(_said_of(failure)) from None
    return urls


def _said_of(failure: ValidationError) -> str:
    """What is wrong first, without the value."""
    return failure.errors(include_input=False, include_url=False)[0]["msg"].removeprefix("Value error, ")


def check_names(settings: Settings) -> None:
    """Raises ValueError when two servers have one name."""
    names = [server.name for server in (*settings.all_backends, *settings.all_llm_servers)]
    if len({*names}) < len(names):
        raise ValueError(
            "two of the backends and LLM servers have one name (those of comfyui_url: comfyui, comfyui-2, …)"
        )


def load_settings(**overrides: Any) -> Settings:
    """Read the settings; ``overrides`` (command line options) win over all.

    Raises:
        SettingsError: a value is out of range, unknown or unreadable; the message names the key, not the value.
    """
    try:
        return Settings(**{name: value for name, value in overrides.items() if value is not None})
    except ValidationError as failure:
        first = failure.errors(include_input=False, include_url=False)[0]
        where = [str(part) for part in first["loc"]] or ["settings"]
        raise SettingsError(
            f"The setting {'.'.join(where)!r} cannot be used: {_said_of(failure)}.",
            hint=f"Mend WORKBENCH_{where[0].upper()} or the settings file; settings.example.toml describes every key.",
        ) from None
    except (ValueError, OSError) as failure:
        failure = failure.strerror if isinstance(failure, OSError) else failure
        raise SettingsError(
            f"The settings cannot be read: {failure}.", hint="settings.example.toml shows the right form."
        ) from None
