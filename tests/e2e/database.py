"""Director's database as the tests read it, whichever it is."""

import json
import sqlite3
import subprocess

from processes import Failed


class PsqlConnection:
    """The part of sqlite3.Connection that is used here, by psql: one statement without parameters."""

    def __init__(self, url):
        self._url = url

    def execute(self, query):
        wrapped = f"SELECT COALESCE(json_agg(row_to_json(t)), '[]') FROM ({query}) AS t"
        done = subprocess.run(["psql", "-X", "-At", "-v", "ON_ERROR_STOP=1", self._url, "-c", wrapped],
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise sqlite3.OperationalError(done.stderr.strip())
        return Rows(tuple(row.values()) for row in json.loads(done.stdout))

    def close(self):
        """Nothing is open."""


class Rows(list):
    def fetchall(self):
        return list(self)

    def fetchone(self):
        return self[0] if self else None


def is_postgres(database):
    return str(database).startswith("postgresql://")


def open_read_only(database):
    """A connection that changes nothing; also right after SIGKILL."""
    if is_postgres(database):
        return PsqlConnection(database)
    return sqlite3.connect(f"file:{database}?mode=ro", uri=True)


def check_integrity(connection):
    """Of a SQLite file; raises Failed with what is wrong."""
    for pragma, sound in (("integrity_check", [("ok",)]), ("foreign_key_check", [])):
        found = connection.execute(f"PRAGMA {pragma}").fetchall()
        if found != sound:
            raise Failed(f"{pragma}: {found[:3]}")
