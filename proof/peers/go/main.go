// Command clientv3 talks to an endpoint with etcd's own Go client, which is the client most programs use.
//
//	clientv3 check --endpoint HOST:PORT        hold a conversation, verify every answer, "N passed, N failed"
//	clientv3 load  --endpoint HOST:PORT ...    put a closed-loop load on it, one JSON object on stdout
//	clientv3 drive --endpoint HOST:PORT        do what standard input says, a request and an answer a line
//
// The conversation is in check.go, the load in load.go, the requests in drive.go. tools/peers.sh builds it.
package main

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

func main() {
	if len(os.Args) < 2 {
		usage()
	}
	switch os.Args[1] {
	case "check":
		flags := flag.NewFlagSet("check", flag.ExitOnError)
		endpoint := flags.String("endpoint", "127.0.0.1:2379", "endpoints, separated by commas")
		flags.Parse(os.Args[2:])
		os.Exit(runChecks(connect(*endpoint)))
	case "load":
		load := loadFlags(os.Args[2:])
		os.Exit(runLoad(load))
	case "drive":
		flags := flag.NewFlagSet("drive", flag.ExitOnError)
		endpoint := flags.String("endpoint", "127.0.0.1:2379", "endpoints, separated by commas")
		flags.Parse(os.Args[2:])
		os.Exit(drive(connect(*endpoint)))
	default:
		usage()
	}
}

func usage() {
	fmt.Fprintln(os.Stderr, "usage: clientv3 check|load|drive --endpoint HOST:PORT [flags]")
	os.Exit(2)
}

func connect(endpoints string) *clientv3.Client {
	client, err := clientv3.New(clientv3.Config{
		Endpoints:   strings.Split(endpoints, ","),
		DialTimeout: 5 * time.Second,
		// Expected refusals are part of the conversation; the client would log each as a warning.
		Logger: zap.NewNop(),
	})
	if err != nil {
		fmt.Fprintln(os.Stderr, "Cannot connect:", err)
		os.Exit(1)
	}
	return client
}
