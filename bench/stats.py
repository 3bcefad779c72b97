"""From measurements to figures: which of them count, medians, and how far a median can be trusted. Pure functions.

A measurement is a dictionary; `foreign` in it is the share of a processor, in percent, that programs outside the
measurement took meanwhile, and what the hypervisor withheld. The rule:

- with FOREIGN_LIMIT percent or more a measurement is disturbed. It is discarded and repeated at once, up to so many tries;
- if all tries were disturbed the least disturbed one stays, marked, and counts for nothing while enough others are quiet;
- figures of a proxy come from its quiet repetitions, and its ratios from the repetitions in which both were quiet;
- where less than half of the repetitions, or less than three, are quiet, all of them count, and the figure says so.
"""
import random
import statistics

FOREIGN_LIMIT = 8
RESAMPLES = 4000


def disturbed(run):
    return run['foreign'] >= FOREIGN_LIMIT


def undisturbed(measure, tries):
    """(the measurement that stays, how many were discarded)."""
    taken = []
    for _ in range(tries):
        taken.append(measure())
        if not disturbed(taken[-1]):
            break
    return min(taken, key=lambda run: run['foreign']), len(taken) - 1


def enough(kept, total):
    return len(kept) >= max(min(3, total), (total + 1) // 2)


def quiet(runs):
    """(the runs that count, whether they are the quiet ones)."""
    kept = [run for run in runs if not disturbed(run)]
    return (kept, True) if enough(kept, len(runs)) else (runs, False)


def median(runs, key):
    return statistics.median(run[key] for run in quiet(runs)[0])


def ratios(runs, base, key):
    """Of one proxy's runs to another's, repetition by repetition, and whether they are of quiet runs only."""
    pairs = list(zip(runs, base))
    kept = [pair for pair in pairs if not disturbed(pair[0]) and not disturbed(pair[1])]
    clean = enough(kept, len(pairs))
    return [a[key] / b[key] for a, b in (kept if clean else pairs) if b[key]], clean


def bounds(values, seed=1):
    """The median and its 95% bounds, by bootstrap: medians of resamples, without their outer 2.5% on each side."""
    rng = random.Random(seed)
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(RESAMPLES))
    outer = RESAMPLES // 40
    return statistics.median(values), medians[outer], medians[-1 - outer]


def compare(runs, base, key):
    """{'ratio', 'low', 'high', 'clean'}, or None if there is nothing to compare with."""
    values, clean = ratios(runs, base, key) if base else ([], True)
    if not values:
        return None
    ratio, low, high = bounds(values)
    return {'ratio': ratio, 'low': low, 'high': high, 'clean': clean}
