// What a command is, and what it works with. The table of all of them is in commands.ts.

import { encode } from "../../core/wire/schema.ts";
import type { Schema } from "../../core/wire/schema.ts";
import { ByteWriter } from "../../core/base/byte-writer.ts";
import * as m from "../../core/wire/messages.ts";
import { Client } from "../client/client.ts";
import { EtcdError } from "../client/errors.ts";
import type { Flag, FlagValues } from "./flags.ts";
import { boolFlag, intFlag, stringFlag } from "./flags.ts";
import { quote } from "./go-text.ts";
import type { CliIo } from "./io.ts";
import { CommandError, EXIT } from "./io.ts";
import type { Form, Output } from "./print.ts";
import { Printer } from "./print.ts";
import { fieldsForm } from "./print-fields.ts";
import { jsonForm } from "./print-json.ts";
import { simpleForm } from "./print-simple.ts";
import { tableForm } from "./print-table.ts";

export interface Command {
  /** With its group: `lease grant`. */
  readonly name: string;
  /** What follows the name: `[options] <key> [range_end]`. */
  readonly usage: string;
  readonly summary: string;
  readonly details?: string;
  readonly flags: readonly Flag[];
  /** Returns the exit code. */
  run(context: Context): Promise<number>;
}

const duration = (name: string, value: string, help: string): Flag => ({
  name,
  kind: "duration",
  default: value,
  help,
});

/** Every command has these; the environment sets them too: ETCDCTL_ and the name in capitals, with _ for -. */
export const GLOBAL_FLAGS: readonly Flag[] = [
  {
    name: "endpoints",
    kind: "list",
    default: "127.0.0.1:2379",
    help: "members to talk to, separated by commas",
  },
  {
    name: "write-out",
    short: "w",
    kind: "string",
    default: "simple",
    help: "form of the output: fields, json, protobuf, simple, table",
    values: ["fields", "json", "protobuf", "simple", "table"],
  },
  boolFlag("hex", "show bytes and ids in hexadecimal"),
  duration("command-timeout", "5s", "bound of a short command, dialling left out"),
  duration("dial-timeout", "2s", "bound of connecting to a member"),
  duration("keepalive-time", "10s", "how often a connection is probed; members refuse less than 5s"),
  duration("keepalive-timeout", "6s", "how long a probe may go unanswered"),
  stringFlag("cacert", "file with the authorities whose server certificates are taken"),
  stringFlag("cert", "file with this client's certificate"),
  stringFlag("key", "file with the certificate's key"),
  boolFlag("insecure-skip-tls-verify", "take any server certificate (for tests only)"),
  {
    ...boolFlag("insecure-transport", "talk without TLS unless an endpoint or a TLS flag asks for it"),
    default: "true",
  },
  stringFlag("user", "name[:password]; without a password it is asked for"),
  stringFlag("password", "password; then --user holds the name alone"),
  intFlag("max-recv-bytes", "largest answer that is taken, bytes; 0 is 2^31-1"),
  intFlag("max-request-bytes", "largest request that is sent, bytes; 0 is 2 MiB"),
  { ...stringFlag("discovery-srv", "not built yet: a domain that names the members"), short: "d" },
  stringFlag("discovery-srv-name", "not built yet: the service's name there"),
  { ...boolFlag("insecure-discovery", "not built yet: take such names without TLS"), default: "true" },
  boolFlag("debug", "say on standard error what the flags are"),
];

/** As etcdctl has it: what a server takes by default, and the overhead that it allows. */
const SEND_SIZE_BYTES_MAX = 2 * 1024 * 1024;

export interface ContextOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** All words behind the command's name, flags and `--` included. */
  readonly words: readonly string[];
  readonly flags: FlagValues;
  readonly io: CliIo;
}

export class Context {
  readonly program: string;
  readonly args: readonly string[];
  readonly words: readonly string[];
  readonly flags: FlagValues;
  readonly io: CliIo;
  readonly output: BufferedOutput;
  readonly #clients: Client[] = [];
  #printer: Printer | undefined;
  #password: string | undefined;

  constructor(options: ContextOptions) {
    this.program = options.program;
    this.args = options.args;
    this.words = options.words;
    this.flags = options.flags;
    this.io = options.io;
    this.output = new BufferedOutput(options.io);
  }

