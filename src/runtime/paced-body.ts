/** Resolves when so many bytes of an answer may be worked on. */
export type Admit = (bytes: number) => Promise<void>;

/** Bytes of one answer. A batch of 20 values of 64 KiB takes 8 MiB when JSON escapes each byte of them. */
const MOST_BYTES = 16 * 1024 * 1024;

/** Reads an answer's body as it is let in, so that what isn't waits at the sender. It throws `tooLarge` when the answer doesn't end. */
export async function readBody(
  body: AsyncIterable<Uint8Array>,
  admit: Admit,
  mostBytes = MOST_BYTES,
  tooLarge = () => new Error(`an answer of more than ${mostBytes} bytes`),
): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    if (bytes > mostBytes) throw tooLarge();
    chunks.push(chunk);
    await admit(chunk.length);
  }
  // Whoever gets it parses it in one go.
  await admit(bytes);
  return Buffer.concat(chunks, bytes);
}
