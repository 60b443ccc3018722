"""Data Sanitizer from Python: ADBC's driver for Flight SQL against a server that runs.

FLIGHT_URI names the server. The users ada (tenant north) and bob (tenant south) may use it, with the
passwords of FLIGHT_ADA and FLIGHT_BOB; FLIGHT_KEY is a key of ada's. FLIGHT_SHORT_URI names a server
whose tokens last for two seconds.
"""

import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import adbc_driver_flightsql
import adbc_driver_flightsql.dbapi as flight
import adbc_driver_manager
import pandas
import polars
import pyarrow

URI = os.environ["FLIGHT_URI"]
PASSWORDS = {"ada": os.environ["FLIGHT_ADA"], "bob": os.environ["FLIGHT_BOB"]}
MILLION = 1_000_000
ENDLESS = (
    "SELECT count(*) AS n FROM generate_series(1, 1000000000000) AS s (x) WHERE x % 7 = 8"
)


def connect(user="ada", password=None, uri=URI):
    login = {"username": user, "password": password or PASSWORDS[user]}
    return flight.connect(uri, db_kwargs=login, autocommit=True)


def refused(call, *kinds):
    """The error that a call is refused with, which is one of these."""
    try:
        call()
    except kinds or adbc_driver_manager.Error as error:
        return error
    raise AssertionError("the call was not refused")


def status(error):
    return error.status_code


def numbers(count):
    return pyarrow.table(
        {
            "id": pyarrow.array(range(count), pyarrow.int64()),
            "word": pyarrow.array([f"word {i % 1000}" for i in range(count)]),
        }
    )


def test_connects_and_asks():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("SELECT 1 AS x, 'a' AS word, NULL AS nothing")
        assert [column[0] for column in cursor.description] == ["x", "word", "nothing"]
        assert cursor.fetchall() == [(1, "a", None)]


def test_key_in_place_of_password():
    header = adbc_driver_flightsql.DatabaseOptions.AUTHORIZATION_HEADER.value
    login = {header: "Bearer " + os.environ["FLIGHT_KEY"]}
    with flight.connect(URI, db_kwargs=login, autocommit=True) as connection:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 2")
            assert cursor.fetchone() == (2,)
    login = {header: "Bearer " + os.environ["FLIGHT_KEY"] + "x"}
    refused(lambda: flight.connect(URI, db_kwargs=login, autocommit=True).cursor().execute("SELECT 1"))


def test_metadata():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE people AS SELECT 1 AS id, 'Ada' AS name")
        info = connection.adbc_get_info()
        assert info["vendor_name"] == "Data Sanitizer"
        assert "BASE TABLE" in connection.adbc_get_table_types()
        schema = connection.adbc_get_table_schema("people")
        assert schema.names == ["id", "name"]
        objects = connection.adbc_get_objects(depth="all").read_all().to_pylist()
        tables = {
            table["table_name"]: [column["column_name"] for column in table["table_columns"]]
            for catalog in objects
            for schema in catalog["catalog_db_schemas"] or []
            for table in schema["db_schema_tables"] or []
        }
        assert tables["people"] == ["id", "name"]
        assert connection.adbc_current_db_schema == "public"
        cursor.execute("CREATE SCHEMA other")
        connection.adbc_current_db_schema = "other"
        assert connection.adbc_current_db_schema == "other"
        refused(lambda: cursor.execute("SELECT * FROM people"))
        cursor.execute("SELECT name FROM public.people")
        assert cursor.fetchone() == ("Ada",)