  /** Made with the first client, since etcdctl looks at arguments before it looks at --write-out. */
  get printer(): Printer {
    if (this.#printer !== undefined) return this.#printer;
    const name = this.flags.text("write-out");
    const form = formOf(name, this.flags.bool("hex"));
    if (form === undefined) throw new CommandError(EXIT.badFeature, "unsupported output format");
    this.#printer = new Printer(name, form, this.output);
    return this.#printer;
  }

  /** Milliseconds. */
  get timeoutMs(): number {
    return this.flags.duration("command-timeout");
  }

  get endpoints(): string[] {
    return this.flags.list("endpoints").map((it) => it.trim());
  }

  /** A client of these endpoints, by default those of --endpoints; closed when the command ends. */
  async client(endpoints: readonly string[] = this.endpoints): Promise<Client> {
    const flags = this.flags;
    // Refuses an unknown form before anything is sent.
    void this.printer;
    const [user, password] = await this.#credentials();
    const tls = this.#tls();
    const limits = this.#limits();
    try {
      const client = Client.connect({
        endpoints,
        ...(tls === undefined ? undefined : { tls }),
        user,
        password,
        timeoutMs: this.timeoutMs,
        dialTimeoutMs: flags.duration("dial-timeout"),
        // etcd's own default of 2 s is below what its servers allow.
        keepAliveTimeMs: Math.max(5000, flags.duration("keepalive-time")),
        keepAliveTimeoutMs: flags.duration("keepalive-timeout"),
        ...limits,
      });
      this.#clients.push(client);
      return client;
    } catch (error) {
      throw new CommandError(EXIT.badArguments, error instanceof Error ? error.message : String(error), {
        cause: error,
      });
    }
  }

  #limits(): { receiveSizeBytesMax?: number; sendSizeBytesMax: number } {
    const receive = this.flags.number("max-recv-bytes");
    const send = this.flags.number("max-request-bytes");
    if (receive > 0 && send > receive) {
      throw new CommandError(
        EXIT.badConnection,
        `gRPC message recv limit (${receive} bytes) must be greater than send limit (${send} bytes)`,
      );
    }
    const sendSizeBytesMax = send > 0 ? send : SEND_SIZE_BYTES_MAX;
    return receive > 0 ? { receiveSizeBytesMax: receive, sendSizeBytesMax } : { sendSizeBytesMax };
  }

  #tls(): { caFile: string; certFile: string; keyFile: string; insecureSkipVerify: boolean } | undefined {
    const flags = this.flags;
    for (const name of ["cert", "key", "cacert"]) {
      if (flags.isSet(name) && flags.text(name) === "") {
        throw new CommandError(EXIT.badArguments, `empty string is passed to --${name} option`);
      }
    }
    const files = { caFile: flags.text("cacert"), certFile: flags.text("cert"), keyFile: flags.text("key") };
    const insecureSkipVerify = flags.bool("insecure-skip-tls-verify");
    const isWanted =
      Object.values(files).some((it) => it !== "") || insecureSkipVerify || !flags.bool("insecure-transport");
    return isWanted ? { ...files, insecureSkipVerify } : undefined;
  }

  async #credentials(): Promise<[string, string]> {
    const text = this.flags.text("user");
    const given = this.flags.text("password");
    if (text === "" || given !== "") return [text, given];
    const colon = text.indexOf(":");
    if (colon >= 0) return [text.slice(0, colon), text.slice(colon + 1)];
    this.#password ??= await askPassword(this.io);
    return [text, this.#password];
  }

  close(): void {
    this.output.flush();
    for (const client of this.#clients) client.close();
  }
}

/** Reads a line without showing what is typed. */
async function askPassword(io: CliIo): Promise<string> {
  const { createInterface } = await import("node:readline");
  io.stderr.write("Password: ");
  const lines = createInterface({ input: io.stdin, terminal: false });
  const tty = io.stdin as Partial<{ isTTY: boolean; setRawMode(isRaw: boolean): void }>;
  if (tty.isTTY === true) tty.setRawMode?.(true);
  const line = await new Promise<string>((resolve) =>
    lines.once("line", resolve).once("close", () => resolve("")),
  );
  if (tty.isTTY === true) tty.setRawMode?.(false);
  lines.close();
  io.stderr.write("\n");
  return line;
}

