"""Runs the checks of one client: `PASS name` or `FAIL name reason` for each, in order.

Each check has a time limit; the exit status is 1 when one failed. Nothing is retried and nothing is
skipped: a client or a codec that is missing is a failure.
"""
import os
import sys
import threading
import traceback
import uuid

LIMIT_S = 60
CHECKS = []


def check(function):
    """Registers a check under the name of its function."""
    CHECKS.append((function.__name__, function))
    return function


def for_each(*cases):
    """Registers a check once for each case, which it gets as its argument."""

    def register(function):
        for case in cases:
            words = case if isinstance(case, tuple) else (case,)
            name = "_".join([function.__name__, *map(str, words)])
            CHECKS.append((name, lambda words=words: function(*words)))
        return function

    return register


def topic_name(words):
    """A name that no earlier run has used."""
    return "check-%s-%s" % (words, uuid.uuid4().hex[:8])


def equal(got, wanted, what="value"):
    """Fails with both values when they differ."""
    if got != wanted:
        raise AssertionError("%s: got %.200r, wanted %.200r" % (what, got, wanted))


def true(condition, what):
    """Fails with the reason."""
    if not condition:
        raise AssertionError(what)


def _run(function, box):
    try:
        function()
    except BaseException as error:  # a client may raise anything
        box.append(error)
        traceback.print_exc()


def main():
    """Runs every check and leaves the process."""
    only = sys.argv[2:]
    failed = 0
    for name, function in CHECKS:
        if only and name not in only:
            continue
        box = []
        thread = threading.Thread(target=_run, args=(function, box), daemon=True)
        thread.start()
        thread.join(LIMIT_S)
        if thread.is_alive():
            box.append(TimeoutError("not done after %d s" % LIMIT_S))
        if box:
            failed += 1
            reason = " ".join(("%s: %s" % (type(box[0]).__name__, box[0])).split())
            print("FAIL %s %.300s" % (name, reason), flush=True)
        else:
            print("PASS %s" % name, flush=True)
    # Threads of a client that hangs must not keep the process.
    os._exit(1 if failed or not CHECKS else 0)
