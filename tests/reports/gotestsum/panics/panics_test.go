// Package panics ends in the midst of a test.
package panics

import "testing"

func TestBefore(t *testing.T) {}

func TestPanics(t *testing.T) {
	var m map[string]int
	m["a"] = 1
}

func TestNeverRuns(t *testing.T) {}
