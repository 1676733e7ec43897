package conformance

import (
	"encoding/xml"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/leno-mesh/leno/test/harness"
)

// leastCases is how many cases h2spec has with the strict ones; a run that
// judged fewer has judged something else.
const leastCases = 146

// suites is what h2spec reports.
type suites struct {
	Suites []struct {
		Package string `xml:"package,attr"`
		ID      string `xml:"id,attr"`
		Cases   []struct {
			Name    string   `xml:"classname,attr"`
			Failure *finding `xml:"failure"`
			Error   *finding `xml:"error"`
			Skipped *finding `xml:"skipped"`
		} `xml:"testcase"`
	} `xml:"testsuite"`
}

// finding is what was awaited and what came instead.
type finding struct {
	Text string `xml:",innerxml"`
}

func (f *finding) Error() string { return strings.Join(strings.Fields(f.Text), " ") }

func judgeH2spec(t *testing.T, c *court) {
	report := filepath.Join(harness.Dir(t, 0), "report.xml")
	at := c.Address(c.port)
	// An end that differs from 0 only says that a case failed.
	out, _ := c.exec(t, harness.Tool(t, "h2spec"), "--strict", "--timeout", "5",
		"--host", at.Addr().String(), "--port", fmt.Sprint(at.Port()), "--junit-report", report)
	b, err := os.ReadFile(report)
	if err != nil {
		t.Fatalf("no report: %v\n%s", err, out)
	}
	var all suites
	if err := xml.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	for _, s := range all.Suites {
		for _, k := range s.Cases {
			var err error
			switch {
			case k.Failure != nil:
				err = k.Failure
			case k.Error != nil:
				err = k.Error
			case k.Skipped != nil:
				err = errors.New("skipped")
			}
			c.verdict(fmt.Sprintf("%s: %s", s.Package, k.Name), err)
		}
	}
	if got := c.passed + len(c.failed); got < leastCases {
		c.verdict("all cases", fmt.Errorf("%d of %d were judged\n%s", got, leastCases, out))
	}
}
