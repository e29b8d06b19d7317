package main

import (
	"context"
	"fmt"
	"time"

	"github.com/segmentio/kafka-go"
	. "ottla.test/common"
)

var background = context.Background()

func checks(broker string) {
	client := &kafka.Client{Addr: kafka.TCP(broker), Timeout: 20 * time.Second}
	codecs := map[string]kafka.Compression{
		"none": 0, "gzip": kafka.Gzip, "snappy": kafka.Snappy, "lz4": kafka.Lz4, "zstd": kafka.Zstd,
	}
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []kafka.RequiredAcks{0, 1, -1} {
			Check(fmt.Sprintf("produce_%s_%s", codec, acks), func() error {
				return roundTrip(client, broker, codecs[codec], acks)
			})
		}
	}
	Check("topics", func() error { return topics(client) })
	Check("offsets", func() error { return offsets(client, broker) })
	Check("reader_of_a_group", func() error { return readerOfAGroup(client, broker) })
	Finish()
}

func create(client *kafka.Client, word string) (string, error) {
	topic := Topic(word)
	answer, err := client.CreateTopics(background, &kafka.CreateTopicsRequest{
		Topics: []kafka.TopicConfig{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}},
	})
	if err != nil {
		return "", err
	}
	return topic, answer.Errors[topic]
}

func send(broker, topic string, codec kafka.Compression, acks kafka.RequiredAcks) error {
	writer := &kafka.Writer{
		Addr: kafka.TCP(broker), Topic: topic, Compression: codec, RequiredAcks: acks,
		BatchTimeout: 10 * time.Millisecond,
	}
	var messages []kafka.Message
	for _, value := range Values() {
		messages = append(messages, kafka.Message{
			Key: []byte("k"), Value: []byte(value),
			Headers: []kafka.Header{{Key: "h", Value: []byte("v")}},
		})
	}
	return First(writer.WriteMessages(background, messages...), writer.Close())
}

func expect(reader *kafka.Reader) error {
	for i, value := range Values() {
		message, err := reader.ReadMessage(background)
		if err != nil {
			return err
		}
		got := []any{message.Offset, string(message.Value), len(message.Headers)}
		if err := Same(got, []any{int64(i), value, 1}); err != nil {
			return err
		}
	}
	return reader.Close()
}

func roundTrip(
	client *kafka.Client, broker string, codec kafka.Compression, acks kafka.RequiredAcks,
) error {
	topic, err := create(client, "produce")
	if err != nil {
		return err
	}
	if err := send(broker, topic, codec, acks); err != nil {
		return err
	}
	return expect(kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{broker}, Topic: topic, MaxWait: time.Second,
	}))
}

func topics(client *kafka.Client) error {
	topic, err := create(client, "topics")
	if err != nil {
		return err
	}
	grown, err := client.CreatePartitions(background, &kafka.CreatePartitionsRequest{
		Topics: []kafka.TopicPartitionsConfig{{Name: topic, Count: 3}},
	})
	if err := First(err, grown.Errors[topic]); err != nil {
		return err
	}
	// The client's own Metadata is from its cache.
	connection, err := kafka.Dial("tcp", client.Addr.String())
	if err != nil {
		return err
	}
	defer connection.Close()
	partitions, err := connection.ReadPartitions(topic)
	if err != nil {
		return err
	}
	remove := &kafka.DeleteTopicsRequest{Topics: []string{topic}}
	deleted, err := client.DeleteTopics(background, remove)
	if err := First(err, deleted.Errors[topic]); err != nil {
		return err
	}
	gone, err := client.DeleteTopics(background, remove)
	return First(
		err, Same(len(partitions), 3),
		Fails(gone.Errors[topic], kafka.UnknownTopicOrPartition),
	)
}

func offsets(client *kafka.Client, broker string) error {
	topic, err := create(client, "offsets")
	if err != nil {
		return err
	}
	if err := send(broker, topic, 0, kafka.RequireAll); err != nil {
		return err
	}
	answer, err := client.ListOffsets(background, &kafka.ListOffsetsRequest{
		Topics: map[string][]kafka.OffsetRequest{topic: {kafka.FirstOffsetOf(0), kafka.LastOffsetOf(0)}},
	})
	if err != nil {
		return err
	}
	of := answer.Topics[topic][0]
	return Same([]int64{of.FirstOffset, of.LastOffset}, []int64{0, 300})
}

// The reader that most programs use: with a group, and commits by itself.
func readerOfAGroup(client *kafka.Client, broker string) error {
	topic, err := create(client, "reader")
	if err != nil {
		return err
	}
	if err := send(broker, topic, 0, kafka.RequireAll); err != nil {
		return err
	}
	config := kafka.ReaderConfig{
		Brokers: []string{broker}, Topic: topic, GroupID: topic, MaxWait: time.Second,
		StartOffset: kafka.FirstOffset,
	}
	if err := expect(kafka.NewReader(config)); err != nil {
		return err
	}
	answer, err := client.OffsetFetch(background, &kafka.OffsetFetchRequest{
		GroupID: topic, Topics: map[string][]int{topic: {0}},
	})
	if err != nil {
		return err
	}
	return Same(answer.Topics[topic][0].CommittedOffset, int64(300))
}
