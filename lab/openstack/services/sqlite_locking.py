"""Lets the threads of a service share a SQLite file.

Writers take the write lock when they begin, so that no read has to be upgraded later, which SQLite refuses at once
("database is locked"); a busy lock is waited for, as `?timeout=` of the URL says.
"""

import sqlalchemy
from oslo_db.sqlalchemy import enginefacade
from sqlalchemy.orm import Session

_create_session = enginefacade._TransactionFactory._create_session


def create_session(self, mode, *arguments, **options):
    session = _create_session(self, mode, *arguments, **options)
    if mode is enginefacade._WRITER:
        session.info["lab_writer"] = True
    return session


def lock_for_writing(session, transaction, connection):
    if session.info.get("lab_writer") and connection.dialect.name == "sqlite" and not connection.in_nested_transaction():
        raw = connection.connection.driver_connection
        raw.execute("ROLLBACK")
        raw.execute("BEGIN IMMEDIATE")


def install():
    enginefacade._TransactionFactory._create_session = create_session
    sqlalchemy.event.listen(Session, "after_begin", lock_for_writing)
