"""Recorded answers of the real provider, from a folder of JSON files with a request and a response each."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from markets.openfigi.fake.universe import Row


class Recordings:
    """Answers by request: jobs, queries and lists of values that were asked exactly so; and rows by identifier."""

    def __init__(self, folder: Path | None = None, rows: Sequence[Row] = ()) -> None:
        self.jobs: dict[str, dict[str, Any]] = {}
        self.queries: dict[str, dict[str, Any]] = {}
        self.values: dict[str, list[str]] = {}
        self.rows: list[Row] = []
        self._by_figi: dict[str, Row] = {}
        for row in rows:
            self._keep(row)
        if folder is not None:
            for path in sorted(folder.glob("*.json")):
                self._read(path)
        self.rows = sorted(self._by_figi.values(), key=lambda row: row["figi"])

    def job(self, job: Any) -> dict[str, Any] | None:
        """The recorded answer to exactly this job."""
        return self.jobs.get(canonical(job))

    def query(self, path: str, body: Mapping[str, Any]) -> dict[str, Any] | None:
        return self.queries.get(canonical([path, body]))

    def lookup(self, id_type: str, value: str) -> list[Row] | None:
        """Recorded rows of a FIGI, None where there are none."""
        key = {
            "ID_BB_GLOBAL": "figi",
            "COMPOSITE_ID_BB_GLOBAL": "compositeFIGI",
            "ID_BB_GLOBAL_SHARE_CLASS_LEVEL": "shareClassFIGI",
            "TICKER": "ticker",
        }.get(id_type)
        found = [row for row in self.rows if row.get(key) == value] if key else []
        return found or None

    def _read(self, path: Path) -> None:
        item = json.loads(path.read_text())
        if not isinstance(item, dict):
            return
        if isinstance(item.get("values"), list):
            self._keep_values(path, item["values"])
        for row in item.get("rows", []):
            self._keep(row)
        response = item.get("response") or {}
        body, asked = response.get("body"), (item.get("request") or {}).get("body")
        url = str((item.get("request") or {}).get("url", ""))
        if response.get("status") != 200:
            return
        if isinstance(body, dict) and isinstance(body.get("values"), list):
            self.values[url.rpartition("/")[2]] = body["values"]
        elif isinstance(body, list) and isinstance(asked, list) and len(body) == len(asked):
            for job, answer in zip(asked, body, strict=True):
                self.jobs[canonical(job)] = answer
                for row in answer.get("data", []):
                    self._keep(row)
        elif isinstance(body, dict) and isinstance(asked, dict):
            self.queries[canonical([f"/v3/{url.rpartition('/')[2]}", asked])] = body
            for row in body.get("data", []):
                self._keep(row)

    def _keep_values(self, path: Path, values: list[str]) -> None:
        name = path.stem.removeprefix("values_")
        self.values.setdefault(
            {
                "id_type": "idType",
                "exch_code": "exchCode",
                "mic_code": "micCode",
                "market_sec_desc": "marketSecDes",
                "security_type": "securityType",
                "security_type2": "securityType2",
                "state_code": "stateCode",
            }.get(name, name),
            values,
        )

    def _keep(self, row: Row) -> None:
        self._by_figi.setdefault(row["figi"], row)


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