def test_ingest_and_a_million_rows():
    table = numbers(MILLION)
    with connect() as connection, connection.cursor() as cursor:
        assert cursor.adbc_ingest("million", table.to_reader(8192), mode="create") == MILLION
        again = refused(lambda: cursor.adbc_ingest("million", table.slice(0, 1), mode="create"))
        assert status(again) == adbc_driver_manager.AdbcStatusCode.ALREADY_EXISTS, again
        cursor.execute("SELECT id, word FROM million ORDER BY id")
        assert cursor.fetch_arrow_table().equals(table)
        cursor.execute("SELECT id, word FROM million")
        seen = sum(batch.num_rows for batch in cursor.fetch_record_batch())
        assert seen == MILLION
        cursor.execute("SELECT word, count(*) AS n FROM million GROUP BY word ORDER BY word LIMIT 2")
        assert cursor.fetchall() == [("word 0", 1000), ("word 1", 1000)]
        assert cursor.adbc_ingest("million", table.slice(0, 10), mode="append") == 10
        assert cursor.adbc_ingest("million", table.slice(0, 10), mode="replace") == 10
        cursor.execute("SELECT count(*) FROM million")
        assert cursor.fetchone() == (10,)
        few = table.slice(0, 10)
        missing = refused(lambda: cursor.adbc_ingest("missing", few, mode="append"))
        assert status(missing) == adbc_driver_manager.AdbcStatusCode.NOT_FOUND, missing
        assert cursor.adbc_ingest("made", table.slice(0, 5), mode="create_append") == 5
        assert cursor.adbc_ingest("made", table.slice(5, 5), mode="create_append") == 5


def test_pandas_and_polars():
    with connect() as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("frames", numbers(10_000), mode="create")
        query = "SELECT id, word FROM frames ORDER BY id"
        cursor.execute(query)
        frame = cursor.fetch_df()
        assert list(frame["id"]) == list(range(10_000))
        assert list(pandas.read_sql(query, connection)["word"])[999] == "word 999"
        frame = polars.read_database(query, connection)
        assert frame.shape == (10_000, 2) and frame["id"].sum() == sum(range(10_000))
        wrote = polars.DataFrame({"x": [1, 2, 3]}).write_database(
            "from_polars", connection, engine="adbc", if_table_exists="replace"
        )
        assert wrote == 3
        cursor.execute("SELECT sum(x) FROM from_polars")
        assert cursor.fetchone() == (6,)


def test_parameters():
    with connect() as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("bound", numbers(100), mode="create")
        for low, high in [(10, 12), (97, 200), (5, 5)]:
            cursor.execute("SELECT id FROM bound WHERE id >= ? AND id < ? ORDER BY id", (low, high))
            expected = [(i,) for i in range(low, min(high, 100))]
            assert cursor.fetchall() == expected
        cursor.execute("SELECT id FROM bound WHERE word = $1", ("word 7",))
        assert cursor.fetchall() == [(7,)]
        cursor.execute("SELECT $1 AS a, $2 AS b", ("it's; --", 2.5))
        assert cursor.fetchall() == [("it's; --", 2.5)]
        few = refused(lambda: cursor.execute("SELECT id FROM bound WHERE id = $1 OR id = $2", (1,)))
        assert status(few) == adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT, few


def test_executemany():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE many (x BIGINT, word VARCHAR)")
        rows = [(i, None if i % 3 == 0 else f"w{i}") for i in range(20)]
        cursor.executemany("INSERT INTO many VALUES (?, ?)", rows)
        assert cursor.rowcount == 20
        cursor.execute("SELECT x, word FROM many ORDER BY x")
        assert cursor.fetchall() == rows


def test_changes_tell_their_rows():
    with connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE changed (x BIGINT)")
        cursor.execute("INSERT INTO changed VALUES (1), (2)")
        assert cursor.rowcount == 2
        assert cursor.adbc_statement is not None
        cursor.execute("DROP TABLE changed")
        refused(lambda: cursor.execute("SELECT * FROM changed"))


def test_cancel_from_another_thread():
    with connect() as connection, connection.cursor() as cursor:
        started = time.monotonic()
        timer = threading.Timer(1.0, cursor.adbc_cancel)
        timer.start()

        def run():
            cursor.execute(ENDLESS)
            cursor.fetchall()

        cancelled = refused(run)
        assert status(cancelled) == adbc_driver_manager.AdbcStatusCode.CANCELLED, cancelled
        assert time.monotonic() - started < 15
        timer.join()
        cursor.execute("SELECT 3")
        assert cursor.fetchone() == (3,)


