// A conversation of etcd's Java client (jetcd, over grpc-java and Netty) with one server; one line a claim, as the other programs
// of the checks print them.

import io.etcd.jetcd.ByteSequence;
import io.etcd.jetcd.Client;
import io.etcd.jetcd.KV;
import io.etcd.jetcd.Lease;
import io.etcd.jetcd.Watch;
import io.etcd.jetcd.kv.GetResponse;
import io.etcd.jetcd.kv.PutResponse;
import io.etcd.jetcd.kv.TxnResponse;
import io.etcd.jetcd.lease.LeaseKeepAliveResponse;
import io.etcd.jetcd.lease.LeaseTimeToLiveResponse;
import io.etcd.jetcd.op.Cmp;
import io.etcd.jetcd.op.CmpTarget;
import io.etcd.jetcd.op.Op;
import io.etcd.jetcd.options.GetOption;
import io.etcd.jetcd.options.LeaseOption;
import io.etcd.jetcd.options.PutOption;
import io.etcd.jetcd.options.WatchOption;
import io.etcd.jetcd.support.CloseableClient;
import io.etcd.jetcd.support.Observers;
import io.etcd.jetcd.watch.WatchEvent;
import io.etcd.jetcd.watch.WatchResponse;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.Future;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

public final class JetcdCheck {
  /** As many as a member takes however long they wait (a real etcd: 5,000 entries). */
  private static final int PARALLEL_PUTS = 1_000;
  private static final int LEASE_SECONDS = 2;

  private interface Body {
    void run() throws Exception;
  }

  private static boolean failed = false;

  private final String endpoint;
  private final Client client;
  private final KV kv;

  private JetcdCheck(String endpoint) {
    this.endpoint = endpoint;
    client = Client.builder().endpoints(endpoint).build();
    kv = client.getKVClient();
  }

  public static void main(String[] arguments) {
    JetcdCheck check = new JetcdCheck("http://" + arguments[0]);
    claim("a put gives the previous value, a get the newest with its version", check::putAndGet);
    claim("a range in descending order with a limit says that there is more, and how much", check::range);
    claim("transactions take their branches", check::transactions);
    claim("a watch gives puts and deletions with previous values", check::watch);
    claim("a watch from a compacted revision ends and says so", check::compactedWatch);
    claim("a lease is kept alive beyond its time, counts its keys, and takes them with it", check::lease);
    claim("members, status, defragmentation and alarms", check::maintenance);
    claim(PARALLEL_PUTS + " puts at once are all there", check::parallelPuts);
    check.client.close();
    System.exit(failed ? 1 : 0);
  }

  private static void claim(String name, Body body) {
    try {
      body.run();
      System.out.println("ok - " + name);
    } catch (Exception | AssertionError error) {
      failed = true;
      System.out.println("not ok - " + name + ": " + error);
    }
  }

  private void putAndGet() throws Exception {
    answer(kv.put(bytes("jetcd/a"), bytes("1")));
    PutResponse put = answer(kv.put(bytes("jetcd/a"), bytes("2"), PutOption.builder().withPrevKV().build()));
    expect("1", put.getPrevKv().getValue().toString());
    GetResponse got = answer(kv.get(bytes("jetcd/a")));
    expect("2", got.getKvs().get(0).getValue().toString());
    expect(2L, got.getKvs().get(0).getVersion());
  }

  private void range() throws Exception {
    for (char c = 'a'; c < 'u'; c++) answer(kv.put(bytes("jetcd/r/" + c), bytes("" + c)));
    GetOption options =
        GetOption.builder()
            .isPrefix(true)
            .withLimit(5)
            .withSortField(GetOption.SortTarget.KEY)
            .withSortOrder(GetOption.SortOrder.DESCEND)
            .build();
    GetResponse got = answer(kv.get(bytes("jetcd/r/"), options));
    expect(5, got.getKvs().size());
    expect(true, got.isMore());
    expect(20L, got.getCount());
    expect("jetcd/r/t", got.getKvs().get(0).getKey().toString());
  }

  private void transactions() throws Exception {
    Cmp isTwo = new Cmp(bytes("jetcd/a"), Cmp.Op.EQUAL, CmpTarget.value(bytes("2")));
    Op put = Op.put(bytes("jetcd/t"), bytes("then"), PutOption.DEFAULT);
    Op get = Op.get(bytes("jetcd/t"), GetOption.DEFAULT);
    TxnResponse taken = answer(kv.txn().If(isTwo).Then(put).Else(get).commit());
    expect(true, taken.isSucceeded());
    Cmp isLater = new Cmp(bytes("jetcd/a"), Cmp.Op.GREATER, CmpTarget.modRevision(1L << 40));
    TxnResponse other = answer(kv.txn().If(isLater).Then(put).Else(get).commit());
    expect(false, other.isSucceeded());
    expect("then", other.getGetResponses().get(0).getKvs().get(0).getValue().toString());
  }

