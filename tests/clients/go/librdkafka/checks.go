package main

import (
	"context"
	"fmt"
	"time"

	"github.com/confluentinc/confluent-kafka-go/kafka"
	. "ottla.test/common"
)

var background = context.Background()

func checks(broker string) {
	for _, codec := range []string{"none", "gzip", "snappy", "lz4", "zstd"} {
		for _, acks := range []string{"0", "1", "all"} {
			Check(fmt.Sprintf("produce_%s_%s", codec, acks), func() error {
				return roundTrip(broker, kafka.ConfigMap{"compression.type": codec, "acks": acks})
			})
		}
		Check("idempotent_"+codec, func() error {
			settings := kafka.ConfigMap{"compression.type": codec, "enable.idempotence": true}
			return roundTrip(broker, settings)
		})
	}
	Check("topics", func() error { return topics(broker) })
	Finish()
}

func open(broker string) (*kafka.AdminClient, error) {
	return kafka.NewAdminClient(&kafka.ConfigMap{"bootstrap.servers": broker})
}

func create(admin *kafka.AdminClient, topic string) error {
	wanted := []kafka.TopicSpecification{{Topic: topic, NumPartitions: 1, ReplicationFactor: 1}}
	results, err := admin.CreateTopics(background, wanted)
	if err != nil {
		return err
	}
	return outcome(results[0])
}

// An error unless the result is a success.
func outcome(result kafka.TopicResult) error {
	if result.Error.Code() == kafka.ErrNoError {
		return nil
	}
	return result.Error
}

func roundTrip(broker string, settings kafka.ConfigMap) error {
	topic := Topic("produce")
	admin, err := open(broker)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := create(admin, topic); err != nil {
		return err
	}
	settings["bootstrap.servers"] = broker
	settings["linger.ms"] = 20
	if err := send(&settings, topic); err != nil {
		return err
	}
	consumer, err := kafka.NewConsumer(&kafka.ConfigMap{
		"bootstrap.servers": broker, "group.id": "unused", "enable.auto.commit": false, "check.crcs": true,
	})
	if err != nil {
		return err
	}
	if err := consumer.Assign([]kafka.TopicPartition{{Topic: &topic, Offset: 0}}); err != nil {
		return err
	}
	for i, value := range Values() {
		message, err := consumer.ReadMessage(20 * time.Second)
		if err != nil {
			return err
		}
		got := []any{int(message.TopicPartition.Offset), string(message.Value), len(message.Headers)}
		if err := Same(got, []any{i, value, 1}); err != nil {
			return err
		}
	}
	return consumer.Close()
}

func send(settings *kafka.ConfigMap, topic string) error {
	producer, err := kafka.NewProducer(settings)
	if err != nil {
		return err
	}
	defer producer.Close()
	values := Values()
	delivered := make(chan kafka.Event, len(values))
	for _, value := range values {
		message := &kafka.Message{
			TopicPartition: kafka.TopicPartition{Topic: &topic, Partition: 0},
			Key:            []byte("k"), Value: []byte(value),
			Headers: []kafka.Header{{Key: "h", Value: []byte("v")}},
		}
		if err := producer.Produce(message, delivered); err != nil {
			return err
		}
	}
	for range values {
		if err := (<-delivered).(*kafka.Message).TopicPartition.Error; err != nil {
			return err
		}
	}
	return nil
}

func topics(broker string) error {
	topic := Topic("topics")
	admin, err := open(broker)
	if err != nil {
		return err
	}
	defer admin.Close()
	if err := create(admin, topic); err != nil {
		return err
	}
	grown, err := admin.CreatePartitions(
		background, []kafka.PartitionsSpecification{{Topic: topic, IncreaseTo: 3}})
	if err != nil {
		return err
	}
	metadata, err := admin.GetMetadata(&topic, false, 20_000)
	if err != nil {
		return err
	}
	deleted, err := admin.DeleteTopics(background, []string{topic})
	if err != nil {
		return err
	}
	return First(
		outcome(grown[0]), Same(len(metadata.Topics[topic].Partitions), 3), outcome(deleted[0]),
	)
}
