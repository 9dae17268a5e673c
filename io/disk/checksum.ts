import { crc32 } from "node:zlib";
import type { Checksum } from "../../core/base/ports.ts";

/** `Disk.checksum` of this platform. */
export const checksum: Checksum = (bytes, start, end, seed = 0) => crc32(bytes.subarray(start, end), seed);
