// The oracle puts policy worlds and flows to Cilium's own policy engine.
//
// It reads JSON Lines on stdin and answers each line on stdout, in order, in the format of ../cases/README.md, and two
// more lines about the current world: `matrix` (matrix.go) and `replace` (replace.go). A line that cannot be answered
// gets an `error`; the program ends when stdin does.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
)

// Oracle answers lines; flows are asked of the last world.
type Oracle struct {
	engine *Engine
	world  *World
}

// line is what tells the three kinds of lines apart.
type line struct {
	Type     string            `json:"type"`
	ID       json.RawMessage   `json:"id"`
	Policies []json.RawMessage `json:"policies"`
	From     json.RawMessage   `json:"from"`
}

// failure is the answer to a line that cannot be answered.
type failure struct {
	ID    json.RawMessage `json:"id,omitempty"`
	Error string          `json:"error"`
}

func main() {
	engine, err := newEngine()
	if err == nil {
		err = serve(&Oracle{engine: engine}, os.Stdin, os.Stdout)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve flushes whenever no further line is waiting, so that one question at a time is answered too.
func serve(oracle *Oracle, input io.Reader, output io.Writer) error {
	reader, writer := bufio.NewReaderSize(input, 1<<20), bufio.NewWriterSize(output, 1<<16)
	encoder := json.NewEncoder(writer)
	encoder.SetEscapeHTML(false)
	for {
		text, err := reader.ReadBytes('\n')
		if len(bytes.TrimSpace(text)) > 0 {
			if err := encoder.Encode(oracle.answer(text)); err != nil {
				return err
			}
		}
		if reader.Buffered() == 0 || err != nil {
			if err := writer.Flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// answer never panics: what the engine cannot digest is an error of its line.
func (o *Oracle) answer(text []byte) (answer any) {
	var asked line
	defer func() {
		if fault := recover(); fault != nil {
			answer = failure{asked.ID, fmt.Sprintf("panic: %v; the world is given up", fault)}
			o.world = nil // it may hold locks
		}
	}()
	if err := json.Unmarshal(text, &asked); err != nil {
		return failure{Error: fmt.Sprintf("no JSON object of a known shape: %v", err)}
	}
	isAboutWorld := asked.Type == "matrix" || asked.Type == "replace"
	switch {
	case asked.Type == "world":
		return o.load(text, asked.ID)
	case asked.Policies != nil && !isAboutWorld:
		return o.single(text, asked.ID)
	case asked.From == nil && !isAboutWorld:
		return failure{asked.ID, "neither a world nor a flow: `type`, `policies` and `from` are missing"}
	case o.world == nil:
		return failure{asked.ID, "no world stands before this line"}
	case asked.Type == "matrix":
		return o.world.matrix(text)
	case asked.Type == "replace":
		return o.world.replace(text)
	}
	return o.world.answer(text)
}

func (o *Oracle) load(text []byte, id json.RawMessage) any {
	o.world = nil // a world that cannot be loaded leaves none to ask
	world, err := o.engine.world(text)
	if err != nil {
		return failure{id, err.Error()}
	}
	o.world = world
	return world.report(id)
}

// single answers a flow in a world of its own, which stays the current one.
func (o *Oracle) single(text []byte, id json.RawMessage) any {
	loaded := o.load(text, id)
	if o.world == nil {
		return loaded
	}
	answer := o.world.answer(text)
	for _, object := range o.world.reports {
		answer.ParseError = first(answer.ParseError, object.ParseError)
		answer.SanitizeError = first(answer.SanitizeError, object.SanitizeError)
	}
	return answer
}

func first(texts ...string) string {
	for _, text := range texts {
		if text != "" {
			return text
		}
	}
	return ""
}
