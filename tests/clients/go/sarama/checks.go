package main

import (
	"fmt"
	"strings"

	"github.com/IBM/sarama"
	. "ottla.test/common"
)

func split(topics string) []string {
	return strings.Split(topics, ",")
}

func checks(broker string, options map[string]string) {
	codecs := []sarama.CompressionCodec{
		sarama.CompressionNone, sarama.CompressionGZIP, sarama.CompressionSnappy,
		sarama.CompressionLZ4, sarama.CompressionZSTD,
	}
	for _, codec := range codecs {
		for _, acks := range []sarama.RequiredAcks{0, 1, -1} {
			config := config(options)
			config.Producer.Compression = codec
			config.Producer.RequiredAcks = acks
			Check(fmt.Sprintf("produce_%s_%d", codec, acks), func() error {
				return roundTrip(broker, config)
			})
		}
		config := config(options)
		config.Producer.Compression = codec
		config.Producer.RequiredAcks = -1
		config.Producer.Idempotent = true
		config.Net.MaxOpenRequests = 1
		Check(fmt.Sprintf("idempotent_%s", codec), func() error {
			return roundTrip(broker, config)
		})
	}
	Check("topics", func() error { return topics(broker, config(options)) })
	Check("offsets", func() error { return offsets(broker, config(options)) })
	Check("configs", func() error { return configs(broker, config(options)) })
	Finish()
}

func create(broker string, config *sarama.Config, word string) (string, sarama.ClusterAdmin, error) {
	topic := Topic(word)
	admin, err := sarama.NewClusterAdmin([]string{broker}, config)
	if err != nil {
		return "", nil, err
	}
	detail := &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}
	return topic, admin, admin.CreateTopic(topic, detail, false)
}

func send(broker string, config *sarama.Config, topic string) error {
	producer, err := sarama.NewSyncProducer([]string{broker}, config)
	if err != nil {
		return err
	}
	var messages []*sarama.ProducerMessage
	for _, value := range Values() {
		messages = append(messages, &sarama.ProducerMessage{
			Topic: topic, Value: sarama.StringEncoder(value), Key: sarama.StringEncoder("k"),
			Headers: []sarama.RecordHeader{{Key: []byte("h"), Value: []byte("v")}},
		})
	}
	return First(producer.SendMessages(messages), producer.Close())
}

func roundTrip(broker string, config *sarama.Config) error {
	topic, admin, err := create(broker, config, "produce")
	if err != nil {
		return err
	}
	if err := First(admin.Close(), send(broker, config, topic)); err != nil {
		return err
	}
	consumer, err := sarama.NewConsumer([]string{broker}, config)
	if err != nil {
		return err
	}
	partition, err := consumer.ConsumePartition(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	for i, value := range Values() {
		message := <-partition.Messages()
		got := []any{message.Offset, string(message.Value), len(message.Headers)}
		if err := Same(got, []any{int64(i), value, 1}); err != nil {
			return err
		}
	}
	return First(partition.Close(), consumer.Close())
}

func topics(broker string, config *sarama.Config) error {
	topic, admin, err := create(broker, config, "topics")
	if err != nil {
		return err
	}
	again := admin.CreateTopic(topic, &sarama.TopicDetail{NumPartitions: 1, ReplicationFactor: 1}, false)
	err = First(
		Fails(again, sarama.ErrTopicAlreadyExists),
		admin.CreatePartitions(topic, 3, nil, false),
	)
	if err != nil {
		return err
	}
	described, err := admin.DescribeTopics([]string{topic})
	if err != nil {
		return err
	}
	listed, err := admin.ListTopics()
	if err != nil {
		return err
	}
	return First(
		Same(len(described[0].Partitions), 3),
		Same(listed[topic].NumPartitions, int32(3)),
		admin.DeleteTopic(topic),
		Fails(admin.DeleteTopic(topic), sarama.ErrUnknownTopicOrPartition),
		admin.Close(),
	)
}

func offsets(broker string, config *sarama.Config) error {
	// What is acknowledged by the write alone may be visible a moment later.
	config.Producer.RequiredAcks = sarama.WaitForAll
	topic, admin, err := create(broker, config, "offsets")
	if err != nil {
		return err
	}
	err = First(send(broker, config, topic), admin.DeleteRecords(topic, map[int32]int64{0: 20}))
	if err != nil {
		return err
	}
	client, err := sarama.NewClient([]string{broker}, config)
	if err != nil {
		return err
	}
	oldest, err := client.GetOffset(topic, 0, sarama.OffsetOldest)
	if err != nil {
		return err
	}
	newest, err := client.GetOffset(topic, 0, sarama.OffsetNewest)
	return First(err, Same([]int64{oldest, newest}, []int64{20, 300}), client.Close(), admin.Close())
}

func configs(broker string, config *sarama.Config) error {
	topic, admin, err := create(broker, config, "configs")
	if err != nil {
		return err
	}
	value := "12345678"
	altered := admin.AlterConfig(
		sarama.TopicResource, topic, map[string]*string{"retention.ms": &value}, false)
	if altered != nil {
		return altered
	}
	resource := sarama.ConfigResource{
		Type: sarama.TopicResource, Name: topic, ConfigNames: []string{"retention.ms"},
	}
	entries, err := admin.DescribeConfig(resource)
	if err != nil {
		return err
	}
	return First(Same(entries[0].Value, value), admin.Close())
}
