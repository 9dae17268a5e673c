package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// One JSON object a line. The failure test (proof/failure/drivers.ts) sends the requests and judges the answers.
type answer struct {
	Ready       bool   `json:"ready,omitempty"`
	Error       string `json:"error,omitempty"`
	Revision    int64  `json:"revision,omitempty"`
	Applied     bool   `json:"applied,omitempty"`
	Value       string `json:"value,omitempty"`
	ModRevision int64  `json:"modRevision,omitempty"`
}

// drive answers put KEY VALUE, get KEY, delete KEY and cas KEY MOD-REVISION VALUE until its input ends.
func drive(client *clientv3.Client) int {
	out := json.NewEncoder(os.Stdout)
	out.Encode(answer{Ready: true})
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		said, err := obey(ctx, client, strings.Fields(lines.Text()))
		cancel()
		if err != nil {
			said = answer{Error: err.Error()}
		}
		out.Encode(said)
	}
	return 0
}

func obey(ctx context.Context, client *clientv3.Client, words []string) (answer, error) {
	switch {
	case len(words) == 3 && words[0] == "put":
		response, err := client.Put(ctx, words[1], words[2])
		if err != nil {
			return answer{}, err
		}
		return answer{Revision: response.Header.Revision, Applied: true}, nil
	case len(words) == 2 && words[0] == "get":
		response, err := client.Get(ctx, words[1])
		if err != nil {
			return answer{}, err
		}
		said := answer{Revision: response.Header.Revision}
		for _, kv := range response.Kvs {
			said.Value, said.ModRevision = string(kv.Value), kv.ModRevision
		}
		return said, nil
	case len(words) == 2 && words[0] == "delete":
		response, err := client.Delete(ctx, words[1])
		if err != nil {
			return answer{}, err
		}
		return answer{Revision: response.Header.Revision, Applied: response.Deleted > 0}, nil
	case len(words) == 4 && words[0] == "cas":
		return compareAndSet(ctx, client, words[1:])
	}
	return answer{}, fmt.Errorf("cannot understand %q", words)
}

func compareAndSet(ctx context.Context, client *clientv3.Client, words []string) (answer, error) {
	modRevision, err := strconv.ParseInt(words[1], 10, 64)
	if err != nil {
		return answer{}, err
	}
	response, err := client.Txn(ctx).
		If(clientv3.Compare(clientv3.ModRevision(words[0]), "=", modRevision)).
		Then(clientv3.OpPut(words[0], words[2])).
		Else(clientv3.OpGet(words[0])).
		Commit()
	if err != nil {
		return answer{}, err
	}
	return answer{Revision: response.Header.Revision, Applied: response.Succeeded}, nil
}
