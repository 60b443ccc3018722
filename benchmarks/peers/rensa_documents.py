"""Near-duplicate documents found by rensa: MinHash signatures of every word, LSH, and the pairs it proposes verified.

usage: rensa_documents.py DOCUMENTS.jsonl THRESHOLD

Each line of the file is an object with the key `text`. Prints JSON: `clusters`, each a list of row numbers from 0, and
`work_seconds`, which counts the reading of the file and not the imports.

The words are those between white space, in lower case, with their punctuation. The signatures are R-MinHash, which
takes every shingle of a document (rensa's faster rho sketch takes a sample of them). The index has the fewest bands
that divide a signature evenly and yet propose nearly every pair whose similarity is the threshold: with b bands of r
values a pair of similarity s is proposed with the probability 1 - (1 - s^r)^b. For 0.8 and 128 values these are 32
bands of 4. A pair that is proposed counts if the similarity of the two signatures reaches the threshold, and what such
pairs connect is a cluster.
"""

import itertools
import json
import multiprocessing
import sys
import time
from collections.abc import Iterable

from rensa import RMinHash, RMinHashLSH

SEED = 42
PERMUTATIONS = 128
SHINGLE_WORDS = 5
# The share of the pairs at the threshold that the bands are to propose.
MIN_PROPOSED = 0.99
# Nearly all the time goes to the shingles, made in Python: on two cores two processes take a third less than one.
PROCESSES = 2


def bands_for(threshold: float) -> int:
    divisors = [bands for bands in range(1, PERMUTATIONS + 1) if PERMUTATIONS % bands == 0]
    for bands in divisors:
        if 1 - (1 - threshold ** (PERMUTATIONS // bands)) ** bands >= MIN_PROPOSED:
            return bands
    return PERMUTATIONS


def shingles(line: bytes) -> list[str]:
    words = json.loads(line)["text"].lower().split()
    if len(words) < SHINGLE_WORDS:
        return [" ".join(words)]
    return list(map(" ".join, zip(*(words[start:] for start in range(SHINGLE_WORDS)))))


def signatures(path: str, rank: int) -> list[RMinHash]:
    """Those of every row whose number leaves the rank when divided by the processes."""
    with open(path, "rb") as file:
        lines = itertools.islice(file, rank, None, PROCESSES)
        return RMinHash.from_token_sets(map(shingles, lines), num_perm=PERMUTATIONS, seed=SEED)


def connected(pairs: Iterable[tuple[int, int]]) -> list[list[int]]:
    parents = {}

    def root(row: int) -> int:
        while (parent := parents.setdefault(row, row)) != row:
            parents[row] = row = parents[parent]
        return row

    for left, right in pairs:
        left, right = root(left), root(right)
        parents[max(left, right)] = min(left, right)
    clusters = {}
    for row in sorted(parents):
        clusters.setdefault(root(row), []).append(row)
    return list(clusters.values())


def find(path: str, threshold: float) -> list[list[int]]:
    # Forked, so that the processes need not import anything.
    with multiprocessing.get_context("fork").Pool(PROCESSES) as pool:
        parts = pool.starmap(signatures, [(path, rank) for rank in range(PROCESSES)])
    rows = [None] * sum(map(len, parts))
    for rank, part in enumerate(parts):
        rows[rank::PROCESSES] = part
    index = RMinHashLSH(threshold=threshold, num_perm=PERMUTATIONS, num_bands=bands_for(threshold))
    index.insert_many(rows)
    return connected(
        (row, candidate)
        for row, candidates in enumerate(index.query_all(rows))
        for candidate in candidates
        if row < candidate and rows[row].jaccard(rows[candidate]) >= threshold
    )


def main() -> None:
    path, threshold = sys.argv[1:]
    started = time.perf_counter()
    clusters = find(path, float(threshold))
    print(json.dumps({"clusters": clusters, "work_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
