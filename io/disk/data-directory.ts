// A data directory in use: locked, and its disk.

import { lockDataDirectory } from "./directory-lock.ts";
import { NodeDisk } from "./node-disk.ts";

export interface DataDirectory {
  readonly disk: NodeDisk;
  /** Gives the directory up; its files must be closed. Resolves when another process may take it. */
  close(): Promise<void>;
}

/** Creates (mode 0700) or opens a data directory; rejects with `DirectoryLockedError` when it is in use. */
export async function openDataDirectory(directory: string): Promise<DataDirectory> {
  const lock = await lockDataDirectory(directory);
  try {
    const disk = new NodeDisk(directory);
    const close = async (): Promise<void> => {
      await disk.close();
      await lock.release();
    };
    return { disk, close };
  } catch (error) {
    await lock.release();
    throw error;
  }
}
