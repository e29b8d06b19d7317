// sarama, which asks no broker for its versions: the configuration names one (version=2.1.0).
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/IBM/sarama"
	. "ottla.test/common"
)

var assignors = map[string]func() sarama.BalanceStrategy{
	"range":      sarama.NewBalanceStrategyRange,
	"roundrobin": sarama.NewBalanceStrategyRoundRobin,
	"sticky":     sarama.NewBalanceStrategySticky,
}

func config(options map[string]string) *sarama.Config {
	config := sarama.NewConfig()
	version, err := sarama.ParseKafkaVersion(options["version"])
	if err != nil {
		panic(err)
	}
	config.Version = version
	config.Producer.Return.Successes = true
	config.Consumer.Return.Errors = true
	config.Consumer.MaxWaitTime = 100 * time.Millisecond
	config.Metadata.RefreshFrequency = time.Second
	config.Metadata.Retry.Max = 60
	return config
}

func main() {
	if os.Args[1] == "member" {
		member(os.Args[2], Options())
	}
	checks(os.Args[2], Options())
}

type handler struct {
	positions *Positions
	sessions  chan sarama.ConsumerGroupSession
}

func claims(session sarama.ConsumerGroupSession) []At {
	var all []At
	for topic, partitions := range session.Claims() {
		for _, partition := range partitions {
			all = append(all, At{topic, partition})
		}
	}
	return all
}

func (handler *handler) Setup(session sarama.ConsumerGroupSession) error {
	handler.positions.Keep(claims(session))
	handler.sessions <- session
	Assigned(claims(session))
	return nil
}

func (handler *handler) Cleanup(sarama.ConsumerGroupSession) error {
	Say("revoked")
	return nil
}

func (handler *handler) ConsumeClaim(
	session sarama.ConsumerGroupSession, claim sarama.ConsumerGroupClaim,
) error {
	for message := range claim.Messages() {
		handler.positions.Read(At{message.Topic, message.Partition}, message.Offset)
		session.MarkMessage(message, "")
	}
	return nil
}

func member(broker string, options map[string]string) {
	config := config(options)
	config.Consumer.Offsets.Initial = sarama.OffsetOldest
	config.Consumer.Offsets.AutoCommit.Enable = false
	config.Consumer.Group.Session.Timeout = time.Duration(Number(options, "session_ms")) * time.Millisecond
	config.Consumer.Group.Heartbeat.Interval = 200 * time.Millisecond
	strategy := assignors[options["assignor"]]()
	config.Consumer.Group.Rebalance.GroupStrategies = []sarama.BalanceStrategy{strategy}
	config.Consumer.Group.InstanceId = options["instance"]
	group, err := sarama.NewConsumerGroup([]string{broker}, options["group"], config)
	if err != nil {
		panic(err)
	}
	go func() {
		for err := range group.Errors() {
			fmt.Fprintln(os.Stderr, err)
		}
	}()
	handler := &handler{&Positions{}, make(chan sarama.ConsumerGroupSession, 64)}
	go consume(group, options["topics"], handler)
	commands := Commands()
	var session sarama.ConsumerGroupSession
	for {
		select {
		case session = <-handler.sessions:
		case command := <-commands:
			obey(group, session, handler, command)
		}
	}
}

func consume(group sarama.ConsumerGroup, topic string, handler *handler) {
	topics := split(topic)
	for {
		err := group.Consume(context.Background(), topics, handler)
		if errors.Is(err, sarama.ErrClosedConsumerGroup) {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			// A broker that is away is asked again, not at once.
			<-time.After(100 * time.Millisecond)
		}
	}
}

func obey(
	group sarama.ConsumerGroup, session sarama.ConsumerGroupSession, handler *handler, command []string,
) {
	switch command[0] {
	case "commit":
		// It waits for the answer; an error would leave the broker without the offsets.
		due := handler.positions.Due()
		session.Commit()
		Committed(due)
	case "pause":
		at := Parse(command[1])
		group.Pause(map[string][]int32{at.Topic: {at.Partition}})
	case "resume":
		at := Parse(command[1])
		group.Resume(map[string][]int32{at.Topic: {at.Partition}})
	case "leave":
		if err := group.Close(); err != nil {
			panic(err)
		}
		Left()
	default:
		panic(command)
	}
}
