"""Records what a client and a broker say to each other, frame by frame, as golden files.

usage: capture.py LISTEN_PORT BROKER_PORT FOLDER

Stands between them on 127.0.0.1 until its input ends; the broker must advertise LISTEN_PORT. For
each API and version, FOLDER/NAME-vVERSION.txt gets the first exchanges of different shape and
moderate size: `> HEX` is a request, `< HEX` its answer, both without the length in front. Nothing
is changed on the way.
"""
import os
import socket
import struct
import sys
import threading

NAMES = {
    0: "Produce", 1: "Fetch", 2: "ListOffsets", 3: "Metadata", 8: "OffsetCommit", 9: "OffsetFetch",
    10: "FindCoordinator", 11: "JoinGroup", 12: "Heartbeat", 13: "LeaveGroup", 14: "SyncGroup",
    15: "DescribeGroups", 16: "ListGroups", 17: "SaslHandshake", 18: "ApiVersions",
    19: "CreateTopics", 20: "DeleteTopics", 21: "DeleteRecords", 22: "InitProducerId",
    23: "OffsetForLeaderEpoch", 24: "AddPartitionsToTxn", 25: "AddOffsetsToTxn", 26: "EndTxn",
    28: "TxnOffsetCommit", 29: "DescribeAcls", 30: "CreateAcls", 31: "DeleteAcls",
    32: "DescribeConfigs", 33: "AlterConfigs", 34: "AlterReplicaLogDirs", 35: "DescribeLogDirs",
    36: "SaslAuthenticate", 37: "CreatePartitions", 42: "DeleteGroups", 43: "ElectLeaders",
    44: "IncrementalAlterConfigs", 45: "AlterPartitionReassignments",
    46: "ListPartitionReassignments", 47: "OffsetDelete", 48: "DescribeClientQuotas",
    49: "AlterClientQuotas", 50: "DescribeUserScramCredentials", 51: "AlterUserScramCredentials",
    55: "DescribeQuorum", 57: "UpdateFeatures", 60: "DescribeCluster", 61: "DescribeProducers",
    65: "DescribeTransactions", 66: "ListTransactions", 68: "ConsumerGroupHeartbeat",
    69: "ConsumerGroupDescribe", 71: "GetTelemetrySubscriptions", 72: "PushTelemetry",
    74: "ListConfigResources", 75: "DescribeTopicPartitions",
}
EXCHANGES_MAX = 3
BYTES_MAX = 4000

lock = threading.Lock()
exchanges = {}


def record(request, answer):
    """Keeps an exchange when it adds something: another length of request or answer."""
    key, version = struct.unpack(">hh", request[:4])
    if len(request) > BYTES_MAX or (answer is not None and len(answer) > BYTES_MAX):
        return
    with lock:
        kept = exchanges.setdefault((NAMES.get(key, "Api%d" % key), version), [])
        shape = (len(request), len(answer or b""))
        known = {(len(asked), len(answered or b"")) for asked, answered in kept}
        if len(kept) < EXCHANGES_MAX and shape not in known:
            kept.append((request, answer))


def exactly(source, count):
    """Reads that many bytes, or None at the end."""
    data = b""
    while len(data) < count:
        more = source.recv(count - len(data))
        if not more:
            return None
        data += more
    return data


def frames(source, target, handle):
    """Passes frames on, each shown to `handle` first."""
    try:
        while (head := exactly(source, 4)) is not None:
            body = exactly(source, struct.unpack(">i", head)[0])
            if body is None:
                break
            handle(body)
            target.sendall(head + body)
    except OSError:
        pass
    for end in (source, target):
        try:
            end.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass


def serve(client, broker_port):
    """One connection in both directions."""
    broker = socket.create_connection(("127.0.0.1", broker_port))
    waiting = {}

    def asked(body):
        correlation = struct.unpack(">i", body[4:8])[0]
        with lock:
            waiting[correlation] = body
            # An older request still waiting when a later one is answered has no answer (acks=0).

    def answered(body):
        correlation = struct.unpack(">i", body[:4])[0]
        with lock:
            silent = [body for other, body in waiting.items() if other < correlation]
            for other in [other for other in waiting if other < correlation]:
                del waiting[other]
            request = waiting.pop(correlation, None)
        for body_without_answer in silent:
            record(body_without_answer, None)
        if request is not None:
            record(request, body)

    back = threading.Thread(target=frames, args=(broker, client, answered), daemon=True)
    back.start()
    frames(client, broker, asked)
    back.join(1)
    for body in waiting.values():
        # A fetch that waits when the client leaves has an answer that nobody heard.
        if struct.unpack(">h", body[:2])[0] == 0:
            record(body, None)


def accept(listener, broker_port):
    """Takes connections for ever."""
    while True:
        client, _ = listener.accept()
        threading.Thread(target=serve, args=(client, broker_port), daemon=True).start()


def main():
    """Captures until the end of the input, then writes the files."""
    listen_port, broker_port, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    listener = socket.create_server(("127.0.0.1", listen_port))
    threading.Thread(target=accept, args=(listener, broker_port), daemon=True).start()
    print("listening", flush=True)
    sys.stdin.read()
    os.makedirs(folder, exist_ok=True)
    with lock:
        for (name, version), kept in sorted(exchanges.items()):
            with open(os.path.join(folder, "%s-v%d.txt" % (name, version)), "w") as file:
                for request, answer in kept:
                    file.write("> %s\n" % request.hex())
                    if answer is not None:
                        file.write("< %s\n" % answer.hex())


main()
