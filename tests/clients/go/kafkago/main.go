// kafka-go, of today and of before it could speak more than version 1 of JoinGroup (`old.mod`).
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/segmentio/kafka-go"
	. "ottla.test/common"
)

var assignors = map[string]kafka.GroupBalancer{
	"range":      kafka.RangeGroupBalancer{},
	"roundrobin": kafka.RoundRobinGroupBalancer{},
}

func main() {
	if os.Args[1] == "member" {
		member(os.Args[2], Options())
	}
	checks(os.Args[2])
}

var (
	positions Positions
	mutex     sync.Mutex
	current   *kafka.Generation
)

func member(broker string, options map[string]string) {
	group, err := kafka.NewConsumerGroup(kafka.ConsumerGroupConfig{
		ID:                     options["group"],
		Brokers:                []string{broker},
		Topics:                 strings.Split(options["topics"], ","),
		GroupBalancers:         []kafka.GroupBalancer{assignors[options["assignor"]]},
		HeartbeatInterval:      200 * time.Millisecond,
		SessionTimeout:         time.Duration(Number(options, "session_ms")) * time.Millisecond,
		RebalanceTimeout:       30 * time.Second,
		JoinGroupBackoff:       100 * time.Millisecond,
		StartOffset:            kafka.FirstOffset,
		WatchPartitionChanges:  true,
		PartitionWatchInterval: time.Second,
		Timeout:                20 * time.Second,
	})
	if err != nil {
		panic(err)
	}
	go generations(group, broker)
	for command := range Commands() {
		switch command[0] {
		case "commit":
			commit()
		case "leave":
			if err := group.Close(); err != nil {
				panic(err)
			}
			Left()
		default:
			panic(command)
		}
	}
}

func generations(group *kafka.ConsumerGroup, broker string) {
	for {
		generation, err := group.Next(context.Background())
		if err == kafka.ErrGroupClosed {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		begin(generation, broker)
	}
}

func begin(generation *kafka.Generation, broker string) {
	mutex.Lock()
	current = generation
	mutex.Unlock()
	var all []At
	for topic, assignments := range generation.Assignments {
		for _, assignment := range assignments {
			all = append(all, At{topic, int32(assignment.ID)})
		}
	}
	positions.Keep(all)
	Assigned(all)
	generation.Start(func(ended context.Context) {
		<-ended.Done()
		Say("revoked")
	})
	for topic, assignments := range generation.Assignments {
		for _, assignment := range assignments {
			generation.Start(func(ended context.Context) { read(ended, broker, topic, assignment) })
		}
	}
}

func read(ended context.Context, broker, topic string, from kafka.PartitionAssignment) {
	reader := kafka.NewReader(kafka.ReaderConfig{
		Brokers: []string{broker}, Topic: topic, Partition: from.ID, MaxWait: 100 * time.Millisecond,
		ReadBackoffMin: 10 * time.Millisecond, ReadBackoffMax: 200 * time.Millisecond, MaxAttempts: 1000,
	})
	defer reader.Close()
	if err := reader.SetOffset(from.Offset); err != nil {
		panic(err)
	}
	for {
		message, err := reader.ReadMessage(ended)
		if ended.Err() != nil {
			return
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			continue
		}
		positions.Read(At{topic, int32(from.ID)}, message.Offset)
	}
}

func commit() {
	mutex.Lock()
	generation := current
	mutex.Unlock()
	due := positions.Due()
	offsets := map[string]map[int]int64{}
	for at, offset := range due {
		if offsets[at.Topic] == nil {
			offsets[at.Topic] = map[int]int64{}
		}
		offsets[at.Topic][int(at.Partition)] = offset
	}
	if err := generation.CommitOffsets(offsets); err != nil {
		Say("failed", err)
		return
	}
	Committed(due)
}
