// W1 in the core of Benthos: json_schema, dedupe and a Bloblang mapping in one stream with one thread.
//
// usage: benthos EVENTS OUT CONFIG SCHEMA
//
// Prints counts and times as one line of JSON. OUT gets the outputs after the clock has stopped; "-" for none.
package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	_ "github.com/redpanda-data/benthos/v4/public/components/pure"
	"github.com/redpanda-data/benthos/v4/public/service"
)

const (
	slab   = 512
	warmUp = 4
	cache  = "label: seen\nmemory: {default_ttl: 24h}\n"
)

type output struct {
	partition string
	event     []byte
}

// cpu is the processor time of this process, all threads together.
func cpu() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// run sends batches through a fresh stream: the events that came out, and how many messages failed.
func run(config string, batches [][][]byte) (outputs []output, failed int, wall, spent time.Duration, err error) {
	builder := service.NewStreamBuilder()
	for _, step := range []func() error{
		func() error { return builder.AddCacheYAML(cache) },
		func() error { return builder.SetLoggerYAML("level: OFF") },
		func() error { return builder.SetMetricsYAML("none: {}") },
	} {
		if err = step(); err != nil {
			return
		}
	}
	builder.SetThreads(1)
	if err = builder.AddProcessorYAML(config); err != nil {
		return
	}
	send, err := builder.AddBatchProducerFunc()
	if err != nil {
		return
	}
	err = builder.AddBatchConsumerFunc(func(_ context.Context, batch service.MessageBatch) error {
		for _, message := range batch {
			if message.GetError() != nil {
				failed++
				continue
			}
			event, err := message.AsBytes()
			if err != nil {
				return err
			}
			partition, _ := message.MetaGet("partition")
			outputs = append(outputs, output{partition, event})
		}
		return nil
	})
	if err != nil {
		return
	}
	stream, err := builder.Build()
	if err != nil {
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- stream.Run(ctx) }()
	began, before := time.Now(), cpu()
	for _, lines := range batches {
		batch := make(service.MessageBatch, len(lines))
		for index, line := range lines {
			batch[index] = service.NewMessage(line)
		}
		// Returns when the consumer has acknowledged the batch.
		if err = send(ctx, batch); err != nil {
			return
		}
	}
	wall, spent = time.Since(began), cpu()-before
	cancel()
	<-ended
	return
}

func read(path string) (batches [][][]byte, count int, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, 0, err
	}
	lines := bytes.Split(bytes.TrimSuffix(text, []byte("\n")), []byte("\n"))
	for start := 0; start < len(lines); start += slab {
		batches = append(batches, lines[start:min(start+slab, len(lines))])
	}
	return batches, len(lines), nil
}

func write(path string, outputs []output) error {
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	defer file.Close()
	out := bufio.NewWriter(file)
	for _, one := range outputs {
		partition, err := strconv.ParseUint(one.partition, 16, 8)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%d\t%s\n", partition, one.event); err != nil {
			return err
		}
	}
	return out.Flush()
}

func main() {
	if err := measure(); err != nil {
		fmt.Fprintln(os.Stderr, "error:", err)
		os.Exit(1)
	}
}

func measure() error {
	if len(os.Args) != 5 {
		return fmt.Errorf("usage: benthos EVENTS OUT CONFIG SCHEMA")
	}
	text, err := os.ReadFile(os.Args[3])
	if err != nil {
		return err
	}
	config := strings.ReplaceAll(string(text), "SCHEMA", os.Args[4])
	batches, count, err := read(os.Args[1])
	if err != nil {
		return err
	}
	if _, _, _, _, err = run(config, batches[:min(warmUp, len(batches))]); err != nil {
		return err
	}
	outputs, failed, wall, spent, err := run(config, batches)
	if err != nil {
		return err
	}
	if os.Args[2] != "-" {
		if err := write(os.Args[2], outputs); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(map[string]any{
		"messages": count, "accepted": len(outputs), "rejected": failed,
		"duplicates": count - len(outputs) - failed,
		"wall_ns":    wall.Nanoseconds(), "cpu_ns": spent.Nanoseconds(),
	})
}
