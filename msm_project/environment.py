"""Reads MSM's settings from the environment, each with a message that names the remedy."""

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

from django.core.exceptions import ImproperlyConfigured

from markets.engine.namespaces import clean_namespace, with_namespace
from markets.exceptions import InvalidInput

POSTGRES_SCHEMES = {"postgres", "postgresql", "pgsql"}
REDIS_SCHEMES = {"redis", "rediss", "redis+socket", "unix"}


def read(name: str, default: str = "") -> str:
    """Value of `name`, or the content of the file that `NAME_FILE` points to, or `default`.

    An empty value counts as unset. Raises ImproperlyConfigured when `NAME_FILE` cannot be read.
    """
    value = os.environ.get(name, "").strip()
    if value:
        return value
    path = os.environ.get(f"{name}_FILE", "").strip()
    if not path:
        return default
    try:
        return Path(path).read_text().strip() or default
    except OSError as error:
        raise ImproperlyConfigured(
            f"{name}_FILE={path} cannot be read ({error.strerror}). Point it at a readable file or unset it."
        ) from error


def read_bool(name: str, default: bool) -> bool:
    value = read(name)
    if not value:
        return default
    if value.lower() in {"1", "true", "yes", "on"}:
        return True
    if value.lower() in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{name}={value!r} is neither true nor false. Use 1 or 0.")


def read_int(name: str, default: int, *, minimum: int, maximum: int) -> int:
    value = read(name)
    if not value:
        return default
    try:
        number = int(value)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={value!r} is not a whole number.") from error
    if not minimum <= number <= maximum:
        raise ImproperlyConfigured(f"{name}={number} is outside {minimum}..{maximum}.")
    return number


def read_optional_int(name: str, *, minimum: int, maximum: int) -> int | None:
    return read_int(name, 0, minimum=minimum, maximum=maximum) if read(name) else None


def read_rate(name: str) -> tuple[int, float] | None:
    """ "25/60" is 25 requests in 60 seconds; None when unset."""
    value = read(name)
    if not value:
        return None
    requests, _, seconds = value.partition("/")
    try:
        rate = int(requests), float(seconds)
    except ValueError:
        rate = 0, 0.0
    if not (0 < rate[0] <= 100_000 and 0 < rate[1] <= 3600):
        raise ImproperlyConfigured(f"{name}={value!r} is no rate. Write requests/seconds: 25/60.")
    return rate


def read_http_url(name: str, default: str) -> str:
    """Scheme and host of an HTTP server, without a slash at the end; "" where the value is off."""
    value = read(name, default)
    if value.lower() == "off":
        return ""
    try:
        parts = urlsplit(value)
        is_url = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_url = False
    if not is_url or parts.query or parts.fragment or parts.username:
        raise ImproperlyConfigured(
            f"{name}={without_password(value)} is not the address of a server. Write scheme and host: {default}."
        )
    return value.rstrip("/")


def read_list(name: str, default: list[str] | None = None) -> list[str]:
    value = read(name)
    return [part.strip() for part in value.split(",") if part.strip()] if value else list(default or [])


def read_namespace(name: str) -> str:
    """The namespace, "" when unset. Raises ImproperlyConfigured for a name that there cannot be."""
    value = read(name)
    try:
        return clean_namespace(value, field=name) if value else ""
    except InvalidInput as error:
        raise ImproperlyConfigured(str(error)) from error


def connection_options(options: Mapping[str, object], namespace: str) -> dict[str, object]:
    """The OPTIONS of a connection that sees the tables of the namespace."""
    value = with_namespace(str(options.get("options", "")), namespace)
    return {**options, "options": value} if value else dict(options)


def without_password(url: str) -> str:
    """The URL with its password masked, fit for a message or a log."""
    try:
        parts = urlsplit(url)
        if not parts.password:
            return url
        host = parts.netloc.rpartition("@")[2]
        return urlunsplit(parts._replace(netloc=f"{parts.username}:***@{host}"))
    except ValueError:
        return "(unreadable)"


def parse_database_url(url: str) -> dict[str, object]:
    """Django's database settings for a PostgreSQL URL.

    A socket directory is written as `postgres:///name?host=/directory`; every other query parameter is passed to
    libpq. Raises ImproperlyConfigured, naming the value without its password.
    """
    example = "postgres://user:password@host:5432/msm"
    shown = without_password(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ImproperlyConfigured(f"DATABASE_URL={shown} is not a URL ({error}). Example: {example}") from error
    if parts.scheme not in POSTGRES_SCHEMES:
        raise ImproperlyConfigured(
            f"DATABASE_URL={shown} does not name a PostgreSQL server: MSM stores its data in PostgreSQL 15 or newer. "
            f"Example: {example}. Unset it to use the embedded server."
        )
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ImproperlyConfigured(f"DATABASE_URL={shown} names no database. Example: {example}")
    options: dict[str, object] = {}
    host = unquote(parts.hostname or "")
    for pair in filter(None, parts.query.split("&")):
        key, _, value = pair.partition("=")
        if key == "host":
            host = unquote(value)
        else:
            options[unquote(key)] = unquote(value)
    return {
        "NAME": name,
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": host,
        "PORT": str(port or ""),
        "OPTIONS": options,
    }


def check_redis_url(url: str) -> str:
    """The URL itself; raises ImproperlyConfigured when its scheme is not one of Redis."""
    if urlsplit(url).scheme not in REDIS_SCHEMES:
        raise ImproperlyConfigured(
            f"REDIS_URL={without_password(url)} does not name a Redis server. Example: redis://host:6379/0. "
            "Unset it to use the embedded server."
        )
    return url


def secret_key(data_directory: Path, *, embedded: bool) -> str:
    """SECRET_KEY from the environment, else one generated once and kept in the data directory (mode 0600).

    With DATABASE_URL set several machines may serve one database, so there a missing key is refused.
    """
    key = read("SECRET_KEY")
    if key:
        return key
    if not embedded:
        raise ImproperlyConfigured(
            "SECRET_KEY is not set although DATABASE_URL is. Every process of this installation needs the same key: "
            'python3 -c "import secrets; print(secrets.token_urlsafe(50))"'
        )
    path = data_directory / "secret_key"
    try:
        return path.read_text().strip()
    except FileNotFoundError:
        pass
    data_directory.mkdir(parents=True, exist_ok=True)
    staged = path.with_name(f"secret_key.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_urlsafe(50))
    try:
        os.link(staged, path)  # atomic: of several processes that start cold, one wins and the others read its key
    except FileExistsError:
        pass
    finally:
        staged.unlink()
    return path.read_text().strip()