/** Bytes that wait for the end of this turn of the loop; a hundred thousand keys are not as many writes. */
const BUFFERED_SIZE_BYTES_MAX = 64 * 1024;
const NEWLINE = Buffer.from("\n");

export class BufferedOutput implements Output {
  readonly #io: CliIo;
  #parts: Uint8Array[] = [];
  #sizeBytes = 0;

  constructor(io: CliIo) {
    this.#io = io;
  }

  line(text: string): void {
    this.raw(Buffer.from(`${text}\n`));
  }

  bytesLine(bytes: Uint8Array): void {
    this.raw(bytes);
    this.raw(NEWLINE);
  }

  raw(bytes: Uint8Array): void {
    if (this.#parts.length === 0) process.nextTick(() => this.flush());
    this.#parts.push(bytes);
    this.#sizeBytes += bytes.length;
    if (this.#sizeBytes >= BUFFERED_SIZE_BYTES_MAX) this.flush();
  }

  /** What was shown before goes first, so that the two streams stay in order where they meet. */
  errorLine(text: string): void {
    this.flush();
    this.#io.stderr.write(`${text}\n`);
  }

  flush(): void {
    if (this.#parts.length === 0) return;
    const all = Buffer.concat(this.#parts, this.#sizeBytes);
    this.#parts = [];
    this.#sizeBytes = 0;
    this.#io.stdout.write(all);
  }
}

function formOf(name: string, isHex: boolean): Form | undefined {
  switch (name) {
    case "simple":
      return simpleForm(isHex);
    case "fields":
      return fieldsForm(isHex);
    case "json":
      return jsonForm(isHex);
    case "table":
      return tableForm;
    case "protobuf":
      return protobufForm;
    default:
      return undefined;
  }
}

function bare<T>(schema: Schema<T>): (message: T, output: Output) => void {
  return (message, output) => {
    const writer = new ByteWriter();
    encode<unknown>(schema, message as object, writer);
    output.raw(writer.copy());
  };
}

/** The answer's message itself. */
const protobufForm: Form = {
  put: bare(m.PutResponse),
  get: bare(m.RangeResponse),
  del: bare(m.DeleteRangeResponse),
  txn: bare(m.TxnResponse),
  watch: bare(m.WatchResponse),
  grant: bare(m.LeaseGrantResponse),
  revoke: ({ answer }, output) => bare(m.LeaseRevokeResponse)(answer, output),
  keepAlive: bare(m.LeaseKeepAliveResponse),
  timeToLive: ({ answer }, output) => bare(m.LeaseTimeToLiveResponse)(answer, output),
  leases: bare(m.LeaseLeasesResponse),
  alarm: bare(m.AlarmResponse),
  memberAdd: bare(m.MemberAddResponse),
  memberRemove: ({ answer }, output) => bare(m.MemberRemoveResponse)(answer, output),
  memberUpdate: ({ answer }, output) => bare(m.MemberUpdateResponse)(answer, output),
  memberPromote: ({ answer }, output) => bare(m.MemberPromoteResponse)(answer, output),
  memberList: bare(m.MemberListResponse),
  moveLeader: ({ answer }, output) => bare(m.MoveLeaderResponse)(answer, output),
};

/** Throws a CommandError that carries the error's words; bugs pass through. */
export function rethrow(error: unknown, exitCode: number, wrap = (text: string): string => text): never {
  if (error instanceof EtcdError) throw new CommandError(exitCode, wrap(error.display), { cause: error });
  throw error;
}

export function badArguments(message: string): never {
  throw new CommandError(EXIT.badArguments, message);
}

/** etcdctl's flag for where a read may be answered. */
export function isSerializable(flags: FlagValues): boolean {
  const text = flags.text("consistency");
  if (text === "s") return true;
  if (text === "l") return false;
  throw new CommandError(EXIT.badFeature, `unknown consistency flag ${quote(text)}`);
}

export const CONSISTENCY_FLAG: Flag = {
  name: "consistency",
  kind: "string",
  default: "l",
  help: "l for linearizable, s for serializable (quicker, possibly old)",
  values: ["l", "s"],
};
