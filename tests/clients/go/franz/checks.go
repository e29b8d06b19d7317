package main

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	. "ottla.test/common"
)

type commits func(
	context.Context, map[string]map[int32]kgo.EpochOffset,
	func(*kgo.Client, *kmsg.OffsetCommitRequest, *kmsg.OffsetCommitResponse, error),
)

func commit(client *kgo.Client, run commits) {
	due, all := offsets()
	answered := func(
		_ *kgo.Client, _ *kmsg.OffsetCommitRequest, answer *kmsg.OffsetCommitResponse, err error,
	) {
		for _, topic := range answer.Topics {
			for _, partition := range topic.Partitions {
				err = First(err, kerr.ErrorForCode(partition.ErrorCode))
			}
		}
		if err != nil {
			Say("failed", err)
			return
		}
		Committed(due)
	}
	run(context.Background(), all, answered)
}

var background = context.Background()

func checks(broker string) {
	codecs := map[string]kgo.CompressionCodec{
		"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
		"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
	}
	acks := map[string]kgo.Acks{"0": kgo.NoAck(), "1": kgo.LeaderAck(), "all": kgo.AllISRAcks()}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, of := range []string{"0", "1", "all"} {
			options := []kgo.Opt{
				kgo.ProducerBatchCompression(codecs[codec]),
				kgo.RequiredAcks(acks[of]), kgo.DisableIdempotentWrite(),
			}
			Check(fmt.Sprintf("produce_%s_%s", codec, of), func() error {
				return roundTrip(broker, options)
			})
		}
		Check("idempotent_"+codec, func() error {
			return roundTrip(broker, []kgo.Opt{kgo.ProducerBatchCompression(codecs[codec])})
		})
	}
	Check("topics", func() error { return topics(broker) })
	Check("deleted_records", func() error { return deletedRecords(broker) })
	Check("groups", func() error { return groups(broker) })
	Finish()
}

func open(broker string, options ...kgo.Opt) (*kgo.Client, *kadm.Client, error) {
	client, err := kgo.NewClient(append(options, kgo.SeedBrokers(broker))...)
	if err != nil {
		return nil, nil, err
	}
	return client, kadm.NewClient(client), nil
}

func send(client *kgo.Client, topic string) error {
	var records []*kgo.Record
	for _, value := range Values() {
		records = append(records, &kgo.Record{
			Topic: topic, Key: []byte("k"), Value: []byte(value),
			Headers: []kgo.RecordHeader{{Key: "h", Value: []byte("v")}},
		})
	}
	return client.ProduceSync(background, records...).FirstErr()
}

func roundTrip(broker string, options []kgo.Opt) error {
	topic := Topic("produce")
	client, admin, err := open(broker, options...)
	if err != nil {
		return err
	}
	if _, err := admin.CreateTopic(background, 1, 1, nil, topic); err != nil {
		return err
	}
	if err := send(client, topic); err != nil {
		return err
	}
	client.Close()
	from := map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().At(0)}}
	reader, _, err := open(broker, kgo.ConsumePartitions(from))
	if err != nil {
		return err
	}
	defer reader.Close()
	values := Values()
	for next := 0; next < len(values); {
		fetches := reader.PollFetches(background)
		if err := fetches.Err(); err != nil {
			return err
		}
		for _, record := range fetches.Records() {
			got := []any{record.Offset, string(record.Value), len(record.Headers)}
			if err := Same(got, []any{int64(next), values[next], 1}); err != nil {
				return err
			}
			next++
		}
	}
	return nil
}

func topics(broker string) error {
	topic := Topic("topics")
	client, admin, err := open(broker)
	if err != nil {
		return err
	}
	defer client.Close()
	_, first := admin.CreateTopic(background, 2, 1, nil, topic)
	_, again := admin.CreateTopic(background, 2, 1, nil, topic)
	grown, err := admin.UpdatePartitions(background, 5, topic)
	err = First(first, Fails(again, kerr.TopicAlreadyExists), err, grown.Error())
	if err != nil {
		return err
	}
	listed, err := admin.ListTopics(background, topic)
	if err != nil {
		return err
	}
	_, deleted := admin.DeleteTopic(background, topic)
	_, gone := admin.DeleteTopic(background, topic)
	return First(
		Same(len(listed[topic].Partitions), 5), deleted, Fails(gone, kerr.UnknownTopicOrPartition),
	)
}

func deletedRecords(broker string) error {
	topic := Topic("deleted")
	client, admin, err := open(broker)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := admin.CreateTopic(background, 1, 1, nil, topic); err != nil {
		return err
	}
	if err := send(client, topic); err != nil {
		return err
	}
	var before kadm.Offsets
	before.AddOffset(topic, 0, 20, -1)
	if _, err := admin.DeleteRecords(background, before); err != nil {
		return err
	}
	starts, err := admin.ListStartOffsets(background, topic)
	if err != nil {
		return err
	}
	ends, err := admin.ListEndOffsets(background, topic)
	if err != nil {
		return err
	}
	start, _ := starts.Lookup(topic, 0)
	end, _ := ends.Lookup(topic, 0)
	return Same([]int64{start.Offset, end.Offset}, []int64{20, 300})
}

// Offsets of a group without members: committed, fetched, listed, described, deleted.
func groups(broker string) error {
	topic := Topic("groups")
	client, admin, err := open(broker)
	if err != nil {
		return err
	}
	defer client.Close()
	if _, err := admin.CreateTopic(background, 1, 1, nil, topic); err != nil {
		return err
	}
	var offsets kadm.Offsets
	offsets.AddOffset(topic, 0, 7, -1)
	if err := admin.CommitAllOffsets(background, topic, offsets); err != nil {
		return err
	}
	fetched, err := admin.FetchOffsets(background, topic)
	if err != nil {
		return err
	}
	found, _ := fetched.Lookup(topic, 0)
	listed, err := admin.ListGroups(background)
	if err != nil {
		return err
	}
	described, err := admin.DescribeGroups(background, topic)
	if err != nil {
		return err
	}
	_, deleted := admin.DeleteGroup(background, topic)
	_, gone := admin.DeleteGroup(background, topic)
	return First(
		Same(found.At, int64(7)), Same(listed[topic].State, "Empty"),
		Same(described[topic].State, "Empty"), deleted, Fails(gone, kerr.GroupIDNotFound),
	)
}
