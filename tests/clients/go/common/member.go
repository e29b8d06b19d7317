// Package common is what all Go clients share: a group member that does what it is told, and checks.
//
// `PROGRAM member HOST:PORT group=G ...` is a member as `members/member.py` describes it, with the
// same events and commands. `PROGRAM checks HOST:PORT ...` prints a line for each check.
package common

import (
	"bufio"
	"fmt"
	"os"
	"sort"
	"strconv"
	"strings"
	"sync"
)

// At is a partition.
type At struct {
	Topic     string
	Partition int32
}

func (at At) String() string {
	return fmt.Sprintf("%s:%d", at.Topic, at.Partition)
}

// Parse reads `T:0`.
func Parse(word string) At {
	colon := strings.LastIndexByte(word, ':')
	number, err := strconv.ParseInt(word[colon+1:], 10, 32)
	if err != nil {
		panic(err)
	}
	return At{word[:colon], int32(number)}
}

var output sync.Mutex

// Say prints one event.
func Say(words ...any) {
	output.Lock()
	defer output.Unlock()
	fmt.Println(words...)
}

func sorted(words []string) string {
	sort.Strings(words)
	return strings.Join(words, " ")
}

// Assigned prints the whole assignment.
func Assigned(partitions []At) {
	words := make([]string, 0, len(partitions))
	for _, at := range partitions {
		words = append(words, at.String())
	}
	Say(strings.TrimSpace("assigned " + sorted(words)))
}

// Committed prints what was committed: the next offset of each partition.
func Committed(offsets map[At]int64) {
	words := make([]string, 0, len(offsets))
	for at, offset := range offsets {
		words = append(words, fmt.Sprintf("%s=%d", at, offset))
	}
	Say(strings.TrimSpace("committed " + sorted(words)))
}

// Record prints a record that was read.
func Record(at At, offset int64) {
	Say("record", at, offset)
}

// Options are the words `name=value` of the command line, after the mode and the broker.
func Options() map[string]string {
	options := map[string]string{}
	for _, word := range os.Args[3:] {
		name, value, _ := strings.Cut(word, "=")
		options[name] = value
	}
	return options
}

// Number is an option that is a number.
func Number(options map[string]string, name string) int {
	number, err := strconv.Atoi(options[name])
	if err != nil {
		panic(err)
	}
	return number
}

// Commands are the lines of the input, in words; the process ends with its input.
func Commands() <-chan []string {
	commands := make(chan []string, 16)
	go func() {
		lines := bufio.NewScanner(os.Stdin)
		for lines.Scan() {
			commands <- strings.Fields(lines.Text())
		}
		os.Exit(1)
	}()
	return commands
}

// Left ends the process of a member that has left its group.
func Left() {
	Say("left")
	os.Exit(0)
}

// Positions is what a member has read of what is assigned to it.
type Positions struct {
	mutex sync.Mutex
	next  map[At]int64
}

// Keep forgets what is not assigned.
func (positions *Positions) Keep(assigned []At) {
	positions.mutex.Lock()
	defer positions.mutex.Unlock()
	kept := map[At]int64{}
	for _, at := range assigned {
		if offset, known := positions.next[at]; known {
			kept[at] = offset
		}
	}
	positions.next = kept
}

// Read notes and prints a record.
func (positions *Positions) Read(at At, offset int64) {
	positions.mutex.Lock()
	defer positions.mutex.Unlock()
	if positions.next == nil {
		positions.next = map[At]int64{}
	}
	positions.next[at] = offset + 1
	Record(at, offset)
}

// Due is what a commit commits.
func (positions *Positions) Due() map[At]int64 {
	positions.mutex.Lock()
	defer positions.mutex.Unlock()
	due := map[At]int64{}
	for at, offset := range positions.next {
		due[at] = offset
	}
	return due
}
