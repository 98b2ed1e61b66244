// Replaces as Go does, for cases of [pattern, target, text] as JSON on standard input: an array of texts, null for a pattern
// that Go refuses.
package main

import (
	"encoding/json"
	"os"
	"regexp"
)

func main() {
	var cases [][3]string
	if err := json.NewDecoder(os.Stdin).Decode(&cases); err != nil {
		panic(err)
	}
	answers := make([]*string, len(cases))
	for i, c := range cases {
		if pattern, err := regexp.Compile(c[0]); err == nil {
			answer := pattern.ReplaceAllString(c[2], c[1])
			answers[i] = &answer
		}
	}
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answers); err != nil {
		panic(err)
	}
}
