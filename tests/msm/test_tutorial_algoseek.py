"""The tutorial on AlgoSeek's files: each block is run as it stands, in order, and prints what the page says."""

import itertools
import re
import shlex
from pathlib import Path

import pytest

from tests.scripts import Scripts

PAGE = Path(__file__).resolve().parents[2] / "docs" / "tutorial-algoseek.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
pytestmark = pytest.mark.xdist_group("processes")
END = "--- end of the block ---"
ASK = """
import msm
from django.contrib.auth import get_user_model
from rest_framework.test import APIClient

client = APIClient(HTTP_HOST="localhost")
client.force_authenticate(get_user_model().objects.create_superuser("reader"))
print(b"".join(client.get({url!r}).streaming_content).decode(), end="")
"""


def blocks() -> list[tuple[str, str, str]]:
    """(language, code, what it prints) of each block that is followed by an output."""
    found = BLOCK.findall(PAGE.read_text())
    return [
        (language, code, output)
        for (language, code), (after, output) in itertools.pairwise(found)
        if language != "text" and after == "text"
    ]


def run_together(scripts: Scripts, language: str, codes: list[str]) -> list[str]:
    """What each of the blocks prints; those of Python share an interpreter, which takes seconds to start."""
    if language == "python":
        return scripts.output("".join(f"{code}\nprint({END!r})\n" for code in codes)).split(f"{END}\n")[:-1]
    return [run(scripts, language, code) for code in codes]


def run(scripts: Scripts, language: str, code: str) -> str:
    if language == "sql":
        rows = scripts.rows(code)
        return "".join(" | ".join(str(value) for value in row) + "\n" for row in rows)
    words = shlex.split(code.replace("\\\n", ""))
    if words[0] == "curl":
        return scripts.output(ASK.format(url=words[-1].replace("$API", "/api/v1")))
    assert words[:2] == ["$MSM/.venv/bin/python", "$MSM/manage.py"]
    ran = scripts.manage(*words[2:])
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_every_block_prints_what_the_page_says(scripts: Scripts) -> None:
    told = blocks()
    assert [language for language, _, _ in told] == [
        *("bash", "python", "python", "python", "python", "python", "bash", "sql", "python", "bash")
    ]
    for language, group in itertools.groupby(told, key=lambda block: block[0]):
        _, codes, outputs = zip(*group, strict=True)
        printed = run_together(scripts, language, list(codes))
        for code, output, text in zip(codes, outputs, printed, strict=True):
            assert re.fullmatch(re.escape(output).replace("…", r"\d+\.\d+ s"), text), code
    assert scripts.rows("SELECT count(*) FROM markets_pendingresolution WHERE status = 'pending'") == [(21,)]
    assert scripts.rows("SELECT count(*) FROM markets_noderun WHERE status = 'failed'") == [(0,)]
