"""A frame streamed over HTTP: bit for bit what a read gives, in pieces of even size, and over when the reader goes."""

import socket
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from django.db import connection

from markets.data_nodes.node import DataNode
from markets.data_nodes.reads import read_frame
from markets.models import StorageNode
from markets.services import frames_out
from tests import factories
from tests.markets.data_nodes.nodes import drop_tables, make_assets

NAMES = ["A", "BBG000BLNNH6", "é"]
DAYS = 20_000


class Long(DataNode):
    """60,000 rows of every kind of value; about 5 MB."""

    def update(self) -> pd.DataFrame:
        generator = np.random.default_rng(11)
        times = pd.date_range("1990-01-01T21:00:00.000001Z", periods=DAYS)
        index = pd.MultiIndex.from_product([times, NAMES], names=["time_index", "asset_identifier"])
        close = generator.normal(100, 5, len(index))
        close[::7] = np.nan
        volume = pd.array(generator.integers(0, 2**62, len(index)), dtype="Int64")
        volume[::11] = pd.NA
        return pd.DataFrame(
            {
                "close": close,
                "ratio": close.astype(np.float32),
                "volume": volume,
                "seen_at": pd.DatetimeIndex(np.repeat(times, len(NAMES))) + pd.Timedelta(microseconds=1),
                "note": pd.array(["x" * (number % 30) for number in range(len(index))], dtype="str"),
            },
            index=index,
        )


@pytest.fixture
def storage(transactional_db: None) -> Iterator[StorageNode]:
    make_assets(*NAMES)
    node = Long()
    node.run()
    yield node.get_storage()
    drop_tables()


@pytest.fixture
def headers() -> dict[str, str]:
    owner = factories.user(is_superuser=True)
    return {"Authorization": f"Token {factories.token(owner)}"}


def test_arrow_is_the_frame_bit_for_bit_in_even_pieces(storage: StorageNode, monkeypatch: pytest.MonkeyPatch) -> None:
    # given windows of some thousand rows, pieces of a thousand
    monkeypatch.setattr(frames_out, "ROWS_A_READ", 7_000)
    monkeypatch.setattr(frames_out, "ROWS_A_PIECE", 1_000)
    parts = frames_out.read_parts(storage)
    # when
    blocks = list(frames_out.stream(parts, frames_out.FrameLayout.of(storage), "arrow"))
    # then no block holds more than one piece
    assert max(map(len, blocks)) < 200_000
    reader = pa.ipc.open_stream(b"".join(blocks))
    batches = list(reader)
    assert max(batch.num_rows for batch in batches) == 1_000
    # and the whole is what a read gives
    found = pa.Table.from_batches(batches).to_pandas()
    expected = read_frame(storage)
    assert found.index.equals(expected.index)
    assert found.index.dtypes.to_dict() == expected.index.dtypes.to_dict()
    assert found.dtypes.to_dict() == expected.dtypes.to_dict()
    for name in ("close", "ratio"):
        assert found[name].to_numpy().tobytes() == expected[name].to_numpy().tobytes()
    assert found["volume"].isna().tolist() == expected["volume"].isna().tolist()
    assert found["volume"].fillna(0).tolist() == expected["volume"].fillna(0).tolist()
    assert found["seen_at"].array.asi8.tobytes() == expected["seen_at"].array.asi8.tobytes()
    assert found["note"].tolist() == expected["note"].tolist()


def test_a_reader_that_goes_in_the_middle_frees_the_connection(
    storage: StorageNode, headers: dict[str, str], live_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a stream of some sixty windows
    monkeypatch.setattr(frames_out, "ROWS_A_READ", 1_000)
    reads = []

    def counted(*args: Any, **options: Any) -> pd.DataFrame:
        reads.append(options["start_date"])
        return read_frame(*args, **options)

    monkeypatch.setattr(frames_out, "read_frame", counted)
    before = sessions()
    address = urlsplit(live_server.url)
    # when the reader takes the first bytes and goes
    with socket.socket() as reader:
        reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        reader.connect((address.hostname, address.port))
        lines = [f"GET /api/v1/data-node/{storage.storage_hash}/data/?format=arrow HTTP/1.1", f"Host: {address.netloc}"]
        lines += [f"{name}: {value}" for name, value in headers.items()]
        reader.sendall("\r\n".join([*lines, "", ""]).encode())
        assert reader.recv(15) == b"HTTP/1.1 200 OK"
    # then the server reads no further, and holds no connection for it
    deadline = time.monotonic() + 20
    while sessions() > before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert sessions() == before
    done = len(reads)
    assert 0 < done < 60
    time.sleep(0.2)
    assert len(reads) == done


def sessions() -> int:
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")
        return int(cursor.fetchone()[0])