def test_users_do_not_see_each_other():
    with connect("ada") as ada, connect("bob") as bob:
        with ada.cursor() as of_ada, bob.cursor() as of_bob:
            of_ada.execute("CREATE TABLE secrets AS SELECT 'of ada' AS x")
            wrong = refused(lambda: of_bob.execute("SELECT * FROM secrets"))
            assert status(wrong) == adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT, wrong
            of_bob.execute("CREATE TABLE secrets AS SELECT 'of bob' AS x")
            for cursor, own in [(of_ada, "of ada"), (of_bob, "of bob")]:
                cursor.execute("SELECT x FROM secrets")
                assert cursor.fetchall() == [(own,)]
            assert "secrets" in str(bob.adbc_get_objects(depth="tables").read_all())
            of_bob.execute("DROP TABLE secrets")
            assert "secrets" not in str(bob.adbc_get_objects(depth="tables").read_all())


def test_wrong_password():
    wrong = refused(lambda: connect("ada", "guess"))
    assert status(wrong) == adbc_driver_manager.AdbcStatusCode.UNAUTHENTICATED, wrong
    wrong = refused(lambda: connect("nobody", "guess"))
    assert status(wrong) == adbc_driver_manager.AdbcStatusCode.UNAUTHENTICATED, wrong


def test_expired_token():
    connection = connect(uri=os.environ["FLIGHT_SHORT_URI"])
    cursor = connection.cursor()
    cursor.execute("SELECT 1")
    assert cursor.fetchone() == (1,)
    time.sleep(2.5)
    expired = refused(lambda: cursor.execute("SELECT 2"))
    assert status(expired) == adbc_driver_manager.AdbcStatusCode.UNAUTHENTICATED, expired
    # The driver cannot tell the server what it closes either.
    for thing in [cursor, connection]:
        try:
            thing.close()
        except Exception:
            pass


def test_wrong_statements():
    with connect() as connection, connection.cursor() as cursor:
        for sql in ["SELEC 1", "SELECT * FROM nowhere", "SELECT nothing"]:
            wrong = refused(lambda: cursor.execute(sql))
            assert status(wrong) == adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT, wrong

        def divide():
            cursor.execute("SELECT 1 / (x - 1) FROM (VALUES (1)) AS t (x)")
            cursor.fetchall()

        wrong = refused(divide)
        assert status(wrong) == adbc_driver_manager.AdbcStatusCode.INVALID_ARGUMENT, wrong


def test_sanitize():
    with connect() as connection, connection.cursor() as cursor:
        rows = pyarrow.table({"name": [" Ada ", " Ada ", "Bob"], "age": [36, 36, None]})
        cursor.adbc_ingest("raw", rows, mode="create")
        cursor.execute("SELECT sanitize(*) FROM raw")
        cleaned = cursor.fetch_arrow_table().to_pylist()
        assert [row["name"] for row in cleaned] == ["Ada", "Bob"], cleaned


def test_fifty_connections():
    with connect() as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("shared", numbers(10_000), mode="create")
    ready = threading.Barrier(50)

    def work(number):
        with connect() as connection, connection.cursor() as cursor:
            ready.wait(timeout=120)
            cursor.execute("SELECT count(*) AS n, max(id) AS m FROM shared WHERE id <> $1", (number,))
            return cursor.fetchone()

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(work, range(50)))
    assert answers == [(9_999, 9_999)] * 50


def main():
    tests = [(name, test) for name, test in globals().items() if name.startswith("test_")]
    failures = 0
    for name, test in tests:
        started = time.monotonic()
        try:
            test()
            print(f"ok    {name} ({time.monotonic() - started:.1f} s)", flush=True)
        except Exception:
            import traceback

            failures += 1
            print(f"FAIL  {name}", flush=True)
            traceback.print_exc()
    raise SystemExit(failures)


if __name__ == "__main__":
    main()
