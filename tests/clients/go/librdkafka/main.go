// librdkafka 1.9, the last of its first major version, which confluent-kafka-go 1.9.2 brings built.
package main

import (
	"fmt"
	"os"
	"strings"

	"github.com/confluentinc/confluent-kafka-go/kafka"
	. "ottla.test/common"
)

func main() {
	if os.Args[1] == "member" {
		member(os.Args[2], Options())
	}
	checks(os.Args[2])
}

var (
	assigned  = map[At]bool{}
	positions Positions
)

func sayAssigned() {
	var all []At
	for at := range assigned {
		all = append(all, at)
	}
	positions.Keep(all)
	Assigned(all)
}

func rebalanced(consumer *kafka.Consumer, event kafka.Event) error {
	cooperative := consumer.GetRebalanceProtocol() == "COOPERATIVE"
	switch event := event.(type) {
	case kafka.AssignedPartitions:
		for _, each := range event.Partitions {
			assigned[At{*each.Topic, each.Partition}] = true
		}
		sayAssigned()
		if cooperative {
			return consumer.IncrementalAssign(event.Partitions)
		}
		return consumer.Assign(event.Partitions)
	case kafka.RevokedPartitions:
		for _, each := range event.Partitions {
			delete(assigned, At{*each.Topic, each.Partition})
		}
		Say("revoked")
		if !cooperative {
			return consumer.Unassign()
		}
		sayAssigned()
		return consumer.IncrementalUnassign(event.Partitions)
	}
	return nil
}

func member(broker string, options map[string]string) {
	settings := kafka.ConfigMap{
		"bootstrap.servers":                  broker,
		"group.id":                           options["group"],
		"auto.offset.reset":                  "earliest",
		"enable.auto.commit":                 false,
		"session.timeout.ms":                 Number(options, "session_ms"),
		"heartbeat.interval.ms":              200,
		"topic.metadata.refresh.interval.ms": 1000,
		"partition.assignment.strategy":      options["assignor"],
		"fetch.wait.max.ms":                  100,
		"reconnect.backoff.max.ms":           500,
	}
	if instance, is := options["instance"]; is {
		settings["group.instance.id"] = instance
	}
	consumer, err := kafka.NewConsumer(&settings)
	if err != nil {
		panic(err)
	}
	topics := strings.Split(options["topics"], ",")
	if pattern, is := options["pattern"]; is {
		topics = []string{"^" + pattern}
	}
	if err := consumer.SubscribeTopics(topics, rebalanced); err != nil {
		panic(err)
	}
	commands := Commands()
	for {
		switch event := consumer.Poll(50).(type) {
		case *kafka.Message:
			at := event.TopicPartition
			positions.Read(At{*at.Topic, at.Partition}, int64(at.Offset))
		case kafka.Error:
			fmt.Fprintln(os.Stderr, event)
		}
		select {
		case command := <-commands:
			obey(consumer, command)
		default:
		}
	}
}

func partition(word string, offset kafka.Offset) kafka.TopicPartition {
	at := Parse(word)
	return kafka.TopicPartition{Topic: &at.Topic, Partition: at.Partition, Offset: offset}
}

func obey(consumer *kafka.Consumer, command []string) {
	var err error
	switch command[0] {
	case "commit":
		due := positions.Due()
		var offsets []kafka.TopicPartition
		for at, offset := range due {
			offsets = append(offsets, partition(at.String(), kafka.Offset(offset)))
		}
		if _, err = consumer.CommitOffsets(offsets); err == nil {
			Committed(due)
		}
	case "seek":
		number := Number(map[string]string{"n": command[2]}, "n")
		err = consumer.Seek(partition(command[1], kafka.Offset(number)), 0)
	case "pause":
		err = consumer.Pause([]kafka.TopicPartition{partition(command[1], 0)})
	case "resume":
		err = consumer.Resume([]kafka.TopicPartition{partition(command[1], 0)})
	case "leave":
		if err := consumer.Close(); err != nil {
			panic(err)
		}
		Left()
	default:
		panic(command)
	}
	if err != nil {
		Say("failed", err)
	}
}
