// What `holdfast bench … --help` prints; a test holds every flag against it.

const BENCH = `Usage: holdfast bench WORKLOAD [flags]        latency and rate of any store that speaks etcd's API

Workloads
  put               puts (each key once in order; --order random|uniform|zipfian)
  range             gets of one key; --mode prefix|paged reads --span keys; --serializable (--linearizable is the default)
  txn               transactions of --txn-ops puts
  mixed             --reads 0.9: the share of gets
  cas               read a key, write it if nobody has in between
  watch-latency     from a put's start to its event at the last of --watchers on --streams; --one-key
  watch-fanout      the same, 1,000 watchers on one key
  lease-keepalive   --leases
  lock              lock and unlock of --locks by --clients, by etcd's keys; the gap between holders
  list              all --keys at once; --keys-only, --count-only
  kubernetes        conditional updates, gets, lists of 500, 20 watches

Load
  --clients N --conns N       closed loop: each client sends its next request when the last one is answered (the default)
  --rate N                    open loop: N a second whatever the store does, latency from the intended start
  --inflight N                operations of an open loop under way at most (20,000)
  --closed-loop               a closed loop although a rate is given
  --arrival fixed|poisson     spacing of an open loop;  --precise polls for it and takes a core
  --rates 1k,2k,4k            a ladder: the highest rate that keeps --slo
  --duration 30s --total N --warmup 2s --timeout 10s --seed N
  --keys N --key-size S --val-size S --prefix P     sizes: 256, 64..1024, 64:70,4096:30, lognormal:256,1;
                              keys: 10,000, or where each is written once as many as the load writes
  --preload, --no-preload     write all keys first (reads do so by themselves)

Store
  --endpoints H:P,… --cacert F --cert F --key F --insecure-skip-tls-verify --user NAME:PASSWORD
  --store etcd|zookeeper|zookeeper-npm|consul

Verdict and report
  --slo 'p99<20ms,p99.9<50ms,errors<0.01%'   exit status 1 when broken; judged for the run and each --slo-window (1s),
                                             --slo-share of which must keep it (1)
  -w, --write-out json      one object on stdout;  --quiet  no progress line
  --report F.html           a page to look at, --title T;  --save F.json  for the page and for diff
  --pid N                   sample this process too;  --profile  the leader's profile on the page
  --publish-anyway          figures although the client was the bottleneck (else exit status 3)

Others (each with its own --help)
  compare --rival etcd,zookeeper --suite quick|full --rows P0,P1   side by side, in turns
  picture RESULT.json OUT.svg                                      P0 of a saved comparison as a drawing
  diff OLD NEW      two result files, or two builds
  growth --of keys|watchers|leases|value-size|clients              how cost grows
  --etcd-style …    the words of etcd's own benchmark tool
`;

const COMPARE = `Usage: holdfast bench compare [flags]        us and our rivals side by side, in turns, on this machine

  --rival etcd,zookeeper,consul   started here where they are installed (etcd)
  --suite quick|full              minutes, or all rows
  --rows P0,P1,…                  only these rows
  --rounds N                      turns of each (5);  --slice N  seconds of one turn (3, full 10)
  --keys N --seed N               keys of the rows that ask for a million;  of all choices
  --minutes N                     P0 ends by then with fewer keys, and says how many; else about 70 min for 1,000,000 keys
  --zookeeper-client light|npm    our client, as cheap as the one that etcd gets, or the npm package's
  --dir D                         where data goes (in a folder of its own, removed at the end)
  --ours COMMAND                  another build of ours, as 'node dist/holdfast.js server'
  --ours-endpoints H:P,…          us, running already (--endpoints is the same);  --rival-endpoints H:P,…  the one rival
  --cacert F --cert F --key F --insecure-skip-tls-verify     of endpoints that are given
  -w, --write-out json            one object on stdout;  --quiet  no progress line
  --report F.html --save F.json   a page to look at; the result, for diff and picture
  --picture F.svg                 P0 as a drawing, for a README

Minutes against one rival, quick and full: a load (P1 to P7, P9, P10, P13, P25, P29) 0.6, 2; P8 5, 15; P11 with P18
and P27 1, 6; P12 0.5, 2; P14 0.3; P15 0.5, 1; P16 0.7, 3; P17 0.3; P19 0.7, 3; P20 1; P21 with P22 0.8, 4; P23 1.6;
P24 0.8, 22; P26 5, 10; P28 0.3; P30 0.7, 4; P31 (from 8 cores) 0.8, 2
`;

const DIFF = `Usage: holdfast bench diff OLD NEW [flags]        a verdict for every figure

  OLD and NEW are files that --save or -w json wrote (runs, ladders, comparisons, growths; several objects, one a line, are
  several runs), or two builds: dist/holdfast.js of one version and of another. Exit status 1 when something got worse.

  "worse" and "better" hold among all figures together (Holm's correction) and are more than 2 %; with a question mark
  they would hold for this figure alone.

Two builds
  --old-build F --new-build F     the same as OLD and NEW
  --rows P1,P4,P8,P9,P9b          loads, as compare has them
  --rounds N --slice N            turns of each (8), seconds of one turn (3)
  --seed N --dir D                of all choices; where data goes
  --save PREFIX                   PREFIX.old.json and PREFIX.new.json, for diff
  -w, --write-out json            one object on stdout;  --quiet  no progress line
`;

const GROWTH = `Usage: holdfast bench growth --of keys|watchers|leases|value-size|clients [flags]        how cost grows

  A ladder of loads, the exponent of cost with its interval, and whether that is more than it should be (exit status 1).

  --steps 1k,4k,16k               of the ladder
  --duration 5s                   of one step
  --start holdfast,etcd           a fresh store for every step, started here, one or both;  --dir D  where its data goes
  --endpoints H:P,…               a store that runs: the keys of a step are deleted after it
  --cacert F --cert F --key F --insecure-skip-tls-verify --user NAME:PASSWORD
  --no-allocations                do not look into a Node program for what it allocates
  -w, --write-out json            one object on stdout;  --quiet  no progress line
  --report F.html --save F.json   a page to look at; the result, for diff
`;

const ETCD_STYLE = `Usage: holdfast bench --etcd-style COMMAND [flags]        the words and the output of etcd's own benchmark tool

  put, range, txn-put, txn-mixed, stm, watch, watch-get, watch-latency, lease-keepalive and mvcc put, with the flags and
  defaults of etcd 3.6; global flags may stand before the command. What is not supported is refused by name. A note
  after the output says what it hides.

    holdfast bench --etcd-style --endpoints=H:P --target-leader --conns=100 --clients=1000 \\
        put --key-size=8 --sequential-keys --total=100000 --val-size=256
`;

/** The help of one command; of the whole without one, and of workloads. */
export function helpOf(command: string | undefined): string {
  switch (command) {
    case "compare":
      return COMPARE;
    case "diff":
      return DIFF;
    case "growth":
      return GROWTH;
    case "--etcd-style":
      return ETCD_STYLE;
    default:
      return BENCH;
  }
}
