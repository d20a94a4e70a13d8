"""Databases: sqlite3, and SQLAlchemy over it."""

from __future__ import annotations

import sqlite3
import threading
from contextvars import copy_context
from typing import Any

import sqlalchemy
from opentelemetry.instrumentation.sqlalchemy import SQLAlchemyInstrumentor
from opentelemetry.instrumentation.sqlite3 import SQLite3Instrumentor
from scenarios import CALLER, Program, Trial, called_with, caught, instrumented
from sqlalchemy import ForeignKey, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship
from sqlalchemy.pool import StaticPool

SCENARIOS = Program()


class Base(DeclarativeBase):
    """The tables."""


class Customer(Base):
    """Somebody who buys."""

    __tablename__ = "customer"
    number: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(unique=True)
    orders: Mapped[list[Order]] = relationship(back_populates="customer", order_by="Order.number")


class Order(Base):
    """Something bought."""

    __tablename__ = "purchase"
    number: Mapped[int] = mapped_column(primary_key=True)
    what: Mapped[str]
    customer_number: Mapped[int] = mapped_column(ForeignKey("customer.number"))
    customer: Mapped[Customer] = relationship(back_populates="orders")


def _engine() -> Any:
    # By the module, as programs do: instrumentation replaces it there.
    options = {"connect_args": {"check_same_thread": False}, "poolclass": StaticPool}
    return sqlalchemy.create_engine("sqlite://", **options)


@SCENARIOS.scenario("sqlite3: statements")
def statements(trial: Trial) -> Any:
    with instrumented(SQLite3Instrumentor()), trial.tracer.start_as_current_span("ours"):
        connection = sqlite3.connect(":memory:")
        cursor = connection.cursor()
        cursor.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b TEXT)")
        cursor.executemany("INSERT INTO t VALUES (?, ?)", [(1, "é"), (2, "x")])
        connection.commit()
        rows = connection.execute("SELECT * FROM t /* all of it */").fetchall()
        failures = [
            caught(lambda: cursor.execute("INSERT INTO t VALUES (?, ?)", (1, "again"))),
            caught(lambda: cursor.execute("SELEC nonsense")),
            caught(lambda: cursor.execute("")),
        ]
        connection.rollback()
        cursor.close()
        connection.close()
    return [rows, failures]


@SCENARIOS.scenario("sqlite3: one connection, twice")
def one_connection(trial: Trial) -> Any:
    seen = []
    for time in ("first", "second"):
        plain = sqlite3.connect(":memory:")
        instrumentor: Any = SQLite3Instrumentor()
        connection = instrumentor.instrument_connection(plain)
        with trial.tracer.start_as_current_span(time):
            cursor = connection.cursor()
            cursor.execute("SELECT 1")
            seen.append(cursor.fetchone())
        instrumentor.uninstrument_connection(connection).close()
        trial.renew_provider()
    return seen


@SCENARIOS.scenario("SQLAlchemy: core")
def core(trial: Trial) -> Any:
    with instrumented(SQLAlchemyInstrumentor()):
        engine = _engine()
        with trial.tracer.start_as_current_span("ours"), engine.begin() as connection:
            connection.execute(sqlalchemy.text("CREATE TABLE t (a INTEGER PRIMARY KEY)"))
            connection.execute(sqlalchemy.text("INSERT INTO t VALUES (:a)"), [{"a": 1}, {"a": 2}])
            rows = connection.execute(sqlalchemy.text("SELECT a FROM t WHERE a > :a"), {"a": 1}).all()
        with engine.connect() as connection:
            alone = connection.execute(sqlalchemy.text("SELECT count(*) FROM t")).scalar()
        engine.dispose()
    return [[list(row) for row in rows], alone]


@SCENARIOS.scenario("SQLAlchemy: objects")
def objects(trial: Trial) -> Any:
    with instrumented(SQLAlchemyInstrumentor(), enable_commenter=True, commenter_options={"db_framework": False}):
        engine = _engine()
        with trial.tracer.start_as_current_span("tables"):
            Base.metadata.create_all(engine)
        with trial.tracer.start_as_current_span("ours"), Session(engine) as session:
            session.add(Customer(name="Ann", orders=[Order(what="tea"), Order(what="cake")]))
            session.commit()
            found = [order.what for order in session.scalars(select(Customer)).one().orders]
        engine.dispose()
    return found


def _adds(engine: Any, *names: str) -> None:
    with Session(engine) as session:
        session.add_all(Customer(name=name) for name in names)
        session.commit()


@SCENARIOS.scenario("SQLAlchemy: failures")
def failures(trial: Trial) -> Any:
    """A wrong statement, and a broken rule whose exception leaves our span."""

    def in_our_span(engine: Any) -> None:
        with trial.tracer.start_as_current_span("ours"):
            _adds(engine, "Ann", "Ann")

    def nonsense(engine: Any) -> None:
        with engine.connect() as connection:
            connection.execute(sqlalchemy.text("SELEC nonsense"))

    with instrumented(SQLAlchemyInstrumentor()):
        engine = _engine()
        Base.metadata.create_all(engine)
        seen = [caught(lambda: in_our_span(engine)), caught(lambda: nonsense(engine))]
        engine.dispose()
    return seen


@SCENARIOS.scenario("SQLAlchemy over sqlite3, both instrumented, in a caller's trace")
def both(trial: Trial) -> Any:
    with instrumented(SQLite3Instrumentor(), SQLAlchemyInstrumentor()):
        for flags in ("01", "00"):
            with called_with(CALLER.headers(flags)), trial.tracer.start_as_current_span("ours"):
                engine = _engine()
                with engine.connect() as connection:
                    connection.execute(sqlalchemy.text(f"SELECT {flags}"))
                engine.dispose()


@SCENARIOS.scenario("SQLAlchemy: threads")
def threads(trial: Trial) -> Any:
    """Twenty threads, each with a copy of the context."""
    with instrumented(SQLAlchemyInstrumentor()):
        engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.pool.NullPool)

        def ask(number: int) -> None:
            with trial.tracer.start_as_current_span(f"thread {number}"), engine.connect() as connection:
                connection.execute(sqlalchemy.text(f"SELECT {number}"))

        with trial.tracer.start_as_current_span("ours"):
            running = [threading.Thread(target=copy_context().run, args=(ask, number)) for number in range(20)]
            for thread in running:
                thread.start()
            for thread in running:
                thread.join()
        engine.dispose()


@SCENARIOS.scenario("SQLAlchemy, twice")
def twice(trial: Trial) -> Any:
    seen = []
    for time in ("first", "second"):
        with instrumented(SQLAlchemyInstrumentor()):
            engine = _engine()
            with trial.tracer.start_as_current_span(time), engine.connect() as connection:
                seen.append(connection.execute(sqlalchemy.text("SELECT 1")).scalar())
        with engine.connect() as connection:
            seen.append(connection.execute(sqlalchemy.text("SELECT 2")).scalar())
        engine.dispose()
        trial.renew_provider()
    return seen
