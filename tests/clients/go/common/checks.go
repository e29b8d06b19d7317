package common

import (
	"errors"
	"fmt"
	"os"
	"reflect"
	"strings"
	"time"
)

const limit = 60 * time.Second

var failed bool

// Check runs one check and prints what came of it.
func Check(name string, run func() error) {
	done := make(chan error, 1)
	go func() { done <- run() }()
	var err error
	select {
	case err = <-done:
	case <-time.After(limit):
		err = fmt.Errorf("not done after %s", limit)
	}
	if err == nil {
		Say("PASS", name)
		return
	}
	failed = true
	Say("FAIL", name, strings.Join(strings.Fields(err.Error()), " "))
}

// Finish ends the process with its verdict.
func Finish() {
	if failed {
		os.Exit(1)
	}
	os.Exit(0)
}

// Topic is a name that no earlier run has used.
func Topic(word string) string {
	return fmt.Sprintf("check-go-%s-%d", word, time.Now().UnixNano())
}

// Values are what the checks send.
func Values() []string {
	values := make([]string, 300)
	for i := range values {
		values[i] = fmt.Sprintf("%d-%s", i, strings.Repeat("x", 100))
	}
	return values
}

// Same is an error that tells both when they differ.
func Same(got, wanted any) error {
	if reflect.DeepEqual(got, wanted) {
		return nil
	}
	return fmt.Errorf("got %s, wanted %s", shortened(got), shortened(wanted))
}

func shortened(value any) string {
	return fmt.Sprintf("%.200s", fmt.Sprint(value))
}

// First is the first error there is.
func First(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// Fails is an error when there is none, or another one than wanted.
func Fails(err, wanted error) error {
	if errors.Is(err, wanted) {
		return nil
	}
	return fmt.Errorf("got error %v, wanted %v", err, wanted)
}
