"""The uploaded file: kept in the database until its import is applied, read through a temporary file."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, BinaryIO

from django.conf import settings

from markets.exceptions import InvalidInput
from markets.models import ImportChunk, ImportRun

BYTES_IN_CHUNK = 2**20  # one in memory at a time, and far below what PostgreSQL stores in a row


class FileTooLarge(InvalidInput):
    """The file exceeds the limit of the setting."""

    code = "too_large"


def check_size(size: int) -> None:
    """Raise FileTooLarge, with the setting that says how much may be sent."""
    most = settings.IMPORT_MAX_BYTES
    if size > most:
        raise FileTooLarge(
            f"The file has {size / 2**20:,.1f} MiB; the most are {most / 2**20:,.0f} MiB (MSM_IMPORT_MAX_MIB). Split "
            "it, or send it as Parquet.",
            field="file",
        )


def keep_file(run: ImportRun, stream: BinaryIO) -> None:
    stream.seek(0)
    number = 0
    while data := stream.read(BYTES_IN_CHUNK):
        ImportChunk.objects.create(run=run, number=number, data=data)
        number += 1


@contextmanager
def kept_file(run: ImportRun) -> Iterator[IO[bytes]]:
    """The file as it was uploaded. Raises InvalidInput when it is kept no longer."""
    with tempfile.TemporaryFile(prefix="msm-import-") as file:
        for number in range(run.chunks.count()):
            file.write(ImportChunk.objects.get(run=run, number=number).data)
        if file.tell() != run.file_size:
            raise InvalidInput("The file is kept no longer. Upload it again.", field="file")
        file.seek(0)
        yield file


def drop_file(run: ImportRun) -> None:
    run.chunks.all().delete()
