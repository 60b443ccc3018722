"""Near-duplicate documents found by datatrove: the three stages of its MinHash pipeline, run locally.

usage: datatrove_documents.py DOCUMENTS.jsonl THRESHOLD

Each line of the file is an object with the key `text`. Prints JSON: `clusters`, each a list of row numbers from 0, and
`work_seconds`, which counts the reading of the file and not the imports.

The text is normalised as datatrove does it unless told otherwise: lower case, no punctuation, numbers as 0. What is
left is words and spaces. datatrove's tokenizer for English, spaCy's blank one, needs no download either, but the text
is split at the spaces here instead: that makes the same words but for a few like "cannot", which spaCy parts, and the
whole run takes an eighth of the time.

Documents that have all the hashes of a bucket in common are duplicates for datatrove: it does not verify pairs. With b
buckets of r hashes a pair of similarity s is found with the probability 1 - (1 - s^r)^b. Of the configurations that
find nearly every pair whose similarity is the threshold, the one with the most hashes in a bucket finds the fewest
pairs below it. For 0.8 these are 16 buckets of 8 hashes. Documents of fewer than five words are never duplicates.
"""

import json
import struct
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from datatrove.data import Document
from datatrove.executor import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from datatrove.pipeline.dedup import MinhashDedupBuckets, MinhashDedupCluster, MinhashDedupSignature
from datatrove.pipeline.dedup.minhash import MinhashConfig
from datatrove.utils.word_tokenizers import WordTokenizer
from loguru import logger

SEED = 42
SHINGLE_WORDS = 5
# As many hashes as the other programs use.
MAX_HASHES = 128
# What share of the pairs at the threshold the buckets are to find: datatrove's own 14 buckets of 8 find 0.92 at 0.8.
MIN_FOUND = 0.9
# One for each core of the machine that the benchmark is for.
TASKS = 2


class SpaceTokenizer(WordTokenizer):
    """Words between white space."""

    def word_tokenize(self, text: str) -> list[str]:
        return text.split()

    def sent_tokenize(self, text: str) -> list[str]:
        raise NotImplementedError

    def span_tokenize(self, text: str) -> list[tuple[int, int]]:
        raise NotImplementedError


def config_for(threshold: float) -> MinhashConfig:
    hashes = MAX_HASHES
    while hashes > 1 and 1 - (1 - threshold**hashes) ** (MAX_HASHES // hashes) < MIN_FOUND:
        hashes -= 1
    return MinhashConfig(
        n_grams=SHINGLE_WORDS, num_buckets=MAX_HASHES // hashes, hashes_per_bucket=hashes, seed=SEED
    )


class Rows:
    """The documents of a task: every row whose number leaves the task's rank when divided by the tasks."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __call__(self, _: object, rank: int, tasks: int) -> Iterator[Document]:
        with open(self.path, "rb") as file:
            for row, line in enumerate(file):
                if row % tasks == rank:
                    yield Document(text=json.loads(line)["text"], id=str(row))


def run(folder: Path, stage: str, steps: list[PipelineStep | Callable], tasks: int, workers: int) -> None:
    # Forked, so that the tasks need not import anything.
    LocalPipelineExecutor(
        steps, tasks=tasks, workers=workers, logging_dir=str(folder / "logs" / stage), start_method="fork"
    ).run()


def clusters_in(folder: Path) -> list[list[int]]:
    clusters = {}
    for rank in range(TASKS):
        path = folder / f"{rank:06d}.clusters"
        # A task without duplicates has no file.
        if path.exists():
            for index, cluster in struct.iter_unpack("<2I", path.read_bytes()):
                clusters.setdefault(cluster, []).append(index * TASKS + rank)
    return sorted(sorted(cluster) for cluster in clusters.values())


def find(path: str, threshold: float) -> list[list[int]]:
    config = config_for(threshold)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        signatures, buckets, clusters = (str(folder / stage) for stage in ("signatures", "buckets", "clusters"))
        sign = MinhashDedupSignature(signatures, config=config, language=SpaceTokenizer())
        run(folder, "signatures", [Rows(path), sign], TASKS, TASKS)
        match = MinhashDedupBuckets(signatures, buckets, config=config)
        run(folder, "buckets", [match], config.num_buckets, TASKS)
        join = MinhashDedupCluster(buckets, clusters, config=config, save_cluster_id=True)
        run(folder, "clusters", [join], 1, 1)
        return clusters_in(Path(clusters))


def main() -> None:
    path, threshold = sys.argv[1:]
    # Each task would tell what it does, and errors are raised anyway.
    logger.disable("datatrove")
    started = time.perf_counter()
    clusters = find(path, float(threshold))
    print(json.dumps({"clusters": clusters, "work_seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main()
