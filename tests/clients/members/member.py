"""A member of a consumer group that does what it is told: the part that all Python clients share.

usage: CLIENT.py HOST:PORT group=G (topics=A,B | pattern=START) assignor=NAME session_ms=N
           [instance=I]

It prints what happens, one event a line, and reads commands, one a line, between two polls:

    assigned T:0 T:1    all that is assigned now        commit          commits what was read
    revoked             a rebalance took something      commit-async    the same, answered later
    record T:0 17       a record was read               seek T:0 17     reads on from there
    committed T:0=18    what a commit committed         pause T:0       reads nothing of it
    left                the group was left              resume T:0      reads of it again
                                                        leave           closes the client and ends
"""
import os
import queue
import sys
import threading


OUTPUT = threading.Lock()


def say(*words):
    """Prints one event, whole: a line and its end are two writes, and threads would mix them."""
    with OUTPUT:
        print(*words, flush=True)


def say_assigned(partitions):
    """Prints the whole assignment: pairs of topic and partition."""
    say("assigned", *sorted("%s:%d" % (topic, partition) for topic, partition in partitions))


def say_committed(offsets):
    """Prints what was committed: pairs of topic and partition, each with the next offset."""
    say("committed", *sorted("%s:%d=%d" % (*at, offset) for at, offset in offsets.items()))


def options():
    """The broker, and the other words of the command line by their names."""
    return sys.argv[1], dict(word.split("=", 1) for word in sys.argv[2:])


def topics(settings):
    """The topics as librdkafka takes them, where a pattern begins with a caret."""
    if "pattern" in settings:
        return ["^" + settings["pattern"]]
    return settings["topics"].split(",")


def parsed(word):
    """`T:0` as a topic and a partition."""
    topic, partition = word.rsplit(":", 1)
    return topic, int(partition)


def commands():
    """A queue of commands, each a list of words; who gave them is gone when the input ends."""
    waiting = queue.SimpleQueue()

    def read():
        for line in sys.stdin:
            waiting.put(line.split())
        os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    return waiting


def obey(client, command):
    """Carries out one command."""
    word, arguments = command[0], command[1:]
    if word == "commit":
        client.commit()
    elif word == "commit-async":
        client.commit_async()
    elif word == "seek":
        client.seek(*parsed(arguments[0]), int(arguments[1]))
    elif word == "pause":
        client.pause(*parsed(arguments[0]))
    elif word == "resume":
        client.resume(*parsed(arguments[0]))
    elif word == "leave":
        client.close()
        say("left")
        os._exit(0)
    else:
        raise ValueError(word)


def run(client):
    """Polls and obeys until told to leave."""
    waiting = commands()
    while True:
        client.poll()
        while not waiting.empty():
            obey(client, waiting.get())
