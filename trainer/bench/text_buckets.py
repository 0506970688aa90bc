"""How much of the difference in quality between two models text features explain, by number of buckets.

Reproduces the numbers in the documentation of filter/core's module `text`: five-fold cross-validated ridge regression on all prompts of the
given session and prompt files, with the tokens, hashes and scaling of that module.

    pip install numpy
    python3 trainer/bench/text_buckets.py DATA/knowledge_{train,valid}.jsonl.gz -- DATA/prompts_knowledge_{train,valid}.jsonl.gz
"""

import gzip
import json
import re
import sys

import numpy as np

MASK = (1 << 64) - 1
TOKEN = re.compile(rb"[a-z\x80-\xff]+|[0-9]+|[!-/:-@\[-`{-~]")


def fnv(word):
    value = 0xCBF29CE484222325
    for byte in word:
        value = ((value ^ byte) * 0x100000001B3) & MASK
    return value


def mixed(value):
    value = ((value ^ (value >> 33)) * 0xFF51AFD7ED558CCD) & MASK
    return value ^ (value >> 33)


def hashes(text):
    tokens = TOKEN.findall(re.sub(rb"[0-9]+", b"0", text.encode().lower()))
    words = [fnv(token) for token in tokens]
    pairs = [((first * 31) & MASK) ^ second for first, second in zip(words, words[1:])]
    return np.array([mixed(value) for value in words + pairs], dtype=np.uint64)


def vectors(rows, buckets):
    counts = np.zeros((len(rows), buckets), np.float32)
    for count, row in zip(counts, rows):
        np.add.at(count, (row % np.uint64(buckets)).astype(int), 1.0)
    logs = np.log1p(np.minimum(counts, 255))
    return logs / np.maximum(1e-9, np.linalg.norm(logs, axis=1, keepdims=True))


def correlation(vectors, gap, fold):
    best = 0.0
    predicted = {penalty: np.zeros(len(gap)) for penalty in (0.3, 1, 3, 10, 30)}
    for held_out in range(5):
        fit = fold != held_out
        mean, deviation = vectors[fit].mean(0), vectors[fit].std(0) + 1e-6
        a, b = (vectors[fit] - mean) / deviation, (vectors[~fit] - mean) / deviation
        values, basis = np.linalg.eigh((a.T @ a).astype(np.float64))
        target = basis.T @ (a.T @ (gap[fit] - gap[fit].mean()))
        for penalty, found in predicted.items():
            found[~fit] = b @ (basis @ (target / (values + penalty * fit.sum()))) + gap[fit].mean()
    return max(best, *(np.corrcoef(found, gap)[0, 1] for found in predicted.values()))


def main():
    split = sys.argv.index("--")
    gaps, texts = {}, {}
    for path in sys.argv[1:split]:
        for line in gzip.open(path, "rt"):
            for turn in json.loads(line)["turns"]:
                quality = [option["quality"] for option in turn["options"]]
                gaps[turn["prompt_id"]] = quality[-1] - quality[0]
    for path in sys.argv[split + 1 :]:
        for line in gzip.open(path, "rt"):
            prompt = json.loads(line)
            texts[prompt["prompt_id"]] = prompt["prompt"]
    ids = [name for name in texts if name in gaps]
    gap = np.array([gaps[name] for name in ids])
    rows = [hashes(texts[name]) for name in ids]
    fold = np.random.default_rng(0).integers(0, 5, len(ids))
    print(f"{len(ids)} prompts, standard error {1 / len(ids) ** 0.5:.3f}")
    for buckets in (64, 128, 256, 512, 1024):
        print(f"{buckets:5} buckets: correlation {correlation(vectors(rows, buckets), gap, fold):.3f}", flush=True)


main()
