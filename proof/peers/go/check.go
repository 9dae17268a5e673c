package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/client/v3/concurrency"
)

// A conversation gets a client and a key prefix of its own, and returns what was wrong.
type conversation struct {
	name string
	hold func(ctx context.Context, client *clientv3.Client, prefix string) error
}

var conversations = []conversation{
	{"put answers with the previous value when asked", checkPut},
	{"range honours limit, order, count and prefix", checkRange},
	{"a range at an old revision sees the old value", checkOldRevision},
	{"txn takes the branch its compares decide", checkTxn},
	{"txn with a key written twice is refused", checkDuplicateKey},
	{"delete reports what it removed", checkDelete},
	{"watch delivers history and then live events in order", checkWatch},
	{"watch filters deletes and shows previous values", checkWatchOptions},
	{"a lease keeps its key while kept alive and takes it away when revoked", checkLease},
	{"a lease that is not kept alive ends by itself", checkLeaseExpiry},
	{"a mutex excludes a second session", checkMutex},
	{"compaction refuses older revisions with etcd's error", checkCompaction},
	{"status and member list name the member", checkStatus},
}

func runChecks(client *clientv3.Client) int {
	defer client.Close()
	passed, failed := 0, 0
	for i, c := range conversations {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		prefix := fmt.Sprintf("clientv3/%d/%d/%d/", os.Getpid(), time.Now().UnixNano(), i)
		if err := c.hold(ctx, client, prefix); err != nil {
			fmt.Printf("not ok - %s: %v\n", c.name, err)
			failed++
		} else {
			fmt.Printf("ok - %s\n", c.name)
			passed++
		}
		client.Delete(ctx, prefix, clientv3.WithPrefix())
		cancel()
	}
	fmt.Printf("%d passed, %d failed\n", passed, failed)
	if failed > 0 {
		return 1
	}
	return 0
}

func expect[T comparable](what string, got, want T) error {
	if got != want {
		return fmt.Errorf("%s is %v, want %v", what, got, want)
	}
	return nil
}

func checkPut(ctx context.Context, client *clientv3.Client, prefix string) error {
	first, err := client.Put(ctx, prefix+"a", "one")
	if err != nil {
		return err
	}
	second, err := client.Put(ctx, prefix+"a", "two", clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	if second.PrevKv == nil {
		return errors.New("no previous value")
	}
	_, ignored := client.Put(ctx, prefix+"absent", "", clientv3.WithIgnoreValue())
	return errors.Join(
		expect("revision", second.Header.Revision, first.Header.Revision+1),
		expect("previous value", string(second.PrevKv.Value), "one"),
		expect("error of ignore_value on an absent key", ignored, error(rpctypes.ErrKeyNotFound)),
	)
}

func checkRange(ctx context.Context, client *clientv3.Client, prefix string) error {
	for i := 0; i < 20; i++ {
		if _, err := client.Put(ctx, fmt.Sprintf("%s%02d", prefix, i), fmt.Sprint(i)); err != nil {
			return err
		}
	}
	some, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithLimit(5),
		clientv3.WithSort(clientv3.SortByKey, clientv3.SortDescend))
	if err != nil {
		return err
	}
	if len(some.Kvs) != 5 {
		return fmt.Errorf("%d keys with limit 5", len(some.Kvs))
	}
	count, err := client.Get(ctx, prefix, clientv3.WithPrefix(), clientv3.WithCountOnly())
	if err != nil {
		return err
	}
	return errors.Join(
		expect("first key in descending order", string(some.Kvs[0].Key), prefix+"19"),
		expect("more", some.More, true),
		expect("count with limit", some.Count, int64(20)),
		expect("count only", count.Count, int64(20)),
		expect("keys of count only", len(count.Kvs), 0),
	)
}

func checkOldRevision(ctx context.Context, client *clientv3.Client, prefix string) error {
	first, err := client.Put(ctx, prefix+"a", "old")
	if err != nil {
		return err
	}
	if _, err := client.Put(ctx, prefix+"a", "new"); err != nil {
		return err
	}
	got, err := client.Get(ctx, prefix+"a", clientv3.WithRev(first.Header.Revision))
	if err != nil {
		return err
	}
	if len(got.Kvs) != 1 {
		return fmt.Errorf("%d keys", len(got.Kvs))
	}
	_, future := client.Get(ctx, prefix+"a", clientv3.WithRev(first.Header.Revision+1_000_000_000))
	return errors.Join(
		expect("value", string(got.Kvs[0].Value), "old"),
		expect("version", got.Kvs[0].Version, int64(1)),
		expect("error of a future revision", future, error(rpctypes.ErrFutureRev)),
	)
}

