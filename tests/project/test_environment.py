"""Settings from the environment: values, and the message for each mistake."""

import stat
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from msm_project import environment


def message(call: object, *arguments: object, **options: object) -> str:
    with pytest.raises(ImproperlyConfigured) as raised:
        call(*arguments, **options)
    return str(raised.value)


def test_a_value_wins_over_its_file_and_an_empty_one_counts_as_unset(monkeypatch, tmp_path):
    (tmp_path / "secret").write_text("from file\n")
    monkeypatch.setenv("MSM_SAMPLE_FILE", str(tmp_path / "secret"))
    assert environment.read("MSM_SAMPLE", "default") == "from file"
    monkeypatch.setenv("MSM_SAMPLE", "direct")
    assert environment.read("MSM_SAMPLE", "default") == "direct"
    monkeypatch.setenv("MSM_SAMPLE", "  ")
    monkeypatch.delenv("MSM_SAMPLE_FILE")
    assert environment.read("MSM_SAMPLE", "default") == "default"


def test_an_unreadable_file_is_named(monkeypatch):
    monkeypatch.setenv("MSM_SAMPLE_FILE", "/nonexistent/secret")
    assert message(environment.read, "MSM_SAMPLE") == (
        "MSM_SAMPLE_FILE=/nonexistent/secret cannot be read (No such file or directory). "
        "Point it at a readable file or unset it."
    )


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("TRUE", True), ("on", True), ("0", False), ("no", False), ("", True)],
)
def test_truth_values(monkeypatch, value, expected):
    monkeypatch.setenv("MSM_SAMPLE", value)
    assert environment.read_bool("MSM_SAMPLE", True) is expected


def test_wrong_values_are_shown(monkeypatch):
    monkeypatch.setenv("MSM_SAMPLE", "maybe")
    assert (
        message(environment.read_bool, "MSM_SAMPLE", False)
        == "MSM_SAMPLE='maybe' is neither true nor false. Use 1 or 0."
    )
    assert (
        message(environment.read_int, "MSM_SAMPLE", 1, minimum=0, maximum=9)
        == "MSM_SAMPLE='maybe' is not a whole number."
    )
    monkeypatch.setenv("MSM_SAMPLE", "10")
    assert message(environment.read_int, "MSM_SAMPLE", 1, minimum=0, maximum=9) == "MSM_SAMPLE=10 is outside 0..9."


def test_lists_ignore_blanks_and_do_not_share_their_default(monkeypatch):
    default = ["a"]
    environment.read_list("MSM_SAMPLE", default).append("b")
    assert default == ["a"]
    monkeypatch.setenv("MSM_SAMPLE", " x , ,y,")
    assert environment.read_list("MSM_SAMPLE", default) == ["x", "y"]


def test_a_database_url_is_decoded():
    assert environment.parse_database_url("postgres://me:p%40ss%2Fword@db.example.com:5433/msm?sslmode=require") == {
        "NAME": "msm",
        "USER": "me",
        "PASSWORD": "p@ss/word",
        "HOST": "db.example.com",
        "PORT": "5433",
        "OPTIONS": {"sslmode": "require"},
    }


def test_a_socket_directory_is_given_as_host_parameter():
    parsed = environment.parse_database_url("postgresql:///msm?host=/run/postgresql")
    assert (parsed["HOST"], parsed["PORT"], parsed["OPTIONS"]) == ("/run/postgresql", "", {})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "mysql://me:hidden@host/msm",
            "DATABASE_URL=mysql://me:***@host/msm does not name a PostgreSQL server: MSM stores its data in PostgreSQL "
            "15 or newer. Example: postgres://user:password@host:5432/msm. Unset it to use the embedded server.",
        ),
        (
            "postgres://me:hidden@host",
            "DATABASE_URL=postgres://me:***@host names no database. Example: postgres://user:password@host:5432/msm",
        ),
    ],
)
def test_a_wrong_database_url_is_named_without_its_password(url, expected):
    assert message(environment.parse_database_url, url) == expected


def test_a_database_url_with_an_impossible_port_keeps_its_password_to_itself():
    text = message(environment.parse_database_url, "postgres://me:hidden@host:port/msm")
    assert text.startswith("DATABASE_URL=postgres://me:***@host:port/msm is not a URL (")
    assert "hidden" not in text


def test_a_wrong_redis_url_is_named_without_its_password():
    assert message(environment.check_redis_url, "http://u:hidden@host") == (
        "REDIS_URL=http://u:***@host does not name a Redis server. Example: redis://host:6379/0. "
        "Unset it to use the embedded server."
    )


def test_the_secret_key_is_made_once_and_kept_to_its_owner(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    directory = tmp_path / "data"
    key = environment.secret_key(directory, embedded=True)
    assert len(key) >= 50
    assert environment.secret_key(directory, embedded=True) == key
    assert stat.S_IMODE((directory / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in directory.iterdir()] == ["secret_key"]


def test_a_shared_database_refuses_a_missing_secret_key(monkeypatch, tmp_path: Path):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    assert message(environment.secret_key, tmp_path / "data", embedded=False) == (
        "SECRET_KEY is not set although DATABASE_URL is. Every process of this installation needs the same key: "
        'python3 -c "import secrets; print(secrets.token_urlsafe(50))"'
    )
    assert not (tmp_path / "data").exists()
