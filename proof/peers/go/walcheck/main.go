// Command walcheck reads a write-ahead log directory with etcd's own reader and prints what it found as one JSON object.
//
//	walcheck DIRECTORY [SNAPSHOT_INDEX SNAPSHOT_TERM]
package main

import (
	"encoding/json"
	"fmt"
	"hash/crc32"
	"os"
	"strconv"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.etcd.io/etcd/server/v3/storage/wal/walpb"
	"go.uber.org/zap"
)

func main() {
	if len(os.Args) != 2 && len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "usage: walcheck DIRECTORY [SNAPSHOT_INDEX SNAPSHOT_TERM]")
		os.Exit(2)
	}
	var start walpb.Snapshot
	if len(os.Args) == 4 {
		start.Index, _ = strconv.ParseUint(os.Args[2], 10, 64)
		start.Term, _ = strconv.ParseUint(os.Args[3], 10, 64)
	}
	log, err := wal.OpenForRead(zap.NewNop(), os.Args[1], start)
	if err != nil {
		fail("open", err)
	}
	metadata, state, entries, err := log.ReadAll()
	if err != nil {
		fail("read", err)
	}
	snapshots, err := wal.ValidSnapshotEntries(zap.NewNop(), os.Args[1])
	if err != nil {
		fail("snapshots", err)
	}
	if _, err := wal.Verify(zap.NewNop(), os.Args[1], start); err != nil {
		fail("verify", err)
	}
	var identity etcdserverpb.Metadata
	if err := identity.Unmarshal(metadata); err != nil {
		fail("decode the metadata", err)
	}
	hash := crc32.NewIEEE()
	for _, entry := range entries {
		fmt.Fprintf(hash, "%d %d %d ", entry.Type, entry.Term, entry.Index)
		hash.Write(entry.Data)
	}
	result := map[string]any{
		"member": fmt.Sprintf("%x", identity.NodeID), "cluster": fmt.Sprintf("%x", identity.ClusterID), "term": state.Term, "vote": fmt.Sprintf("%x", state.Vote),
		"commit": state.Commit, "entries": len(entries), "hash": hash.Sum32(), "snapshots": len(snapshots),
	}
	if len(entries) > 0 {
		result["first"] = entries[0].Index
		result["last"] = entries[len(entries)-1].Index
	}
	json.NewEncoder(os.Stdout).Encode(result)
}

func fail(what string, err error) {
	fmt.Fprintf(os.Stderr, "Cannot %s: %v\n", what, err)
	os.Exit(1)
}
