"""Names of namespaces: which there can be, and the connection option that shows one schema and no other."""

import re

from markets.exceptions import InvalidInput, clipped

LONGEST = 63  # bytes of a name in PostgreSQL
RESERVED = ("public", "information_schema")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(\.[A-Za-z0-9][A-Za-z0-9_-]*)*")
_HASH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]*")
_RULE = (
    "A namespace has letters, digits, _ and - in parts joined by dots, begins with a letter and has at most "
    f"{LONGEST} characters: mainsequence.examples"
)


def clean_namespace(value: object, *, field: str = "namespace") -> str:
    """The name itself. InvalidInput, with the rule, for a name that no namespace can have."""
    if not isinstance(value, str):
        raise InvalidInput(f"{field} must be text, not {type(value).__name__}. {_RULE}.", field=field)
    name = value.strip()
    if len(name) > LONGEST:
        raise InvalidInput(f"{field}={clipped(name)!r} has {len(name)} characters. {_RULE}.", field=field)
    if not _NAME.fullmatch(name):
        raise InvalidInput(f"{field}={clipped(name)!r} is no name of a namespace. {_RULE}.", field=field)
    if name.lower() in RESERVED or name.lower().startswith("pg_"):
        raise InvalidInput(f"{field}={name!r} belongs to PostgreSQL. Choose another name.", field=field)
    return name


def clean_hash_namespace(value: object) -> str:
    """The name without outer white space, "" for none. InvalidInput for one that cannot begin an identifier."""
    if not isinstance(value, str):
        raise InvalidInput(
            f"hash_namespace must be text, not {type(value).__name__}. Write '' for none.", field="hash_namespace"
        )
    name = value.strip()
    if name and not (_HASH_NAME.fullmatch(name) and len(name) <= LONGEST):
        raise InvalidInput(
            f"hash_namespace={clipped(name)!r} cannot begin an identifier. It has letters, digits, _ . : and -, begins "
            f"with a letter or digit, and has at most {LONGEST} characters.",
            field="hash_namespace",
        )
    return name


def search_path_option(namespace: str) -> str:
    """The option for libpq's `options` by which a connection, and each that replaces it, sees this schema only."""
    return f'-c search_path="{namespace}"'


def with_namespace(options: str, namespace: str) -> str:
    """The value of libpq's `options` with the search path of a namespace; of the default one, "", none is added."""
    return f"{options} {search_path_option(namespace)}".strip() if namespace else options


def without_namespace(options: str, namespace: str) -> str:
    """What `with_namespace` was given."""
    return options.removesuffix(search_path_option(namespace)).strip() if namespace else options


def qualified(name: str, namespace: str) -> str:
    """The published name: `mainsequence.examples.Asset`; bare in the default namespace, never prefixed twice."""
    return name if not namespace or name.startswith(f"{namespace}.") else f"{namespace}.{name}"
