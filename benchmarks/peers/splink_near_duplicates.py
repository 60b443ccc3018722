"""Near duplicates found by Splink, with one configuration for every table and without labels.

usage: splink_near_duplicates.py TABLE.csv dedupe|link

Prints JSON: `clusters`, each a list of row numbers from 0, and `work_seconds`. For `link` the table has a column
`source` with the values a and b, and no row is linked to one of its own source or to more than one of the other.

What a person would choose at sight of a table follows from its statistics here: which columns block, which pairs of
columns say for themselves that two rows are the same, and on which columns expectation maximisation blocks.
"""

import itertools
import json
import logging
import sys
import time

import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
from splink.internals.exceptions import EMTrainingException

SEED = 42
THRESHOLD = 0.5
# Tables whose pairs are not more are compared in full; others where they agree in a column.
MAX_FULL_PAIRS = 5_000_000
# A rule that would compare more pairs is left out, unless it is the only one.
MAX_BLOCK_PAIRS = 10_000_000
# Two columns that agree say that rows are the same if chance would make them agree for fewer pairs than this share of
# the rows.
MAX_CHANCE_MATCHES = 0.02
# What share of the true pairs such columns are taken to find.
DETERMINISTIC_RECALL = 0.7
# Expectation maximisation blocks on this many columns, each of which leaves it enough pairs.
TRAINING_RULES = 3
MIN_TRAINING_PAIRS = 50


class Column:
    """A column and what its values are like."""

    def __init__(self, db: duckdb.DuckDBPyConnection, name: str, link: bool) -> None:
        self.name = name
        quoted = f'"{name}"'
        # Fetched to the end: a result that is half read keeps Splink from the connection.
        [(self.filled, codes)] = db.execute(
            f"select count({quoted}), count(*) filter (regexp_full_match({quoted}, '[0-9 ]+')) from clean"
        ).fetchall()
        self.is_code = 2 * codes > self.filled
        # The pairs of rows that agree in it.
        pairs = "n_a * (n - n_a)" if link else "n * (n - 1) / 2"
        n_a = "count(*) filter (source = 'a')" if link else "0"
        [(self.pairs,)] = db.execute(
            f"select coalesce(sum({pairs}), 0)::bigint from (select count(*) as n, {n_a} as n_a from clean"
            f" where {quoted} is not null group by {quoted})"
        ).fetchall()

    def comparison(self):
        if self.is_code:
            compared = cl.DamerauLevenshteinAtThresholds(self.name, [1, 2])
            return compared.configure(term_frequency_adjustments=True)
        return cl.NameComparison(self.name)


class Table:
    """The table `clean`: row numbers, words in lower case without punctuation, empty cells as null."""

    def __init__(self, db: duckdb.DuckDBPyConnection, path: str, link: bool) -> None:
        db.execute(
            "create table raw as select row_number() over () - 1 as unique_id, * from read_csv($path, header = true,"
            " delim = ',', quote = '\"', escape = '\"', all_varchar = true, nullstr = [''])",
            {"path": path},
        ).fetchall()
        names = [name for (name, *_) in db.execute("describe raw").fetchall() if name not in ("unique_id", "source")]
        cells = ", ".join(
            f"""nullif(trim(regexp_replace(lower("{name}"), '[^\\p{{L}}\\p{{N}}@]+', ' ', 'g')), '') as "{name}\""""
            for name in names
        )
        db.execute(f"create table clean as select * replace ({cells}) from raw").fetchall()
        columns = [Column(db, name, link) for name in names]
        self.columns = [column for column in columns if column.filled > 0]
        pairs = "count(*) * (count(*) - 1) / 2"
        if link:
            pairs = "count(*) filter (source = 'a') * count(*) filter (source = 'b')"
        [(self.rows, self.pairs)] = db.execute(f"select count(*), ({pairs})::bigint from clean").fetchall()

    def blocking_rules(self) -> list:
        if self.pairs <= MAX_FULL_PAIRS:
            return ["1=1"]
        rules = [block_on(column.name) for column in self.columns if column.pairs <= MAX_BLOCK_PAIRS]
        return rules or [block_on(min(self.columns, key=lambda column: column.pairs).name)]

    def certain_rules(self) -> list:
        rules = []
        for left, right in itertools.combinations(self.columns, 2):
            if left.pairs * right.pairs / self.pairs <= MAX_CHANCE_MATCHES * self.rows:
                rules.append(block_on(left.name, right.name))
        return rules or [block_on(*(column.name for column in self.columns))]

    def training_rules(self) -> list:
        enough = [column for column in self.columns if column.pairs >= MIN_TRAINING_PAIRS]
        best = sorted(enough, key=lambda column: column.pairs / column.filled**2)
        return [block_on(column.name) for column in best[:TRAINING_RULES]]


def find(path: str, link: bool) -> list[list[int]]:
    db = duckdb.connect()
    table = Table(db, path, link)
    api = DuckDBAPI(db)
    if link:
        inputs = []
        for source in ("a", "b"):
            name = f"source_{source}"
            of_source = f"select * exclude (source) from clean where source = '{source}'"
            db.execute(f"create table {name} as {of_source}").fetchall()
            inputs.append(api.register(name, dataset_display_name=source))
    else:
        inputs = api.register("clean", dataset_display_name="rows")
    settings = SettingsCreator(
        link_type="link_only" if link else "dedupe_only",
        comparisons=[column.comparison() for column in table.columns],
        blocking_rules_to_generate_predictions=table.blocking_rules(),
        retain_matching_columns=False,
    )
    linker = Linker(inputs, settings, log_level=logging.ERROR)
    linker.training.estimate_probability_two_random_records_match(
        table.certain_rules(), recall=DETERMINISTIC_RECALL
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=1e7, seed=SEED)
    for rule in table.training_rules():
        try:
            linker.training.estimate_parameters_using_expectation_maximisation(rule)
        except (EMTrainingException, ValueError) as error:
            # A probability that becomes 0 is an error in Splink 5.0; the other rules train without it.
            print(f"not trained: {error}", file=sys.stderr)
    predictions = linker.inference.predict(threshold_match_probability=THRESHOLD)
    if link:
        clustered = linker.clustering.cluster_using_single_best_links(
            predictions, duplicate_free_datasets=["a", "b"], threshold_match_probability=THRESHOLD
        )
    else:
        clustered = linker.clustering.cluster_pairwise_predictions_at_threshold(
            predictions, threshold_match_probability=THRESHOLD
        )
    clusters = {}
    for row in clustered.as_record_list():
        clusters.setdefault(row["cluster_id"], []).append(row["unique_id"])
    return sorted(sorted(cluster) for cluster in clusters.values() if len(cluster) > 1)


def main() -> None:
    path, mode = sys.argv[1:]
    started = time.perf_counter()
    clusters = find(path, mode == "link")
    print(json.dumps({"clusters": clusters, "work_seconds": time.perf_counter() - started}))


main()
