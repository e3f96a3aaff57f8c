"""The blocks that are run are those that the seed documents print, letter by letter, and none is forgotten."""

from pathlib import Path

import pytest

from tests.seeds.documents import BLOCKS, EXCEPTED

SEEDS = Path(__file__).resolve().parents[3] / "shared" / "seeds"
pytestmark = pytest.mark.skipif(not SEEDS.is_dir(), reason="the seed documents are not here")


@pytest.mark.parametrize("document", BLOCKS)
def test_blocks_are_printed_so(document: str) -> None:
    text = (SEEDS / document).read_text()
    for block in BLOCKS[document]:
        assert block.strip("\n") in text
    for line in EXCEPTED[document]:
        assert line in text


@pytest.mark.parametrize("document", BLOCKS)
def test_every_line_of_code_is_run_or_excepted(document: str) -> None:
    """A line that begins like code stands in a block that is run, or in one that is excepted."""
    text = (SEEDS / document).read_text()
    covered = "\n".join(BLOCKS[document])
    starts = ("import ", "from ", "python ", "asset_category", "msm.", "runtime =", "category =", "portfolio =")
    code = {line for line in text.splitlines() if line.startswith(starts) and not line.endswith((".", ":"))}
    left = {line for line in code if line not in covered}
    allowed = {line for line in left if line in EXCEPTED[document]}
    others = left - allowed - _within_excepted(text, EXCEPTED[document])
    assert others == set()


def _within_excepted(text: str, excepted: dict[str, str]) -> set[str]:
    """The lines of the blocks (between paragraphs of prose) in which the excepted lines stand."""
    lines = text.splitlines()
    found: set[str] = set()
    for number, line in enumerate(lines):
        if line in excepted:
            found |= set(lines[max(0, number - 10) : number + 3])
    return found
