"""The standard clean-up of the customer table, written by hand in SQL for DuckDB.

usage: duckdb_cleanup.py TABLE.csv OUT_DIR [--provenance]

The same work as the standard job. E-mail addresses become salted SHA-256 digests, as DuckDB has no HMAC.
With --provenance every changed cell and every dropped row is written as well, with original and clean value.
"""

import json
import os
import sys
import time
from pathlib import Path

import duckdb

COLUMNS = ["customer_id", "full_name", "email", "phone", "address", "status", "signup_date", "age", "income"]
SALT = os.environ.get("SANITIZER_SALT", "a salt of the benchmark")

READ = """
create temp table raw as
select row_number() over () - 1 as row_id, * from read_csv(
    $table, header = true, delim = ',', quote = '"', escape = '"', auto_detect = false, all_varchar = true,
    ignore_errors = true, nullstr = ['', 'N/A', 'null', '-'],
    columns = {columns})
"""

# The few spellings of a status are matched once each, then joined.
STATUSES = """
create temp table statuses as
select spelling,
       coalesce(arg_max(canonical, similarity) filter (similarity >= 0.8), spelling) as status
from (
    select spelling, canonical, jaro_winkler_similarity(trim(lower(spelling)), canonical) as similarity
    from (select distinct status as spelling from raw where status is not null),
         (select unnest(['active', 'inactive', 'suspended', 'pending']) as canonical))
group by spelling
"""

CLEAN = r"""
create temp table clean as
select row_id,
       try_cast(customer_id as bigint) as customer_id,
       nfc_normalize(trim(regexp_replace(full_name, '[\s\x{00a0}]+', ' ', 'g'))) as full_name,
       email,
       case when regexp_full_match(digits, '1?[2-9]\d{2}[2-9]\d{6}') then '+1' || right(digits, 10) end as phone,
       nfc_normalize(trim(regexp_replace(address, '[\s\x{00a0}]+', ' ', 'g'))) as address,
       statuses.status as status,
       cast(try_strptime(signup_date, ['%Y-%m-%d', '%m/%d/%Y', '%d.%m.%Y']) as date) as signup_date,
       case when try_cast(age as bigint) between 0 and 120 then try_cast(age as bigint) end as age,
       try_cast(translate(income, '$,', '') as double) as income
from (select *, regexp_replace(phone, '\D', '', 'g') as digits from raw) as raw
     left join statuses on raw.status = statuses.spelling
"""

# The first row of each group of equal rows.
SURVIVORS = """
create temp table survivors as
select min(row_id) as row_id, {columns} from clean group by {columns}
"""

WRITE_DATA = """
copy (
    select customer_id, full_name, sha256($salt || email) as email, phone, address, status, signup_date,
           coalesce(age, (select median(age) from survivors)) as age,
           coalesce(income, (select median(income) from survivors)) as income
    from survivors order by row_id
) to '{out}/data.parquet' (format parquet, compression zstd, compression_level 1)
"""

WRITE_REMOVED = """
copy (
    select clean.row_id, 'duplicate' as reason, survivors.row_id as duplicate_of
    from clean join survivors on {equal} and clean.row_id <> survivors.row_id
    order by clean.row_id
) to '{out}/removed.parquet' (format parquet, compression zstd, compression_level 1)
"""


def provenance_query(out: Path) -> str:
    """One row for each changed cell of a surviving row; neither value of an e-mail address is shown in clear."""
    medians = {"age": "(select median(age) from survivors)", "income": "(select median(income) from survivors)"}
    changes = []
    for column, step, before in [
        ("full_name", "normalize_text", "raw.full_name"),
        ("phone", "normalize_phone", "raw.phone"),
        ("address", "normalize_text", "raw.address"),
        ("status", "canonicalize", "raw.status"),
        ("signup_date", "normalize_date", "raw.signup_date"),
        # Numbers that are only printed in another way are not changed.
        ("age", "rules", "try_cast(raw.age as bigint)"),
        ("income", "coerce", "try_cast(raw.income as double)"),
    ]:
        after = f"survivors.{column}" + ("::varchar" if column == "signup_date" else "")
        changes.append(
            f"select row_id, '{column}' as column_name, raw.{column} as original_value,"
            f" survivors.{column}::varchar as cleaned_value, '{step}' as transformation_id,"
            f" 1.0::float as confidence_score, 'deterministic' as source"
            f" from survivors join raw using (row_id)"
            f" where {before} is distinct from {after}"
        )
    for column, median in medians.items():
        changes.append(
            f"select row_id, '{column}', null, {median}::varchar, 'impute', 0.5::float, 'deterministic_impute'"
            f" from survivors where {column} is null"
        )
    changes.append(
        "select row_id, 'email', null, sha256($salt || email), 'pii', 1.0::float, 'deterministic'"
        " from survivors where email is not null"
    )
    union = " union all ".join(changes)
    return f"copy ({union}) to '{out}/provenance.parquet' (format parquet, compression zstd, compression_level 1)"


def clean(table: str, out: Path, provenance: bool) -> dict:
    db = duckdb.connect(config={"temp_directory": str(out / "tmp")})
    columns = ", ".join(COLUMNS)
    types = "{" + ", ".join(f"'{column}': 'VARCHAR'" for column in COLUMNS) + "}"
    db.execute(READ.replace("{columns}", types), {"table": table})
    db.execute(STATUSES)
    db.execute(CLEAN)
    db.execute(SURVIVORS.format(columns=columns))
    db.execute(WRITE_DATA.format(out=out), {"salt": SALT})
    result = {
        "rows_written": db.execute("select count(*) from survivors").fetchone()[0],
        "provenance_rows": 0,
    }
    if provenance:
        equal = " and ".join(f"clean.{column} is not distinct from survivors.{column}" for column in COLUMNS)
        db.execute(WRITE_REMOVED.format(out=out, equal=equal))
        result["provenance_rows"] = db.execute(provenance_query(out), {"salt": SALT}).fetchone()[0]
    return result


def main() -> None:
    table, out = sys.argv[1], Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    result = clean(table, out, "--provenance" in sys.argv[3:])
    result["work_seconds"] = time.perf_counter() - started
    print(json.dumps(result))


main()
