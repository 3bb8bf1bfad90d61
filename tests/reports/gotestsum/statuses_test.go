// Package statuses has a test of every status that go test knows.
package statuses

import (
	"fmt"
	"os"
	"testing"
)

func TestPasses(t *testing.T) { t.Log("a line") }

func TestFails(t *testing.T) {
	fmt.Println("<printed> & \x1b[31mred\x1b[0m")
	t.Error("first")
	t.Errorf("second %q", "\x00")
}

func TestIsSkipped(t *testing.T) { t.Skip("not now") }

func TestHasSubtests(t *testing.T) {
	for _, name := range []string{"a", "a b", "a/b", "#00", "", "ä\u2603", "a"} {
		t.Run(name, func(t *testing.T) {})
	}
	t.Run("fails", func(t *testing.T) {
		t.Run("inside", func(t *testing.T) { t.Fatal("deep") })
	})
	t.Run("skips", func(t *testing.T) { t.SkipNow() })
}

func TestParallel(t *testing.T) {
	for i := range [4]int{} {
		t.Run(fmt.Sprint(i), func(t *testing.T) { t.Parallel(); t.Log(i) })
	}
}

func TestIsFlaky(t *testing.T) {
	name := os.TempDir() + "/flaky"
	if _, err := os.Stat(name); err != nil {
		os.WriteFile(name, nil, 0o600)
		t.Fatal("the first time")
	}
}

func ExampleHello() {
	fmt.Println("hello")
	// Output: hello
}

func ExampleHello_wrong() {
	fmt.Println("hello")
	// Output: goodbye
}

func FuzzSeeds(f *testing.F) {
	f.Add("seed")
	f.Fuzz(func(t *testing.T, s string) {})
}
