// franz-go, which asks the broker for everything it has.
package main

import (
	"context"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	. "ottla.test/common"
)

var assignors = map[string]func() kgo.GroupBalancer{
	"range":              kgo.RangeBalancer,
	"roundrobin":         kgo.RoundRobinBalancer,
	"sticky":             kgo.StickyBalancer,
	"cooperative-sticky": kgo.CooperativeStickyBalancer,
}

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

func given(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	for topic, partitions := range added {
		for _, partition := range partitions {
			assigned[At{topic, partition}] = true
		}
	}
	sayAssigned()
}

func taken(_ context.Context, _ *kgo.Client, lost map[string][]int32) {
	count := 0
	for topic, partitions := range lost {
		for _, partition := range partitions {
			delete(assigned, At{topic, partition})
			count++
		}
	}
	if count > 0 {
		Say("revoked")
		sayAssigned()
	}
}

func member(broker string, options map[string]string) {
	settings := []kgo.Opt{
		kgo.SeedBrokers(broker),
		kgo.ConsumerGroup(options["group"]),
		kgo.Balancers(assignors[options["assignor"]]()),
		kgo.SessionTimeout(time.Duration(Number(options, "session_ms")) * time.Millisecond),
		kgo.HeartbeatInterval(200 * time.Millisecond),
		kgo.MetadataMinAge(100 * time.Millisecond),
		kgo.MetadataMaxAge(time.Second),
		kgo.FetchMaxWait(100 * time.Millisecond),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.OnPartitionsAssigned(given),
		kgo.OnPartitionsRevoked(taken),
		kgo.OnPartitionsLost(taken),
	}
	if instance, is := options["instance"]; is {
		settings = append(settings, kgo.InstanceID(instance))
	}
	if pattern, is := options["pattern"]; is {
		settings = append(settings, kgo.ConsumeRegex(), kgo.ConsumeTopics("^"+pattern))
	} else {
		settings = append(settings, kgo.ConsumeTopics(strings.Split(options["topics"], ",")...))
	}
	client, err := kgo.NewClient(settings...)
	if err != nil {
		panic(err)
	}
	commands := Commands()
	for {
		wait, stop := context.WithTimeout(context.Background(), 50*time.Millisecond)
		fetches := client.PollFetches(wait)
		stop()
		fetches.EachRecord(func(record *kgo.Record) {
			positions.Read(At{record.Topic, record.Partition}, record.Offset)
		})
		select {
		case command := <-commands:
			obey(client, command)
		default:
		}
		client.AllowRebalance()
	}
}

func offsets() (map[At]int64, map[string]map[int32]kgo.EpochOffset) {
	due := positions.Due()
	all := map[string]map[int32]kgo.EpochOffset{}
	for at, offset := range due {
		if all[at.Topic] == nil {
			all[at.Topic] = map[int32]kgo.EpochOffset{}
		}
		all[at.Topic][at.Partition] = kgo.EpochOffset{Epoch: -1, Offset: offset}
	}
	return due, all
}

func obey(client *kgo.Client, command []string) {
	switch command[0] {
	case "commit":
		commit(client, client.CommitOffsetsSync)
	case "commit-async":
		commit(client, client.CommitOffsets)
	case "seek":
		at := Parse(command[1])
		to := kgo.EpochOffset{Epoch: -1, Offset: int64(Number(map[string]string{"n": command[2]}, "n"))}
		client.SetOffsets(map[string]map[int32]kgo.EpochOffset{at.Topic: {at.Partition: to}})
	case "pause":
		at := Parse(command[1])
		client.PauseFetchPartitions(map[string][]int32{at.Topic: {at.Partition}})
	case "resume":
		at := Parse(command[1])
		client.ResumeFetchPartitions(map[string][]int32{at.Topic: {at.Partition}})
	case "leave":
		client.CloseAllowingRebalance()
		Left()
	default:
		panic(command)
	}
}
