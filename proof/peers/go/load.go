package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

type load struct {
	endpoint  string
	operation string
	clients   int
	conns     int
	total     int
	keys      int
	keySize   int
	valSize   int
	random    bool
	seed      int64
}

func loadFlags(args []string) load {
	var l load
	flags := flag.NewFlagSet("load", flag.ExitOnError)
	flags.StringVar(&l.endpoint, "endpoint", "127.0.0.1:2379", "endpoints, separated by commas")
	flags.StringVar(&l.operation, "op", "put", "put or get")
	flags.IntVar(&l.clients, "clients", 100, "concurrent clients, each waiting for its answer")
	flags.IntVar(&l.conns, "conns", 10, "connections that they share")
	flags.IntVar(&l.total, "total", 100_000, "operations")
	flags.IntVar(&l.keys, "keys", 0, "distinct keys (0: one per operation)")
	flags.IntVar(&l.keySize, "key-size", 64, "bytes of a key")
	flags.IntVar(&l.valSize, "val-size", 256, "bytes of a value")
	flags.BoolVar(&l.random, "random", false, "keys in random order instead of one after another")
	flags.Int64Var(&l.seed, "seed", 1, "seed of the random order")
	flags.Parse(args)
	if l.keys <= 0 {
		l.keys = l.total
	}
	if l.clients < 1 || l.conns < 1 || l.total < 1 || (l.operation != "put" && l.operation != "get") {
		fmt.Fprintln(os.Stderr, "Cannot run: --clients, --conns and --total must be positive, --op put or get")
		os.Exit(2)
	}
	return l
}

// The field names are those of `holdfast bench -w json`, so that one reader serves both.
type result struct {
	Operations       int     `json:"operations"`
	Errors           int64   `json:"errors"`
	Seconds          float64 `json:"seconds"`
	Rate             float64 `json:"rate"`
	P50Us            float64 `json:"p50Us"`
	P90Us            float64 `json:"p90Us"`
	P99Us            float64 `json:"p99Us"`
	P999Us           float64 `json:"p999Us"`
	MaxUs            float64 `json:"maxUs"`
	DistinctKeys     int     `json:"distinctKeys"`
	Clients          int     `json:"clients"`
	Conns            int     `json:"conns"`
	ClientCpuSeconds float64 `json:"clientCpuSeconds"`
	FirstError       string  `json:"firstError,omitempty"`
}

func runLoad(l load) int {
	order := keyOrder(l)
	clients := make([]*clientv3.Client, l.conns)
	for i := range clients {
		clients[i] = connect(l.endpoint)
		defer clients[i].Close()
		// The connection is made before the clock starts.
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		if _, err := clients[i].Get(ctx, "\x00"); err != nil {
			cancel()
			fmt.Fprintln(os.Stderr, "Cannot reach the endpoint:", err)
			return 1
		}
		cancel()
	}
	var next, failures atomic.Int64
	var firstError atomic.Value
	latencies := make([][]int64, l.clients)
	cpuBefore := cpuSeconds()
	started := time.Now()
	var group sync.WaitGroup
	for i := range latencies {
		group.Add(1)
		go func() {
			defer group.Done()
			worker := newWorker(l, order)
			client := clients[i%len(clients)]
			for {
				n := next.Add(1) - 1
				if n >= int64(l.total) {
					break
				}
				began := time.Now()
				if err := worker.do(client, n); err != nil {
					failures.Add(1)
					firstError.CompareAndSwap(nil, err.Error())
					continue
				}
				latencies[i] = append(latencies[i], time.Since(began).Microseconds())
			}
		}()
	}
	group.Wait()
	seconds := time.Since(started).Seconds()
	all := slices.Concat(latencies...)
	slices.Sort(all)
	out := result{
		Operations: len(all), Errors: failures.Load(), Seconds: seconds, Rate: float64(len(all)) / seconds,
		P50Us: quantile(all, 0.5), P90Us: quantile(all, 0.9), P99Us: quantile(all, 0.99),
		P999Us: quantile(all, 0.999), MaxUs: quantile(all, 1), DistinctKeys: min(l.keys, l.total),
		Clients: l.clients, Conns: l.conns, ClientCpuSeconds: cpuSeconds() - cpuBefore,
	}
	if text, ok := firstError.Load().(string); ok {
		out.FirstError = text
	}
	json.NewEncoder(os.Stdout).Encode(out)
	if out.Errors > 0 {
		return 1
	}
	return 0
}

// keyOrder is a permutation, so that a random order still touches every key once per round.
func keyOrder(l load) []int {
	if l.random {
		return rand.New(rand.NewSource(l.seed)).Perm(l.keys)
	}
	order := make([]int, l.keys)
	for i := range order {
		order[i] = i
	}
	return order
}

type worker struct {
	load  load
	order []int
	value string
}

func newWorker(l load, order []int) *worker {
	// Random bytes: a value that compresses to nothing would flatter a store that compresses.
	value := make([]byte, l.valSize)
	rand.New(rand.NewSource(l.seed)).Read(value)
	return &worker{load: l, order: order, value: string(value)}
}

func (w *worker) do(client *clientv3.Client, n int64) error {
	index := w.order[n%int64(len(w.order))]
	key := fmt.Sprintf("%0*d", w.load.keySize, index)
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	if w.load.operation == "get" {
		_, err := client.Get(ctx, key)
		return err
	}
	_, err := client.Put(ctx, key, w.value)
	return err
}

func quantile(sorted []int64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return float64(sorted[min(len(sorted)-1, int(q*float64(len(sorted))))])
}

// cpuSeconds is what this process has used, so that a result can say how much of the machine the client took.
func cpuSeconds() float64 {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	seconds := func(t syscall.Timeval) float64 { return float64(t.Sec) + float64(t.Usec)/1e6 }
	return seconds(usage.Utime) + seconds(usage.Stime)
}