  private void watch() throws Exception {
    BlockingQueue<WatchResponse> responses = new LinkedBlockingQueue<>();
    WatchOption options = WatchOption.builder().withPrevKV(true).withCreateNotify(true).build();
    try (Watch.Watcher watcher = client.getWatchClient().watch(bytes("jetcd/w"), options, responses::add)) {
      next(responses);
      answer(kv.put(bytes("jetcd/w"), bytes("1")));
      answer(kv.delete(bytes("jetcd/w")));
      List<WatchEvent> events = new ArrayList<>();
      while (events.size() < 2) events.addAll(next(responses).getEvents());
      expect(WatchEvent.EventType.PUT, events.get(0).getEventType());
      expect(WatchEvent.EventType.DELETE, events.get(1).getEventType());
      expect("1", events.get(1).getPrevKV().getValue().toString());
    }
  }

  private void compactedWatch() throws Exception {
    answer(kv.put(bytes("jetcd/c"), bytes("1")));
    long revision = answer(kv.put(bytes("jetcd/c"), bytes("2"))).getHeader().getRevision();
    answer(kv.compact(revision));
    CompletableFuture<Throwable> failure = new CompletableFuture<>();
    WatchOption options = WatchOption.builder().withRevision(1).build();
    Watch.Listener listener = Watch.listener(response -> {}, failure::complete);
    try (Watch.Watcher watcher = client.getWatchClient().watch(bytes("jetcd/c"), options, listener)) {
      String text = answer(failure).toString();
      if (!text.contains("compacted")) throw new AssertionError(text);
    }
  }

  private void lease() throws Exception {
    Lease leases = client.getLeaseClient();
    long id = answer(leases.grant(LEASE_SECONDS)).getID();
    answer(kv.put(bytes("jetcd/l"), bytes("x"), PutOption.builder().withLeaseId(id).build()));
    BlockingQueue<LeaseKeepAliveResponse> renewals = new LinkedBlockingQueue<>();
    CloseableClient keeper = leases.keepAlive(id, Observers.observer(renewals::add));
    expect((long) LEASE_SECONDS, next(renewals).getTTL());
    TimeUnit.SECONDS.sleep(LEASE_SECONDS + 2);
    expect(1L, answer(kv.get(bytes("jetcd/l"))).getCount());
    LeaseTimeToLiveResponse left =
        answer(leases.timeToLive(id, LeaseOption.builder().withAttachedKeys().build()));
    expect((long) LEASE_SECONDS, left.getGrantedTTL());
    expect(1, left.getKeys().size());
    keeper.close();
    answer(leases.revoke(id));
    expect(0L, answer(kv.get(bytes("jetcd/l"))).getCount());
  }

  private void maintenance() throws Exception {
    if (answer(client.getClusterClient().listMember()).getMembers().isEmpty()) throw new AssertionError("no members");
    if (answer(client.getMaintenanceClient().statusMember(endpoint)).getDbSize() <= 0) throw new AssertionError("no size");
    answer(client.getMaintenanceClient().defragmentMember(endpoint));
    expect(0, answer(client.getMaintenanceClient().listAlarms()).getAlarms().size());
  }

  private void parallelPuts() throws Exception {
    List<CompletableFuture<PutResponse>> puts = new ArrayList<>();
    for (int i = 0; i < PARALLEL_PUTS; i++) puts.add(kv.put(bytes("jetcd/p/" + i), bytes("v" + i)));
    for (CompletableFuture<PutResponse> put : puts) answer(put);
    GetOption count = GetOption.builder().isPrefix(true).withCountOnly(true).build();
    expect((long) PARALLEL_PUTS, answer(kv.get(bytes("jetcd/p/"), count)).getCount());
  }

  private static <T> T answer(Future<T> future) throws Exception {
    return future.get(20, TimeUnit.SECONDS);
  }

  private static <T> T next(BlockingQueue<T> queue) throws Exception {
    T value = queue.poll(10, TimeUnit.SECONDS);
    if (value == null) throw new AssertionError("nothing came within 10 s");
    return value;
  }

  private static void expect(Object expected, Object found) {
    if (!expected.equals(found)) throw new AssertionError("expected " + expected + ", found " + found);
  }

  private static ByteSequence bytes(String text) {
    return ByteSequence.from(text, StandardCharsets.UTF_8);
  }
}
