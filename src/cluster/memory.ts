/** Bytes of what can be read again that views may hold, for a container that may have so many. */
export function memoryFor(containerBytes: number | undefined): number {
  // Without a limit the whole machine is told, or a number beyond any machine.
  const share = (containerBytes ?? Infinity) / 4;
  return Math.min(MOST, Math.max(LEAST, share));
}

/** 10,000 usual SecretSyncs with their Secrets take some 60 MiB. */
const LEAST = 64 * 1024 * 1024;
const MOST = 1024 * 1024 * 1024;
