"""A group member on kcat's balanced consumer (`kcat -G`): see `member.py`.

kcat commits by itself, when it leaves; of the commands it knows only `leave`.
"""
import re
import subprocess
import sys
import threading

import member

REBALANCED = re.compile(rb"^% Group .* rebalanced.*?: (assigned|revoked|incremental \w+).*?: (.*)$")
PARTITION = re.compile(r"(\S+) \[(\d+)\]")


def main():
    """Translates kcat's output, and `leave` into the signal that ends it."""
    broker, options = member.options()
    settings = {
        "auto.offset.reset": "earliest",
        "session.timeout.ms": options["session_ms"],
        "heartbeat.interval.ms": "200",
        "topic.metadata.refresh.interval.ms": "1000",
        "partition.assignment.strategy": options["assignor"],
        "fetch.wait.max.ms": "100",
        "reconnect.backoff.max.ms": "500",
    }
    if "instance" in options:
        settings["group.instance.id"] = options["instance"]
    command = ["kcat", "-E", "-b", broker, "-u", "-f", "record %t:%p %o\n"]
    for name, value in settings.items():
        command += ["-X", "%s=%s" % (name, value)]
    topics = member.topics(options)
    kcat = subprocess.Popen(
        command + ["-G", options["group"], *topics],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )
    telling = [
        threading.Thread(target=pass_on, args=(kcat.stdout,), daemon=True),
        threading.Thread(target=tell_of_rebalances, args=(kcat.stderr,), daemon=True),
    ]
    for thread in telling:
        thread.start()
    threading.Thread(target=wait_for_leave, args=(kcat,), daemon=True).start()
    status = kcat.wait()
    for thread in telling:
        thread.join()
    if status == 0:
        member.say("left")
    sys.exit(status)


def pass_on(output):
    """Its records are events already."""
    for line in output:
        member.say(line.decode().rstrip())


def tell_of_rebalances(errors):
    """Its standard error tells of rebalances."""
    assigned = set()
    for line in errors:
        found = REBALANCED.match(line)
        if not found:
            sys.stderr.buffer.write(line)
            sys.stderr.flush()
            continue
        what, partitions = found.group(1).decode(), PARTITION.findall(found.group(2).decode())
        named = {(topic, int(partition)) for topic, partition in partitions}
        if what == "assigned":
            assigned = named
        elif what.startswith("incremental assign"):
            assigned |= named
        elif what == "revoked":
            assigned = set()
        else:
            assigned -= named
        if what == "revoked":
            member.say("revoked")
        else:
            member.say_assigned(assigned)


def wait_for_leave(kcat):
    """The only command, or the end of whoever gives commands."""
    sys.stdin.readline()
    kcat.terminate()


main()
