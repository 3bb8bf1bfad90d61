// Package broken does not compile.
package broken

import "testing"

func TestNeverRuns(t *testing.T) { undefined() }