func checkTxn(ctx context.Context, client *clientv3.Client, prefix string) error {
	key := prefix + "a"
	create := func(value string) (*clientv3.TxnResponse, error) {
		return client.Txn(ctx).
			If(clientv3.Compare(clientv3.CreateRevision(key), "=", 0)).
			Then(clientv3.OpPut(key, value), clientv3.OpPut(key+"/b", value)).
			Else(clientv3.OpGet(key)).Commit()
	}
	first, err := create("one")
	if err != nil {
		return err
	}
	second, err := create("two")
	if err != nil {
		return err
	}
	if len(second.Responses) != 1 {
		return fmt.Errorf("%d answers in the else branch", len(second.Responses))
	}
	kvs := second.Responses[0].GetResponseRange().Kvs
	if len(kvs) != 1 {
		return fmt.Errorf("%d keys in the else branch", len(kvs))
	}
	nested, err := client.Txn(ctx).Then(clientv3.OpTxn(
		[]clientv3.Cmp{clientv3.Compare(clientv3.Value(key), "=", "one")},
		[]clientv3.Op{clientv3.OpPut(key, "nested")}, nil)).Commit()
	if err != nil {
		return err
	}
	return errors.Join(
		expect("first succeeded", first.Succeeded, true),
		expect("second succeeded", second.Succeeded, false),
		expect("value", string(kvs[0].Value), "one"),
		expect("create revision", kvs[0].CreateRevision, first.Header.Revision),
		expect("nested succeeded", nested.Responses[0].GetResponseTxn().Succeeded, true),
	)
}

func checkDuplicateKey(ctx context.Context, client *clientv3.Client, prefix string) error {
	_, err := client.Txn(ctx).Then(clientv3.OpPut(prefix+"a", "1"), clientv3.OpPut(prefix+"a", "2")).Commit()
	return expect("error", err, error(rpctypes.ErrDuplicateKey))
}

