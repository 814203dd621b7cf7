"""The PostgreSQL of the tests gives each test a database of its own, whoever runs them."""

from __future__ import annotations

import multiprocessing
import os

import pytest
from sqlalchemy import create_engine, text

from tests.postgres import Server, postgres_url, server


def _one(url: str, statement: str) -> object:
    engine = create_engine(url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(statement)).scalar()
    finally:
        engine.dispose()


def test_two_databases_know_nothing_of_each_other():
    with postgres_url() as one, postgres_url() as two:
        _one(one, "UPDATE audit_head SET seq = 7 RETURNING seq")

        assert _one(two, "SELECT seq FROM audit_head") == 0


def test_a_database_is_gone_after_its_test_even_when_someone_is_connected():
    with postgres_url() as url:
        name = url.rsplit("/", 1)[1]
        engine = create_engine(url)
        engine.connect()

    with postgres_url(migrated=False) as other:
        assert _one(other, f"SELECT count(*) FROM pg_database WHERE datname = '{name}'") == 0
    engine.dispose()


def test_the_server_listens_on_this_machine_alone():
    with postgres_url() as url:
        assert _one(url, "SHOW listen_addresses") == "127.0.0.1"


def _start_as_nobody() -> None:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
    own = Server()
    own.execute("SELECT 1")
    own.stop()
    # At once: what other tests left to be done at the end of a process is not this child's to do.
    os._exit(7 if not own.folder.exists() else 1)


@pytest.mark.skipif(os.geteuid() != 0, reason="changes to another user, which only root may")
def test_an_ordinary_user_can_start_one_too():
    # Forked, not run anew: the interpreter itself may be where only root can read it.
    child = multiprocessing.get_context("fork").Process(target=_start_as_nobody)
    child.start()
    child.join(60)

    assert child.exitcode == 7


def test_a_forked_child_leaves_the_server_of_its_parent_alone():
    child = multiprocessing.get_context("fork").Process(target=server().stop)
    child.start()
    child.join(60)

    with postgres_url() as url:
        assert _one(url, "SELECT 1") == 1
