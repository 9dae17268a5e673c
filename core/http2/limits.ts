// The bounds of the transport. Each answers an attack or a memory question; facts and CVE numbers stand with the
// tests in `core/grpc/hostile.test.ts`. A value that is passed in, so that the simulator can draw them small.

export interface TransportLimits {
  /** From accepting a connection to its preface and first SETTINGS, milliseconds (slow loris). */
  readonly handshakeMs: number;
  /** From the first byte of a frame or header block to its last, milliseconds. */
  readonly frameMs: number;
  /** A header block on the wire, bytes: Go sends about 200, a token adds some hundred. */
  readonly headerBlockSizeBytesMax: number;
  /** The same decoded, with 32 bytes for each field (RFC 9113 6.5.2); advertised, and checked while decoding. */
  readonly headerListSizeBytesMax: number;
  /** CONTINUATION frames of one header block (CVE-2024-27983). */
  readonly continuationCountMax: number;
  /** Receive window of a stream, bytes: a large put needs two rounds of it. */
  readonly streamWindowBytes: number;
  /** Receive window of a connection, bytes. */
  readonly connectionWindowBytes: number;
  /** Bytes of incomplete messages kept for one connection. */
  readonly assemblyBytesMax: number;
  /** Unsent bytes of one call above which `writable` is false: some turns of a busy watcher. */
  readonly streamOutputBytesMax: number;
  /** Output framed in one go: a slice of the kernel's socket buffer, so that urgent frames soon have their turn. */
  readonly outputSliceBytes: number;
  /** Framed bytes that the socket does not take above which no more is read (CVE-2019-9512, 9515). */
  readonly outputPendingBytesMax: number;
  /** All unsent bytes of a connection above which it is closed: nothing well-behaved gets near (CVE-2019-9517). */
  readonly outputBytesKill: number;
  /** Streams reset by the client, burst and per second, beyond one for each that ended in order (CVE-2023-44487). */
  readonly resetBurst: number;
  readonly resetPerSecond: number;
  /**
   * A reset of a stream that was open for so long counts nothing, milliseconds: a caller whose time is over. In that time a
   * client can only reset what it may have open at once, which it could as well leave open.
   */
  readonly resetFreeMs: number;
  /** Streams the client made us reset (CVE-2025-8671). */
  readonly faultBurst: number;
  readonly faultPerSecond: number;
  /** SETTINGS, PING, PRIORITY, unknown and empty frames together (CVE-2019-9512, 9513, 9515, 9518). */
  readonly idleFrameBurst: number;
  readonly idleFramePerSecond: number;
  /** WINDOW_UPDATE frames beyond two for each DATA frame sent. */
  readonly windowUpdateBurst: number;
  readonly windowUpdatePerSecond: number;
  /** A client's pings may come so often, milliseconds; etcd's --grpc-keepalive-min-time. */
  readonly keepaliveMinTimeMs: number;
  /** Silence after which the server pings, milliseconds; etcd's --grpc-keepalive-interval. */
  readonly keepaliveIntervalMs: number;
  /** Time to answer such a ping, milliseconds; etcd's --grpc-keepalive-timeout. */
  readonly keepaliveTimeoutMs: number;
  /** Calls and streams kept for reuse by one connection. */
  readonly poolCountMax: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;

/** The defaults; the reasons stand at the fields. */
export const DEFAULT_TRANSPORT_LIMITS: TransportLimits = {
  handshakeMs: 5_000,
  frameMs: 30_000,
  headerBlockSizeBytesMax: 16 * KIB,
  headerListSizeBytesMax: 16 * KIB,
  continuationCountMax: 8,
  streamWindowBytes: MIB,
  connectionWindowBytes: 8 * MIB,
  assemblyBytesMax: 64 * MIB,
  streamOutputBytesMax: 256 * KIB,
  outputSliceBytes: 128 * KIB,
  outputPendingBytesMax: MIB,
  outputBytesKill: 128 * MIB,
  resetBurst: 2_000,
  resetPerSecond: 200,
  resetFreeMs: 250,
  faultBurst: 200,
  faultPerSecond: 20,
  idleFrameBurst: 1_000,
  idleFramePerSecond: 100,
  windowUpdateBurst: 20_000,
  windowUpdatePerSecond: 2_000,
  keepaliveMinTimeMs: 5_000,
  keepaliveIntervalMs: 2 * 3600 * 1000,
  keepaliveTimeoutMs: 20_000,
  poolCountMax: 256,
};