func checkDelete(ctx context.Context, client *clientv3.Client, prefix string) error {
	for _, name := range []string{"a", "b", "c"} {
		if _, err := client.Put(ctx, prefix+name, name); err != nil {
			return err
		}
	}
	one, err := client.Delete(ctx, prefix+"b", clientv3.WithPrevKV())
	if err != nil {
		return err
	}
	rest, err := client.Delete(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	none, err := client.Delete(ctx, prefix, clientv3.WithPrefix())
	if err != nil {
		return err
	}
	if len(one.PrevKvs) != 1 {
		return fmt.Errorf("%d previous values", len(one.PrevKvs))
	}
	return errors.Join(
		expect("previous value", string(one.PrevKvs[0].Value), "b"),
		expect("rest deleted", rest.Deleted, int64(2)),
		expect("none deleted", none.Deleted, int64(0)),
		expect("revision after deleting nothing", none.Header.Revision, rest.Header.Revision),
	)
}

// collect reads events of one watch until there are `want` of them.
func collect(ctx context.Context, watch clientv3.WatchChan, want int) ([]*clientv3.Event, error) {
	var events []*clientv3.Event
	for len(events) < want {
		select {
		case answer, open := <-watch:
			if !open {
				return nil, errors.New("watch ended")
			}
			if err := answer.Err(); err != nil {
				return nil, err
			}
			events = append(events, answer.Events...)
		case <-ctx.Done():
			return nil, fmt.Errorf("%d of %d events: %w", len(events), want, ctx.Err())
		}
	}
	return events, nil
}

func checkWatch(ctx context.Context, client *clientv3.Client, prefix string) error {
	const half = 50
	first, err := client.Put(ctx, prefix+"k", "0")
	if err != nil {
		return err
	}
	for i := 1; i < half; i++ {
		if _, err := client.Put(ctx, prefix+"k", fmt.Sprint(i)); err != nil {
			return err
		}
	}
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := client.Watch(watchCtx, prefix, clientv3.WithPrefix(), clientv3.WithRev(first.Header.Revision))
	for i := half; i < 2*half; i++ {
		if _, err := client.Put(ctx, prefix+"k", fmt.Sprint(i)); err != nil {
			return err
		}
	}
	events, err := collect(ctx, watch, 2*half)
	if err != nil {
		return err
	}
	for i, event := range events {
		if err := errors.Join(
			expect("value", string(event.Kv.Value), fmt.Sprint(i)),
			expect("version", event.Kv.Version, int64(i+1)),
		); err != nil {
			return err
		}
		if i > 0 && event.Kv.ModRevision <= events[i-1].Kv.ModRevision {
			return fmt.Errorf("revision %d after %d", event.Kv.ModRevision, events[i-1].Kv.ModRevision)
		}
	}
	return nil
}

func checkWatchOptions(ctx context.Context, client *clientv3.Client, prefix string) error {
	watchCtx, cancel := context.WithCancel(ctx)
	defer cancel()
	watch := client.Watch(watchCtx, prefix, clientv3.WithPrefix(), clientv3.WithFilterDelete(),
		clientv3.WithPrevKV(), clientv3.WithCreatedNotify())
	if answer := <-watch; !answer.Created {
		return errors.New("first answer does not say created")
	}
	for _, value := range []string{"one", "two"} {
		if _, err := client.Put(ctx, prefix+"a", value); err != nil {
			return err
		}
	}
	if _, err := client.Delete(ctx, prefix+"a"); err != nil {
		return err
	}
	if _, err := client.Put(ctx, prefix+"a", "three"); err != nil {
		return err
	}
	events, err := collect(ctx, watch, 3)
	if err != nil {
		return err
	}
	if events[1].PrevKv == nil {
		return errors.New("no previous value")
	}
	return errors.Join(
		expect("previous value", string(events[1].PrevKv.Value), "one"),
		expect("third event is a put", events[2].Type, clientv3.EventTypePut),
		expect("third event creates", events[2].IsCreate(), true),
	)
}

func checkLease(ctx context.Context, client *clientv3.Client, prefix string) error {
	lease, err := client.Grant(ctx, 30)
	if err != nil {
		return err
	}
	if _, err := client.Put(ctx, prefix+"a", "leased", clientv3.WithLease(lease.ID)); err != nil {
		return err
	}
	alive, err := client.KeepAliveOnce(ctx, lease.ID)
	if err != nil {
		return err
	}
	left, err := client.TimeToLive(ctx, lease.ID, clientv3.WithAttachedKeys())
	if err != nil {
		return err
	}
	if len(left.Keys) != 1 {
		return fmt.Errorf("%d attached keys", len(left.Keys))
	}
	if _, err := client.Revoke(ctx, lease.ID); err != nil {
		return err
	}
	got, err := client.Get(ctx, prefix+"a")
	if err != nil {
		return err
	}
	_, again := client.Revoke(ctx, lease.ID)
	return errors.Join(
		expect("granted ttl", lease.TTL, int64(30)),
		expect("kept-alive ttl", alive.TTL, int64(30)),
		expect("attached key", string(left.Keys[0]), prefix+"a"),
		expect("keys after revoke", len(got.Kvs), 0),
		expect("error of a second revoke", again, error(rpctypes.ErrLeaseNotFound)),
	)
}

func checkLeaseExpiry(ctx context.Context, client *clientv3.Client, prefix string) error {
	lease, err := client.Grant(ctx, 1)
	if err != nil {
		return err
	}
	put, err := client.Put(ctx, prefix+"a", "leased", clientv3.WithLease(lease.ID))
	if err != nil {
		return err
	}
	watch := client.Watch(ctx, prefix+"a", clientv3.WithRev(put.Header.Revision+1))
	events, err := collect(ctx, watch, 1)
	if err != nil {
		return err
	}
	return expect("event", events[0].Type, clientv3.EventTypeDelete)
}

func checkMutex(ctx context.Context, client *clientv3.Client, prefix string) error {
	holder, err := concurrency.NewSession(client, concurrency.WithTTL(10))
	if err != nil {
		return err
	}
	defer holder.Close()
	rival, err := concurrency.NewSession(client, concurrency.WithTTL(10))
	if err != nil {
		return err
	}
	defer rival.Close()
	held := concurrency.NewMutex(holder, prefix+"lock")
	wanted := concurrency.NewMutex(rival, prefix+"lock")
	if err := held.Lock(ctx); err != nil {
		return err
	}
	if err := expect("error of the rival", wanted.TryLock(ctx), concurrency.ErrLocked); err != nil {
		return err
	}
	if err := held.Unlock(ctx); err != nil {
		return err
	}
	return wanted.Lock(ctx)
}

// Compaction moves the whole store's horizon; it is among the last, so that no other conversation trips over it.
func checkCompaction(ctx context.Context, client *clientv3.Client, prefix string) error {
	old, err := client.Put(ctx, prefix+"a", "1")
	if err != nil {
		return err
	}
	newer, err := client.Put(ctx, prefix+"a", "2")
	if err != nil {
		return err
	}
	if _, err := client.Compact(ctx, newer.Header.Revision, clientv3.WithCompactPhysical()); err != nil {
		return err
	}
	_, read := client.Get(ctx, prefix+"a", clientv3.WithRev(old.Header.Revision))
	_, again := client.Compact(ctx, newer.Header.Revision)
	watch := <-client.Watch(ctx, prefix+"a", clientv3.WithRev(old.Header.Revision))
	return errors.Join(
		expect("error of an old read", read, error(rpctypes.ErrCompacted)),
		expect("error of a second compaction", again, error(rpctypes.ErrCompacted)),
		expect("error of an old watch", watch.Err(), error(rpctypes.ErrCompacted)),
		expect("compact revision of an old watch", watch.CompactRevision, newer.Header.Revision),
	)
}

func checkStatus(ctx context.Context, client *clientv3.Client, _ string) error {
	status, err := client.Status(ctx, client.Endpoints()[0])
	if err != nil {
		return err
	}
	members, err := client.MemberList(ctx)
	if err != nil {
		return err
	}
	for _, member := range members.Members {
		if member.ID == status.Header.MemberId {
			return nil
		}
	}
	return fmt.Errorf("member %x is not in the list", status.Header.MemberId)
}
